//! The nodes of a cluster, for a person.

use std::time::{Duration, SystemTime};

use door_http::dto::{ClusterAnswer, NodeAnswer};
use model::NodeId;

use crate::output::Table;
use crate::text::CORNER_DIGITS_MIN;
use crate::time::rough;

/// Every node, a row for each.
pub(in crate::commands) fn nodes_table(cluster: &ClusterAnswer) -> Table {
    table_at(cluster, now())
}

/// What holds for the whole cluster, as names and values.
pub(in crate::commands) fn cluster_rows(cluster: &ClusterAnswer) -> [(&'static str, String); 3] {
    let id = cluster.cluster.as_deref().unwrap_or("none yet");
    let controller = cluster.controller.map_or_else(
        || "nobody is known to decide".to_owned(),
        |id| format!("node {id}, term {}", cluster.term),
    );
    [
        ("cluster", format!("{id}, revision {}", cluster.revision)),
        ("controller", controller),
        ("id", format!("{} ({})", cluster.id, corner(cluster))),
    ]
}

fn corner(cluster: &ClusterAnswer) -> String {
    let own = cluster.nodes.iter().find(|node| node.id == cluster.id);
    own.map_or_else(
        || NodeId(cluster.id).corner(CORNER_DIGITS_MIN).to_string(),
        |node| node.corner.clone(),
    )
}

fn table_at(cluster: &ClusterAnswer, now: i64) -> Table {
    let mut table = Table::new(&[
        "ID",
        "CORNER",
        "LIVENESS",
        "SINCE",
        "RTT",
        "ROLE",
        "STATE",
        "NEIGHBOURS",
        "HTTP",
        "PEER",
        "RACK",
    ]);
    for node in &cluster.nodes {
        let round_trip = match node.round_trip_us {
            _ if node.id == cluster.id => "here".to_owned(),
            Some(micros) => round_trip(micros),
            None => "-".to_owned(),
        };
        table.row([
            node.id.to_string(),
            node.corner.clone(),
            node.liveness.to_string(),
            since(node.since, now),
            round_trip,
            role(node),
            state(node),
            neighbours(node),
            node.http.clone(),
            node.peer.clone(),
            node.rack.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}

fn since(since: i64, now: i64) -> String {
    if since <= 0 {
        return "-".to_owned();
    }
    // The node's clock may be ahead of this one.
    let elapsed = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
    format!("{} ago", rough(Duration::from_millis(elapsed)))
}

fn round_trip(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

fn role(node: &NodeAnswer) -> String {
    if node.controller {
        "controller".to_owned()
    } else {
        node.role.to_string()
    }
}

fn state(node: &NodeAnswer) -> String {
    let fenced = if node.fenced { ", fenced" } else { "" };
    format!("{}{fenced}", node.state)
}

fn neighbours(node: &NodeAnswer) -> String {
    let ids: Vec<String> = node.neighbours.iter().map(u16::to_string).collect();
    match ids.is_empty() {
        true => "-".to_owned(),
        false => ids.join(","),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn node(id: u16) -> NodeAnswer {
        NodeAnswer {
            id,
            corner: NodeId(id).corner(3).to_string(),
            liveness: "alive".into(),
            since: 1_000,
            round_trip_us: Some(u64::from(id) * 1_234),
            controller: false,
            role: "voter".into(),
            state: "active".into(),
            fenced: false,
            neighbours: vec![id ^ 1],
            peer: format!("10.0.0.{id}:7946"),
            http: format!("10.0.0.{id}:7070"),
            rack: None,
            slot: u32::from(id),
            incarnation: 1,
        }
    }

    fn cluster() -> ClusterAnswer {
        let controller = NodeAnswer {
            controller: true,
            rack: Some("a".into()),
            ..node(3)
        };
        let down = NodeAnswer {
            liveness: "down".into(),
            fenced: true,
            state: "draining".into(),
            round_trip_us: None,
            since: 0,
            neighbours: Vec::new(),
            role: "learner".into(),
            ..node(4)
        };
        ClusterAnswer {
            id: 2,
            cluster: Some("c0ffee".into()),
            controller: Some(3),
            term: 7,
            revision: 42,
            free_id: Some(0),
            nodes: vec![node(2), controller, down],
        }
    }

    #[test]
    fn each_node_has_its_row() {
        expect![[r#"
            ID  CORNER  LIVENESS  SINCE      RTT     ROLE        STATE             NEIGHBOURS  HTTP           PEER           RACK
            2   010     alive     1m 5s ago  here    voter       active            3           10.0.0.2:7070  10.0.0.2:7946  -
            3   011     alive     1m 5s ago  3.7 ms  controller  active            2           10.0.0.3:7070  10.0.0.3:7946  a
            4   100     down      -          -       learner     draining, fenced  -           10.0.0.4:7070  10.0.0.4:7946  -"#]]
        .assert_eq(&table_at(&cluster(), 66_000).text());
    }

    #[test]
    fn the_cluster_has_its_rows() {
        let rows = |cluster: &ClusterAnswer| {
            let rows = cluster_rows(cluster).map(|(name, value)| format!("{name}: {value}"));
            rows.join("\n")
        };
        expect![[r#"
            cluster: c0ffee, revision 42
            controller: node 3, term 7
            id: 2 (010)"#]]
        .assert_eq(&rows(&cluster()));
        let alone = ClusterAnswer {
            cluster: None,
            controller: None,
            nodes: Vec::new(),
            ..cluster()
        };
        expect![[r#"
            cluster: none yet, revision 42
            controller: nobody is known to decide
            id: 2 (010)"#]]
        .assert_eq(&rows(&alone));
    }

    #[test]
    fn a_clock_that_is_ahead_does_no_harm() {
        assert_eq!(since(5_000, 1_000), "0s ago");
        assert_eq!(since(i64::MAX, i64::MIN), "0s ago");
    }
}
