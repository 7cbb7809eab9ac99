//! The task that lets the machine run: one loop over everything that can happen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::limits::DATAGRAM_BYTES_MAX;
use model::{Instant, NodeId};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::{Clock, Exchange, GossipCounters, GossipOptions, Request};
use crate::datagram::{NONCE_BYTES, Sealer};
use crate::membership::{Input, MemberView, Output, Swim};

/// How old a round trip in the published view may get.
const FRESHNESS: Duration = Duration::from_secs(1);
/// Exchanges that wait for their answers at once.
const EXCHANGES_MAX: usize = 4;
/// How long an answer is waited for.
const EXCHANGE_PATIENCE: Duration = Duration::from_secs(5);

/// What the task shares with those who look at it.
pub(super) struct Shared {
    pub(super) publish: watch::Sender<Arc<MemberView>>,
    pub(super) counters: Arc<Mutex<GossipCounters>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) exchange: Arc<dyn Exchange>,
}

/// Everything that can happen.
enum Event {
    Datagram(usize, SocketAddr),
    Request(Option<Request>),
    Exchanged(NodeId, Option<Bytes>),
    Time,
}

struct Run {
    swim: Swim,
    sealer: Sealer,
    socket: UdpSocket,
    /// Without keys, only this machine is listened to.
    is_keyless: bool,
    shared: Shared,
    counters: GossipCounters,
    answers: Answers,
    exchanges: JoinSet<(NodeId, Option<Bytes>)>,
    published_at: Instant,
    ended: bool,
}

/// Who waits for which answer.
#[derive(Default)]
struct Answers {
    waiting: Vec<(u64, oneshot::Sender<Option<Bytes>>)>,
    given: u64,
}

/// Runs until the node leaves, is fenced, or nobody holds the other end.
pub(super) async fn run(
    options: GossipOptions,
    socket: UdpSocket,
    shared: Shared,
    mut requests: mpsc::Receiver<Request>,
) {
    let now = shared.clock.now();
    let keys = options.keys.as_ref();
    let mut run = Run {
        swim: Swim::new(now, options.me, options.profile, options.seed),
        sealer: Sealer::new(options.cluster, options.me.boot, keys),
        socket,
        is_keyless: keys.is_none(),
        shared,
        counters: GossipCounters::default(),
        answers: Answers::default(),
        exchanges: JoinSet::new(),
        published_at: now,
        ended: false,
    };
    run.input(Input::Tick);
    // One byte more than is taken, so that what is too long is seen to be.
    let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
    while !run.ended {
        let event = run.next(&mut buffer, &mut requests).await;
        run.on_event(event, &buffer);
    }
}

impl Run {
    /// Datagrams come before the clock: what has arrived in time is read before anybody is called late. They come
    /// last of the rest, for anybody can send many.
    async fn next(&mut self, buffer: &mut [u8], requests: &mut mpsc::Receiver<Request>) -> Event {
        let wait = self
            .swim
            .deadline()
            .map_or(FRESHNESS, |at| at.since(self.shared.clock.now()));
        tokio::select! {
            biased;
            request = requests.recv() => Event::Request(request),
            Some(done) = self.exchanges.join_next() => match done {
                Ok((with, answer)) => Event::Exchanged(with, answer),
                Err(_) => Event::Time,
            },
            received = self.socket.recv_from(buffer) => match received {
                Ok((length, from)) => Event::Datagram(length, from),
                // The system reports here what became of an earlier datagram. Those are never certain.
                Err(_) => Event::Time,
            },
            () = tokio::time::sleep(wait) => Event::Time,
        }
    }

    fn on_event(&mut self, event: Event, buffer: &[u8]) {
        match event {
            Event::Datagram(length, from) => {
                self.on_datagram(buffer.get(..length).unwrap_or_default(), from);
            }
            Event::Request(Some(request)) => self.on_request(request),
            Event::Request(None) => self.ended = true,
            Event::Exchanged(with, answer) => self.input(Input::Exchanged { with, answer }),
            Event::Time => self.input(Input::Tick),
        }
    }

    fn on_datagram(&mut self, datagram: &[u8], from: SocketAddr) {
        self.counters.bytes_received += datagram.len() as u64;
        let is_heard = !self.is_keyless || from.ip().to_canonical().is_loopback();
        self.counters.not_from_here += u64::from(!is_heard);
        let opened = is_heard.then(|| self.sealer.open(datagram)).flatten();
        // What does not open lets time pass at least: a flood of it stops no clock.
        self.input(opened.map_or(Input::Tick, |opened| {
            Input::Message(Bytes::from(opened.message))
        }));
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Roster(roster) => self.input(Input::Roster(roster)),
            Request::Asked(body, answer) => {
                let ticket = self.answers.expect(answer);
                self.input(Input::Asked { ticket, body });
            }
            Request::Link { node, works: true } => self.input(Input::LinkWorks(node)),
            Request::Link { node, works: false } => self.input(Input::LinkFailed(node)),
            Request::Keys(keys) => {
                self.is_keyless = keys.is_none();
                self.sealer.set_keys(keys.as_ref());
            }
            Request::Leave => {
                self.input(Input::Leave);
                self.ended = true;
            }
        }
    }

    /// Gives the machine an input and does all that it wants done.
    fn input(&mut self, input: Input) {
        let now = self.shared.clock.now();
        self.swim.handle(now, input);
        let mut changed = false;
        while let Some(output) = self.swim.poll() {
            match output {
                Output::Send {
                    address, message, ..
                } => self.send(&message, address),
                Output::Exchange { with, body } => self.exchange(with, body),
                Output::Answer { ticket, body } => self.answers.give(ticket, body),
                Output::Changed => changed = true,
                Output::Fenced { by } => {
                    tracing::error!(node = %by.node, incarnation = %by.incarnation, address = %by.address,
                        "another process of this node was started later: this one takes no part any more");
                    self.shared.publish.send_modify(|view| {
                        Arc::make_mut(view).fenced_by = Some(by);
                    });
                    self.ended = true;
                }
            }
        }
        self.publish(now, changed);
    }

    /// A datagram that cannot be sent at once is lost: the protocol expects it of any.
    fn send(&mut self, message: &[u8], to: SocketAddr) {
        let mut nonce = [0; NONCE_BYTES];
        let sealed = getrandom::fill(&mut nonce)
            .ok()
            .and_then(|()| self.sealer.seal(nonce, message).ok());
        match sealed.map(|datagram| self.socket.try_send_to(&datagram, to)) {
            Some(Ok(length)) => self.counters.bytes_sent += length as u64,
            Some(Err(_)) | None => self.counters.unsent += 1,
        }
    }

    fn exchange(&mut self, with: NodeId, body: Bytes) {
        if self.exchanges.len() >= EXCHANGES_MAX {
            return;
        }
        let call = self.shared.exchange.exchange(with, body);
        self.exchanges.spawn(async move {
            let answer = tokio::time::timeout(EXCHANGE_PATIENCE, call).await;
            (with, answer.ok().flatten())
        });
    }

    /// Rings only for what changed; round trips are brought up to date in silence.
    fn publish(&mut self, now: Instant, changed: bool) {
        if !changed && now.since(self.published_at) < FRESHNESS {
            return;
        }
        self.published_at = now;
        self.counters.datagrams = self.sealer.counters();
        self.counters.swim = self.swim.counters();
        *self.shared.counters.lock() = self.counters;
        let (rows, wall) = (self.swim.rows(), self.shared.clock.wall());
        self.shared.publish.send_if_modified(|view| {
            *view = Arc::new(MemberView::after(view, rows, now, wall));
            changed
        });
    }
}

impl Answers {
    fn expect(&mut self, answer: oneshot::Sender<Option<Bytes>>) -> u64 {
        self.waiting.retain(|(_, waiting)| !waiting.is_closed());
        self.given += 1;
        self.waiting.push((self.given, answer));
        self.given
    }

    fn give(&mut self, ticket: u64, body: Option<Bytes>) {
        if let Some(place) = self.waiting.iter().position(|(known, _)| *known == ticket) {
            let _ = self.waiting.swap_remove(place).1.send(body);
        }
    }
}
