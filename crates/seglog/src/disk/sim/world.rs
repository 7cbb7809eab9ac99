//! The state behind all handles of a simulated disk, and what every operation does to it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::crash::{self, Crash};
use super::oplog::{Op, OpKind};
use super::rng::Rng;
use super::tree::{DirNode, FileNode, Inode, Node, ROOT};

const SYNC_COST: Duration = Duration::from_micros(100);
const OTHER_COST: Duration = Duration::from_micros(2);

pub(super) struct World {
    pub(super) nodes: BTreeMap<Inode, Node>,
    pub(super) next_inode: Inode,
    next_process: u64,
    pub(super) lock_holder: Option<u64>,
    log: Vec<Op>,
    faults: Vec<Fault>,
    off_at: Option<u64>,
    pub(super) capacity: Option<u64>,
    sync_cost: Duration,
    elapsed: Duration,
    rng: Rng,
}

/// A failure still to come.
struct Fault {
    kind: OpKind,
    part: String,
    skip: u64,
}

/// What the world does with an operation, before the operation itself has a say.
enum Verdict {
    Go,
    /// It fails as hardware does.
    Fail,
    /// It takes effect, and nobody hears of it.
    GoUnheard,
    /// The machine is off.
    Off,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let root = Node::Dir(DirNode::default());
        Self::with(BTreeMap::from([(ROOT, root)]), ROOT + 1, Rng::new(seed))
    }

    fn with(nodes: BTreeMap<Inode, Node>, next_inode: Inode, rng: Rng) -> Self {
        Self {
            nodes,
            next_inode,
            next_process: 1,
            lock_holder: None,
            log: Vec::new(),
            faults: Vec::new(),
            off_at: None,
            capacity: None,
            sync_cost: SYNC_COST,
            elapsed: Duration::ZERO,
            rng,
        }
    }

    // -- the experimenter's side ---------------------------------------------

    /// The world after a power cut: no faults, no lock, no limit.
    pub(super) fn after(&self, crash: Crash, mut rng: Rng) -> Self {
        let nodes = crash::survivors(&self.nodes, crash, &mut rng);
        Self::with(nodes, self.next_inode, rng)
    }

    pub(super) fn crash_at(&mut self, number: u64) {
        self.off_at = Some(number);
    }

    pub(super) fn fail(&mut self, kind: OpKind, part: &str, skip: u64) {
        self.faults.push(Fault {
            kind,
            part: part.to_owned(),
            skip,
        });
    }

    pub(super) fn heal(&mut self) {
        self.faults.clear();
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    pub(super) fn set_capacity(&mut self, capacity: Option<u64>) {
        self.capacity = capacity;
    }

    pub(super) fn set_sync_cost(&mut self, cost: Duration) {
        self.sync_cost = cost;
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub(super) fn op_count(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn ops_since(&self, from: u64) -> Vec<Op> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.log.get(from..).unwrap_or_default().to_vec()
    }

    /// The operation logged since the log had `count` entries, if it changed the disk.
    pub(super) fn changed_since(&self, count: u64) -> Option<Op> {
        self.log
            .last()
            .filter(|op| op.number >= count && op.kind.changes())
            .cloned()
    }

    pub(super) fn next_process(&mut self) -> u64 {
        self.next_process += 1;
        self.next_process
    }

    pub(super) fn used(&self) -> u64 {
        self.linked().values().map(|file| file.allocated()).sum()
    }

    pub(super) fn files(&self) -> Vec<(String, u64)> {
        self.linked()
            .into_iter()
            .map(|(path, file)| (path, file.cached.len() as u64))
            .collect()
    }

    pub(super) fn contents(&self, path: &str) -> Option<Vec<u8>> {
        match self.nodes.get(&self.find(path)?)? {
            Node::File(file) => Some(file.cached.clone()),
            Node::Dir(_) => None,
        }
    }

    pub(super) fn flip_bit(&mut self, path: &str, byte: u64, bit: u8) -> bool {
        let Some(Node::File(file)) = self.find(path).and_then(|inode| self.nodes.get_mut(&inode))
        else {
            return false;
        };
        let Ok(byte) = usize::try_from(byte) else {
            return false;
        };
        let mask = 1u8 << (bit % 8);
        let mut flipped = false;
        for bytes in [&mut file.cached, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= mask;
                flipped = true;
            }
        }
        flipped
    }

    // -- the tree as a whole -------------------------------------------------

    /// Every file that has a name, by its path.
    fn linked(&self) -> BTreeMap<String, &FileNode> {
        let mut files = BTreeMap::new();
        let mut open = vec![(String::new(), ROOT)];
        while let Some((path, inode)) = open.pop() {
            match self.nodes.get(&inode) {
                Some(Node::File(file)) => {
                    files.insert(path, file);
                }
                Some(Node::Dir(dir)) => open.extend(dir.cached.iter().map(|(name, child)| {
                    let slash = if path.is_empty() { "" } else { "/" };
                    (format!("{path}{slash}{name}"), *child)
                })),
                None => {}
            }
        }
        files
    }

    // -- how every operation runs -------------------------------------------------

    pub(super) fn operate<T>(
        &mut self,
        kind: OpKind,
        path: &str,
        effect: impl FnOnce(&mut Self, &mut Op) -> io::Result<T>,
    ) -> io::Result<T> {
        self.operate_file(kind, &Arc::from(path), ROOT, 0, effect)
    }

    pub(super) fn operate_file<T>(
        &mut self,
        kind: OpKind,
        path: &Arc<str>,
        inode: Inode,
        position: u64,
        effect: impl FnOnce(&mut Self, &mut Op) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut op = Op {
            number: self.op_count(),
            kind,
            path: Arc::clone(path),
            to: None,
            inode,
            position,
            data: Arc::default(),
            len: 0,
            error: None,
        };
        let syncs = matches!(kind, OpKind::Sync | OpKind::SyncDir);
        self.elapsed += if syncs { self.sync_cost } else { OTHER_COST };
        let result = match self.verdict(&op) {
            Verdict::Off => return Err(off()),
            Verdict::Fail => self.fail_op(&mut op, effect),
            Verdict::Go => effect(self, &mut op),
            // A sync that nobody hears of is left to the crash: what was dirty may be kept or not.
            Verdict::GoUnheard if syncs => Err(off()),
            Verdict::GoUnheard => effect(self, &mut op).and_then(|_| Err(off())),
        };
        op.error = result.as_ref().err().map(io::Error::kind);
        self.log.push(op);
        result
    }

    fn verdict(&mut self, op: &Op) -> Verdict {
        if self.is_off() {
            return Verdict::Off;
        }
        if self.off_at == Some(op.number) {
            return Verdict::GoUnheard;
        }
        let matching = |fault: &&mut Fault| fault.kind == op.kind && op.path.contains(&fault.part);
        let mut due = false;
        for fault in self.faults.iter_mut().filter(matching) {
            due |= fault.skip == 0;
            fault.skip = fault.skip.wrapping_sub(1);
        }
        // One that has struck stands at the largest number, which no fault is made with.
        self.faults.retain(|fault| fault.skip != u64::MAX);
        if due { Verdict::Fail } else { Verdict::Go }
    }

    /// A failed sync forgets what was dirty; anything else may have taken effect all the same.
    fn fail_op<T>(
        &mut self,
        op: &mut Op,
        effect: impl FnOnce(&mut Self, &mut Op) -> io::Result<T>,
    ) -> io::Result<T> {
        if op.kind == OpKind::Sync {
            let drop_cache = self.rng.chance(50);
            let mut rng = self.rng.clone();
            self.rng.next();
            self.file_mut(op.inode)?
                .fail_sync(drop_cache, || rng.chance(50));
        } else if op.kind == OpKind::Write && self.rng.chance(50) {
            effect(self, op)?;
        }
        Err(io::Error::other(format!(
            "simulated i/o error: {} {}",
            op.kind.as_str(),
            op.path
        )))
    }

    pub(super) fn is_off(&self) -> bool {
        self.off_at.is_some_and(|number| self.op_count() > number)
    }
}

pub(super) fn off() -> io::Error {
    io::Error::other("the machine is off")
}
