//! Members come, and come again.

use model::Instant;
use model::limits::{GROUP_BYTES_MAX, GROUP_MEMBER_BYTES_MAX};

use super::{Context, Group, State};
use crate::member::{Member, Waiting};
use crate::{Answer, CandidateMember, Error, Join, Joined, MemberId, Token};

impl Group {
    /// Lets somebody join. A refusal changes nothing, but that an id may have been reserved.
    pub(crate) fn join(&mut self, cx: &mut Context<'_>, token: Token, join: Join) {
        if let Err(error) = self.try_join(cx, token, join) {
            cx.out.refuse(token, error);
        }
    }

    fn try_join(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        mut join: Join,
    ) -> Result<(), Error> {
        check_limits(cx, &join)?;
        join.assigns = join.assigns.deduplicated();
        let replaced = join
            .instance
            .as_ref()
            .and_then(|i| self.members.of_instance(i))
            .cloned();
        match (join.member.clone(), replaced) {
            (None, Some(old)) => self.replace_static(cx, token, &old, join),
            (None, None) => self.join_new(cx, token, join),
            (Some(id), _) if self.reserved.contains_key(&id) => {
                self.check_room(&join, None)?;
                self.reserved.remove(&id);
                self.add(cx, token, id, join);
                Ok(())
            }
            (Some(id), _) => self.join_again(cx, token, &id, join),
        }
    }

    fn join_new(&mut self, cx: &mut Context<'_>, token: Token, join: Join) -> Result<(), Error> {
        if self.members.len() + self.reserved.len() >= cx.options.members_max {
            return Err(Error::GroupFull);
        }
        self.check_room(&join, None)?;
        let id = cx.ids.next(join.instance.as_ref(), &join.client);
        if join.member_id_required && join.instance.is_none() {
            let until = cx.now.after(join.session_timeout);
            self.reserved.insert(id.clone(), until);
            self.wake_at(until);
            return Err(Error::MemberIdRequired(id));
        }
        self.add(cx, token, id, join);
        Ok(())
    }

    fn add(&mut self, cx: &mut Context<'_>, token: Token, id: MemberId, join: Join) {
        self.members.insert(Member::new(id.clone(), join));
        self.prepare(cx);
        self.delay_initial(cx);
        self.wait(cx, &id, Waiting::Join(token));
        self.complete_if_joined(cx);
    }

    fn join_again(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        id: &MemberId,
        join: Join,
    ) -> Result<(), Error> {
        self.members.check(id, join.instance.as_ref())?;
        self.check_room(&join, Some(id))?;
        let unchanged = self
            .members
            .get(id)
            .is_some_and(|m| m.assigns == join.assigns);
        let answered_at_once = match self.state {
            State::Completing { .. } => unchanged,
            // A leader that joins again in peace asks to assign anew.
            State::Stable => unchanged && !self.is_leading_client(id),
            State::Empty { .. } | State::Preparing { .. } => false,
        };
        self.members.update(id, join);
        if answered_at_once {
            self.wait(cx, id, Waiting::No);
            self.heard_from(id, cx.now);
            self.tell_joined(cx, token, id, false);
        } else {
            self.prepare(cx);
            self.wait(cx, id, Waiting::Join(token));
            self.complete_if_joined(cx);
        }
        Ok(())
    }

    /// A new process takes a static member's place. The old one is fenced from now on.
    fn replace_static(
        &mut self,
        cx: &mut Context<'_>,
        token: Token,
        old: &MemberId,
        join: Join,
    ) -> Result<(), Error> {
        self.check_room(&join, Some(old))?;
        let led = self.is_leading_client(old);
        let Some(before) = self.members.remove(old) else {
            return Err(Error::UnknownMember);
        };
        if let Some(parked) = before.waiting.token() {
            cx.out.refuse(parked, Error::FencedInstance);
        }
        let same_wish = before.assigns.topics() == join.assigns.topics()
            && before.assigns.is_by_server() == join.assigns.is_by_server();
        let new = cx.ids.next(join.instance.as_ref(), &join.client);
        let mut member = Member::new(new.clone(), join);
        member.assignment = before.assignment;
        self.members.insert(member);
        if self.leader.as_ref() == Some(old) {
            self.leader = Some(new.clone());
        }
        if self.state == State::Stable && same_wish && self.vote() == self.protocol {
            let answer = self.joined(&new, led);
            let ticket = self.store(cx, [(token, answer)].into());
            self.wait(cx, &new, Waiting::Write(ticket));
        } else {
            self.prepare(cx);
            self.wait(cx, &new, Waiting::Join(token));
            self.complete_if_joined(cx);
        }
        Ok(())
    }

    /// Whether the group can take what `join` brings, instead of what `except` has.
    fn check_room(&self, join: &Join, except: Option<&MemberId>) -> Result<(), Error> {
        if !self.members.is_compatible(&join.assigns, except) {
            return Err(Error::InconsistentProtocol);
        }
        let freed = except
            .and_then(|id| self.members.get(id))
            .map_or(0, Member::size);
        let bytes = self.members.bytes() - freed + join.size();
        if bytes > GROUP_BYTES_MAX {
            Err(Error::GroupFull)
        } else {
            Ok(())
        }
    }

    /// What a member is told that takes part in the present generation.
    pub(super) fn joined(&self, id: &MemberId, skip_assignment: bool) -> Answer {
        let member = self.members.get(id);
        let leads = self.is_leading_client(id);
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let candidate = |member: &Member| CandidateMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            metadata: member.assigns.metadata(protocol),
        };
        Answer::Joined(Joined {
            member: id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_else(|| id.clone()),
            members: if leads {
                self.members.iter().map(candidate).collect()
            } else {
                [].into()
            },
            skip_assignment,
            partitions: member.and_then(|member| member.assignment.partitions().cloned()),
        })
    }

    /// Tells it, as soon as it is stored.
    fn tell_joined(&mut self, cx: &mut Context<'_>, token: Token, id: &MemberId, skip: bool) {
        let answer = self.joined(id, skip);
        if let Some(ticket) = self.unwritten {
            self.wait(cx, id, Waiting::Write(ticket));
        }
        cx.out.reply_after(self.unwritten, (token, answer));
    }

    /// Lets a member wait. A request of its that waited before is told to come again: its client
    /// has asked anew and does not wait for it any more.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, id: &MemberId, waiting: Waiting) {
        if let Some(given_up) = self.members.set_waiting(id, waiting) {
            cx.out.refuse(given_up, Error::RebalanceInProgress);
        }
    }

    pub(super) fn heard_from(&mut self, id: &MemberId, now: Instant) {
        if let Some(expires) = self.members.touch(id, now) {
            self.wake_at(expires);
        }
    }
}

fn check_limits(cx: &Context<'_>, join: &Join) -> Result<(), Error> {
    let allowed = cx.options.session_timeout_min..=cx.options.session_timeout_max;
    if !allowed.contains(&join.session_timeout) {
        return Err(Error::InvalidSessionTimeout);
    }
    if !join.assigns.is_by_server() && join.assigns.protocols().is_empty() {
        return Err(Error::InconsistentProtocol);
    }
    if join.assigns.is_within_limits() && join.size() <= GROUP_MEMBER_BYTES_MAX {
        Ok(())
    } else {
        Err(Error::TooLarge)
    }
}
