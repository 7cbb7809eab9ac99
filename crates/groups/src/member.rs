//! The members of one group, and the sums over them that must not be counted anew each time.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use model::Instant;
use model::limits::REBALANCE_TIMEOUT_MAX;

use crate::{
    Assignment, Assigns, Error, InstanceId, Join, MemberDescription, MemberId, StoredMember,
    Ticket, Token,
};

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) instance: Option<InstanceId>,
    client: Arc<str>,
    host: Arc<str>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) assigns: Assigns,
    pub(crate) assignment: Assignment,
    pub(crate) waiting: Waiting,
    /// When the member is taken for dead, unless it waits for us.
    pub(crate) expires: Instant,
}

/// What a member waits for. One that waits cannot speak, so its silence is no sign of death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Nothing: it must be heard from.
    No,
    /// The end of the join phase.
    Join(Token),
    /// The leader's assignment.
    Sync(Token),
    /// An answer that is ready and goes out with this write.
    Write(Ticket),
}

impl Waiting {
    /// The request that is unanswered and would be forgotten.
    pub(crate) const fn token(self) -> Option<Token> {
        match self {
            Self::Join(token) | Self::Sync(token) => Some(token),
            Self::No | Self::Write(_) => None,
        }
    }
}

impl Member {
    pub(crate) fn new(id: MemberId, join: Join) -> Self {
        Self {
            id,
            instance: join.instance,
            client: join.client,
            host: join.host,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout.min(REBALANCE_TIMEOUT_MAX),
            assigns: join.assigns,
            assignment: Assignment::None,
            waiting: Waiting::No,
            expires: Instant::ZERO,
        }
    }

    pub(crate) fn restore(stored: &StoredMember, now: Instant) -> Self {
        Self {
            id: stored.member.clone(),
            instance: stored.instance.clone(),
            client: stored.client.clone(),
            host: stored.host.clone(),
            session_timeout: stored.session_timeout,
            rebalance_timeout: stored.rebalance_timeout,
            assigns: stored.assigns.clone(),
            assignment: stored.assignment.clone(),
            waiting: Waiting::No,
            expires: now.after(stored.session_timeout),
        }
    }

    pub(crate) fn store(&self) -> StoredMember {
        StoredMember {
            member: self.id.clone(),
            instance: self.instance.clone(),
            client: self.client.clone(),
            host: self.host.clone(),
            session_timeout: self.session_timeout,
            rebalance_timeout: self.rebalance_timeout,
            assigns: self.assigns.clone(),
            assignment: self.assignment.clone(),
        }
    }

    pub(crate) fn describe(&self, protocol: Option<&str>) -> MemberDescription {
        MemberDescription {
            member: self.id.clone(),
            instance: self.instance.clone(),
            client: self.client.clone(),
            host: self.host.clone(),
            topics: self.assigns.topics().clone(),
            metadata: protocol
                .map(|name| self.assigns.metadata(name))
                .unwrap_or_default(),
            assignment: self.assignment.clone(),
        }
    }

    /// Whether the member waits in the join phase.
    pub(crate) const fn is_joining(&self) -> bool {
        matches!(self.waiting, Waiting::Join(_))
    }

    /// Whether silence since `expires` means death.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.waiting == Waiting::No && self.expires <= now
    }

    /// Like [`Join::size`].
    pub(crate) fn size(&self) -> usize {
        self.client.len() + self.host.len() + self.assigns.size()
    }
}

/// All members. Every change goes through here, so the sums stay true.
#[derive(Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<MemberId, Member>,
    statics: BTreeMap<InstanceId, MemberId>,
    /// How many by-client members offer each protocol.
    offers: BTreeMap<Arc<str>, usize>,
    by_client: usize,
    joining: usize,
    bytes: usize,
}

impl Members {
    pub(crate) fn get(&self, id: &MemberId) -> Option<&Member> {
        self.by_id.get(id)
    }

    pub(crate) fn of_instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.statics.get(instance)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    pub(crate) fn ids_where(&self, chosen: impl Fn(&Member) -> bool) -> Vec<MemberId> {
        self.iter()
            .filter(|member| chosen(member))
            .map(|member| member.id.clone())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many wait in the join phase.
    pub(crate) const fn joining(&self) -> usize {
        self.joining
    }

    /// Whether the coordinator must assign: somebody wants to be told.
    pub(crate) fn want_server(&self) -> bool {
        self.by_client < self.len()
    }

    /// The protocols that every by-client member offers.
    pub(crate) fn common_protocols(&self) -> impl Iterator<Item = &Arc<str>> {
        self.offers
            .iter()
            .filter(|(_, count)| **count == self.by_client)
            .map(|(name, _)| name)
    }

    /// Whether somebody with `assigns` can be in one group with all members but `except`.
    pub(crate) fn is_compatible(&self, assigns: &Assigns, except: Option<&MemberId>) -> bool {
        let except = except.and_then(|id| self.get(id));
        let mut others = self.iter().filter(|m| except.is_none_or(|e| e.id != m.id));
        let Some(other) = others.next() else {
            return true;
        };
        // All members have one protocol type, so any of them speaks for the rest.
        if other.assigns.protocol_type() != assigns.protocol_type() {
            return false;
        }
        let mine = except.map_or(&[][..], |member| member.assigns.protocols());
        let of_except = |name: &str| usize::from(mine.iter().any(|(own, _)| **own == *name));
        let needed = self.by_client - usize::from(!mine.is_empty());
        let offered = |name: &str| self.offers.get(name).copied().unwrap_or(0) - of_except(name);
        assigns.is_by_server()
            || needed == 0
            || assigns
                .protocols()
                .iter()
                .any(|(name, _)| offered(name) == needed)
    }

    /// Who `member` and `instance` name together.
    pub(crate) fn check(
        &self,
        member: &MemberId,
        instance: Option<&InstanceId>,
    ) -> Result<(), Error> {
        if let Some(instance) = instance {
            match self.of_instance(instance) {
                None => return Err(Error::UnknownMember),
                Some(current) if current != member => return Err(Error::FencedInstance),
                Some(_) => {}
            }
        }
        if self.by_id.contains_key(member) {
            Ok(())
        } else {
            Err(Error::UnknownMember)
        }
    }

    pub(crate) fn insert(&mut self, member: Member) {
        assert!(
            !self.by_id.contains_key(&member.id),
            "a member id is given out once"
        );
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        self.count(&member);
        self.by_id.insert(member.id.clone(), member);
    }

    pub(crate) fn remove(&mut self, id: &MemberId) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        if let Some(instance) = &member.instance {
            self.statics.remove(instance);
        }
        self.discount(&member);
        Some(member)
    }

    /// What a member that joins again says of itself. Its id, instance and share stay.
    pub(crate) fn update(&mut self, id: &MemberId, join: Join) {
        let Some(old) = self.remove(id) else { return };
        let mut member = Member::new(
            old.id,
            Join {
                instance: old.instance,
                ..join
            },
        );
        member.assignment = old.assignment;
        member.waiting = old.waiting;
        member.expires = old.expires;
        self.insert(member);
    }

    pub(crate) fn set_assignment(&mut self, id: &MemberId, assignment: Assignment) {
        if let Some(member) = self.by_id.get_mut(id) {
            member.assignment = assignment;
        }
    }

    /// Changes what a member waits for. Returns the request that is thereby given up.
    pub(crate) fn set_waiting(&mut self, id: &MemberId, waiting: Waiting) -> Option<Token> {
        let member = self.by_id.get_mut(id)?;
        self.joining -= usize::from(member.is_joining());
        let before = core::mem::replace(&mut member.waiting, waiting);
        self.joining += usize::from(member.is_joining());
        before.token()
    }

    /// The member was heard from. Returns when it will be taken for dead.
    pub(crate) fn touch(&mut self, id: &MemberId, now: Instant) -> Option<Instant> {
        let member = self.by_id.get_mut(id)?;
        member.expires = now.after(member.session_timeout);
        Some(member.expires)
    }

    fn count(&mut self, member: &Member) {
        self.bytes += member.size();
        self.joining += usize::from(member.is_joining());
        self.by_client += usize::from(!member.assigns.is_by_server());
        for (name, _) in member.assigns.protocols() {
            *self.offers.entry(name.clone()).or_insert(0) += 1;
        }
    }

    fn discount(&mut self, member: &Member) {
        self.bytes -= member.size();
        self.joining -= usize::from(member.is_joining());
        self.by_client -= usize::from(!member.assigns.is_by_server());
        for (name, _) in member.assigns.protocols() {
            if let Entry::Occupied(mut count) = self.offers.entry(name.clone()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}
