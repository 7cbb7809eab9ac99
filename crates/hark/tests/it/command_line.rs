//! Help, usage, completions, and what happens without a server.

use expect_test::expect_file;

use crate::support::{hark, nobody, run, run_with_input};

const EVERY_COMMAND: [&[&str]; 13] = [
    &[],
    &["serve"],
    &["init"],
    &["discovery"],
    &["topic"],
    &["topic", "create"],
    &["pub"],
    &["sub"],
    &["group"],
    &["node"],
    &["node", "add"],
    &["node", "remove"],
    &["bench"],
];

#[test]
fn the_help_is_as_documented() {
    let mut pages = String::new();
    for command in EVERY_COMMAND {
        let answer = run(&mut hark(&[command, &["--help"]].concat()));
        assert_eq!(answer.code, Some(0), "{command:?}");
        pages.push_str(&format!(
            "$ hark {} --help\n{}\n",
            command.join(" "),
            answer.stdout
        ));
    }
    expect_file!["help.txt"].assert_eq(&pages);
}

#[test]
fn alone_it_prints_the_help() {
    let answer = run(&mut hark(&[]));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    assert!(answer.stdout.contains("Usage: hark"), "{answer:?}");
    assert!(answer.stdout.contains("Exit codes:"), "{answer:?}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let cases: [&[&str]; 14] = [
        &["frobnicate"],
        &["sub", "t", "--count", "0"],
        &["serve", "--http", "nowhere"],
        &["serve", "--store", "tape"],
        &["topic", "create", "no/slash"],
        &["topic", "create", "t", "--retention", "soon"],
        &["sub", "t", "--consumer", "c"],
        &["pub", "t", "m", "--header", "nothing"],
        &["pub"],
        &["topic", "delete", "precious"],
        &["node", "drain", "x"],
        &["node", "remove", "3"],
        &["node", "replace", "3", "--lose-partitions"],
        &["node", "add", "--site", "1x0"],
    ];
    for args in cases {
        let answer = run(&mut hark(args));
        assert_eq!(answer.code, Some(2), "{args:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{args:?}");
        assert!(!answer.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn an_address_that_cannot_be_read_is_answered_with_one_that_can() {
    let answer = run(&mut hark(&["serve", "--http", "localhost:7070"]));
    assert!(answer.stderr.contains("127.0.0.1:7070"), "{answer:?}");
}

#[test]
fn a_switch_is_turned_on_in_the_environment_as_people_do() {
    let server = nobody();
    for (value, code) in [("1", 3), ("true", 3), ("no", 3), ("perhaps", 2)] {
        let mut command = hark(&["sub", "t", "--server", &server]);
        let answer = run(command.env("HARK_SUB_JSON", value));
        assert_eq!(answer.code, Some(code), "{value}: {answer:?}");
    }
}

#[test]
fn a_deletion_must_be_confirmed() {
    let cases: [(&[&str], &str); 3] = [
        (
            &["topic", "delete", "precious"],
            "hark topic delete precious --yes",
        ),
        (&["node", "remove", "011"], "hark node remove 3 --yes"),
        (
            &["node", "replace", "3", "--lose-partitions"],
            "hark node replace 3 --lose-partitions --yes",
        ),
    ];
    for (args, said) in cases {
        let answer = run(&mut hark(args));
        assert!(answer.stderr.contains(said), "{answer:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = run(&mut hark(&["completions", shell]));
        assert_eq!(answer.code, Some(0), "{shell}");
        for word in ["serve", "completions", "retention"] {
            assert!(answer.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn without_a_server_it_ends_with_3_and_says_what_to_do() {
    let server = nobody();
    let cases: [&[&str]; 8] = [
        &["status"],
        &["node", "list"],
        &["node", "drain", "0"],
        &["topic", "list"],
        &["group", "list"],
        &["pub", "t", "m"],
        &["sub", "t"],
        &["sub", "t", "--group", "g"],
    ];
    for args in cases {
        let answer = run(hark(args).env("HARK_SERVER", &server));
        assert_eq!(answer.code, Some(3), "{args:?}: {answer:?}");
        assert!(answer.stderr.contains(&server), "{answer:?}");
        assert!(answer.stderr.contains("hark serve"), "{answer:?}");
    }
    let answer = run_with_input(hark(&["pub", "t"]).env("HARK_SERVER", &server), "line\n");
    assert_eq!(answer.code, Some(3), "{answer:?}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = hark(&["completions", "bash"]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
