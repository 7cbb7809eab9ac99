//! One port for both: TCP for calls, UDP for gossip.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

/// How often another port is tried when any will do.
const ATTEMPTS: usize = 32;

/// Binds TCP and UDP to the same address. Port 0 finds one that is free for both.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempts_left = if address.port() == 0 { ATTEMPTS } else { 1 };
    loop {
        attempts_left -= 1;
        let listener = TcpListener::bind(address).await?;
        match UdpSocket::bind(listener.local_addr()?).await {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts_left > 0 => {}
            Err(error) => return Err(error),
        }
    }
}
