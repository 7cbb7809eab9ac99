//! The commands' way to a node: HTTP with several servers, retries and plain words.
//!
//! A request that never reached a server, or that the server refused for now, is sent again after a
//! pause. One whose answer was lost is sent again only when doing it twice is harmless.

mod error;
mod patience;
mod request;
pub(crate) mod sse;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;

pub(crate) use error::CallError;
pub(crate) use patience::Patience;
pub(crate) use request::Request;

use crate::exit::{Failure, Outcome, While as _};

/// A server that does not take the connection within this time counts as not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer read into memory.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Most servers in one list.
const SERVERS_MAX: usize = 64;
/// The port of the HTTP door, where a server is named without scheme and port.
const PORT_DEFAULT: u16 = 7070;

/// A client of one node, or of several that serve the same topics.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    servers: Vec<Url>,
    /// The one that answered last.
    current: AtomicUsize,
}

impl Client {
    /// A client of the servers in a text, separated by commas.
    pub(crate) fn new(servers: &str) -> Outcome<Self> {
        let servers = parse_servers(servers)?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            // A broker is reached directly; a proxy would hold back long polls.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .while_doing("start the HTTP client")?;
        Ok(Self {
            http,
            servers,
            current: AtomicUsize::new(0),
        })
    }

    /// The answer to a request, decoded. Tries again as a command at a terminal should: briefly.
    pub(crate) async fn call<T: DeserializeOwned>(&self, request: &Request) -> Outcome<T> {
        let mut patience = Patience::brief();
        loop {
            match self.ask(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    if !(error.may_repeat(request) && patience.pause(&error).await) {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// The answer to a request sent once, decoded.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, CallError> {
        let response = self.open(request).await?;
        let body = read_body(response).await?;
        serde_json::from_slice(&body).map_err(|error| CallError::Strange(error.to_string()))
    }

    /// The successful response to a request sent once, its body still to come. Servers that take
    /// no connection are passed over.
    pub(crate) async fn open(&self, request: &Request) -> Result<Response, CallError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut unreachable = Vec::new();
        for step in 0..self.servers.len() {
            let index = (first + step) % self.servers.len();
            let Some(server) = self.servers.get(index) else {
                break;
            };
            match self.send(server, request).await {
                Err(CallError::Unreachable(why)) => unreachable.push(why),
                outcome => {
                    self.current.store(index, Ordering::Relaxed);
                    return outcome;
                }
            }
        }
        Err(CallError::Unreachable(unreachable.join("; ")))
    }

    async fn send(&self, server: &Url, request: &Request) -> Result<Response, CallError> {
        let builder = request.build(&self.http, server);
        let sent = builder.send().await;
        let response = sent.map_err(|error| CallError::from_transport(server, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read_body(response).await.unwrap_or_default();
        Err(CallError::refusal(server, status, &body))
    }
}

/// A whole body, within limits.
async fn read_body(mut response: Response) -> Result<Bytes, CallError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| CallError::lost(&error))?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::Strange(format!(
                "more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn parse_servers(text: &str) -> Outcome<Vec<Url>> {
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let servers: Vec<Url> = names
        .take(SERVERS_MAX)
        .map(parse_server)
        .collect::<Outcome<_>>()?;
    if servers.is_empty() {
        return Err(Failure::config(
            "server: name at least one, as in http://127.0.0.1:7070",
        ));
    }
    Ok(servers)
}

fn parse_server(name: &str) -> Outcome<Url> {
    let wrong = |why: &str| Failure::config(format!("server '{name}': {why}"));
    let text = if name.contains("://") {
        name.to_owned()
    } else {
        format!("http://{name}")
    };
    let mut url = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(wrong("this version speaks plain http only")),
        _ => return Err(wrong("write http://HOST:PORT")),
    }
    if !name.contains("://") && !name.trim_end_matches('/').ends_with(":80") && url.port().is_none()
    {
        url.set_port(Some(PORT_DEFAULT))
            .map_err(|()| wrong("it has no host"))?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_people_write_them() {
        let cases = [
            ("http://a:1", Ok("http://a:1/")),
            ("a", Ok("http://a:7070/")),
            ("a:80", Ok("http://a/")),
            ("127.0.0.1:9", Ok("http://127.0.0.1:9/")),
            ("[::1]:9", Ok("http://[::1]:9/")),
            ("http://a/base", Ok("http://a/base")),
            ("https://a", Err(())),
            ("ftp://a", Err(())),
            ("http://", Err(())),
            ("a b", Err(())),
        ];
        for (text, expected) in cases {
            let parsed = parse_servers(text)
                .map(|urls| urls[0].to_string())
                .map_err(|_| ());
            assert_eq!(parsed, expected.map(str::to_owned), "{text:?}");
        }
        assert_eq!(parse_servers("a, b ,,c").unwrap().len(), 3);
        assert!(parse_servers(" , ").is_err());
    }
}
