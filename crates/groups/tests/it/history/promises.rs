//! What must be true of every answer.

use std::collections::BTreeMap;

use groups::{Answer, Commit, Error, StateRecord};
use model::PartitionId;

use super::world::{Asked, World, instance_of};

impl World {
    pub(super) fn on_reply(&mut self, asked: &Asked, result: Result<Answer, Error>) {
        match result {
            Ok(answer) => self.on_answer(asked, answer),
            Err(error) => {
                let kind = if asked.offsets.is_empty() {
                    ""
                } else {
                    "commit "
                };
                self.note(&format!("{kind}refused {}", error.code()));
                let Some(client) = asked.client.map(|client| &mut self.clients[client]) else {
                    return;
                };
                match error {
                    Error::MemberIdRequired(id) => client.member = Some(id),
                    Error::UnknownMember | Error::FencedInstance => client.member = None,
                    _ => {}
                }
            }
        }
    }

    pub(super) fn on_answer(&mut self, asked: &Asked, answer: Answer) {
        match answer {
            Answer::Joined(joined) => {
                if joined.skip_assignment {
                    self.note("skip assignment");
                } else if !joined.members.is_empty() {
                    self.note("joined as leader");
                }
                let index = asked.client.unwrap();
                let told = self.told.entry(asked.group.clone()).or_insert(0);
                assert!(joined.generation >= *told, "a generation came back");
                *told = joined.generation;
                let client = &mut self.clients[index];
                client.member = Some(joined.member.clone());
                client.memories.push((joined.member, joined.generation));
                client.followers = joined.members.into_iter().map(|m| m.member).collect();
                client.partitions = joined
                    .partitions
                    .iter()
                    .flat_map(|p| p.iter())
                    .copied()
                    .collect();
                if let Some(partitions) = joined.partitions {
                    self.note("joined with partitions");
                    self.check_owner(asked, joined.generation, &partitions);
                }
            }
            Answer::Alive(alive) => {
                let partitions = alive.partitions.unwrap_or_default();
                self.check_owner(asked, alive.generation, &partitions);
            }
            Answer::Synced(synced) => {
                let partitions = synced.assignment.partitions().cloned().unwrap_or_default();
                self.check_owner(asked, asked.generation, &partitions);
            }
            Answer::Committed(rows) => self.check_commit(asked, &rows),
            Answer::Commits(rows) => self.check_commits(asked, &rows),
            Answer::Deleted => {
                self.note("deleted");
                self.forget(&asked.group);
            }
            Answer::Left(_) | Answer::Description(_) | Answer::List(_) => {}
        }
    }

    /// C1: one owner per group, generation and partition. A static member is one owner, whichever
    /// of its processes lives.
    pub(super) fn check_owner(
        &mut self,
        asked: &Asked,
        generation: u32,
        partitions: &[PartitionId],
    ) {
        let client = asked.client.unwrap();
        let member = self.clients[client]
            .memories
            .last()
            .map(|(id, _)| id.to_string());
        let owner = instance_of(client)
            .map(|name| name.to_string())
            .or(member)
            .unwrap();
        for partition in partitions {
            let key = (asked.group.clone(), generation, *partition);
            let first = self.owners.entry(key).or_insert_with(|| owner.clone());
            assert_eq!(
                *first, owner,
                "two owners of {partition} in generation {generation}"
            );
        }
    }

    /// C2: no commit of an old generation. And it is on disk.
    pub(super) fn check_commit(
        &mut self,
        asked: &Asked,
        rows: &[(PartitionId, Result<(), Error>)],
    ) {
        let [(partition, result)] = rows else {
            panic!("one row was asked for")
        };
        let Err(error) = result else {
            self.note("commit ok");
            let (_, commit) = &asked.offsets[0];
            let stored = StateRecord::Commit {
                group: asked.group.clone(),
                partition: *partition,
                value: Some(commit.clone()),
            };
            assert!(
                self.log.values().flatten().any(|record| *record == stored),
                "not on disk"
            );
            if asked.client.is_some() {
                assert!(asked.generation >= asked.told, "a zombie's commit");
            }
            return;
        };
        self.note(&format!("commit {}", error.code()));
    }

    /// C3: what is fetched is what a replay of the reported writes gives.
    pub(super) fn check_commits(&self, asked: &Asked, rows: &[(PartitionId, Option<Commit>)]) {
        // A report that overtook an earlier ticket's is not in effect yet.
        let open = self
            .writes
            .keys()
            .next()
            .map(|ticket| (self.processes, *ticket));
        let effective = self
            .log
            .iter()
            .take_while(|(key, _)| open.is_none_or(|open| **key < open));
        let mut expected = BTreeMap::new();
        for record in effective.flat_map(|(_, records)| records) {
            if let StateRecord::Commit {
                group,
                partition,
                value,
            } = record
                && *group == asked.group
            {
                expected.insert(*partition, value.clone());
            }
        }
        expected.retain(|_, commit| commit.is_some());
        assert_eq!(rows.iter().cloned().collect::<BTreeMap<_, _>>(), expected);
        assert_eq!(rows.len(), expected.len());
    }

    pub(super) fn note(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_insert(0) += 1;
    }
}
