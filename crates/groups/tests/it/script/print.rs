//! Answers and records as a person reads them.

use std::fmt::Write;

use groups::{
    Answer, Assignment, Commit, Description, Error, Joined, MemberId, StateRecord, Summary,
};
use model::{Instant, PartitionId};

use super::Script;

impl Script {
    pub(super) fn answer(&self, answer: &Answer) -> String {
        match answer {
            Answer::Joined(joined) => self.joined(joined),
            Answer::Synced(synced) => format!("ok{}", self.assignment(&synced.assignment)),
            Answer::Alive(alive) => {
                let partitions = alive.partitions.as_ref().map(|p| self.partitions(p));
                format!(
                    "generation {}{}",
                    alive.generation,
                    partitions.unwrap_or_default()
                )
            }
            Answer::Left(results) => {
                let codes = results.iter().map(|(_, result)| code(result));
                codes.collect::<Vec<_>>().join(", ")
            }
            Answer::Committed(rows) => {
                let rows = rows
                    .iter()
                    .map(|(id, r)| format!("{} {}", self.partition_name(*id), code(r)));
                rows.collect::<Vec<_>>().join(", ")
            }
            Answer::Commits(rows) => {
                let row = |(id, commit): &(PartitionId, Option<Commit>)| {
                    let offset = commit
                        .as_ref()
                        .map_or_else(|| "none".into(), |c| c.offset.to_string());
                    format!("{}={offset}", self.partition_name(*id))
                };
                format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(" "))
            }
            Answer::Description(group) => self.description(group),
            Answer::List(groups) => {
                let row = |g: &Summary| format!("{} {} {}", g.group, g.state.as_str(), g.members);
                format!(
                    "[{}]",
                    groups.iter().map(row).collect::<Vec<_>>().join(", ")
                )
            }
            Answer::Deleted => "deleted".into(),
        }
    }

    pub(super) fn joined(&self, joined: &Joined) -> String {
        let mut text = format!(
            "{} generation {}",
            self.name(&joined.member),
            joined.generation
        );
        if let Some(protocol) = &joined.protocol {
            write!(text, ", {protocol} led by {}", self.name(&joined.leader)).unwrap();
        }
        for member in &joined.members {
            let metadata = String::from_utf8_lossy(&member.metadata).into_owned();
            write!(
                text,
                "\n           {}: {metadata}",
                self.name(&member.member)
            )
            .unwrap();
        }
        if joined.skip_assignment {
            text.push_str(", skip assignment");
        }
        text + &joined
            .partitions
            .as_ref()
            .map_or(String::new(), |p| self.partitions(p))
    }

    pub(super) fn description(&self, group: &Description) -> String {
        let mut text = format!(
            "{} generation {}, {} commits, leader {}",
            group.state.as_str(),
            group.generation,
            group.commits,
            group
                .leader
                .as_ref()
                .map_or_else(|| "none".into(), |id| self.name(id)),
        );
        for member in &group.members {
            let share = self.assignment(&member.assignment);
            write!(text, "\n           {}{share}", self.name(&member.member)).unwrap();
        }
        text
    }

    pub(super) fn record(&self, record: &StateRecord) -> String {
        match record {
            StateRecord::Commit {
                group,
                partition,
                value,
            } => {
                let value = value
                    .as_ref()
                    .map_or_else(|| "nothing".into(), |c| c.offset.to_string());
                format!("{group} {} = {value}", self.partition_name(*partition))
            }
            StateRecord::Membership { group, value: None } => format!("{group} = nothing"),
            StateRecord::Membership {
                group,
                value: Some(members),
            } => format!(
                "{group} generation {}, {} members, assigned by {:?}",
                members.generation,
                members.members.len(),
                members.assigner,
            ),
        }
    }

    pub(super) fn assignment(&self, assignment: &Assignment) -> String {
        match assignment {
            Assignment::None => String::new(),
            Assignment::Opaque(bytes) => format!(" bytes {:?}", String::from_utf8_lossy(bytes)),
            Assignment::Partitions(partitions) => self.partitions(partitions),
        }
    }

    pub(super) fn partitions(&self, partitions: &[PartitionId]) -> String {
        let names: Vec<String> = partitions.iter().map(|p| self.partition_name(*p)).collect();
        format!(" [{}]", names.join(" "))
    }

    pub(super) fn partition_name(&self, partition: PartitionId) -> String {
        let topic = self
            .topics
            .iter()
            .find(|(_, (id, _))| *id == partition.topic);
        format!("{}-{}", topic.unwrap().0, partition.index)
    }

    pub(super) fn name(&self, id: &MemberId) -> String {
        self.names
            .get(id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }

    pub(super) fn clock(&self) -> String {
        format!("{:.1}s", self.now.since(Instant::ZERO).as_secs_f64())
    }
}

fn code(result: &Result<(), Error>) -> &'static str {
    result.as_ref().map_or_else(Error::code, |()| "ok")
}
