//! The map of brokers that a discovery service keeps.

use serde::{Deserialize, Serialize};

/// A broker as it registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerEntry {
    /// Its id; none while it has no cluster yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// Where other nodes reach it, as `host:port`.
    pub peer: String,
    /// Where clients reach it, as `http://host:port`.
    pub http: String,
}

/// All brokers that have registered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerMap {
    /// Grows with every change.
    pub version: u64,
    /// In the order of their registration.
    pub brokers: Vec<BrokerEntry>,
}
