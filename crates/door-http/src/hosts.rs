//! The names by which a node is called.
//!
//! A page of another site can give its own name an address of this machine (DNS rebinding); a browser
//! then takes the node for that site, and what the page asks looks like its own. What gives it away is
//! the name that it calls the node by.

use std::net::{IpAddr, SocketAddr};

use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, header};

use crate::error::{Code, Refusal};

/// Who this node is called by those that may.
#[derive(Debug, Clone)]
pub(crate) enum Hosts {
    /// By any name: it listens for other machines too, which know it by names that it does not.
    Any,
    /// By a name or an address of this machine, or by one of these names.
    Here(Vec<String>),
}

impl Hosts {
    /// For a door at this address which has these names besides.
    pub(crate) fn new(address: SocketAddr, names: &[String]) -> Self {
        if !address.ip().to_canonical().is_loopback() {
            return Self::Any;
        }
        Self::Here(names.iter().map(|name| plain(name)).collect())
    }

    /// Refuses a request that calls the node by a foreign name. Whoever gives no name is no browser.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), Refusal> {
        let Self::Here(names) = self else {
            return Ok(());
        };
        let in_headers = request.headers.get_all(header::HOST).iter().map(host_of);
        let in_uri = request.uri.host().map(|host| Some(plain(host)));
        let is_foreign = |host: Option<String>| !host.is_some_and(|host| is_known(&host, names));
        if in_headers.chain(in_uri).any(is_foreign) {
            return Err(Refusal::new(
                Code::ForbiddenHost,
                "this node is not known by that name: use localhost or its address, or start it \
                 with --allow-host NAME",
            ));
        }
        Ok(())
    }
}

fn is_known(host: &str, names: &[String]) -> bool {
    let is_here = |ip: IpAddr| ip.to_canonical().is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_here) || names.iter().any(|name| name == host)
}

/// The host of a `host` header, without its port.
fn host_of(value: &HeaderValue) -> Option<String> {
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    Some(plain(authority.host()))
}

/// As names are compared: in lower case, without the dot of the root and the brackets of IPv6.
fn plain(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn is_taken(hosts: &Hosts, uri: &str, headers: &[&[u8]]) -> bool {
        let mut request = Request::builder().uri(uri);
        for host in headers {
            request = request.header(header::HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        hosts.check(&parts).is_ok()
    }

    #[test]
    fn a_node_for_this_machine_is_called_by_its_names() {
        let hosts = Hosts::new(
            "127.0.0.1:7070".parse().unwrap(),
            &["Node-3.example".to_owned(), "10.0.0.3".to_owned()],
        );
        let cases: [(&[u8], bool); 16] = [
            (b"localhost", true),
            (b"LocalHost.:7070", true),
            (b"127.0.0.1", true),
            (b"127.9.9.9:1", true),
            (b"[::1]:7070", true),
            (b"[::ffff:127.0.0.1]", true),
            (b"node-3.EXAMPLE:80", true),
            (b"10.0.0.3:7070", true),
            (b"10.0.0.4:7070", false),
            (b"evil.example", false),
            (b"localhost.evil.example", false),
            (b"127.0.0.1.evil.example", false),
            (b"evil.example:7070", false),
            (b"node-3.example.evil", false),
            (b"", false),
            (b"\xff", false),
        ];
        for (host, expected) in cases {
            let text = String::from_utf8_lossy(host);
            assert_eq!(is_taken(&hosts, "/status", &[host]), expected, "{text}");
        }
        assert!(is_taken(&hosts, "/status", &[]), "HTTP/1.0 has no names");
        assert!(!is_taken(&hosts, "/", &[b"localhost", b"evil.example"]));
        assert!(!is_taken(&hosts, "http://evil.example/", &[b"localhost"]));
        assert!(is_taken(&hosts, "http://localhost:1/", &[b"localhost:1"]));
    }

    #[test]
    fn a_node_for_other_machines_is_called_by_any_name() {
        for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
            let hosts = Hosts::new(address.parse().unwrap(), &[]);
            assert!(is_taken(&hosts, "/", &[b"whatever.example"]), "{address}");
        }
    }
}
