//! A node's way to the discovery service.

use std::fmt;
use std::time::Duration;

use door_http::dto::{BrokerEntry, BrokerMap};
use model::NodeId;
use model::limits::BROKER_MAP_BYTES_MAX;
use reqwest::Url;

use crate::exit::{Failure, Outcome, While as _};

/// Time that the service has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Registers one node with one service.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    me: BrokerEntry,
}

impl Client {
    /// A node with these addresses, and the service at `url`.
    pub(crate) fn new(url: &str, peer: String, http: String) -> Outcome<Self> {
        let wrong = |why: &str| Failure::config(format!("discovery '{url}': {why}"));
        let text = match url.contains("://") {
            true => url.to_owned(),
            false => format!("http://{url}"),
        };
        let url = Url::parse(&text).map_err(|error| wrong(&error.to_string()))?;
        if url.scheme() != "http" {
            return Err(wrong("write http://HOST:PORT"));
        }
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .while_doing("start the HTTP client")?;
        let me = BrokerEntry {
            id: None,
            peer,
            http,
        };
        Ok(Self {
            http: client,
            url,
            me,
        })
    }

    /// Registers the node, with its id once it has one; everybody who is registered then. Errors are
    /// for a person.
    pub(crate) async fn register(&self, id: Option<NodeId>) -> Result<Vec<BrokerEntry>, String> {
        let me = BrokerEntry {
            id: id.map(|id| id.0),
            ..self.me.clone()
        };
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("register");
        }
        let sent = self.http.post(url).json(&me).send().await;
        let response = sent.map_err(|error| plain(&error))?;
        let status = response.status();
        let body = body(response).await?;
        if !status.is_success() {
            let why = String::from_utf8_lossy(&body);
            return Err(format!("it answers {status}: {}", why.trim()));
        }
        let map: BrokerMap = serde_json::from_slice(&body)
            .map_err(|error| format!("its answer is no map of brokers: {error}"))?;
        Ok(map.brokers)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the discovery service {}", self.url)
    }
}

async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| plain(&error))? {
        if body.len() + chunk.len() > BROKER_MAP_BYTES_MAX {
            return Err("its answer is too large".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost reason: what surrounds it repeats the address.
fn plain(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
