//! The way to other nodes, whichever part calls them.
//!
//! The body of the service Control is `to u64, from u64`, both as the consensus names nodes, and what
//! control says. A node whose disk was replaced is another one to the consensus, but not to a
//! connection, so the one who is meant is named. The answer is a byte 0 and what control answers, or a
//! byte 1 alone: you mean another.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use catalog::{Catalog, RaftId};
use control::{Control, Network, NetworkError};
use futures_util::future::BoxFuture;
use model::{BootId, NodeId};
use peer::membership::{Exchange, Gossip, Membership as _};
use peer::{CallError, Delivery, Peers, RejectionCode, Service, Side, Target};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{AddressBook, Late};

/// Longest wait for the other side of an exchange of all that two nodes know.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to other nodes. Clones are the same.
#[derive(Debug, Clone)]
pub(in crate::assemble) struct Links(Arc<Inner>);

/// The same for the parts that the way leads through: for as long as somebody else has it. They would
/// keep each other alive for ever otherwise.
#[derive(Debug, Clone)]
pub(in crate::assemble) struct LooseLinks(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    book: Arc<AddressBook>,
    gossip: Late<Arc<Gossip>>,
    ends: OnceLock<Ends>,
    /// How the consensus knows this node, once it does.
    me: OnceLock<RaftId>,
    /// Why a member no longer takes this process for its node.
    turned_away: OnceLock<String>,
}

/// What is there only after control is open.
#[derive(Debug)]
struct Ends {
    peers: Peers,
    catalog: watch::Receiver<Arc<Catalog>>,
}

impl Links {
    /// Leads nowhere yet. Gossip is told which connections do not work.
    pub(in crate::assemble) fn new(book: Arc<AddressBook>, gossip: Late<Arc<Gossip>>) -> Self {
        Self(Arc::new(Inner {
            book,
            gossip,
            ends: OnceLock::new(),
            me: OnceLock::new(),
            turned_away: OnceLock::new(),
        }))
    }

    /// For control, gossip, and whatever else stands behind [`Self::open`].
    pub(in crate::assemble) fn loose(&self) -> LooseLinks {
        LooseLinks(Arc::downgrade(&self.0))
    }

    /// From now on calls go out.
    pub(in crate::assemble) fn open(&self, peers: Peers, catalog: watch::Receiver<Arc<Catalog>>) {
        let first = self.0.ends.set(Ends { peers, catalog });
        debug_assert!(first.is_ok(), "links are opened once");
    }

    /// This node is a member, under this name.
    pub(in crate::assemble) fn set_me(&self, me: RaftId) {
        let known = self.0.me.get_or_init(|| me);
        debug_assert_eq!(*known, me, "a process has one name");
    }

    /// Calls a node, wherever it may be.
    pub(in crate::assemble) async fn call(
        &self,
        to: NodeId,
        service: Service,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let until = Instant::now() + deadline;
        let Some(ends) = self.0.ends.get() else {
            return Err(nowhere(to));
        };
        let addresses = {
            let catalog = ends.catalog.borrow();
            self.0.book.addresses(to, &catalog)
        };
        let mut answer = Err(nowhere(to));
        let mut untried = addresses.len();
        for address in addresses {
            let target = Target::node(to, address);
            // Whoever is not where it was must not use up the time for where it may be.
            let left = until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(untried).unwrap_or(u32::MAX);
            untried -= 1;
            answer = ends.peers.call(&target, service, body.clone(), share).await;
            match &answer {
                Err(error) if error.delivery() == Delivery::NotSent => {}
                _ => break,
            }
        }
        self.report(to, &answer);
        self.note_rejection(&answer);
        answer
    }

    /// Why this process can no longer be its node, if a member has said so: the node was removed, or
    /// another process is it now. A node that is cut off from the catalog so learns it nonetheless.
    pub(in crate::assemble) fn turned_away(&self) -> Option<&str> {
        self.0.turned_away.get().map(String::as_str)
    }

    /// One member's word is enough: a catalog that lags behind lets in whom it should, and what it
    /// refuses for these reasons every later one refuses.
    fn note_rejection(&self, answer: &Result<Bytes, CallError>) {
        let Err(CallError::Refused(rejection)) = answer else {
            return;
        };
        let is_final = matches!(
            rejection.code,
            RejectionCode::OldCopy | RejectionCode::Removed | RejectionCode::OtherDisk
        );
        if is_final && rejection.by == Side::Them {
            self.0.turned_away.get_or_init(|| rejection.reason.clone());
        }
    }

    /// Gossip hears of connections that fail, so that it looks for another way.
    fn report(&self, to: NodeId, answer: &Result<Bytes, CallError>) {
        let works = match answer {
            Ok(_) => true,
            Err(CallError::Unreachable { .. } | CallError::Lost { .. }) => false,
            // A node that is busy, slow or unwilling is there.
            Err(_) => return,
        };
        if let Some(gossip) = self.0.gossip.now() {
            gossip.report_link(to, works);
        }
    }
}

impl LooseLinks {
    fn now(&self) -> Option<Links> {
        self.0.upgrade().map(Links)
    }

    #[cfg(test)]
    pub(in crate::assemble) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Network for LooseLinks {
    fn call(
        &self,
        to: RaftId,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetworkError>> {
        let links = self.now();
        Box::pin(async move {
            let Some(links) = links else {
                let why = "this node is stopping".to_owned();
                return Err(NetworkError::Unreachable(why));
            };
            let Some(me) = links.0.me.get() else {
                let why = "this node is not a member yet".to_owned();
                return Err(NetworkError::Unreachable(why));
            };
            let body = envelope(to, *me, &request);
            let answer = links
                .call(to.node(), Service::Control, body, deadline)
                .await;
            opened(answer)
        })
    }
}

impl Exchange for LooseLinks {
    fn exchange(&self, with: NodeId, body: Bytes) -> BoxFuture<'static, Option<Bytes>> {
        let links = self.now();
        Box::pin(async move {
            let links = links?;
            let call = links.call(with, Service::MemberSync, body, EXCHANGE_TIMEOUT);
            call.await.ok()
        })
    }
}

/// Answers a call of the service Control. Empty when it is none.
pub(super) async fn answer(
    control: &Control,
    from: NodeId,
    boot: BootId,
    mut body: Bytes,
) -> Bytes {
    let (Ok(to), Ok(sender)) = (body.try_get_u64(), body.try_get_u64()) else {
        return Bytes::new();
    };
    let sender = RaftId(sender);
    let me = control.identity().member.map(|member| member.raft_id);
    if me != Some(RaftId(to)) || sender.node() != from {
        return Bytes::from_static(&[1]);
    }
    let answer = control.handle(sender, boot, body).await;
    let mut bytes = BytesMut::with_capacity(1 + answer.len());
    bytes.put_u8(0);
    bytes.put_slice(&answer);
    bytes.freeze()
}

fn envelope(to: RaftId, from: RaftId, request: &Bytes) -> Bytes {
    let mut body = BytesMut::with_capacity(16 + request.len());
    body.put_u64(to.0);
    body.put_u64(from.0);
    body.put_slice(request);
    body.freeze()
}

fn opened(answer: Result<Bytes, CallError>) -> Result<Bytes, NetworkError> {
    let mut answer = answer.map_err(|error| match error.delivery() {
        Delivery::NotSent => NetworkError::Unreachable(error.to_string()),
        Delivery::Unknown => NetworkError::TimedOut,
    })?;
    match answer.try_get_u8() {
        Ok(0) => Ok(answer),
        _ => Err(NetworkError::Unreachable(
            "the node that answers has another disk, or is no member yet".to_owned(),
        )),
    }
}

fn nowhere(to: NodeId) -> CallError {
    CallError::Unreachable {
        address: format!("node {to}"),
        reason: "its address is not known".to_owned(),
    }
}
