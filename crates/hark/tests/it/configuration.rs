//! Options, environment, file and defaults, in this order; and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Answer, Node, hark, nobody, run};

fn directory_with(file: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hark.toml");
    fs::write(&path, file).unwrap();
    (directory, path)
}

fn serve(directory: &Path, config: &Path) -> Answer {
    let mut command = hark(&["serve", "--http", "127.0.0.1:0"]);
    run(command
        .arg("--config")
        .arg(config)
        .arg("--data")
        .arg(directory.join("data")))
}

#[test]
fn a_wrong_file_ends_with_78_and_names_file_and_key() {
    let cases = [
        ("[serve]\nretnetion = '7d'", "retnetion"),
        ("[client]\nsevrer = 'http://h'", "sevrer"),
        ("[sreve]\n", "sreve"),
        ("data = '/x'", "data"),
        ("[serve]\nstore = 'tape'", "tape"),
        ("[serve]\nhttp = 'nowhere'", "http"),
        ("[serve]\ncommit-retention = 'soon'", "soon"),
        ("[serve]\nretention-interval = '1ms'", "retention-interval"),
        ("[serve]\ndefault-partitions = 0", "default-partitions"),
        ("[serve]\nnode-name = '../up'", "node-name"),
        ("[serve]\nretention = '0s'", "retention must"),
        ("[serve]\nsegment-bytes = 1", "segment_bytes"),
        ("[serve]\nsegment-bytes = true", "64MiB"),
        ("[serve]\nmax-message-bytes = '1TiB'", "max_message_bytes"),
        ("[serve]\nlog-level = 'a=b=c'", "log-level"),
        ("[serve\n", "line 1"),
    ];
    for (file, named) in cases {
        let (directory, config) = directory_with(file);
        let answer = serve(directory.path(), &config);
        assert_eq!(answer.code, Some(78), "{file}: {answer:?}");
        assert!(answer.stderr.contains(named), "{file}: {answer:?}");
        let from_file = ![
            "retention-interval",
            "default-partitions",
            "node-name",
            "retention must",
            "segment_bytes",
            "max_message_bytes",
            "log-level",
        ]
        .contains(&named);
        assert_eq!(
            answer.stderr.contains("hark.toml"),
            from_file,
            "{file}: {answer:?}"
        );
    }
}

#[test]
fn an_absent_file_ends_with_78() {
    let answer = run(&mut hark(&["--config", "/nowhere/hark.toml", "status"]));
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains("/nowhere/hark.toml"), "{answer:?}");
}

#[test]
fn a_wrong_server_ends_with_78() {
    for server in ["https://secure:1", "ftp://x", " , ", "http://"] {
        let answer = run(&mut hark(&["--server", server, "status"]));
        assert_eq!(answer.code, Some(78), "{server}: {answer:?}");
    }
}

#[test]
fn options_win_over_the_environment_and_that_over_the_file() {
    let (by_option, by_environment, by_file) = (nobody(), nobody(), nobody());
    let (_directory, config) = directory_with(&format!("[client]\nserver = '{by_file}'\n"));
    let asked = |option: bool, environment: bool| {
        let mut command = hark(&["status"]);
        command.arg("--config").arg(&config);
        if option {
            command.args(["--server", &by_option]);
        }
        if environment {
            command.env("HARK_SERVER", &by_environment);
        }
        run(&mut command).stderr
    };
    assert!(asked(true, true).contains(&by_option));
    assert!(asked(false, true).contains(&by_environment));
    assert!(asked(false, false).contains(&by_file));
}

#[test]
fn a_node_takes_its_settings_in_the_same_order() {
    let (directory, config) = directory_with(
        "[serve]\nnode-name = 'by-file'\nstore = 'sqlite'\nhttp = '127.0.0.1:0'\n\
         [client]\noutput = 'json'\n",
    );
    let started = |node_name: Option<&str>, option: &[&str]| {
        let mut command = hark(&["serve"]);
        command
            .env("HARK_CONFIG", &config)
            .arg("--data")
            .arg(directory.path().join("data"));
        if let Some(name) = node_name {
            command.env("HARK_NODE_NAME", name);
        }
        let node = Node::spawn({
            command.args(option);
            command
        });
        (node.banner["node"].clone(), node.banner["store"].clone())
    };
    assert_eq!(started(None, &[]), ("by-file".into(), "sqlite".into()));
    assert_eq!(
        started(Some("by-env"), &[]),
        ("by-env".into(), "sqlite".into())
    );
    let both = started(Some("by-env"), &["--node-name", "by-option"]);
    assert_eq!(both, ("by-option".into(), "sqlite".into()));
    assert!(directory.path().join("data/logs/by-option.log").exists());
}

#[test]
fn a_key_is_given_once_and_never_as_an_argument() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = hark(&[
        "serve",
        "--http",
        "127.0.0.1:0",
        "--encryption-key-file",
        "keys",
    ]);
    command
        .arg("--data")
        .arg(directory.path().join("data"))
        .env("HARK_STORAGE_KEY", "00".repeat(32));
    let answer = run(&mut command);
    assert_eq!(answer.code, Some(78), "{answer:?}");
    assert!(answer.stderr.contains("HARK_STORAGE_KEY"), "{answer:?}");
    assert!(
        !run(&mut hark(&["serve", "--help"]))
            .stdout
            .contains("--storage-key")
    );
}
