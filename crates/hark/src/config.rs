//! Where settings come from: options, then the environment, then the file, then the defaults.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Deserializer};

use crate::commands::serve::ServeOptions;
use crate::exit::{Failure, Outcome};
use crate::output::Format;

/// The server that commands talk to when nobody names one.
pub(crate) const SERVER_DEFAULT: &str = "http://127.0.0.1:7070";
/// Over the options that every command has, below its own.
const EVERYWHERE: &str = "Options of every command";
/// A file of settings is small; whatever is larger is another file named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CommonOptions {
    /// Settings file (TOML, tables [serve] and [client] with the long options as keys).
    #[arg(
        long,
        global = true,
        env = "HARK_CONFIG",
        value_name = "FILE",
        help_heading = EVERYWHERE
    )]
    pub config: Option<PathBuf>,
    /// How to reach a node.
    #[command(flatten)]
    pub client: ClientOptions,
    /// Whether the server stands on the command line itself.
    #[arg(skip)]
    pub names_server: bool,
}

/// How to reach a node and how to show what it says: options and keys of the table `[client]`.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ClientOptions {
    /// Server to talk to; several, separated by commas or given one by one, are tried in turn, and
    /// the others of their cluster after them [default: http://127.0.0.1:7070].
    #[arg(
        long,
        global = true,
        env = "HARK_SERVER",
        value_name = "URL",
        value_delimiter = ',',
        help_heading = EVERYWHERE
    )]
    #[serde(deserialize_with = "one_or_many")]
    pub server: Vec<String>,
    /// How to show the answer [default: table].
    #[arg(
        long,
        global = true,
        env = "HARK_OUTPUT",
        value_name = "FORMAT",
        help_heading = EVERYWHERE
    )]
    pub output: Option<Format>,
}

/// The settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    serve: ServeOptions,
    client: ClientOptions,
}

/// What the options, the environment and the file say together.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The table `[serve]`, still without the options of the command.
    pub serve: ServeOptions,
    /// The servers to talk to, as one text.
    pub server: String,
    /// The same, if they stand on the command line itself: for what must not be done to the server
    /// that somebody named once for all commands.
    pub server_on_command_line: Option<String>,
    /// How to show.
    pub format: Format,
}

impl Settings {
    /// Reads the file, if one is named, and lays the options over it.
    pub(crate) fn load(common: CommonOptions) -> Outcome<Self> {
        let file = common
            .config
            .as_deref()
            .map(ConfigFile::read)
            .transpose()?
            .unwrap_or_default();
        let given = joined(&common.client.server);
        let server_on_command_line = given.clone().filter(|_| common.names_server);
        let server = given.or_else(|| joined(&file.client.server));
        Ok(Self {
            serve: file.serve,
            server: server.unwrap_or_else(|| SERVER_DEFAULT.to_owned()),
            server_on_command_line,
            format: common
                .client
                .output
                .or(file.client.output)
                .unwrap_or_default(),
        })
    }
}

/// Several servers as one text; none as nothing.
fn joined(servers: &[String]) -> Option<String> {
    (!servers.is_empty()).then(|| servers.join(","))
}

/// `"a,b"`, or `["a", "b"]`.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a server is a text, several are a list of texts"
    )]
    enum Servers {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Servers::deserialize(deserializer)? {
        Servers::One(server) => vec![server],
        Servers::Many(servers) => servers,
    })
}

impl ConfigFile {
    fn read(path: &Path) -> Outcome<Self> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::config(format!("config file {}: {why}", path.display()))
        };
        let length = std::fs::metadata(path)
            .map_err(|error| wrong(&error))?
            .len();
        if length > FILE_BYTES_MAX {
            return Err(wrong(&format!(
                "{length} bytes are too many for a settings file"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        toml::from_str(&text).map_err(|error| wrong(&error.to_string().trim_end()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use expect_test::expect;

    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn load(text: &str, client: ClientOptions) -> Outcome<Settings> {
        let file = written(text);
        Settings::load(CommonOptions {
            config: Some(file.path().to_owned()),
            client,
            names_server: false,
        })
    }

    #[test]
    fn options_come_before_the_file_and_the_file_before_defaults() {
        let file = "[client]\nserver = 'http://file:1'\noutput = 'json'\n";
        let given = ClientOptions {
            server: vec!["http://option:1".into()],
            output: None,
        };
        let settings = load(file, given).unwrap();
        assert_eq!(settings.server, "http://option:1");
        assert_eq!(settings.format, Format::Json);

        let settings = load("", ClientOptions::default()).unwrap();
        assert_eq!(settings.server, SERVER_DEFAULT);
        assert_eq!(settings.format, Format::Table);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name() {
        for text in [
            "[client]\nsevrer = 'x'",
            "[serve]\nsevrer = 'x'",
            "[sevrer]",
            "sevrer = 1",
        ] {
            let failure = load(text, ClientOptions::default()).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Config);
            assert!(failure.message.contains("sevrer"), "{failure}");
        }
    }

    #[test]
    fn the_message_shows_where_in_the_file() {
        let failure = load("[serve]\nretnetion = '7d'\n", ClientOptions::default()).unwrap_err();
        let (_, after_path) = failure.message.split_once(": ").unwrap();
        expect![[r#"
            TOML parse error at line 2, column 1
              |
            2 | retnetion = '7d'
              | ^^^^^^^^^
            unknown field `retnetion`, expected one of `data`, `http`, `allow-host`, `store`, `node-name`, `encryption-key-file`, `no-auto-create-topics`, `default-partitions`, `retention`, `retention-bytes`, `segment-bytes`, `max-message-bytes`, `retention-interval`, `commit-retention`, `rebalance-delay`, `id`, `site`, `peers`, `peers-file`, `discovery`, `bootstrap`, `peer-address`, `advertise`, `rack`, `cluster-dir`, `log-level`"#]].assert_eq(after_path);
    }
}
