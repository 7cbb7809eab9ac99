//! What each control takes from the simulated world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use catalog::RaftId;
use control::{BoxFuture, Clock, Control, Entropy, Liveliness, Liveness, Network, NetworkError};
use model::{BootId, Instant, NodeId, Timestamp};
use parking_lot::Mutex;

/// Time that one message takes.
const LATENCY: Duration = Duration::from_millis(2);

/// What all controls share.
#[derive(Debug)]
pub(super) struct Shared {
    origin: tokio::time::Instant,
    pub(super) running: Mutex<BTreeMap<u16, Control>>,
    /// Messages from the first to the second are lost.
    pub(super) cut: Mutex<BTreeSet<(u16, u16)>>,
    pub(super) members: Mutex<BTreeMap<NodeId, Liveliness>>,
    /// What [`Entropy`] draws from.
    drawn: AtomicU64,
    /// How many messages arrived at each node.
    pub(super) arrived: Mutex<BTreeMap<u16, u64>>,
    /// How many messages arrived, and a hash of them, their ways and times.
    pub(super) heard: Mutex<(u64, u64)>,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            running: Mutex::default(),
            cut: Mutex::default(),
            members: Mutex::default(),
            drawn: AtomicU64::new(seed << 32),
            arrived: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::ZERO.after(self.origin.elapsed())
    }

    fn note_message(&self, from: u16, to: RaftId, message: &[u8]) {
        *self.arrived.lock().entry(to.node().0).or_default() += 1;
        let mut heard = self.heard.lock();
        let mut bytes = message.to_vec();
        bytes.extend(from.to_be_bytes());
        bytes.extend(to.0.to_be_bytes());
        bytes.extend(self.now().as_nanos().to_be_bytes());
        bytes.extend(heard.1.to_be_bytes());
        // FNV-1a.
        let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        *heard = (heard.0 + 1, hash);
    }

    fn is_cut(&self, from: u16, to: u16) -> bool {
        self.cut.lock().contains(&(from, to))
    }

    fn running(&self, id: RaftId) -> Option<Control> {
        let control = self.running.lock().get(&id.node().0).cloned()?;
        let is_asked = |member: control::Member| member.raft_id == id;
        control
            .identity()
            .member
            .is_none_or(is_asked)
            .then_some(control)
    }
}

/// A node's way to the world.
#[derive(Debug)]
pub(super) struct Port {
    id: u16,
    /// The process that calls; its calls before this is known are lost.
    boot: OnceLock<BootId>,
    shared: Arc<Shared>,
}

impl Port {
    pub(super) const fn new(id: u16, shared: Arc<Shared>) -> Self {
        let boot = OnceLock::new();
        Self { id, boot, shared }
    }

    pub(super) fn set_boot(&self, boot: BootId) {
        self.boot.set(boot).unwrap();
    }
}

impl Network for Port {
    fn call(
        &self,
        to: RaftId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetworkError>> {
        let (shared, from) = (self.shared.clone(), self.id);
        let boot = self.boot.get().copied();
        Box::pin(async move {
            let lost = async || {
                tokio::time::sleep(deadline).await;
                Err(NetworkError::TimedOut)
            };
            tokio::time::sleep(LATENCY).await;
            if shared.is_cut(from, to.node().0) {
                return lost().await;
            }
            let sender = shared.running.lock().get(&from).cloned();
            let sender = sender.and_then(|control| control.identity().member);
            let (Some(target), Some(sender), Some(boot)) = (shared.running(to), sender, boot)
            else {
                return Err(NetworkError::Unreachable("refused".to_owned()));
            };
            shared.note_message(from, to, &request);
            // The other side works on it even if nobody waits any more.
            let answer =
                tokio::spawn(async move { target.handle(sender.raft_id, boot, request).await });
            let answer = answer.await.map_err(|_| NetworkError::TimedOut)?;
            tokio::time::sleep(LATENCY).await;
            if shared.is_cut(to.node().0, from) || shared.running(to).is_none() {
                return lost().await;
            }
            Ok(answer)
        })
    }
}

impl Liveness for Port {
    fn members(&self) -> Vec<(NodeId, Liveliness)> {
        let members = self.shared.members.lock();
        members.iter().map(|(id, is)| (*id, *is)).collect()
    }
}

impl Clock for Port {
    fn now(&self) -> Instant {
        self.shared.now()
    }

    fn wall(&self) -> Timestamp {
        let millis = i64::try_from(self.shared.origin.elapsed().as_millis()).unwrap();
        Timestamp::from_millis(1_800_000_000_000 + millis).unwrap()
    }
}

impl Entropy for Port {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let n = self.shared.drawn.fetch_add(1, Ordering::Relaxed);
            let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
            chunk.copy_from_slice(&mixed.to_be_bytes()[..chunk.len()]);
        }
    }
}
