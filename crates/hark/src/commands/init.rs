//! `hark init`: makes what protects a cluster beyond one machine.

use std::path::PathBuf;

use clap::Args;
use model::NodeId;
use peer::SecurityError;
use peer::pki::{self, Holder, Made};
use serde_json::json;

use crate::config::Settings;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, Out};

/// Most certificates made at once.
const NODES_MAX: u16 = 1024;

/// Options of `hark init`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub(crate) struct InitArgs {
    /// Directory for everything; when it holds an authority already, that one signs.
    #[arg(
        long,
        env = "HARK_INIT_DIR",
        value_name = "DIR",
        default_value = "hark-cluster"
    )]
    pub dir: PathBuf,
    /// Certificates for the nodes 0 to N-1.
    #[arg(long, env = "HARK_INIT_NODES", value_name = "N", group = "whom",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    pub nodes: Option<u16>,
    /// Certificates for the nodes with these ids, decimal or binary.
    #[arg(
        long,
        env = "HARK_INIT_IDS",
        value_name = "ID,…",
        value_delimiter = ',',
        group = "whom"
    )]
    pub ids: Vec<NodeId>,
    /// One certificate that is good for any id, for nodes that get theirs from the cluster.
    #[arg(long, env = "HARK_INIT_ANY", group = "whom")]
    pub any: bool,
}

/// Makes it, and says what goes where.
pub(crate) fn run(args: InitArgs, settings: &Settings) -> Outcome {
    let holders = args.holders()?;
    let made = pki::make(&args.dir, &holders).map_err(refused)?;
    let mut out = Out::new(settings.format);
    match settings.format {
        Format::Json => out.json(&json!({
            "dir": args.dir,
            "authority_is_new": made.authority_is_new,
            "nodes": made.nodes.iter().map(|(_, path)| path).collect::<Vec<_>>(),
        }))?,
        Format::Table => out.line(&text(&args.dir, &made))?,
    }
    out.flush()
}

impl InitArgs {
    fn holders(&self) -> Outcome<Vec<Holder>> {
        if self.any {
            return Ok(vec![Holder::Any]);
        }
        let counted = self
            .nodes
            .into_iter()
            .flat_map(|nodes| (0..nodes).map(NodeId));
        let mut ids: Vec<NodeId> = counted.chain(self.ids.iter().copied()).collect();
        let asked = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < asked {
            return Err(Failure::usage("ids: one of them stands there twice"));
        }
        if ids.len() > usize::from(NODES_MAX) {
            let why = format!("ids: {NODES_MAX} at most at once");
            return Err(Failure::usage(why));
        }
        Ok(ids.into_iter().map(Holder::Node).collect())
    }
}

fn refused(error: SecurityError) -> Failure {
    match error {
        error @ SecurityError::Exists(_) => Failure::new(Exit::Refused, error.to_string()),
        error => Failure::failed(error.to_string()),
    }
}

fn text(dir: &std::path::Path, made: &Made) -> String {
    let authority = if made.authority_is_new {
        "A new authority and cluster key are in"
    } else {
        "Signed by the authority in"
    };
    let mut text = format!(
        "{authority} {}.\n\nCopy to each node its own directory, and nothing else:\n",
        dir.display()
    );
    for (holder, path) in &made.nodes {
        let (whose, id) = match holder {
            Holder::Node(id) => (format!("node {id}"), format!(" --id {}", id.argument())),
            Holder::Any => ("any node".to_owned(), String::new()),
        };
        text.push_str(&format!(
            "  {:<9} {}\n            hark serve{id} --cluster-dir {} --peer-address 0.0.0.0:7946 \
             --advertise HOST --peers HOST,…\n",
            whose,
            path.display(),
            path.display(),
        ));
    }
    text.push_str("\nKeep ca.key offline: whoever has it can make nodes of this cluster.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_starts_the_node_that_it_is_for() {
        let ids = (0..=300).map(NodeId);
        let made = Made {
            authority_is_new: true,
            nodes: ids
                .clone()
                .map(|id| (Holder::Node(id), PathBuf::from(format!("d/{id}"))))
                .collect(),
        };
        let text = text(std::path::Path::new("d"), &made);
        let words: Vec<&str> = text.split_whitespace().collect();
        let typed = words.windows(2).filter(|pair| pair[0] == "--id");
        let typed: Vec<NodeId> = typed.map(|pair| pair[1].parse().unwrap()).collect();
        assert!(typed.into_iter().eq(ids));
        assert!(text.contains("hark serve --id 0d100 "), "{text}");
    }
}
