//! `hark group`: list, describe, reset and delete consumer groups.

use std::collections::BTreeMap;

use clap::Subcommand;
use door_http::dto::{DeletedAnswer, GroupAnswer, GroupsAnswer, ResetRequest};
use model::TopicName;

use super::Context;
use crate::client::Request;
use crate::exit::{Failure, Outcome};
use crate::output::{Format, Out, Table};

/// What to do with groups.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum GroupCommand {
    /// List all groups.
    List,
    /// Show one group: members, progress and lag.
    Describe {
        /// Its name.
        name: String,
    },
    /// Move the progress of a group without members on one topic.
    Reset {
        /// The group.
        name: String,
        /// The topic.
        topic: TopicName,
        /// Where to: earliest, latest, an offset, @MILLISECONDS or an RFC 3339 time.
        #[arg(
            long,
            visible_alias = "to",
            env = "HARK_GROUP_RESET_FROM",
            value_name = "POSITION",
            default_value = "earliest"
        )]
        from: String,
    },
    /// Forget a group without members and its progress.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Does it.
pub(crate) async fn run(command: GroupCommand, mut context: Context) -> Outcome {
    match command {
        GroupCommand::List => list(&mut context).await?,
        GroupCommand::Describe { name } => {
            let request = Request::get(&["admin", "groups", segment(&name)?]);
            let group: GroupAnswer = context.client.call(&request).await?;
            show(&group, &mut context.out)?;
        }
        GroupCommand::Reset { name, topic, from } => {
            let request =
                Request::post(&["admin", "groups", segment(&name)?, "reset"]).json(&ResetRequest {
                    topic: topic.to_string(),
                    from,
                });
            let group: GroupAnswer = context.client.call(&request).await?;
            show(&group, &mut context.out)?;
        }
        GroupCommand::Delete { name } => {
            let request = Request::delete(&["admin", "groups", segment(&name)?]);
            let answer: DeletedAnswer = context.client.call(&request).await?;
            context.out.show(&answer, || {
                let mut table = Table::default();
                table.row([format!("deleted {}", answer.deleted)]);
                table
            })?;
        }
    }
    context.out.flush()
}

async fn list(context: &mut Context) -> Outcome {
    let answer: GroupsAnswer = context
        .client
        .call(&Request::get(&["admin", "groups"]))
        .await?;
    context.out.show(&answer, || {
        let mut table = Table::new(&["GROUP", "STATE", "GENERATION", "MEMBERS", "TOPICS", "LAG"]);
        for group in &answer.groups {
            let lag: Option<u64> = group.commits.iter().map(|commit| commit.lag).sum();
            table.row([
                group.name.clone(),
                group.state.to_string(),
                group.generation.to_string(),
                group.members.len().to_string(),
                topics(group).join(","),
                known(lag),
            ]);
        }
        table
    })
}

fn show(group: &GroupAnswer, out: &mut Out) -> Outcome {
    if out.format == Format::Json {
        return out.json(group);
    }
    let mut head = Table::new(&["GROUP", &group.name]);
    head.row(["state", &group.state]);
    head.row(["generation", &group.generation.to_string()]);
    out.line(&head.text())?;
    out.line("")?;
    out.line(&members(group).text())?;
    out.line("")?;
    out.line(&commits(group).text())
}

fn members(group: &GroupAnswer) -> Table {
    let mut table = Table::new(&["CONSUMER", "MEMBER", "PARTITIONS"]);
    for member in &group.members {
        let consumer = member.consumer.as_deref().unwrap_or("-");
        table.row([consumer, &member.member_id, &assigned(&member.assignment)]);
    }
    table
}

fn commits(group: &GroupAnswer) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITION", "COMMITTED", "LAG"]);
    for commit in &group.commits {
        table.row([
            commit.topic.clone(),
            commit.partition.to_string(),
            commit.offset.to_string(),
            known(commit.lag),
        ]);
    }
    table
}

/// A number, or a mark in the place of one that nobody could tell.
fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn assigned(assignment: &BTreeMap<String, Vec<u32>>) -> String {
    let topic = |(name, partitions): (&String, &Vec<u32>)| {
        let numbers: Vec<String> = partitions.iter().map(u32::to_string).collect();
        format!("{name}[{}]", numbers.join(","))
    };
    assignment.iter().map(topic).collect::<Vec<_>>().join(" ")
}

fn topics(group: &GroupAnswer) -> Vec<&str> {
    let assigned = group
        .members
        .iter()
        .flat_map(|member| member.assignment.keys());
    let mut topics: Vec<&str> = assigned
        .map(String::as_str)
        .chain(group.commits.iter().map(|commit| commit.topic.as_str()))
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// A group's name as part of a path. Dots alone would mean another path.
fn segment(name: &str) -> Outcome<&str> {
    match name {
        "" | "." | ".." => Err(Failure::usage(format!(
            "'{name}' cannot be the name of a group here"
        ))),
        _ => Ok(name),
    }
}
