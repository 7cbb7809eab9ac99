//! The leader assigns, and everybody learns its share.

use alloc::vec::Vec;

use bytes::Bytes;
use model::limits::GROUP_BYTES_MAX;

use super::{Context, Group, State};
use crate::member::Waiting;
use crate::record::Assigner;
use crate::{Answer, Assignment, Error, MemberId, Sync, Synced, Token};

impl Group {
    /// A member asks for its share, or the leader brings everybody's.
    pub(crate) fn sync(&mut self, cx: &mut Context<'_>, token: Token, sync: Sync) {
        if let Err(error) = self.try_sync(cx, token, sync) {
            cx.out.refuse(token, error);
        }
    }

    fn try_sync(&mut self, cx: &mut Context<'_>, token: Token, sync: Sync) -> Result<(), Error> {
        self.check(&sync.fence)?;
        if let Some((kind, name)) = &sync.protocol
            && (*kind != self.protocol_type || Some(name) != self.protocol.as_ref())
        {
            return Err(Error::InconsistentProtocol);
        }
        let id = sync.fence.member;
        self.heard_from(&id, cx.now);
        match self.state {
            State::Empty { .. } => return Err(Error::UnknownMember),
            State::Preparing { .. } => return Err(Error::RebalanceInProgress),
            State::Completing { .. } if self.is_leading_client(&id) => {
                self.take_assignments(cx, token, &id, sync.assignments)?;
            }
            State::Completing { .. } => self.wait(cx, &id, Waiting::Sync(token)),
            State::Stable => {
                let reply = (token, self.synced(&id));
                cx.out.reply_after(self.unwritten, reply);
            }
        }
        Ok(())
    }

    fn take_assignments(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        leader: &MemberId,
        assignments: Vec<(MemberId, Bytes)>,
    ) -> Result<(), Error> {
        let bytes: usize = assignments.iter().map(|(_, bytes)| bytes.len()).sum();
        if bytes > GROUP_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        for id in self.members.ids_where(|_| true) {
            self.members
                .set_assignment(&id, Assignment::Opaque(Bytes::new()));
        }
        for (id, bytes) in assignments {
            self.members.set_assignment(&id, Assignment::Opaque(bytes));
        }
        self.wait(cx, leader, Waiting::Sync(token));
        self.state = State::Stable;
        self.assigner = Assigner::Leader;
        self.tell_all_synced(cx);
        Ok(())
    }

    fn tell_all_synced(&mut self, cx: &mut Context<'_>) {
        let syncing = self
            .members
            .ids_where(|member| matches!(member.waiting, Waiting::Sync(_)));
        let mut replies = Vec::new();
        for id in &syncing {
            let token = self.members.set_waiting(id, Waiting::No);
            replies.extend(token.map(|token| (token, self.synced(id))));
        }
        let ticket = self.store(cx, replies);
        for id in &syncing {
            self.members.set_waiting(id, Waiting::Write(ticket));
        }
    }

    /// The leader has not assigned in time: on without those that have not asked for their share.
    pub(super) fn give_up_waiting_for_leader(&mut self, cx: &mut Context<'_>) {
        let missing = self
            .members
            .ids_where(|member| member.waiting == Waiting::No && member.instance.is_none());
        missing.iter().for_each(|id| self.remove(cx, id));
        self.prepare(cx);
        self.complete_if_joined(cx);
    }

    fn synced(&self, id: &MemberId) -> Answer {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        Answer::Synced(Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        })
    }
}
