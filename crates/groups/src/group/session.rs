//! Members live, leave and die.

use alloc::vec::Vec;
use core::time::Duration;

use model::Instant;

use super::{Context, Group, State};
use crate::member::Waiting;
use crate::{Answer, Departure, Error, Fence, Leave, MemberId, Token};

impl Group {
    /// A member says that it lives.
    pub(crate) fn heartbeat(&mut self, cx: &mut Context<'_>, token: Token, fence: &Fence) {
        let result = self.try_heartbeat(cx, fence);
        cx.out.reply(token, result);
    }

    fn try_heartbeat(&mut self, cx: &Context<'_>, fence: &Fence) -> Result<Answer, Error> {
        self.check(fence)?;
        self.heard_from(&fence.member, cx.now);
        match self.state {
            State::Preparing { .. } => Err(Error::RebalanceInProgress),
            State::Empty { .. } | State::Completing { .. } | State::Stable => {
                let member = self
                    .members
                    .get(&fence.member)
                    .ok_or(Error::UnknownMember)?;
                Ok(self.alive(member))
            }
        }
    }

    /// Some members stop; the rest rebalance once.
    pub(crate) fn leave(&mut self, cx: &mut Context<'_>, token: Token, leave: Leave) {
        let members_before = self.members.len();
        let mut results = Vec::with_capacity(leave.members.len());
        for departure in leave.members {
            let result = self.leave_one(cx, &departure);
            results.push((departure, result));
        }
        self.after_loss(cx, members_before);
        cx.out.reply(token, Ok(Answer::Left(results)));
    }

    fn leave_one(&mut self, cx: &mut Context<'_>, departure: &Departure) -> Result<(), Error> {
        let instance = departure.instance.as_ref();
        let id = match (&departure.member, instance) {
            (Some(id), _) => id.clone(),
            (None, Some(name)) => self
                .members
                .of_instance(name)
                .cloned()
                .ok_or(Error::UnknownMember)?,
            (None, None) => return Err(Error::UnknownMember),
        };
        if self.reserved.remove(&id).is_some() {
            return Ok(());
        }
        self.members.check(&id, instance)?;
        self.remove(cx, &id);
        Ok(())
    }

    /// Removes a member. What it waits for is refused.
    pub(super) fn remove(&mut self, cx: &mut Context<'_>, id: &MemberId) {
        let member = self.members.remove(id);
        if let Some(token) = member.and_then(|member| member.waiting.token()) {
            cx.out.refuse(token, Error::UnknownMember);
        }
    }

    /// Rebalances when there were more members before.
    fn after_loss(&mut self, cx: &mut Context<'_>, members_before: usize) {
        if self.members.len() < members_before {
            self.prepare(cx);
        }
        self.complete_if_joined(cx);
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, cx: &mut Context<'_>) {
        let members_before = self.members.len();
        self.reserved.retain(|_, until| *until > cx.now);
        for id in self.members.ids_where(|member| member.is_expired(cx.now)) {
            self.remove(cx, &id);
        }
        self.after_loss(cx, members_before);
        match self.state {
            State::Completing { deadline } if deadline <= cx.now => {
                self.give_up_waiting_for_leader(cx);
            }
            State::Empty { since } if since.after(retention(cx)) <= cx.now => {
                self.expire(cx);
            }
            _ => {}
        }
        self.wake = self.next_wake(cx);
    }

    pub(super) fn next_wake(&self, cx: &Context<'_>) -> Option<Instant> {
        let alive = self
            .members
            .iter()
            .filter(|member| member.waiting == Waiting::No);
        let sessions = alive.map(|member| member.expires);
        let state = match self.state {
            State::Empty { since } => Some(since.after(retention(cx))),
            State::Preparing { earliest, .. } if earliest > cx.now => Some(earliest),
            State::Preparing { deadline, .. } | State::Completing { deadline } => Some(deadline),
            State::Stable => None,
        };
        sessions
            .chain(self.reserved.values().copied())
            .chain(state)
            .min()
    }

    /// Forgets everything. If that cannot be stored, it is tried again after another retention.
    fn expire(&mut self, cx: &mut Context<'_>) {
        self.state = State::Empty { since: cx.now };
        self.erase(cx, Vec::new());
    }

    /// Somebody wants the group gone.
    pub(crate) fn delete(&mut self, cx: &mut Context<'_>, token: Token) {
        if self.members.is_empty() && self.reserved.is_empty() {
            self.erase(cx, [(token, Answer::Deleted)].into());
        } else {
            cx.out.refuse(token, Error::GroupNotEmpty);
        }
    }
}

/// How long an empty group is remembered; long enough that one being forgotten is not forgotten
/// again before its deletion is stored.
pub(super) fn retention(cx: &Context<'_>) -> Duration {
    cx.options.commit_retention.max(Duration::from_secs(1))
}
