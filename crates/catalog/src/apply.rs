//! What follows from each command.

mod access;
mod loss;
mod nodes;
mod register;
mod topics;

use alloc::string::String;
use alloc::{format, string::ToString};

use model::ClusterId;

use crate::{Catalog, Command, Outcome, Refusal};
use topics::NewTopic;

impl Catalog {
    /// Applies one command, all or nothing. The revision grows by one if anything changed.
    ///
    /// A command that comes a second time, because its first answer was lost, is answered as the first
    /// was and changes nothing. [`Command::TakeProducerIds`] is the exception: ids that nobody uses cost
    /// nothing.
    ///
    /// # Errors
    /// The [`Refusal`] says why nothing changed, and what to do.
    pub fn apply(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        if self.cluster.is_none() && !matches!(command, Command::Found { .. }) {
            return Err(Refusal::Founding);
        }
        match command {
            Command::Found { cluster } => self.found(*cluster),
            Command::Register(start) => self.register(start),
            Command::Fence {
                id,
                incarnation,
                fenced,
            } => self.fence(*id, *incarnation, *fenced),
            Command::SetNodeState { id, state } => self.set_state(*id, *state),
            Command::RemoveNode {
                id,
                lose_partitions,
            } => self.remove(*id, *lose_partitions),
            Command::ForgetDisk {
                id,
                incarnation,
                lose_partitions,
            } => self.forget_disk(*id, *incarnation, *lose_partitions),
            Command::CreateTopic {
                id,
                name,
                partitions,
                replication_factor,
                mode,
                settings,
                created,
                home,
            } => self.create(&NewTopic {
                id: *id,
                name,
                partitions: *partitions,
                copies: *replication_factor,
                mode: *mode,
                settings,
                created: *created,
                home: *home,
            }),
            Command::DeleteTopic { id } => self.delete(*id),
            Command::ConfigureTopic { id, changes } => self.configure(*id, changes),
            Command::AlterPartition {
                partition,
                expected_epoch,
                leader,
                isr,
            } => self.alter(*partition, *expected_epoch, *leader, isr),
            Command::TakeProducerIds { count } => self.take_producer_ids(*count),
            Command::PutUser(user) => self.put_user(user),
            Command::DeleteUser { name } => self.delete_user(name),
            Command::PutAcl(entry) => self.put_acl(entry),
            Command::DeleteAcl(entry) => self.delete_acl(entry),
        }
    }

    fn found(&mut self, cluster: ClusterId) -> Result<Outcome, Refusal> {
        match self.cluster {
            Some(present) if present == cluster => Ok(Outcome::Done),
            Some(_) => Err(Refusal::Founding),
            None => {
                self.cluster = Some(cluster);
                self.changed();
                Ok(Outcome::Done)
            }
        }
    }

    fn take_producer_ids(&mut self, count: u32) -> Result<Outcome, Refusal> {
        let first = self.next_producer_id;
        let next = first.checked_add(count.into());
        // The wire carries producer ids as signed numbers.
        let next = next.filter(|next| i64::try_from(*next).is_ok());
        let next = next.ok_or_else(|| Refusal::Limit("all producer ids are taken".to_string()))?;
        if count == 0 {
            return Err(Refusal::Invalid(
                "at least one producer id must be asked for".to_string(),
            ));
        }
        self.next_producer_id = next;
        self.changed();
        Ok(Outcome::ProducerIds { first, count })
    }

    /// Counts a change. The revision as it is from now on.
    const fn changed(&mut self) -> u64 {
        self.revision = self.revision.saturating_add(1);
        self.revision
    }
}

/// A text that people will see: not too long, and nothing in it that moves a terminal's cursor.
fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    if text.len() > bytes_max {
        return Err(Refusal::Invalid(format!(
            "{what} has at most {bytes_max} bytes"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!(
            "{what} must not hold control characters"
        )));
    }
    Ok(())
}

/// Like [`check_text`], and not empty.
fn check_name(what: &str, name: &str, bytes_max: usize) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::Invalid(format!("{what} must not be empty")));
    }
    check_text(what, name, bytes_max)
}

/// Refuses one more when `count` of `what` are there already.
fn check_count(what: &str, count: usize, max: usize) -> Result<(), Refusal> {
    if count < max {
        return Ok(());
    }
    Err(limit(format!("a cluster has at most {max} {what}")))
}

const fn limit(message: String) -> Refusal {
    Refusal::Limit(message)
}
