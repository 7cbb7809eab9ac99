//! The cluster and its nodes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The cluster as one node sees it: a part of `GET /status`, and `GET /admin/nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAnswer {
    /// The id of the node that answers.
    pub id: u16,
    /// Identity of the cluster, 32 hexadecimal digits; missing before the node has joined one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The node that decides; `null` while none is known.
    pub controller: Option<u16>,
    /// The controller's reign.
    pub term: u64,
    /// How far this node follows the catalog.
    pub revision: u64,
    /// The lowest number that another node could have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_id: Option<u16>,
    /// By id.
    pub nodes: Vec<NodeAnswer>,
}

/// One node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// Its number.
    pub id: u16,
    /// The same in binary: its corner of the hypercube.
    pub corner: String,
    /// `alive`, `suspect` or `down`.
    pub liveness: Cow<'static, str>,
    /// Since when, as the node that answers saw it.
    pub since: i64,
    /// Time to it and back, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u64>,
    /// Whether it is the controller.
    pub controller: bool,
    /// `voter`, `learner` or `none`.
    pub role: Cow<'static, str>,
    /// `active` or `draining`.
    pub state: Cow<'static, str>,
    /// Whether the controller believes it to be down, and gives it nothing new.
    pub fenced: bool,
    /// Nodes whose number differs in one binary digit.
    pub neighbours: Vec<u16>,
    /// Where other nodes reach it, as `host:port`.
    pub peer: String,
    /// Where clients reach it, as `host:port`.
    pub http: String,
    /// What breaks together with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Its dense number.
    pub slot: u32,
    /// How often it was registered.
    pub incarnation: u64,
}
