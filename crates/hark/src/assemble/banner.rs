//! What a node says when it is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use model::NodeId;
use serde::{Deserialize, Serialize};

use super::NODE_NAME_DEFAULT;
use crate::text::CORNER_DIGITS_MIN;

/// Enough of a cluster's identity to tell two apart.
const CLUSTER_DIGITS: usize = 8;

/// Where a node is, and what to type next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Banner {
    /// Its name.
    pub node: String,
    /// The version it runs.
    pub version: String,
    /// The address it listens on.
    pub address: SocketAddr,
    /// Where a program on this machine finds it.
    pub http: String,
    /// Where its data is.
    pub data: PathBuf,
    /// `log` or `sqlite`.
    pub store: String,
    /// Whether its records are encrypted at rest.
    pub encrypted: bool,
    /// Its number among the nodes.
    pub id: u16,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// How it came to its cluster.
    pub entry: Entry,
    /// How many nodes the cluster has, as far as this one knows yet.
    pub nodes: usize,
    /// Where other nodes reach it.
    pub peer: String,
    /// Whether connections between nodes are protected.
    pub protected: bool,
}

/// How a node came to its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entry {
    /// It has begun it.
    Founded,
    /// It was let in.
    Joined,
    /// It was a member before.
    Resumed,
}

impl Banner {
    /// Whether other machines can reach it.
    pub(crate) const fn is_open_to_others(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let encrypted = if self.encrypted {
            "encrypted"
        } else {
            "not encrypted"
        };
        // A name that nobody gave says nothing.
        let name = match self.node.as_str() {
            NODE_NAME_DEFAULT => String::new(),
            name => format!(", node {name}"),
        };
        let everywhere = if self.address.ip().is_unspecified() {
            "every address, from here "
        } else {
            ""
        };
        format!(
            "\
Hark {version}{name}
  listens on  {everywhere}{http}
  data in     {data} ({store}, {encrypted})
  node        {id} ({corner}) of cluster {cluster}, {entry}
  peers       {peer} ({protected})

Try it from another terminal:
  publish     curl {http}/publish -d '{{\"topic\":\"hello\",\"message\":\"world\"}}'
  follow      curl -N '{http}/topics/hello/stream?from=earliest'
  look        curl {http}/status",
            version = self.version,
            http = self.http,
            data = self.data.display(),
            store = self.store,
            id = self.id,
            corner = NodeId(self.id).corner(CORNER_DIGITS_MIN),
            cluster = self.cluster.get(..CLUSTER_DIGITS).unwrap_or(&self.cluster),
            entry = self.entry_text(),
            peer = self.peer,
            protected = if self.protected {
                "TLS and cluster key"
            } else {
                "not protected: this machine only"
            },
        )
    }
}

impl Banner {
    fn entry_text(&self) -> String {
        let nodes = match self.nodes {
            0 | 1 => "alone".to_owned(),
            nodes => format!("{nodes} nodes"),
        };
        let entry = match self.entry {
            Entry::Founded => "founded now",
            Entry::Joined => "joined now",
            Entry::Resumed => "as before",
        };
        format!("{entry}, {nodes}")
    }
}

/// The URL under which a program on this machine reaches a listener.
pub(super) fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn banner(node: &str, address: &str) -> Banner {
        let address = address.parse().unwrap();
        Banner {
            node: node.to_owned(),
            version: "1.2.3".to_owned(),
            address,
            http: local_url(address),
            data: "/data".into(),
            store: "log".to_owned(),
            encrypted: false,
            id: 3,
            cluster: "0123456789abcdef0123456789abcdef".to_owned(),
            entry: Entry::Founded,
            nodes: 1,
            peer: "127.0.0.1:7946".to_owned(),
            protected: false,
        }
    }

    #[test]
    fn it_reads_well() {
        expect![[r#"
            Hark 1.2.3
              listens on  http://127.0.0.1:7070
              data in     /data (log, not encrypted)
              node        3 (011) of cluster 01234567, founded now, alone
              peers       127.0.0.1:7946 (not protected: this machine only)

            Try it from another terminal:
              publish     curl http://127.0.0.1:7070/publish -d '{"topic":"hello","message":"world"}'
              follow      curl -N 'http://127.0.0.1:7070/topics/hello/stream?from=earliest'
              look        curl http://127.0.0.1:7070/status"#]]
        .assert_eq(&banner(NODE_NAME_DEFAULT, "127.0.0.1:7070").text());
        let named = banner("north", "0.0.0.0:80").text();
        let head: Vec<&str> = named.lines().take(2).collect();
        assert_eq!(
            head,
            [
                "Hark 1.2.3, node north",
                "  listens on  every address, from here http://127.0.0.1:80"
            ]
        );
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_over_loopback() {
        let cases = [
            ("127.0.0.1:7070", "http://127.0.0.1:7070"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:7070", "http://[::1]:7070"),
            ("192.0.2.1:7070", "http://192.0.2.1:7070"),
        ];
        for (address, url) in cases {
            assert_eq!(local_url(address.parse().unwrap()), url);
        }
    }
}
