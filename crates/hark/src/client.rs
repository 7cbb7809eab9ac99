//! The commands' way to a cluster: HTTP with several servers, retries and plain words.
//!
//! A request that never reached a server, or that the server refused for now, is sent again after a
//! pause. One whose answer was lost is sent again only when doing it twice is harmless. Any node answers
//! anything, so a request that failed goes to the next server.

mod error;
mod patience;
mod request;
mod servers;
pub(crate) mod sse;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use door_http::dto::StatusAnswer;
use parking_lot::Mutex;
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

pub(crate) use error::CallError;
pub(crate) use patience::Patience;
pub(crate) use request::Request;

use self::servers::{Server, Servers};
use crate::exit::{Failure, Outcome, While as _};

/// A server that does not take the connection within this time counts as not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time that a server has to begin with an answer that never ends.
const STREAM_TIMEOUT: Duration = Duration::from_secs(15);
/// Time that a server has to tell of the others.
const LEARN_TIMEOUT: Duration = Duration::from_secs(2);
/// How often one is asked for the others, when all is well.
const LEARN_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether all is well.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The largest answer read into memory.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Most servers that a person names.
const SERVERS_MAX: usize = 64;
/// The port of the HTTP door, where a server is named without scheme and port.
const PORT_DEFAULT: u16 = 7070;

/// A client of one cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    servers: Arc<Mutex<Servers>>,
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
            servers: Arc::new(Mutex::new(Servers::new(servers))),
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
        let url = response.url().clone();
        let body = read_body(response)
            .await
            .inspect_err(|_| self.servers.lock().failed(&url))?;
        decode(&body)
    }

    /// The successful response to a request sent once, its body still to come. Servers that take
    /// no connection are passed over.
    pub(crate) async fn open(&self, request: &Request) -> Result<Response, CallError> {
        let servers = self.servers.lock().in_turn();
        let mut unreachable = Vec::new();
        for server in servers {
            let outcome = match self.check(&server).await {
                Ok(()) => self.send(&server.url, request).await,
                Err(error) => Err(error),
            };
            self.note(&server.url, outcome.as_ref().err());
            match outcome {
                Err(CallError::Unreachable(why)) => unreachable.push(why),
                outcome => return outcome,
            }
        }
        Err(CallError::Unreachable(unreachable.join("; ")))
    }

    /// An answer that had begun well did not go on: the next request goes to another server.
    pub(crate) fn give_up(&self, response: &Response) {
        self.servers.lock().failed(response.url());
    }

    /// Asks which servers there are, so that there is somewhere to go when this one dies. No answer is
    /// no trouble: those that were named stay.
    pub(crate) async fn learn(&self) {
        let Some(server) = self.servers.lock().in_turn().into_iter().next() else {
            return;
        };
        if self.check(&server).await.is_err() {
            return self.servers.lock().failed(&server.url);
        }
        match self.status(&server.url).await {
            Ok(status) => {
                let others = status.cluster.nodes.iter().map(|node| node.http.as_str());
                let cluster = status.cluster.cluster.as_deref();
                self.servers.lock().learn(cluster, others);
            }
            Err(_) => self.servers.lock().failed(&server.url),
        }
    }

    /// Asks again and again, for as long as the command runs: nodes come and go.
    pub(crate) fn keep_learning(&self) {
        let client = self.clone();
        tokio::spawn(async move {
            let mut learned = Instant::now();
            loop {
                let is_stale = client.servers.lock().is_stale();
                if is_stale || learned.elapsed() >= LEARN_EVERY {
                    client.learn().await;
                    learned = Instant::now();
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
    }

    /// Makes sure that a server which nobody named is of the right cluster.
    async fn check(&self, server: &Server) -> Result<(), CallError> {
        if !server.is_doubtful {
            return Ok(());
        }
        let status = self.status(&server.url).await?;
        let cluster = status.cluster.cluster.as_deref();
        if self.servers.lock().has_said(&server.url, cluster) {
            return Ok(());
        }
        let why = format!("{}: it is of another cluster", server.url);
        Err(CallError::Unreachable(why))
    }

    /// What a server says of itself, if it does so soon; else it is as if it were not there.
    async fn status(&self, server: &Url) -> Result<StatusAnswer, CallError> {
        let request = Request::get(&["status"]).answers_within(LEARN_TIMEOUT);
        let absent = |error: CallError| match error {
            CallError::Unreachable(why) => CallError::Unreachable(why),
            error => CallError::Unreachable(format!("{server}: {error}")),
        };
        let response = self.send(server, &request).await.map_err(absent)?;
        let body = read_body(response).await.map_err(absent)?;
        decode(&body).map_err(absent)
    }

    /// Takes note of what became of a request. A server that cannot now is not asked next.
    fn note(&self, server: &Url, error: Option<&CallError>) {
        let mut servers = self.servers.lock();
        match error {
            Some(error) if error.may_pass() => servers.failed(server),
            _ => servers.answered(server),
        }
    }

    async fn send(&self, server: &Url, request: &Request) -> Result<Response, CallError> {
        let sent = request.build(&self.http, server).send();
        let late = |_| CallError::Lost(format!("{server}: no answer in time"));
        let sent = match request.is_stream() {
            true => timeout(STREAM_TIMEOUT, sent).await.map_err(late)?,
            false => sent.await,
        };
        let response = sent.map_err(|error| CallError::from_transport(server, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read_body(response).await.unwrap_or_default();
        Err(CallError::refusal(server, status, &body))
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|error| CallError::Strange(error.to_string()))
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
