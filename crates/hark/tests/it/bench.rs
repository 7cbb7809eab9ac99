//! The benchmark measures what it says, however little. Its numbers are not looked at here.

use serde_json::Value;

use crate::support::{hark, nobody, run};

/// The names of the results of one small run, and their values.
fn measured(args: &[&str]) -> Vec<(String, f64)> {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("results.json");
    let mut command = hark(&["bench"]);
    command.args(args).args(["--limits-for", "20ms"]);
    command
        .arg("--dir")
        .arg(directory.path())
        .arg("--json")
        .arg(&json);
    let answer = run(&mut command);
    assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the results stay: {left:?}");
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["debug_build"], cfg!(debug_assertions));
    let results = report["results"].as_array().unwrap();
    let row = |row: &Value| {
        (
            row["name"].as_str().unwrap().to_owned(),
            row["value"].as_f64().unwrap(),
        )
    };
    results.iter().map(row).collect()
}

/// It would fill a topic of the node that somebody works with.
#[test]
fn a_server_named_for_all_commands_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = hark(&["bench", "http", "--bytes", "1MB", "--limits-for", "20ms"]);
    command.env("HARK_SERVER", nobody());
    let answer = run(command.arg("--dir").arg(directory.path()));
    assert_eq!(answer.code, Some(0), "{answer:?}");

    command.args(["--server", &nobody()]);
    let answer = run(&mut command);
    assert_eq!(answer.code, Some(1), "{answer:?}");
}

#[test]
fn every_measurement_gives_results_beside_the_limits_of_the_machine() {
    let cases: [(&[&str], &str); 9] = [
        (&["disk"], "machine: memory copy"),
        (
            &["produce", "--bytes", "4MB", "--partitions", "3"],
            "its slowest tenth",
        ),
        (
            &["consume", "--bytes", "4MB", "--bursts", "2"],
            "read the tail",
        ),
        (
            &["partitions", "--bytes", "1MB", "--many", "20"],
            "to 20 partition(s)",
        ),
        (&["http", "--bytes", "4MB"], "publish NDJSON over HTTP"),
        (&["latency", "--count", "20"], "publish over HTTP, p99"),
        (
            &["idle", "--count", "30", "--rounds", "2"],
            "one publish reaches all, p99",
        ),
        (
            &["start", "--bytes", "4MB", "--unsettled", "2MB"],
            "after a kill",
        ),
        (
            &[
                "cluster", "--nodes", "1", "--topics", "20", "--rounds", "1", "--idle", "200ms",
            ],
            "16 at a time",
        ),
    ];
    for (args, name) in cases {
        let results = measured(args);
        assert!(results.len() >= 3, "{results:?}");
        let found = results.iter().find(|(found, _)| found.contains(name));
        assert!(
            found.is_some_and(|(_, value)| *value > 0.0),
            "{args:?}: {results:?}"
        );
    }
}
