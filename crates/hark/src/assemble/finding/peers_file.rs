//! The peers file: one map for all nodes, `{"A": ["host", port], …}`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use model::NodeId;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::PeerAddress;
use crate::exit::{Failure, Outcome};

/// A map of a thousand nodes has 50 KB; whatever is larger is another file named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest name of a node in the file.
const NAME_BYTES_MAX: usize = 64;

/// Where every node of the cluster is, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeersFile {
    nodes: BTreeMap<String, PeerAddress>,
}

impl PeersFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let wrong = |why: &dyn fmt::Display| {
            Failure::config(format!("peers file {}: {why}", path.display()))
        };
        let length = std::fs::metadata(path)
            .map_err(|error| wrong(&error))?
            .len();
        if length > FILE_BYTES_MAX {
            return Err(wrong(&format!(
                "{length} bytes are too many for a map of peers"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        serde_json::from_str(&text).map_err(|error| wrong(&error))
    }

    /// The addresses, in the order of the names.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &PeerAddress> {
        self.nodes.values()
    }

    /// The node of this name: its id and its address. Where every name in the file is itself an id,
    /// that is the id; otherwise the id is the position of the name among the sorted names, from 0.
    pub(crate) fn node(&self, name: &str) -> Option<(NodeId, &PeerAddress)> {
        let address = self.nodes.get(name)?;
        let id = match name.parse() {
            Ok(id) if self.names_are_ids() => id,
            _ => {
                let position = self
                    .nodes
                    .keys()
                    .take_while(|known| known.as_str() < name)
                    .count();
                NodeId(u16::try_from(position).ok()?)
            }
        };
        Some((id, address))
    }

    /// The names, for a message.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        names.join(", ")
    }

    /// Ids may be written in two ways: `011` and `3` would be one node twice.
    fn names_are_ids(&self) -> bool {
        self.nodes.keys().all(|name| name.parse::<NodeId>().is_ok())
    }

    fn twice(&self) -> Option<NodeId> {
        if !self.names_are_ids() {
            return None;
        }
        let mut ids: Vec<NodeId> = self.nodes.keys().filter_map(|n| n.parse().ok()).collect();
        ids.sort_unstable();
        let pair = ids.windows(2).find(|pair| pair.first() == pair.last())?;
        pair.first().copied()
    }
}

impl<'de> Deserialize<'de> for PeersFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = PeersFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names to addresses, as in {\"A\": [\"host\", 7946]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PeersFile, A::Error> {
        let mut nodes = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            check_name(&name).map_err(A::Error::custom)?;
            let Entry(address) = map.next_value()?;
            if nodes.insert(name.clone(), address).is_some() {
                return Err(A::Error::custom(format!("'{name}' stands there twice")));
            }
        }
        let file = PeersFile { nodes };
        match file.twice() {
            Some(id) => Err(A::Error::custom(format!("node {id} stands there twice"))),
            None if file.nodes.is_empty() => Err(A::Error::custom("it names no node")),
            None => Ok(file),
        }
    }
}

/// `["host", port]`.
struct Entry(PeerAddress);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (host, port) = <(String, u16)>::deserialize(deserializer)?;
        if port == 0 {
            return Err(D::Error::custom("a peer has no port 0"));
        }
        PeerAddress::new(&host, port)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("'{host}' is no host")))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "'{name}' is no name of a node: 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'"
    ))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn file(text: &str) -> PeersFile {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_name_is_a_position_unless_all_names_are_ids() {
        let by_name = r#"{"B": ["b", 2], "A": ["a", 1], "C10": ["c", 3], "7": ["d", 4]}"#;
        let by_id = r#"{"011": ["b", 2], "000": ["a", 1], "5": ["c", 3]}"#;
        let cases = [
            (by_name, "7", Some((0, "d:4"))),
            (by_name, "A", Some((1, "a:1"))),
            (by_name, "B", Some((2, "b:2"))),
            (by_name, "C10", Some((3, "c:3"))),
            (by_name, "D", None),
            (by_id, "011", Some((3, "b:2"))),
            (by_id, "5", Some((5, "c:3"))),
            (by_id, "3", None),
        ];
        for (text, name, expected) in cases {
            let file = file(text);
            let found = file
                .node(name)
                .map(|(id, address)| (id.0, address.to_string()));
            let expected = expected.map(|(id, address)| (id, address.to_owned()));
            assert_eq!(found, expected, "{name} in {text}");
        }
        assert_eq!(file(by_name).names(), "7, A, B, C10");
        let addresses: Vec<String> = file(by_id).addresses().map(ToString::to_string).collect();
        assert_eq!(addresses, ["a:1", "b:2", "c:3"]);
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        let wrong = [
            "[]",
            "{}",
            r#"{"A": "a:1"}"#,
            r#"{"A": ["a"]}"#,
            r#"{"A": ["a", 1, 2]}"#,
            "{\"A\": [\"a\", 1],\n \"B\": [\"b\", \"2\"]}",
            r#"{"A": ["a", 0]}"#,
            r#"{"A": ["a", 65536]}"#,
            r#"{"A": ["a b", 1]}"#,
            r#"{"A/": ["a", 1]}"#,
            r#"{"A": ["a", 1], "A": ["b", 2]}"#,
            r#"{"011": ["a", 1], "3": ["b", 2]}"#,
            r#"{"A": ["a", 1]"#,
        ];
        let said: Vec<String> = wrong
            .iter()
            .map(|text| {
                let error = serde_json::from_str::<PeersFile>(text).unwrap_err();
                format!("{error}\n")
            })
            .collect();
        expect![[r#"
            invalid type: sequence, expected a map of names to addresses, as in {"A": ["host", 7946]} at line 1 column 0
            it names no node at line 1 column 2
            invalid type: string "a:1", expected a tuple of size 2 at line 1 column 11
            invalid length 1, expected a tuple of size 2 at line 1 column 11
            trailing characters at line 1 column 16
            invalid type: string "2", expected u16 at line 2 column 15
            a peer has no port 0 at line 1 column 15
            invalid value: integer `65536`, expected u16 at line 1 column 17
            'a b' is no host at line 1 column 17
            'A/' is no name of a node: 1 to 64 letters, digits, '.', '_' or '-' at line 1 column 5
            'A' stands there twice at line 1 column 30
            node 3 stands there twice at line 1 column 32
            EOF while parsing an object at line 1 column 14
        "#]].assert_eq(&said.concat());
    }

    #[test]
    fn the_message_names_the_file() {
        let failure = PeersFile::read(Path::new("/nowhere/peers.json")).unwrap_err();
        assert!(
            failure
                .message
                .starts_with("peers file /nowhere/peers.json: ")
        );
        assert_eq!(failure.exit, crate::exit::Exit::Config);
    }
}
