//! The options of a node, from the command line, the environment and the settings file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use model::Site;
use serde::{Deserialize, Deserializer};

use crate::assemble::Engine;
use crate::assemble::finding::PeerAddress;
use crate::units::{Size, Span};

/// Over the options for what clients make.
const TOPICS: &str = "Topics and groups";
/// Over the options that concern other nodes.
const CLUSTER: &str = "Cluster";

/// Options of `hark serve` and keys of the table `[serve]`.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ServeOptions {
    /// Directory for records, control data and log files; made when missing
    /// [default: ./hark-data].
    #[arg(long, env = "HARK_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of the HTTP door; port 0 takes any free one [default: 127.0.0.1:7070].
    #[arg(long, env = "HARK_HTTP", value_name = "ADDR", value_parser = http_address)]
    pub http: Option<SocketAddr>,
    /// Name by which clients may call a node that listens for this machine only, besides localhost;
    /// may be given several times.
    #[arg(
        long,
        env = "HARK_ALLOW_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub allow_host: Vec<String>,
    /// Storage engine; a data directory stays with the one it began with [default: log].
    #[arg(long, env = "HARK_STORE", value_name = "ENGINE")]
    pub store: Option<Engine>,
    /// Name of this node, used for its log file [default: its --id, or node].
    #[arg(long, env = "HARK_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Encrypt records at rest with the keys in this file (mode 0600; a line per key,
    /// `ID:64 hexadecimal digits`); or give the text of such a file in HARK_STORAGE_KEY.
    #[arg(long, env = "HARK_ENCRYPTION_KEY_FILE", value_name = "FILE")]
    pub encryption_key_file: Option<PathBuf>,
    /// Refuse to publish to a topic that does not exist, instead of making it.
    #[arg(help_heading = TOPICS, long, env = "HARK_NO_AUTO_CREATE_TOPICS", value_parser = BoolishValueParser::new())]
    pub no_auto_create_topics: bool,
    /// Partitions of a topic whose maker does not say [default: 1].
    #[arg(help_heading = TOPICS, long, env = "HARK_DEFAULT_PARTITIONS", value_name = "N")]
    pub default_partitions: Option<u32>,
    /// How long the records of topics that set nothing are kept [default: for ever].
    #[arg(help_heading = TOPICS, long, env = "HARK_RETENTION", value_name = "DURATION")]
    pub retention: Option<Span>,
    /// How many bytes each partition of topics that set nothing keeps [default: all].
    #[arg(help_heading = TOPICS, long, env = "HARK_RETENTION_BYTES", value_name = "SIZE")]
    pub retention_bytes: Option<Size>,
    /// Size of a segment file of topics that set nothing [default: 256MiB].
    #[arg(help_heading = TOPICS, long, env = "HARK_SEGMENT_BYTES", value_name = "SIZE")]
    pub segment_bytes: Option<Size>,
    /// Largest batch that topics take which set nothing [default: 1MiB].
    #[arg(help_heading = TOPICS, long, env = "HARK_MAX_MESSAGE_BYTES", value_name = "SIZE")]
    pub max_message_bytes: Option<Size>,
    /// How often old records are looked for and deleted [default: 30s].
    #[arg(help_heading = TOPICS, long, env = "HARK_RETENTION_INTERVAL", value_name = "DURATION")]
    pub retention_interval: Option<Span>,
    /// How long the commits of a group without members are kept [default: 7d].
    #[arg(help_heading = TOPICS, long, env = "HARK_COMMIT_RETENTION", value_name = "DURATION")]
    pub commit_retention: Option<Span>,
    /// How long the first members of a group wait for each other [default: 200ms].
    #[arg(help_heading = TOPICS, long, env = "HARK_REBALANCE_DELAY", value_name = "DURATION")]
    pub rebalance_delay: Option<Span>,
    /// Id of this node: decimal (3), binary (011, 0b11), or its name in the peers file
    /// [default: the lowest that is free].
    #[arg(help_heading = CLUSTER, long, env = "HARK_ID", value_name = "ID")]
    pub id: Option<String>,
    /// Where the cluster may choose an id for this node: a prefix in binary and an x for each free
    /// digit, as in 01xx.
    #[arg(help_heading = CLUSTER, long, env = "HARK_SITE", value_name = "PREFIX")]
    #[serde(deserialize_with = "parsed")]
    pub site: Option<Site>,
    /// Other nodes of the cluster; a name stands for all its addresses [default port: 7946].
    #[arg(help_heading = CLUSTER, long,
        env = "HARK_PEERS",
        value_name = "HOST:PORT,…",
        value_delimiter = ','
    )]
    pub peers: Vec<PeerAddress>,
    /// File that names all nodes: {"A": ["host", port], …}.
    #[arg(help_heading = CLUSTER, long, env = "HARK_PEERS_FILE", value_name = "FILE")]
    pub peers_file: Option<PathBuf>,
    /// Discovery service that knows the other nodes (see `hark discovery`).
    #[arg(help_heading = CLUSTER, long, env = "HARK_DISCOVERY", value_name = "URL")]
    pub discovery: Option<String>,
    /// Found a cluster at once if no peer has one, whether all of them answer or not.
    #[arg(help_heading = CLUSTER, long, env = "HARK_BOOTSTRAP", value_parser = BoolishValueParser::new())]
    pub bootstrap: bool,
    /// Address for other nodes, TCP and UDP; port 0 takes any free one [default: 127.0.0.1:7946, or
    /// any free port there].
    #[arg(help_heading = CLUSTER, long, env = "HARK_PEER_ADDRESS", value_name = "ADDR", value_parser = peer_address)]
    pub peer_address: Option<SocketAddr>,
    /// Host under which other nodes and clients reach this one [default: the address it listens on].
    #[arg(help_heading = CLUSTER, long, env = "HARK_ADVERTISE", value_name = "HOST")]
    pub advertise: Option<String>,
    /// What breaks together with this node, so that copies avoid sharing it.
    #[arg(help_heading = CLUSTER, long, env = "HARK_RACK", value_name = "NAME")]
    pub rack: Option<String>,
    /// Directory with the certificate and the key of the cluster (see `hark init`).
    #[arg(help_heading = CLUSTER, long, env = "HARK_CLUSTER_DIR", value_name = "DIR")]
    pub cluster_dir: Option<PathBuf>,
    /// What the log tells: error, warn, info, debug, trace, or by part as in `info,broker=debug`
    /// [default: info].
    #[arg(long, env = "HARK_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,
}

impl ServeOptions {
    /// These options; where they say nothing, those.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            data: self.data.or(below.data),
            http: self.http.or(below.http),
            allow_host: if self.allow_host.is_empty() {
                below.allow_host
            } else {
                self.allow_host
            },
            store: self.store.or(below.store),
            node_name: self.node_name.or(below.node_name),
            encryption_key_file: self.encryption_key_file.or(below.encryption_key_file),
            no_auto_create_topics: self.no_auto_create_topics || below.no_auto_create_topics,
            default_partitions: self.default_partitions.or(below.default_partitions),
            retention: self.retention.or(below.retention),
            retention_bytes: self.retention_bytes.or(below.retention_bytes),
            segment_bytes: self.segment_bytes.or(below.segment_bytes),
            max_message_bytes: self.max_message_bytes.or(below.max_message_bytes),
            retention_interval: self.retention_interval.or(below.retention_interval),
            commit_retention: self.commit_retention.or(below.commit_retention),
            rebalance_delay: self.rebalance_delay.or(below.rebalance_delay),
            id: self.id.or(below.id),
            site: self.site.or(below.site),
            peers: if self.peers.is_empty() {
                below.peers
            } else {
                self.peers
            },
            peers_file: self.peers_file.or(below.peers_file),
            discovery: self.discovery.or(below.discovery),
            bootstrap: self.bootstrap || below.bootstrap,
            peer_address: self.peer_address.or(below.peer_address),
            advertise: self.advertise.or(below.advertise),
            rack: self.rack.or(below.rack),
            cluster_dir: self.cluster_dir.or(below.cluster_dir),
            log_level: self.log_level.or(below.log_level),
        }
    }
}

/// An address to serve clients on.
pub(crate) fn http_address(text: &str) -> Result<SocketAddr, String> {
    address(text, "127.0.0.1:7070", "0.0.0.0:7070")
}

fn peer_address(text: &str) -> Result<SocketAddr, String> {
    address(text, "10.0.0.3:7946", "0.0.0.0:7946")
}

fn address(text: &str, one: &str, every: &str) -> Result<SocketAddr, String> {
    let told = || format!("write IP:PORT, as in {one}, or {every} for every address");
    text.parse().map_err(|_| told())
}

/// A value as people write it, from a text.
fn parsed<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}
