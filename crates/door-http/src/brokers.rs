//! The map of brokers, as a discovery service pushes it.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use model::limits::PEERS_SOUGHT_MAX;

use crate::door::Door;
use crate::dto::{BrokerMap, HealthAnswer};
use crate::error::{Code, Refusal};
use crate::input::{Json, Query};
use crate::reply::{self, Reply};
use crate::route::NoQuery;

/// Who wants to know of a new map. It only says where nodes may be: who answers there has to prove
/// who it is.
#[derive(Clone)]
pub struct BrokerMapListener(Arc<dyn Fn(BrokerMap) + Send + Sync>);

impl BrokerMapListener {
    /// One that is called with each map; it must not block.
    pub fn new(listener: impl Fn(BrokerMap) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }
}

impl fmt::Debug for BrokerMapListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerMapListener")
    }
}

/// `POST /internal/brokers`
pub(crate) async fn receive(
    State(door): State<Door>,
    Query(NoQuery {}): Query<NoQuery>,
    Json(map, _room): Json<BrokerMap>,
) -> Reply {
    if map.brokers.len() > PEERS_SOUGHT_MAX {
        return Err(Refusal::new(
            Code::InvalidRequest,
            format!("a map has {PEERS_SOUGHT_MAX} brokers at most"),
        ));
    }
    if let Some(BrokerMapListener(listener)) = &door.options().on_broker_map {
        listener(map);
    }
    reply::ok(&HealthAnswer {
        status: "ok".into(),
    })
}
