//! A way to a node that loses answers: what was asked is done, and nobody hears of it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Forwards connections to a node, and cuts one whenever its turn has come, in place of an answer.
#[derive(Debug)]
pub(crate) struct LossyWay {
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    node: SocketAddr,
    /// Every so many answers one is lost.
    period: u64,
    answers: AtomicU64,
}

impl LossyWay {
    pub(crate) fn to(node: &str, period: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            node: node.parse().unwrap(),
            period,
            answers: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        // They end with the process, or when both ends have closed.
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, state) = (client.unwrap(), Arc::clone(&shared));
                thread::spawn(move || state.carry(&client));
            }
        });
        Self { url, state }
    }

    /// How many answers were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.state.answers.load(Ordering::SeqCst) / self.state.period
    }
}

impl State {
    fn carry(&self, client: &TcpStream) {
        // A node that is away is a connection that is cut.
        let Ok(node) = TcpStream::connect(self.node) else {
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| copy(client, &node, || true));
            copy(&node, client, || !self.is_lost());
        });
    }

    fn is_lost(&self) -> bool {
        let answer = self.answers.fetch_add(1, Ordering::SeqCst) + 1;
        answer.is_multiple_of(self.period)
    }
}

/// Copies until an end closes or a piece may not pass; then both directions end.
fn copy(mut from: &TcpStream, mut to: &TcpStream, may_pass: impl Fn() -> bool) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if !may_pass() || to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}
