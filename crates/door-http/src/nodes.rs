//! The nodes of the cluster: who is there, and what an operator changes about them.

use axum::extract::State;
use broker::{NodeChange, NodeState};
use model::NodeId;
use serde::Deserialize;

use crate::convert::cluster_answer;
use crate::door::Door;
use crate::error::{Code, Refusal};
use crate::input::{Param, Query};
use crate::reply::{self, Reply};
use crate::route::NoQuery;

/// Whether records that nobody else holds may go with a node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossQuery {
    #[serde(default)]
    lose_partitions: bool,
}

/// `GET /admin/nodes`
pub(crate) async fn list(State(door): State<Door>, Query(NoQuery {}): Query<NoQuery>) -> Reply {
    show(&door)
}

/// `POST /admin/nodes/{node}/drain`
pub(crate) async fn drain(
    State(door): State<Door>,
    Param(id): Param,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    change(&door, &id, NodeChange::State(NodeState::Draining)).await
}

/// `POST /admin/nodes/{node}/activate`
pub(crate) async fn activate(
    State(door): State<Door>,
    Param(id): Param,
    Query(NoQuery {}): Query<NoQuery>,
) -> Reply {
    change(&door, &id, NodeChange::State(NodeState::Active)).await
}

/// `POST /admin/nodes/{node}/replace`: its disk is lost, and another may take its place.
pub(crate) async fn replace(
    State(door): State<Door>,
    Param(id): Param,
    Query(LossQuery { lose_partitions }): Query<LossQuery>,
) -> Reply {
    change(&door, &id, NodeChange::ForgetDisk { lose_partitions }).await
}

/// `DELETE /admin/nodes/{node}`
pub(crate) async fn remove(
    State(door): State<Door>,
    Param(id): Param,
    Query(LossQuery { lose_partitions }): Query<LossQuery>,
) -> Reply {
    change(&door, &id, NodeChange::Remove { lose_partitions }).await
}

/// Makes the change; the answer is the cluster as it is then.
async fn change(door: &Door, id: &str, change: NodeChange) -> Reply {
    let id = node_id(id)?;
    door.broker().change_node(id, change).await?;
    show(door)
}

/// The number of a node, as answers give it: in decimal, or in binary after `0b`. Without the mark
/// `100` could mean two nodes, and one of them would be removed by mistake.
fn node_id(text: &str) -> Result<NodeId, Refusal> {
    let is_decimal = text == "0" || !text.starts_with('0');
    let parsed = match text.strip_prefix("0b") {
        Some(digits) => u16::from_str_radix(digits, 2).ok(),
        None if is_decimal => text.parse().ok(),
        None => None,
    };
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    parsed.filter(|_| is_plain).map(NodeId).ok_or_else(|| {
        Refusal::new(
            Code::InvalidNode,
            "a node is named by its number from 0 to 65535, in decimal or in binary after '0b'",
        )
    })
}

fn show(door: &Door) -> Reply {
    reply::ok(&cluster_answer(door.broker()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_nodes_have_one_meaning() {
        let cases = [
            ("0", Some(0)),
            ("3", Some(3)),
            ("100", Some(100)),
            ("0b100", Some(4)),
            ("65535", Some(65535)),
            ("65536", None),
            ("011", None),
            ("00", None),
            ("0b", None),
            ("0b2", None),
            ("+3", None),
            ("0b+1", None),
            ("-1", None),
            ("", None),
            ("all", None),
        ];
        for (text, expected) in cases {
            assert_eq!(node_id(text).ok(), expected.map(NodeId), "{text}");
        }
    }
}
