//! `hark node add`: the commands that start another node of this cluster.
//!
//! Nothing is changed here. A node registers when it starts, and the id that is named is only the one
//! that it would be given now.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use door_http::dto::ClusterAnswer;
use model::{NodeId, Site};
use serde::Serialize;

use crate::client::Request;
use crate::commands::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;

/// What stands in the place of the new node's host, which only the person knows.
const HOST: &str = "HOST";
/// Peers named at most: one that answers is enough.
const PEERS_MAX: usize = 5;
/// Where `hark init` writes unless told otherwise.
const CLUSTER_DIR: &str = "hark-cluster";

/// Options of `hark node add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Let the cluster choose the id within this part of the hypercube, as in 01xx
    /// [default: the lowest that is free].
    #[arg(long, env = "HARK_NODE_ADD_SITE", value_name = "PREFIX")]
    site: Option<Site>,
    /// Host under which the new node will be reached [default: HOST, to be filled in].
    #[arg(long, env = "HARK_NODE_ADD_HOST", value_name = "HOST")]
    host: Option<String>,
    /// What breaks together with the new node.
    #[arg(long, env = "HARK_NODE_ADD_RACK", value_name = "NAME")]
    rack: Option<String>,
}

/// What to type.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Plan {
    /// The id that the node would have; none when the cluster chooses within a site.
    id: Option<u16>,
    /// Nothing was changed by asking.
    changed: bool,
    /// Where the authority of the cluster is, if the nodes are on several machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<String>,
    /// Where the new node is to run.
    serve: String,
}

/// Asks the cluster, and says what to type.
pub(super) async fn run(args: &AddArgs, mut context: Context) -> Outcome {
    let request = Request::get(&["admin", "nodes"]);
    let cluster: ClusterAnswer = context.client.call(&request).await?;
    let plan = plan(args, &cluster)?;
    match context.out.format {
        Format::Json => context.out.json(&plan)?,
        Format::Table => context.out.line(&plan.text())?,
    }
    context.out.flush()
}

fn plan(args: &AddArgs, cluster: &ClusterAnswer) -> Outcome<Plan> {
    let id = match args.site {
        Some(_) => None,
        None => Some(free_id(cluster)?),
    };
    let is_local = cluster.nodes.iter().all(|node| is_loopback(&node.peer));
    let init = (!is_local).then(|| {
        let whom = id.map_or_else(
            || "--any".to_owned(),
            |id| format!("--ids {}", id.argument()),
        );
        format!("hark init --dir {CLUSTER_DIR} {whom}")
    });
    Ok(Plan {
        id: id.map(|id| id.0),
        changed: false,
        init,
        serve: serve(args, cluster, id, is_local),
    })
}

fn free_id(cluster: &ClusterAnswer) -> Outcome<NodeId> {
    let full = || Failure::new(Exit::Refused, "the cluster has no free id left");
    cluster.free_id.map(NodeId).ok_or_else(full)
}

fn serve(args: &AddArgs, cluster: &ClusterAnswer, id: Option<NodeId>, is_local: bool) -> String {
    let host = args.host.as_deref().unwrap_or(HOST);
    let mut words = vec!["hark serve".to_owned()];
    if let Some(id) = id {
        words.push(format!("--id {}", id.argument()));
    }
    words.extend(args.site.map(|site| format!("--site {site}")));
    let name = id.map_or_else(|| "new".to_owned(), |id| id.to_string());
    words.push(format!("--data hark-data-{name}"));
    if is_local {
        words.push("--http 127.0.0.1:0 --peer-address 127.0.0.1:0".to_owned());
    } else {
        words.push("--http 0.0.0.0:7070 --peer-address 0.0.0.0:7946".to_owned());
        words.push(format!("--advertise {} --cluster-dir DIR", quoted(host)));
    }
    words.push(format!("--peers {}", peers(cluster)));
    words.extend(
        args.rack
            .as_ref()
            .map(|rack| format!("--rack {}", quoted(rack))),
    );
    words.join(" ")
}

/// Those that are alive, or all if none is.
fn peers(cluster: &ClusterAnswer) -> String {
    let of = |wanted: fn(&str) -> bool| {
        let nodes = cluster
            .nodes
            .iter()
            .filter(move |node| wanted(&node.liveness));
        let peers = nodes.map(|node| node.peer.as_str());
        peers.filter(|peer| !peer.is_empty()).take(PEERS_MAX)
    };
    let alive: Vec<&str> = of(|liveness| liveness == "alive").collect();
    match alive.is_empty() {
        true => of(|_| true).collect::<Vec<_>>().join(","),
        false => alive.join(","),
    }
}

fn is_loopback(peer: &str) -> bool {
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    match peer.parse::<SocketAddr>() {
        Ok(address) => is_loopback(address.ip()),
        Err(_) => peer.is_empty() || peer.starts_with("localhost:"),
    }
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Plan {
    fn text(&self) -> String {
        let who = match self.id {
            Some(id) => format!("Node {id} is free. "),
            None => String::new(),
        };
        let init = self.init.as_ref().map_or_else(String::new, |init| {
            format!(
                "\nWhere the authority of the cluster is, make a certificate, and copy the directory \
                 that it\nnames to the new machine as DIR:\n  {init}\n\nThen there"
            )
        });
        let start = if self.init.is_some() {
            ":"
        } else {
            "\nStart it with:"
        };
        format!(
            "{who}Nothing is changed yet: a node adds itself when it starts.\n{init}{start}\n  {}\n\n\
             It is given new partitions from then on; what is there already stays where it is.",
            self.serve
        )
    }
}

#[cfg(test)]
mod tests {
    use door_http::dto::NodeAnswer;
    use expect_test::expect;

    use super::*;

    fn node(id: u16, peer: &str, liveness: &'static str) -> NodeAnswer {
        NodeAnswer {
            id,
            corner: String::new(),
            liveness: liveness.into(),
            since: 0,
            round_trip_us: None,
            controller: false,
            role: "voter".into(),
            state: "active".into(),
            fenced: false,
            neighbours: Vec::new(),
            peer: peer.to_owned(),
            http: String::new(),
            rack: None,
            slot: 0,
            incarnation: 1,
        }
    }

    fn cluster(free_id: Option<u16>, nodes: Vec<NodeAnswer>) -> ClusterAnswer {
        ClusterAnswer {
            id: 0,
            cluster: None,
            controller: None,
            term: 0,
            revision: 0,
            free_id,
            nodes,
        }
    }

    fn args() -> AddArgs {
        AddArgs {
            site: None,
            host: None,
            rack: None,
        }
    }

    #[test]
    fn on_one_machine_any_free_port_will_do() {
        let nodes = vec![
            node(0, "127.0.0.1:1", "alive"),
            node(1, "127.0.0.1:2", "down"),
            node(2, "[::1]:3", "alive"),
        ];
        let plan = plan(&args(), &cluster(Some(3), nodes)).unwrap();
        expect![[r#"
            Node 3 is free. Nothing is changed yet: a node adds itself when it starts.

            Start it with:
              hark serve --id 3 --data hark-data-3 --http 127.0.0.1:0 --peer-address 127.0.0.1:0 --peers 127.0.0.1:1,[::1]:3

            It is given new partitions from then on; what is there already stays where it is."#]]
        .assert_eq(&plan.text());
    }

    #[test]
    fn beyond_one_machine_it_needs_a_certificate_and_a_name() {
        let nodes = vec![node(0, "a.example:7946", "down")];
        let args = AddArgs {
            rack: Some("it's b".to_owned()),
            ..args()
        };
        let plan = plan(&args, &cluster(Some(100), nodes)).unwrap();
        expect![[r#"
            Node 100 is free. Nothing is changed yet: a node adds itself when it starts.

            Where the authority of the cluster is, make a certificate, and copy the directory that it
            names to the new machine as DIR:
              hark init --dir hark-cluster --ids 0d100

            Then there:
              hark serve --id 0d100 --data hark-data-100 --http 0.0.0.0:7070 --peer-address 0.0.0.0:7946 --advertise HOST --cluster-dir DIR --peers a.example:7946 --rack 'it'\''s b'

            It is given new partitions from then on; what is there already stays where it is."#]]
        .assert_eq(&plan.text());
    }

    #[test]
    fn within_a_site_the_cluster_chooses() {
        let args = AddArgs {
            site: "01xx".parse().ok(),
            host: Some("b.example".to_owned()),
            ..args()
        };
        let nodes = vec![node(4, "a.example:7946", "alive")];
        let plan = plan(&args, &cluster(None, nodes)).unwrap();
        assert_eq!(plan.id, None);
        assert_eq!(
            plan.init.as_deref(),
            Some("hark init --dir hark-cluster --any")
        );
        assert!(plan.serve.contains("--site 1xx"), "{plan:?}");
        assert!(plan.serve.contains("--advertise b.example"), "{plan:?}");
    }

    #[test]
    fn a_full_cluster_says_so() {
        let failure = plan(&args(), &cluster(None, Vec::new())).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
    }
}
