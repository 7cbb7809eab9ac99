//! `host:port`, as people write it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

/// Longest name of a host (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// The port of peers, where an address names none.
pub(crate) const PEER_PORT_DEFAULT: u16 = 7946;

/// Where a node may be reached by other nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PeerAddress {
    host: String,
    port: u16,
}

impl PeerAddress {
    /// From its parts; none when the host is neither a name nor an IP address.
    pub(crate) fn new(host: &str, port: u16) -> Option<Self> {
        is_host(host).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Its host, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The address itself, unless the host is a name, which must be looked up.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `host:port` or `host` alone, for port 7946; IPv6 with a port stands in brackets.
impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text.trim()).ok_or_else(|| {
            format!(
                "'{text}' is no address of a peer; write HOST:PORT, as in node-a:7946 or [::1]:7946"
            )
        })
    }
}

impl TryFrom<String> for PeerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

fn parse(text: &str) -> Option<PeerAddress> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PEER_PORT_DEFAULT).into());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.into());
    }
    let Some((host, port)) = text.split_once(':') else {
        return PeerAddress::new(text, PEER_PORT_DEFAULT);
    };
    let is_number = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_number && *port > 0)?;
    PeerAddress::new(host, port)
}

fn is_host(host: &str) -> bool {
    let in_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_name = !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(in_name);
    is_name || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let cases = [
            ("a:1", Some("a:1")),
            (" node-a.example:7946 ", Some("node-a.example:7946")),
            ("a", Some("a:7946")),
            ("127.0.0.1", Some("127.0.0.1:7946")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("::1", Some("[::1]:7946")),
            ("[::1]:80", Some("[::1]:80")),
            ("", None),
            (":1", None),
            ("a:", None),
            ("a:+1", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:b:1", None),
            ("http://a:1", None),
            ("a b:1", None),
        ];
        for (text, expected) in cases {
            let parsed = text.parse::<PeerAddress>().ok();
            let shown = parsed.as_ref().map(ToString::to_string);
            assert_eq!(shown.as_deref(), expected, "{text:?}");
            if let Some(address) = parsed {
                assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }

    #[test]
    fn only_names_are_looked_up() {
        let literal = |text: &str| text.parse::<PeerAddress>().unwrap().literal();
        assert_eq!(literal("127.0.0.1:1"), Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(literal("[::1]:1"), Some("[::1]:1".parse().unwrap()));
        assert_eq!(literal("localhost:1"), None);
    }
}
