//! What a power cut leaves of the changes that no sync has covered.

use std::collections::BTreeMap;

use super::rng::Rng;
use super::tree::{self, Change, DirNode, FileNode, Inode, Node, ROOT};

const SECTOR_BYTES: usize = 512;

/// How much of what was not synced is found afterwards. What was synced is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crash {
    /// Nothing.
    LoseAll,
    /// Everything.
    KeepAll,
    /// Some sectors of every write, some names.
    Torn,
    /// Some whole writes, regardless of their order, some names.
    Reordered,
}

impl Crash {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LoseAll, Self::KeepAll, Self::Torn, Self::Reordered];

    /// The word for it on a command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoseAll => "lose-all",
            Self::KeepAll => "keep-all",
            Self::Torn => "torn",
            Self::Reordered => "reordered",
        }
    }
}

/// The inodes found after the cut.
pub(super) fn survivors(
    nodes: &BTreeMap<Inode, Node>,
    crash: Crash,
    rng: &mut Rng,
) -> BTreeMap<Inode, Node> {
    let odds = Odds::draw(crash, rng);
    let mut found = BTreeMap::new();
    let mut open = vec![ROOT];
    while let Some(inode) = open.pop() {
        // A name on the disk may lead to an inode seen before only if it was renamed across
        // directories; the first way to it is as good as the second.
        let Some(node) = nodes.get(&inode).filter(|_| !found.contains_key(&inode)) else {
            continue;
        };
        let node = match node {
            Node::File(file) => Node::File(FileNode::found(odds.bytes(file, rng))),
            Node::Dir(dir) => Node::Dir(DirNode::found(odds.names(dir, rng))),
        };
        if let Node::Dir(dir) = &node {
            open.extend(dir.durable.values());
        }
        found.insert(inode, node);
    }
    found
}

/// How likely each unsynced change is to be found.
struct Odds {
    percent: u64,
    by_sector: bool,
}

impl Odds {
    fn draw(crash: Crash, rng: &mut Rng) -> Self {
        let percent = match crash {
            Crash::LoseAll => 0,
            Crash::KeepAll => 100,
            // Mostly lost, even, or mostly kept: each finds other mistakes.
            Crash::Torn | Crash::Reordered => [15, 50, 85]
                .get(rng.below(3) as usize)
                .copied()
                .unwrap_or(50),
        };
        Self {
            percent,
            by_sector: crash == Crash::Torn,
        }
    }

    fn names(&self, dir: &DirNode, rng: &mut Rng) -> BTreeMap<String, Inode> {
        let mut names = dir.durable.clone();
        for change in dir.pending.iter().filter(|_| rng.chance(self.percent)) {
            change.apply(&mut names);
        }
        names
    }

    fn bytes(&self, file: &FileNode, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = file.durable.clone();
        for change in &file.pending {
            match change {
                Change::Write { position, data } if self.by_sector => {
                    self.tear(&mut bytes, *position, data, rng);
                }
                _ if rng.chance(self.percent) => change.apply(&mut bytes),
                _ => {}
            }
        }
        bytes
    }

    fn tear(&self, bytes: &mut Vec<u8>, position: usize, data: &[u8], rng: &mut Rng) {
        let end = position.saturating_add(data.len());
        // The new length may be on the disk before any of the bytes are.
        if bytes.len() < end && rng.chance(self.percent) {
            bytes.resize(end, 0);
        }
        let mut from = 0;
        while from < data.len() {
            let sector_left = SECTOR_BYTES - (position + from) % SECTOR_BYTES;
            let to = data.len().min(from + sector_left);
            if let Some(part) = data.get(from..to).filter(|_| rng.chance(self.percent)) {
                tree::write(bytes, position + from, part);
            }
            from = to;
        }
    }
}
