//! How the node is.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::StatusCode;
use broker::{Counters, Health};

use crate::convert::cluster_answer;
use crate::door::Door;
use crate::dto::{CountersAnswer, HealthAnswer, StatusAnswer};
use crate::error::Refusal;
use crate::input::Query;
use crate::reply::{self, Reply};
use crate::route::{NoQuery, ROUTES};

/// The committed description of this door.
const OPENAPI: &str = include_str!("../openapi.json");

/// `GET /status`
pub(crate) async fn status(State(door): State<Door>, Query(NoQuery {}): Query<NoQuery>) -> Reply {
    let status = door.broker().status();
    let (health, reason) = health(&status.health);
    reply::ok(&StatusAnswer {
        node: door.options().node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        storage_id: status.storage_id,
        store: status.store.to_owned(),
        health: Cow::Borrowed(health),
        reason,
        waits_for: status.waits_for,
        started: status.started.as_millis(),
        uptime_ms: u64::try_from(status.uptime.as_millis()).unwrap_or(u64::MAX),
        topics: status.topics as u64,
        partitions: status.partitions as u64,
        partitions_led: status.partitions_led as u64,
        groups: status.groups as u64,
        connections: door.metrics().connections(),
        counters: counters(door.broker().counters()),
        cluster: cluster_answer(door.broker()),
    })
}

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz(Query(NoQuery {}): Query<NoQuery>) -> Reply {
    reply::ok(&HealthAnswer {
        status: Cow::Borrowed("ok"),
    })
}

/// `GET /readyz`: the node serves. A full disk still serves readers, so it is ready and says so. One that
/// its cluster has not registered since its start serves readers too, but others serve them better.
pub(crate) async fn readyz(State(door): State<Door>, Query(NoQuery {}): Query<NoQuery>) -> Reply {
    let status = door.broker().status();
    match (status.health, status.waits_for) {
        (Health::Failed(why), _) => Err(Refusal::not_ready(why)),
        (_, Some(what)) => Err(Refusal::not_registered(&what)),
        (serving, None) => reply::ok(&HealthAnswer {
            status: Cow::Borrowed(health(&serving).0),
        }),
    }
}

/// `GET /openapi.json`
pub(crate) async fn openapi(Query(NoQuery {}): Query<NoQuery>) -> Reply {
    Ok(reply::plain(StatusCode::OK, "application/json", OPENAPI))
}

/// `GET /`: what there is, for a person.
pub(crate) async fn index(Query(NoQuery {}): Query<NoQuery>) -> Reply {
    let mut text = String::from(
        "This is Hark. Publish, follow, look:\n\n\
         \x20 curl -d '{\"topic\":\"hello\",\"message\":\"world\"}' HOST/publish\n\
         \x20 curl -N 'HOST/topics/hello/stream?from=earliest'\n\
         \x20 curl HOST/status\n\n\
         Everything there is (described in /openapi.json):\n\n",
    );
    for route in ROUTES {
        text.push_str(&format!("  {:<7}{}\n", route.method, route.path));
    }
    Ok(reply::plain(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        text,
    ))
}

fn health(health: &Health) -> (&'static str, Option<String>) {
    match health {
        Health::Ok => ("ok", None),
        Health::Full => ("disk_full", None),
        Health::Failed(why) => ("stopped", Some(why.clone())),
    }
}

const fn counters(counters: Counters) -> CountersAnswer {
    CountersAnswer {
        records_published: counters.records_published,
        bytes_published: counters.bytes_published,
        publishes_failed: counters.publishes_failed,
        records_delivered: counters.records_delivered,
        bytes_delivered: counters.bytes_delivered,
        polls_waiting: counters.polls_waiting,
        bytes_in_flight: counters.bytes_in_flight,
        commits: counters.commits,
        calls_sent: counters.calls_sent,
        calls_failed: counters.calls_failed,
        calls_answered: counters.calls_answered,
    }
}
