//! A small language for histories of a coordinator.
//!
//! ```text
//! topic NAME COUNT                        a topic has COUNT partitions from now on
//! join GROUP WHO [by=server|P,P…] [topics=T,T…] [instance=I] [session=S] [rebalance=S] [id-first]
//! sync GROUP WHO GENERATION [WHO=BYTES…]  beat GROUP WHO GENERATION
//! leave GROUP WHO…                        WHO may be instance:I
//! commit GROUP WHO@GENERATION|- T-P=OFFSET…
//! fetch GROUP [T-P…]    describe GROUP    list    delete GROUP
//! advance SECONDS       time passes, with a tick at each deadline
//! disk ok|hold|fail     what becomes of writes; `disk ok` and `disk fail` also end the held ones
//! restart               a new process with what is on disk
//! options delay=S|retention=S|members=N|groups=N   at the start
//! ```
//!
//! A new member is called by its client's name; the trace calls it NAME#1, NAME#2 … by the order
//! of its ids, and so does the script from then on.

mod print;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use groups::{
    Answer, Assigns, Commit, CommitRequest, Coordinator, Departure, Error, Fence, FetchCommits,
    Input, Join, Leave, MemberId, Options, Output, Request, Restoring, StateRecord, Sync, Ticket,
    Token,
};
use model::{Instant, Offset, PartitionId, PartitionIndex, TopicId, TopicName};

/// Runs the `> ` lines of `text`; returns them with what came of each.
pub(crate) fn run(text: &str) -> String {
    let mut script = Script::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            writeln!(script.trace, "> {command}").unwrap();
            script.command(command);
        } else if line.starts_with("# ") || line.is_empty() {
            writeln!(script.trace, "{line}").unwrap();
        }
    }
    script.trace
}

#[derive(Clone, Copy, PartialEq)]
enum Disk {
    Ok,
    Hold,
    Fail,
}

struct Script {
    coordinator: Coordinator,
    options: Options,
    now: Instant,
    disk: Disk,
    log: Vec<StateRecord>,
    held: VecDeque<(Ticket, Vec<StateRecord>)>,
    topics: BTreeMap<String, (TopicId, u32)>,
    requests: Vec<String>,
    names: BTreeMap<MemberId, String>,
    ids: BTreeMap<String, MemberId>,
    processes: u64,
    trace: String,
}

impl Script {
    fn new() -> Self {
        let options = Options::default();
        Self {
            coordinator: Restoring::new().start(Instant::ZERO, options.clone(), 0, []),
            options,
            now: Instant::ZERO,
            disk: Disk::Ok,
            log: Vec::new(),
            held: VecDeque::new(),
            topics: BTreeMap::new(),
            requests: Vec::new(),
            names: BTreeMap::new(),
            ids: BTreeMap::new(),
            processes: 0,
            trace: String::new(),
        }
    }

    fn command(&mut self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["topic", name, count] => self.topic(name, count.parse().unwrap()),
            ["advance", seconds] => self.advance(self.now.after(duration(seconds))),
            ["disk", what] => self.set_disk(what),
            ["options", ref pairs @ ..] => self.set_options(pairs),
            ["restart"] => self.restart(),
            _ => {
                let request = self.request(&words);
                let token = Token(self.requests.len() as u64);
                let subject = words.get(2).map_or(String::new(), |who| format!(" {who}"));
                self.requests.push(format!("{}{subject}", words[0]));
                self.handle(Input::Request { token, request });
            }
        }
    }

    fn request(&self, words: &[&str]) -> Request {
        let group = words.get(1).map(|name| name.parse().unwrap());
        match (words, group) {
            (["join", _, who, rest @ ..], Some(group)) => Request::Join(Join {
                group,
                ..self.join(who, rest)
            }),
            (["sync", _, who, generation, shares @ ..], Some(group)) => Request::Sync(Sync {
                group,
                fence: self.fence(who, generation),
                protocol: None,
                assignments: shares.iter().map(|share| self.share(share)).collect(),
            }),
            (["beat", _, who, generation], Some(group)) => Request::Heartbeat {
                group,
                fence: self.fence(who, generation),
            },
            (["leave", _, who @ ..], Some(group)) => {
                let members = who.iter().map(|who| self.departure(who)).collect();
                Request::Leave(Leave { group, members })
            }
            (["commit", _, who, rows @ ..], Some(group)) => Request::Commit(CommitRequest {
                group,
                fence: who
                    .split_once('@')
                    .map(|(who, generation)| self.fence(who, generation)),
                offsets: rows.iter().map(|row| self.commit(row)).collect(),
            }),
            (["fetch", _, rows @ ..], Some(group)) => {
                let partitions = rows.iter().map(|row| self.partition(row)).collect();
                let partitions = (!rows.is_empty()).then_some(partitions);
                Request::FetchCommits(FetchCommits { group, partitions })
            }
            (["describe", _], Some(group)) => Request::Describe(group),
            (["delete", _], Some(group)) => Request::DeleteGroup(group),
            (["list"], None) => Request::List,
            _ => panic!("no such command: {words:?}"),
        }
    }

    fn join(&self, who: &str, rest: &[&str]) -> Join {
        let options: BTreeMap<&str, &str> = rest
            .iter()
            .map(|word| word.split_once('=').unwrap_or((word, "")))
            .collect();
        let list = |key| {
            options
                .get(key)
                .into_iter()
                .flat_map(|list| list.split(','))
        };
        let topics: BTreeSet<TopicName> =
            list("topics").map(|name| name.parse().unwrap()).collect();
        let metadata = Bytes::from(format!("{who} wants {topics:?}").replace("TopicName", ""));
        let assigns = match options.get("by") {
            None | Some(&"server") => Assigns::ByServer { topics },
            Some(_) => Assigns::ByClient {
                protocol_type: (*options.get("type").unwrap_or(&"consumer")).into(),
                protocols: list("by")
                    .map(|name| (name.into(), metadata.clone()))
                    .collect(),
                topics,
            },
        };
        Join {
            group: "unset".parse().unwrap(),
            member: who.contains('#').then(|| self.id(who)),
            instance: options.get("instance").map(|name| name.parse().unwrap()),
            client: who.into(),
            host: "10.0.0.1".into(),
            session_timeout: options
                .get("session")
                .map_or(Duration::from_secs(10), |s| duration(s)),
            rebalance_timeout: options
                .get("rebalance")
                .map_or(Duration::from_secs(30), |s| duration(s)),
            assigns,
            member_id_required: options.contains_key("id-first"),
        }
    }

    /// `NAME#N`, or `NAME#N/INSTANCE` of a static member.
    fn fence(&self, who: &str, generation: &str) -> Fence {
        let (who, instance) = who
            .split_once('/')
            .map_or((who, None), |(w, i)| (w, Some(i)));
        Fence {
            member: self.id(who),
            instance: instance.map(|name| name.parse().unwrap()),
            generation: generation.parse().unwrap(),
        }
    }

    fn departure(&self, who: &str) -> Departure {
        match who.strip_prefix("instance:") {
            Some(name) => Departure {
                member: None,
                instance: Some(name.parse().unwrap()),
            },
            None => Departure {
                member: Some(self.id(who)),
                instance: None,
            },
        }
    }

    fn share(&self, share: &str) -> (MemberId, Bytes) {
        let (who, bytes) = share.split_once('=').unwrap();
        (self.id(who), Bytes::copy_from_slice(bytes.as_bytes()))
    }

    fn commit(&self, row: &str) -> (PartitionId, Commit) {
        let (partition, offset) = row.split_once('=').unwrap();
        let offset = Offset::new(offset.parse().unwrap()).unwrap();
        (
            self.partition(partition),
            Commit {
                offset,
                leader_epoch: None,
                metadata: "".into(),
            },
        )
    }

    fn partition(&self, text: &str) -> PartitionId {
        let (topic, index) = text.rsplit_once('-').unwrap();
        let (topic, _) = self.topics[topic];
        PartitionId {
            topic,
            index: PartitionIndex(index.parse().unwrap()),
        }
    }

    /// A name that nobody has is a member id that was never given out.
    fn id(&self, who: &str) -> MemberId {
        self.ids
            .get(who)
            .cloned()
            .unwrap_or_else(|| who.parse().unwrap())
    }

    fn topic(&mut self, name: &str, count: u32) {
        let fresh = self.topics.len() as u8 + 1;
        let topic = match self.topics.get(name) {
            Some((topic, _)) => *topic,
            None => TopicId::from_bytes([fresh; 16]),
        };
        self.topics.insert(name.to_owned(), (topic, count));
        self.handle(Input::PartitionsChanged {
            topic,
            name: name.parse().unwrap(),
            count,
        });
    }

    fn advance(&mut self, until: Instant) {
        while let Some(deadline) = self.coordinator.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            self.handle(Input::Tick);
        }
        self.now = until;
        self.handle(Input::Tick);
    }

    fn set_disk(&mut self, what: &str) {
        self.disk = match what {
            "ok" => Disk::Ok,
            "hold" => Disk::Hold,
            "fail" => Disk::Fail,
            _ => panic!("no such disk: {what}"),
        };
        for (ticket, records) in std::mem::take(&mut self.held) {
            self.end_write(ticket, records);
        }
    }

    fn end_write(&mut self, ticket: Ticket, records: Vec<StateRecord>) {
        match self.disk {
            Disk::Ok => {
                self.log.extend(records);
                self.handle(Input::Persisted { ticket });
            }
            Disk::Fail => self.handle(Input::PersistFailed { ticket }),
            Disk::Hold => self.held.push_back((ticket, records)),
        }
    }

    fn set_options(&mut self, pairs: &[&str]) {
        for pair in pairs {
            match pair.split_once('=').unwrap() {
                ("delay", seconds) => self.options.initial_rebalance_delay = duration(seconds),
                ("retention", seconds) => self.options.commit_retention = duration(seconds),
                ("members", count) => self.options.members_max = count.parse().unwrap(),
                ("groups", count) => self.options.groups_max = count.parse().unwrap(),
                _ => panic!("no such option: {pair}"),
            }
        }
        self.restart();
    }

    /// The records make the trip through their bytes, as in a log.
    fn restart(&mut self) {
        self.held.clear();
        self.processes += 1;
        let mut restoring = Restoring::new();
        for record in &self.log {
            let (key, value) = (record.key(), record.value());
            restoring.apply(StateRecord::decode(&key, value.as_deref()).unwrap());
        }
        let topics = self.topics.iter().filter(|(_, (_, count))| *count > 0);
        let topics = topics.map(|(name, (topic, count))| (*topic, name.parse().unwrap(), *count));
        self.coordinator = restoring.start(self.now, self.options.clone(), self.processes, topics);
        self.drain();
    }

    fn handle(&mut self, input: Input) {
        self.coordinator.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.coordinator.poll() {
            match output {
                Output::Persist { ticket, records } => {
                    for record in &records {
                        let line = self.record(record);
                        writeln!(self.trace, "  {:>6} store {line}", self.clock()).unwrap();
                    }
                    self.end_write(ticket, records);
                }
                Output::Reply { token, result } => self.reply(token, &result),
            }
        }
    }

    fn reply(&mut self, token: Token, result: &Result<Answer, Error>) {
        self.learn_ids(token, result);
        let request = self.requests[usize::try_from(token.0).unwrap()].clone();
        let answer = match result {
            Ok(answer) => self.answer(answer),
            Err(Error::MemberIdRequired(id)) => format!("member_id_required {}", self.name(id)),
            Err(error) => error.code().to_owned(),
        };
        writeln!(self.trace, "  {:>6} {request}: {answer}", self.clock()).unwrap();
    }

    fn learn_ids(&mut self, token: Token, result: &Result<Answer, Error>) {
        let id = match result {
            Ok(Answer::Joined(joined)) => &joined.member,
            Err(Error::MemberIdRequired(id)) => id,
            _ => return,
        };
        if self.names.contains_key(id) {
            return;
        }
        let request = &self.requests[usize::try_from(token.0).unwrap()];
        let client = request
            .rsplit(' ')
            .next()
            .unwrap()
            .split('#')
            .next()
            .unwrap()
            .to_owned();
        let name = (1..)
            .map(|n| format!("{client}#{n}"))
            .find(|name| !self.ids.contains_key(name));
        let name = name.unwrap();
        self.names.insert(id.clone(), name.clone());
        self.ids.insert(name, id.clone());
    }
}

fn duration(seconds: &str) -> Duration {
    Duration::from_secs_f64(seconds.trim_end_matches('s').parse().unwrap())
}
