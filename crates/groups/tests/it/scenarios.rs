//! Each scenario is a file: its `> ` lines are the script, all others what must come of it.
//! `UPDATE_EXPECT=1` writes them anew.

use expect_test::expect_file;

use crate::script::run;

macro_rules! scenarios {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/", stringify!($name), ".txt");
            let script = std::fs::read_to_string(path).unwrap();
            expect_file![path].assert_eq(&run(&script));
        }
    )*};
}

scenarios! {
    server_assigns
    client_leader_assigns
    mixed_members
    sessions_and_laggards
    static_members
    zombie_commits
    restart
    commits
    disk_failure
    retention
    refusals
    initial_delay
    topics_change
}
