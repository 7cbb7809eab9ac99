//! `hark sub`: follow a topic, alone or as a member of a group.
//!
//! Alone it reads server-sent events and goes on behind the last one after a broken connection. In
//! a group it polls; a poll commits what the one before delivered and what was shown, and the end
//! commits the rest: at least once.

mod follow;
mod member;
mod show;

use std::io::{IsTerminal as _, stdin};
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use door_http::dto::TopicsAnswer;
use model::TopicName;

use self::show::Shower;
use super::{Context, answered};
use crate::client::{CallError, Patience, Request};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, note};
use crate::units::Span;

/// Options of `hark sub`.
#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The topic; asked for at a terminal when left out.
    topic: Option<TopicName>,
    /// Where to begin: earliest, latest, an offset, @MILLISECONDS or an RFC 3339 time
    /// [default: latest; in a group: what it has not finished, and earliest for what it never read].
    #[arg(long, short, env = "HARK_SUB_FROM", value_name = "POSITION")]
    from: Option<String>,
    /// Share the topic with the other members of this group and remember its progress.
    #[arg(long, short, env = "HARK_SUB_GROUP", value_name = "NAME")]
    group: Option<String>,
    /// This member's name; one that comes back takes its old place [default: made up].
    #[arg(
        long,
        env = "HARK_SUB_CONSUMER",
        value_name = "NAME",
        requires = "group"
    )]
    consumer: Option<String>,
    /// End after this many messages.
    #[arg(
        long,
        short = 'n',
        env = "HARK_SUB_COUNT",
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    count: Option<u64>,
    /// One line of JSON per message, with partition, offset, key and headers.
    #[arg(long, env = "HARK_SUB_JSON", value_parser = BoolishValueParser::new())]
    json: bool,
    /// Write the key and this text before each message (`\t` for the tab).
    #[arg(
        long,
        env = "HARK_SUB_KEY_SEPARATOR",
        value_name = "TEXT",
        conflicts_with = "json"
    )]
    key_separator: Option<String>,
    /// End after this time; with --count, exit code 7 when the messages had not all come. A number
    /// alone is seconds.
    #[arg(long, short, env = "HARK_SUB_TIMEOUT", value_name = "DURATION", value_parser = timeout)]
    timeout: Option<Span>,
    /// How long the group waits for this member when it is silent [default: 10s].
    #[arg(
        long,
        env = "HARK_SUB_SESSION_TIMEOUT",
        value_name = "DURATION",
        requires = "group"
    )]
    session_timeout: Option<Span>,
    /// How long to go on trying when the server goes away [default: without end].
    #[arg(long, env = "HARK_SUB_RETRY_FOR", value_name = "DURATION")]
    retry_for: Option<Span>,
}

/// What both ways of reading work with.
#[derive(Debug)]
struct Reading {
    context: Context,
    topic: TopicName,
    shower: Shower,
    retry: Retry,
}

/// Tries again while the server is away: briefly until it was there once, then as long as asked.
#[derive(Debug)]
struct Retry {
    patience: Patience,
    lasting: Duration,
    was_there: bool,
    told: bool,
}

/// Follows until the end that was asked for.
pub(crate) async fn run(args: SubscribeArgs, context: Context) -> Outcome {
    let topic = match &args.topic {
        Some(topic) => topic.clone(),
        None if stdin().is_terminal() => ask_topic(&context).await?,
        None => return Err(Failure::usage("name the topic: hark sub TOPIC")),
    };
    let json = args.json || context.out.format == Format::Json;
    let separator = args
        .key_separator
        .as_ref()
        .map(|text| text.replace("\\t", "\t"));
    let reading = Reading {
        topic,
        shower: Shower::new(json, separator, args.count),
        retry: Retry::new(args.retry_for),
        context,
    };
    match &args.group {
        Some(group) => member::run(reading, group, &args).await,
        None => follow::run(reading, &args).await,
    }
}

/// When the reading shall end, whatever comes: Ctrl-C, or the time given.
async fn end_of_reading(timeout: Option<Span>) -> End {
    let timer = async {
        match timeout {
            Some(span) => tokio::time::sleep(span.0).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => End::Interrupt,
        () = timer => End::Timeout,
    }
}

/// Why a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Count,
    Interrupt,
    Timeout,
}

impl Reading {
    /// There is a server. Before anything is shown, it tells of the others: it may die at any time.
    async fn reached(&mut self) {
        if self.retry.reached() {
            self.context.client.learn().await;
            self.context.client.keep_learning();
        }
    }

    /// What the command answers. Ctrl-C is how following ends, and no failure.
    fn finish(mut self, end: End) -> Outcome {
        self.context.out.flush()?;
        match (end, self.shower.left()) {
            (End::Timeout, Some(left)) => Err(Failure::new(
                Exit::Timeout,
                format!("{left} messages did not come in time"),
            )),
            _ => Ok(()),
        }
    }
}

impl Retry {
    fn new(lasting: Option<Span>) -> Self {
        Self {
            patience: Patience::brief(),
            lasting: lasting.map_or(Duration::MAX, |span| span.0),
            was_there: false,
            told: false,
        }
    }

    /// There is a server: from now on it is waited for as long as asked. Whether it is the first.
    fn reached(&mut self) -> bool {
        if self.was_there {
            return false;
        }
        self.was_there = true;
        self.patience = Patience::lasting(self.lasting);
        true
    }

    /// An answer came.
    fn succeeded(&mut self) {
        if std::mem::take(&mut self.told) {
            note("hark: connected again");
        }
        self.patience.renew();
    }

    /// Pauses before the next try, or gives the error back.
    async fn pause(&mut self, error: CallError) -> Outcome {
        if !error.is_passing() {
            return Err(error.into());
        }
        if self.was_there && !std::mem::replace(&mut self.told, true) {
            note(&format!("hark: {error}\nhark: trying again"));
        }
        if self.patience.pause(&error).await {
            Ok(())
        } else {
            Err(error.into())
        }
    }
}

async fn ask_topic(context: &Context) -> Outcome<TopicName> {
    let answer: TopicsAnswer = context
        .client
        .call(&Request::get(&["admin", "topics"]))
        .await?;
    let names: Vec<String> = answer.topics.into_iter().map(|topic| topic.name).collect();
    let name = answered(if names.is_empty() {
        inquire::Text::new("Topic:").prompt()
    } else {
        inquire::Select::new("Topic:", names).prompt()
    })?;
    name.trim()
        .parse()
        .map_err(|error| Failure::usage(format!("'{name}': {error}")))
}

/// A duration; a number alone is seconds.
fn timeout(text: &str) -> Result<Span, String> {
    match text.parse::<u64>() {
        Ok(seconds) => Ok(Span(Duration::from_secs(seconds))),
        Err(_) => text.parse(),
    }
}
