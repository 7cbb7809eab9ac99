//! `hark node`: list the nodes of the cluster, add, drain, replace and remove them.

mod add;
mod show;

use std::io::IsTerminal as _;

use clap::{Args, Subcommand};
use door_http::dto::ClusterAnswer;
use model::NodeId;

use self::add::AddArgs;
use super::{Context, answered};
use crate::client::Request;
use crate::exit::{Exit, Failure, Outcome};
use crate::text::CORNER_DIGITS_MIN;

pub(super) use self::show::{cluster_rows, nodes_table};

/// What to do with nodes.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum NodeCommand {
    /// List all nodes.
    List,
    /// Tell how to start another node; it adds itself when it starts.
    Add(AddArgs),
    /// Give a node nothing new to hold; what it holds stays.
    Drain {
        /// Its id, decimal (3) or binary (011, 0b11).
        id: NodeId,
    },
    /// Let a drained node hold new partitions again.
    Activate {
        /// Its id, decimal (3) or binary (011, 0b11).
        id: NodeId,
    },
    /// Give up the lost data directory of a node that does not run, so that it may start with an
    /// empty one.
    Replace(ForeverArgs),
    /// Remove a node for ever: its id never comes back. Stop it first.
    Remove(ForeverArgs),
}

/// Options of what cannot be taken back.
#[derive(Debug, Args)]
pub(crate) struct ForeverArgs {
    /// The node's id, decimal (3) or binary (011, 0b11).
    id: NodeId,
    /// Accept that the records of partitions that only this node holds are lost.
    #[arg(long)]
    lose_partitions: bool,
    /// Do not ask; needed where nobody can be asked.
    #[arg(long)]
    yes: bool,
}

/// What cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forever {
    Replace,
    Remove,
}

/// Does it.
pub(crate) async fn run(command: NodeCommand, mut context: Context) -> Outcome {
    let request = match command {
        NodeCommand::List => Request::get(&["admin", "nodes"]),
        NodeCommand::Add(args) => return add::run(&args, context).await,
        NodeCommand::Drain { id } => change(id, "drain"),
        NodeCommand::Activate { id } => change(id, "activate"),
        NodeCommand::Replace(args) => forever(&args, Forever::Replace)?,
        NodeCommand::Remove(args) => forever(&args, Forever::Remove)?,
    };
    let cluster: ClusterAnswer = context.client.call(&request).await?;
    context.out.show(&cluster, || nodes_table(&cluster))?;
    context.out.flush()
}

/// A change that comes to the same when it is made twice.
fn change(id: NodeId, what: &str) -> Request {
    Request::post(&["admin", "nodes", &id.to_string(), what]).harmless()
}

fn forever(args: &ForeverArgs, what: Forever) -> Outcome<Request> {
    confirm(args, what)?;
    let id = args.id.to_string();
    let request = match what {
        Forever::Replace => Request::post(&["admin", "nodes", &id, "replace"]),
        Forever::Remove => Request::delete(&["admin", "nodes", &id]),
    };
    Ok(request.query_opt("lose_partitions", args.lose_partitions.then_some(true)))
}

/// A person types the id once more; a script says `--yes`.
fn confirm(args: &ForeverArgs, what: Forever) -> Outcome {
    if args.yes {
        return Ok(());
    }
    let told = what.told(args);
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let command = what.command();
        return Err(Failure::usage(format!(
            "{told} Say so with: hark node {command} {}{} --yes",
            args.id.argument(),
            if args.lose_partitions {
                " --lose-partitions"
            } else {
                ""
            },
        )));
    }
    let question = format!("{told} Type its id to go on:");
    let typed = answered(inquire::Text::new(&question).prompt())?;
    if typed.trim().parse() == Ok(args.id) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        "that is another id; nothing was changed",
    ))
}

impl Forever {
    const fn command(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }

    fn told(self, args: &ForeverArgs) -> String {
        let node = format!("node {} ({})", args.id, args.id.corner(CORNER_DIGITS_MIN));
        let loss = match args.lose_partitions {
            true => " All records that only it holds will be gone.",
            false => "",
        };
        match self {
            Self::Replace => {
                format!("The data directory of {node} can never be used again after this.{loss}")
            }
            Self::Remove => {
                format!("{node} leaves the cluster for ever, and its id never comes back.{loss}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_cannot_be_taken_back_is_told_before() {
        let args = |lose_partitions| ForeverArgs {
            id: NodeId(5),
            lose_partitions,
            yes: false,
        };
        let told = [
            Forever::Replace.told(&args(false)),
            Forever::Remove.told(&args(true)),
        ];
        expect![[r#"
            The data directory of node 5 (101) can never be used again after this.
            node 5 (101) leaves the cluster for ever, and its id never comes back. All records that only it holds will be gone."#]]
        .assert_eq(&told.join("\n"));
    }
}
