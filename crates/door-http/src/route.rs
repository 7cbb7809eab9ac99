//! The table of routes, and what holds for all of them.

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::routing::{MethodRouter, delete, get, patch, post};
use serde::Deserialize;

use crate::door::Door;
use crate::error::{Code, Refusal};
use crate::hosts::Hosts;
use crate::input::{check_path, check_query};
use crate::{admin, batches, brokers, groups, metrics, nodes, poll, publish, status, stream, ws};

/// One method of one path.
pub(crate) struct Route {
    /// In capitals.
    pub(crate) method: &'static str,
    /// With variable parts in braces, as in the OpenAPI file.
    pub(crate) path: &'static str,
    router: fn() -> MethodRouter<Door>,
}

/// Everything the door answers. The router, the page at `/` and the test of the OpenAPI file all
/// read this table.
pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/", || get(status::index)),
    route("POST", "/publish", || post(publish::publish)),
    route("GET", "/poll", || get(poll::poll)),
    route("POST", "/subscribe", || post(groups::subscribe)),
    route("POST", "/unsubscribe", || post(groups::unsubscribe)),
    route("POST", "/commit", || post(groups::commit)),
    route("GET", "/topics", || get(admin::list)),
    route("POST", "/topics/{topic}/records", || post(publish::records)),
    route("POST", "/producers", || post(batches::producers)),
    route("POST", "/topics/{topic}/batches", || post(batches::append)),
    route("GET", "/topics/{topic}/stream", || get(stream::stream)),
    route("GET", "/topics/{topic}/ws", || get(ws::socket)),
    route("GET", "/topics/{topic}/last", || get(admin::last)),
    route("GET", "/admin/topics", || get(admin::list)),
    route("POST", "/admin/topics", || post(admin::create)),
    route("GET", "/admin/topics/{topic}", || get(admin::describe)),
    route("PATCH", "/admin/topics/{topic}", || patch(admin::configure)),
    route("DELETE", "/admin/topics/{topic}", || delete(admin::delete)),
    route("POST", "/admin/topics/{topic}/delete-records", || {
        post(admin::delete_records)
    }),
    route("GET", "/admin/groups", || get(groups::list)),
    route("GET", "/admin/groups/{group}", || get(groups::describe)),
    route("DELETE", "/admin/groups/{group}", || delete(groups::delete)),
    route("POST", "/admin/groups/{group}/reset", || {
        post(groups::reset)
    }),
    route("GET", "/admin/nodes", || get(nodes::list)),
    route("DELETE", "/admin/nodes/{node}", || delete(nodes::remove)),
    route("POST", "/admin/nodes/{node}/drain", || post(nodes::drain)),
    route("POST", "/admin/nodes/{node}/activate", || {
        post(nodes::activate)
    }),
    route("POST", "/admin/nodes/{node}/replace", || {
        post(nodes::replace)
    }),
    route("GET", "/replicas/{topic}", || get(admin::replicas)),
    route("POST", "/internal/brokers", || post(brokers::receive)),
    route("GET", "/status", || get(status::status)),
    route("GET", "/metrics", || get(metrics::metrics)),
    route("GET", "/healthz", || get(status::healthz)),
    route("GET", "/readyz", || get(status::readyz)),
    route("GET", "/openapi.json", || get(status::openapi)),
];

/// The label of requests that match no route.
const UNMATCHED: &str = "unmatched";

const fn route(
    method: &'static str,
    path: &'static str,
    router: fn() -> MethodRouter<Door>,
) -> Route {
    Route {
        method,
        path,
        router,
    }
}

/// The query of a route that takes no parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}

/// The router of the whole table.
pub(crate) fn router(door: Door) -> Router {
    let table = ROUTES.iter().fold(Router::new(), |router, route| {
        router.route(route.path, (route.router)())
    });
    table
        .fallback(async || {
            Refusal::new(
                Code::NotFound,
                "there is nothing here; GET / lists what there is",
            )
        })
        .method_not_allowed_fallback(async || {
            Refusal::new(
                Code::MethodNotAllowed,
                "this path does not take this method",
            )
        })
        .with_state(door)
}

/// What holds for every request: refuses what no route may see.
pub(crate) fn check(request: &Parts, hosts: &Hosts) -> Result<(), Refusal> {
    hosts.check(request)?;
    check_path(&request.uri)?;
    check_query(&request.uri)?;
    check_site(&request.headers)
}

/// The path of the table that this path matches, for the metrics. A layer of the router would know
/// it, too, but costs every waiting request a kilobyte.
pub(crate) fn label(path: &str) -> &'static str {
    let matches = |pattern: &str| {
        let mut parts = path.split('/');
        let mut patterns = pattern.split('/');
        loop {
            match (patterns.next(), parts.next()) {
                (None, None) => return true,
                (Some(pattern), Some(part)) if pattern == part => {}
                (Some(pattern), Some(part)) if pattern.starts_with('{') && !part.is_empty() => {}
                _ => return false,
            }
        }
    };
    ROUTES
        .iter()
        .find(|route| matches(route.path))
        .map_or(UNMATCHED, |route| route.path)
}

/// Browsers say which page sends a request. One of another site may not use a node that the
/// browser's machine happens to reach.
fn check_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_foreign = match headers.get(header::ORIGIN) {
        Some(origin) => !is_origin_of(origin, headers.get(header::HOST)),
        None => is_embedded_elsewhere(headers),
    };
    if is_foreign {
        return Err(Refusal::new(
            Code::CrossOrigin,
            "pages of other sites may not use this node",
        ));
    }
    Ok(())
}

fn is_origin_of(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    let host = host.and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some((_, authority)), Some(host)) if authority.eq_ignore_ascii_case(host))
}

/// An image or a script of a page has no origin, and a poll has effects: it joins groups and commits.
/// What browsers do say is that the page is of another site (Fetch Metadata, W3C). A person who
/// follows a link is welcome.
fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|said| said == value);
    let is_elsewhere = says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site");
    let is_link = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    is_elsewhere && !is_link
}

#[cfg(test)]
mod tests;
