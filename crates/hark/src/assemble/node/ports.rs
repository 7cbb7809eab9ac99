//! Where a node listens, and where it says that it is.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use catalog::Addresses;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use crate::assemble::finding::PeerAddress;
use crate::assemble::{ClusterPlan, NodePlan};
use crate::exit::{Exit, Failure, Outcome};

/// Open sockets, and the addresses to tell others.
#[derive(Debug)]
pub(super) struct Ports {
    /// For clients. Taken, and not listened on yet: whoever connects before the door is open is turned away
    /// by the system, and tries another node, instead of waiting.
    pub http: TcpSocket,
    /// For calls of other nodes.
    pub peer: TcpListener,
    /// For gossip.
    pub gossip: UdpSocket,
    pub own: Own,
}

/// Where others find this node.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// Where the HTTP door listens.
    pub http: SocketAddr,
    /// For other nodes.
    pub peer: PeerAddress,
    /// The same as a number, for datagrams.
    pub gossip: SocketAddr,
    /// As the catalog has it.
    pub addresses: Addresses,
}

impl Ports {
    /// Opens them all.
    ///
    /// # Errors
    /// When an address is in use, or is none of this machine's.
    pub(super) async fn bind(plan: &NodePlan) -> Outcome<Self> {
        let http = take(plan.http).map_err(|error| taken("http", plan.http, &error))?;
        let (peer, gossip) = bind_peer(&plan.cluster).await?;
        let own = Own::find(plan, http.local_addr()?, peer.local_addr()?).await?;
        Ok(Self {
            http,
            peer,
            gossip,
            own,
        })
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on the address that was taken for clients.
///
/// # Errors
/// When another process that had taken it too, and waited too, was first.
pub(super) fn listen(http: TcpSocket, address: SocketAddr) -> Outcome<TcpListener> {
    let listener = http.listen(BACKLOG);
    listener.map_err(|error| taken("http", address, &error))
}

/// An address of this machine that nobody listens on.
fn take(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Or a node could not come back while connections of its last run are closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn bind_peer(plan: &ClusterPlan) -> Outcome<(TcpListener, UdpSocket)> {
    match peer::bind(plan.bind).await {
        Err(error) if plan.takes_any_port && error.kind() == ErrorKind::AddrInUse => {
            let any = SocketAddr::new(plan.bind.ip(), 0);
            let bound = peer::bind(any).await;
            bound.map_err(|error| taken("peer-address", any, &error))
        }
        bound => bound.map_err(|error| taken("peer-address", plan.bind, &error)),
    }
}

fn taken(option: &str, address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => Failure::new(
            Exit::Refused,
            format!("{address} is in use; stop what listens there, or choose another --{option}"),
        ),
        _ => Failure::config(format!("{option} {address}: {error}")),
    }
}

impl Own {
    async fn find(plan: &NodePlan, http: SocketAddr, peer: SocketAddr) -> Outcome<Self> {
        let host = plan.cluster.advertise.clone();
        let host = host.unwrap_or_else(|| peer.ip().to_string());
        let wrong = |why: &str| Failure::config(format!("advertise '{host}': {why}"));
        let own = PeerAddress::new(&host, peer.port()).ok_or_else(|| wrong("it is no host"))?;
        let gossip = match own.literal() {
            Some(address) => address,
            None => look_up(&own)
                .await
                .ok_or_else(|| wrong("the name is not known"))?,
        };
        let addresses = Addresses {
            peer: own.to_string(),
            http: http_for_others(http, &host),
        };
        Ok(Self {
            http,
            peer: own,
            gossip,
            addresses,
        })
    }
}

/// Gossip goes to numbers.
async fn look_up(own: &PeerAddress) -> Option<SocketAddr> {
    let found = tokio::net::lookup_host((own.host(), own.port()))
        .await
        .ok()?;
    let found: Vec<SocketAddr> = found.collect();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    ipv4.or_else(|| found.first()).copied()
}

/// A door that listens on one address is there and nowhere else; one that listens on all is where the
/// node is.
fn http_for_others(http: SocketAddr, host: &str) -> String {
    let is_here_only = !http.ip().is_unspecified();
    let is_named = host.parse::<IpAddr>().is_err() && !http.ip().is_loopback();
    match PeerAddress::new(host, http.port()) {
        Some(named) if !is_here_only || is_named => named.to_string(),
        _ => http.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_taken_is_not_listened_on_yet() {
        let socket = take("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let early = tokio::net::TcpStream::connect(address).await;
        assert_eq!(early.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let waits_too = take(address).unwrap();
        let listener = listen(socket, address).unwrap();
        tokio::net::TcpStream::connect(address).await.unwrap();
        let late = listen(waits_too, address).unwrap_err();
        assert_eq!(late.exit, Exit::Refused);
        assert_eq!(take(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
    }

    #[test]
    fn clients_are_told_where_the_door_is() {
        let cases = [
            ("127.0.0.1:7070", "127.0.0.1", "127.0.0.1:7070"),
            ("127.0.0.1:7070", "10.0.0.3", "127.0.0.1:7070"),
            ("0.0.0.0:7070", "10.0.0.3", "10.0.0.3:7070"),
            ("0.0.0.0:7070", "node-3.example", "node-3.example:7070"),
            ("10.0.0.3:7070", "node-3.example", "node-3.example:7070"),
            ("192.0.2.1:7070", "10.0.0.3", "192.0.2.1:7070"),
            ("[::]:7070", "2001:db8::1", "[2001:db8::1]:7070"),
        ];
        for (http, host, expected) in cases {
            let told = http_for_others(http.parse().unwrap(), host);
            assert_eq!(told, expected, "{http} {host}");
        }
    }
}
