//! What is asked of a node.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Url, header};
use serde::Serialize;

/// Time that a node has for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same on top of a wait that was asked for.
const WAIT_MARGIN: Duration = Duration::from_secs(10);

/// One request. Built anew for every server it is sent to.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// How long the answer may take; `None` for streams.
    timeout: Option<Duration>,
    /// Whether doing it twice is the same as doing it once.
    pub repeatable: bool,
}

impl Request {
    /// A read of the resource with these path segments.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path, true)
    }

    /// A change; not repeated when its answer was lost.
    pub(crate) fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path, false)
    }

    /// A change of settings.
    pub(crate) fn patch(path: &[&str]) -> Self {
        Self::new(Method::PATCH, path, true)
    }

    /// A removal.
    pub(crate) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path, false)
    }

    fn new(method: Method, path: &[&str], repeatable: bool) -> Self {
        Self {
            method,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: Some(ANSWER_TIMEOUT),
            repeatable,
        }
    }

    /// With a query parameter.
    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// With a query parameter, if there is a value.
    pub(crate) fn query_opt(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body of this type.
    pub(crate) fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { body, ..self }.header(header::CONTENT_TYPE.as_str(), content_type)
    }

    /// With a JSON body.
    pub(crate) fn json(self, value: &impl Serialize) -> Self {
        // The shapes sent hold nothing that JSON cannot: an error would be a fault in this program.
        let body = serde_json::to_vec(value).unwrap_or_default();
        debug_assert!(!body.is_empty(), "a request's shape always has a JSON form");
        self.body("application/json", body)
    }

    /// With an answer that the node may hold back this long.
    pub(crate) fn waits(mut self, wait: Duration) -> Self {
        self.timeout = Some(wait.saturating_add(WAIT_MARGIN));
        self
    }

    /// With an answer that is of no use later.
    pub(crate) const fn answers_within(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Doing it twice is the same as doing it once.
    pub(crate) const fn harmless(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// With an answer that never ends.
    pub(crate) fn streams(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Whether its answer never ends.
    pub(super) const fn is_stream(&self) -> bool {
        self.timeout.is_none()
    }

    /// The request to this server.
    pub(super) fn build(&self, http: &reqwest::Client, server: &Url) -> reqwest::RequestBuilder {
        let url = self.url(server);
        let mut builder = http
            .request(self.method.clone(), url)
            .body(self.body.clone());
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        match self.timeout {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        }
    }

    fn url(&self, server: &Url) -> Url {
        let mut url = server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_escaped() {
        let request = Request::get(&["admin", "groups", "a/b c"]).query("from", "a&b=1");
        let url = request.url(&Url::parse("http://h:1").unwrap());
        assert_eq!(
            url.as_str(),
            "http://h:1/admin/groups/a%2Fb%20c?from=a%26b%3D1"
        );
        let url = Request::get(&["status"]).url(&Url::parse("http://h:1/base/").unwrap());
        assert_eq!(url.as_str(), "http://h:1/base/status");
    }
}
