//! The command line.
//!
//! Every option has a variable of the environment, `HARK_…`, written beside it. Only `--yes` and
//! `--lose-partitions` have none: a confirmation that was given yesterday is no confirmation.

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::bench;
use crate::commands::{
    completions, discovery, group, init, local, node, publish, serve, subscribe, topic,
};
use crate::config::CommonOptions;
use crate::exit::{CODES_HELP, Outcome};

/// Publish and subscribe: durable topics in one program, the node and its command line.
#[derive(Debug, Parser)]
#[command(name = "hark", version, after_help = CODES_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What to do; without one the help is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node.
    Serve(Box<serve::ServeOptions>),
    /// Make the certificates and the key that protect a cluster.
    Init(init::InitArgs),
    /// Run the service through which nodes find each other.
    Discovery(discovery::DiscoveryArgs),
    /// Make, list, describe, change and delete topics.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Publish messages: one, or the lines of standard input.
    Pub(publish::PublishArgs),
    /// Follow a topic.
    Sub(subscribe::SubscribeArgs),
    /// List, describe, reset and delete consumer groups.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// List, add, drain, replace and remove nodes of the cluster.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Show how a node is, and the cluster as it sees it.
    Status,
    /// Run a cluster of real nodes on this machine, for trying things out.
    #[command(subcommand)]
    Local(local::LocalCommand),
    /// Measure Hark beside the limits of this machine.
    Bench(bench::BenchArgs),
    /// Print the completion script of a shell.
    Completions(completions::CompletionsArgs),
}

/// Reads the command line and the environment; ends the process with code 2 when they are wrong.
pub(crate) fn parse() -> Cli {
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.common.names_server = matches.value_source("server") == Some(ValueSource::CommandLine);
    cli
}

/// What `hark` alone does.
pub(crate) fn print_help() -> Outcome {
    Ok(Cli::command().print_help()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_its_variable() {
        let mut nameless = Vec::new();
        visit(&Cli::command(), &mut nameless);
        assert_eq!(nameless, Vec::<String>::new());
    }

    fn visit(command: &clap::Command, nameless: &mut Vec<String>) {
        for option in command.get_arguments() {
            let long = option.get_long().unwrap_or_default();
            let exempt = option.is_positional()
                || ["help", "version", "yes", "lose-partitions"].contains(&long);
            let named = option
                .get_env()
                .is_some_and(|name| name.to_str().unwrap().starts_with("HARK_"));
            if !exempt && !named {
                nameless.push(format!("{} --{long}", command.get_name()));
            }
        }
        command
            .get_subcommands()
            .for_each(|below| visit(below, nameless));
    }
}
