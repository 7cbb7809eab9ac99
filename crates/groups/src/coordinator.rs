//! All groups of a node: finds the group that an input is for, and keeps the time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use model::{Instant, TopicId, TopicName};

use crate::group::{Context, Group};
use crate::name::MemberIds;
use crate::outbox::Outbox;
use crate::restore::StoredGroup;
use crate::topics::Topics;
use crate::{
    Answer, CommitRequest, Error, GroupName, Input, Join, Leave, Options, Output, Request,
    StateRecord, Ticket, Token,
};

/// The coordinator of all groups of a node. Made by [`Restoring`](crate::Restoring).
///
/// The host hands in everything with [`handle`](Self::handle), carries out what
/// [`poll`](Self::poll) says until it says nothing, and comes back with [`Input::Tick`] at
/// [`deadline`](Self::deadline) at the latest.
#[derive(Debug)]
pub struct Coordinator {
    options: Options,
    now: Instant,
    ids: MemberIds,
    topics: Topics,
    groups: BTreeMap<GroupName, Group>,
    timers: BTreeSet<(Instant, GroupName)>,
    out: Outbox,
}

impl Coordinator {
    pub(crate) fn restored(
        now: Instant,
        options: Options,
        seed: u64,
        topics: impl IntoIterator<Item = (TopicId, TopicName, u32)>,
        is_lost: impl Fn(TopicId) -> bool,
        groups: impl Iterator<Item = (GroupName, StoredGroup)>,
    ) -> Self {
        let mut this = Self {
            options,
            now,
            ids: MemberIds::new(seed),
            topics: Topics::default(),
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            out: Outbox::default(),
        };
        for (topic, name, count) in topics {
            this.topics.set(topic, &name, count);
        }
        for (name, stored) in groups {
            let group = Group::restore(&this.context().1, name.clone(), stored);
            this.groups.insert(name.clone(), group);
            this.with_group(&name, |group, cx| {
                group.erase_lost_topics(cx, &is_lost);
                group.on_topics_changed(cx);
            });
        }
        this
    }

    /// Takes in what has happened at `now`. A time before the last one is taken for the last one.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        self.do_what_is_due();
        match input {
            Input::Request { token, request } => self.on_request(token, request),
            Input::PartitionsChanged { topic, name, count } => {
                self.on_partitions_changed(topic, &name, count);
            }
            Input::Persisted { ticket } => self.on_write_ended(ticket, true),
            Input::PersistFailed { ticket } => self.on_write_ended(ticket, false),
            Input::Tick => {}
        }
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// When something will be due. It may turn out that nothing is.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Everything that is known to be on disk, for writing the internal topic anew. Writes on
    /// their way are not in it: append them behind.
    pub fn live_records(&self) -> impl Iterator<Item = StateRecord> {
        self.groups.values().flat_map(Group::live_records)
    }

    fn do_what_is_due(&mut self) {
        let due = self.timers.iter().take_while(|(at, _)| *at <= self.now);
        let due: Vec<GroupName> = due.map(|(_, name)| name.clone()).collect();
        for name in due {
            self.with_group(&name, Group::on_time);
        }
    }

    fn on_request(&mut self, token: Token, request: Request) {
        match request {
            Request::Join(join) => self.on_join(token, join),
            Request::Sync(sync) => {
                let name = sync.group.clone();
                self.ask(token, &name, Error::UnknownMember, |g, cx| {
                    g.sync(cx, token, sync);
                });
            }
            Request::Heartbeat { group, fence } => {
                let beat = |g: &mut Group, cx: &mut Context<'_>| g.heartbeat(cx, token, &fence);
                self.ask(token, &group, Error::UnknownMember, beat);
            }
            Request::Leave(leave) => self.on_leave(token, leave),
            Request::Commit(commit) => self.on_commit(token, commit),
            Request::FetchCommits(fetch) => {
                let nothing = Group::new(fetch.group.clone(), self.now);
                let answer = self
                    .groups
                    .get(&fetch.group)
                    .unwrap_or(&nothing)
                    .fetch(fetch);
                self.out.reply(token, Ok(answer));
            }
            Request::Describe(name) => {
                let described = self.groups.get(&name).map(Group::describe);
                let described = described.ok_or(Error::GroupNotFound);
                self.out.reply(token, described.map(Answer::Description));
            }
            Request::List => {
                let list = self.groups.values().map(Group::summary).collect();
                self.out.reply(token, Ok(Answer::List(list)));
            }
            Request::DeleteGroup(name) => {
                self.ask(token, &name, Error::GroupNotFound, |g, cx| {
                    g.delete(cx, token);
                });
            }
        }
    }

    fn on_join(&mut self, token: Token, join: Join) {
        let name = join.group.clone();
        if join.member.is_none()
            && let Err(error) = self.make_group(&name)
        {
            return self.out.refuse(token, error);
        }
        self.ask(token, &name, Error::UnknownMember, |g, cx| {
            g.join(cx, token, join);
        });
    }

    fn on_leave(&mut self, token: Token, leave: Leave) {
        if self.groups.contains_key(&leave.group) {
            let name = leave.group.clone();
            self.with_group(&name, |group, cx| group.leave(cx, token, leave));
        } else {
            let unknown = leave
                .members
                .into_iter()
                .map(|who| (who, Err(Error::UnknownMember)));
            self.out.reply(token, Ok(Answer::Left(unknown.collect())));
        }
    }

    fn on_commit(&mut self, token: Token, commit: CommitRequest) {
        let name = commit.group.clone();
        if commit.fence.is_none()
            && let Err(error) = self.make_group(&name)
        {
            return self.out.refuse(token, error);
        }
        self.ask(token, &name, Error::GroupNotFound, |g, cx| {
            g.commit(cx, token, commit);
        });
    }

    fn on_partitions_changed(&mut self, topic: TopicId, name: &TopicName, count: u32) {
        let changed = self.topics.set(topic, name, count);
        let names: Vec<GroupName> = self.groups.keys().cloned().collect();
        for group in &names {
            if count == 0 {
                self.with_group(group, |group, cx| group.erase_topic(cx, topic));
            }
            if changed {
                self.with_group(group, Group::on_topics_changed);
            }
        }
    }

    fn on_write_ended(&mut self, ticket: Ticket, stored: bool) {
        self.out.report(ticket, stored);
        while let Some((ticket, write, stored)) = self.out.pop_ended() {
            for (token, answer) in write.replies {
                self.out.reply(
                    token,
                    if stored {
                        Ok(answer)
                    } else {
                        Err(Error::NotPersisted)
                    },
                );
            }
            self.with_group(&write.group, |group, cx| {
                if stored {
                    group.written(cx, ticket, write.records);
                } else {
                    group.not_written(cx, ticket, write.records);
                }
            });
        }
    }

    /// Makes the group unless it exists. One that stays vacant is gone after the request.
    fn make_group(&mut self, name: &GroupName) -> Result<(), Error> {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        if self.groups.len() >= self.options.groups_max {
            return Err(Error::TooManyGroups);
        }
        self.groups
            .insert(name.clone(), Group::new(name.clone(), self.now));
        Ok(())
    }

    /// Passes a request on to its group, or refuses it with `missing`.
    fn ask(
        &mut self,
        token: Token,
        name: &GroupName,
        missing: Error,
        request: impl FnOnce(&mut Group, &mut Context<'_>),
    ) {
        if self.groups.contains_key(name) {
            self.with_group(name, request);
        } else {
            self.out.refuse(token, missing);
        }
    }

    /// Lets something happen to a group, and keeps the timers in step.
    fn with_group(&mut self, name: &GroupName, event: impl FnOnce(&mut Group, &mut Context<'_>)) {
        let (groups, mut cx) = self.context();
        let Some(group) = groups.get_mut(name) else {
            return;
        };
        event(group, &mut cx);
        let (before, is_vacant) = (group.armed, group.is_vacant());
        let wanted = if is_vacant { None } else { group.wake() };
        group.armed = wanted;
        if is_vacant {
            self.groups.remove(name);
        }
        self.rearm(name, before, wanted);
    }

    fn rearm(&mut self, name: &GroupName, before: Option<Instant>, wanted: Option<Instant>) {
        if before == wanted {
            return;
        }
        if let Some(at) = before {
            self.timers.remove(&(at, name.clone()));
        }
        if let Some(at) = wanted {
            self.timers.insert((at, name.clone()));
        }
    }

    /// The groups, and what each of them needs from the rest of the coordinator.
    fn context(&mut self) -> (&mut BTreeMap<GroupName, Group>, Context<'_>) {
        let cx = Context {
            now: self.now,
            options: &self.options,
            topics: &self.topics,
            ids: &mut self.ids,
            out: &mut self.out,
        };
        (&mut self.groups, cx)
    }
}
