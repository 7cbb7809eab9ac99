//! `hark pub`: one message, or the lines of standard input.
//!
//! Exactly once: every batch carries the publisher's identity and a number, and is sent again, the
//! same bytes, until there is an answer; the node appends what it has not taken before. Each
//! partition has one batch under way at a time, so lines with the same key keep their order.
//!
//! ```text
//! lines (a thread) ─► lanes: a batch for each partition ─► courier ─► node ─► progress
//! ```

mod courier;
mod lanes;
mod lines;
mod progress;
mod ranges;
mod sender;

use std::io::{IsTerminal as _, stdin};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use door_http::dto::Receipt;
use model::{Header, PartitionIndex, Record, TopicName};

use super::{Context, answered};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Table;
use crate::units::Span;
use courier::Courier;
use lanes::Lanes;

/// Options of `hark pub`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The topic; asked for at a terminal when left out.
    topic: Option<TopicName>,
    /// The message; when left out, every line of standard input is one.
    #[arg(allow_negative_numbers = true)]
    message: Option<String>,
    /// Key of the message, or of all lines.
    #[arg(long, short, env = "HARK_PUB_KEY", conflicts_with = "key_separator")]
    key: Option<String>,
    /// What stands between key and message in each line of standard input (`\t` for the tab).
    #[arg(long, env = "HARK_PUB_KEY_SEPARATOR", value_name = "TEXT")]
    key_separator: Option<String>,
    /// A header, as NAME=VALUE; may be given several times.
    #[arg(long, short = 'H', env = "HARK_PUB_HEADER", value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Which partition [default: by key; without keys, spread].
    #[arg(long, short, env = "HARK_PUB_PARTITION", value_name = "N")]
    partition: Option<u32>,
    /// How long to go on trying when the server is away; nothing is published twice by that.
    #[arg(
        long,
        env = "HARK_PUB_RETRY_FOR",
        value_name = "DURATION",
        default_value = "60s"
    )]
    retry_for: Span,
    /// Append a line `FIRST LAST` here whenever these lines of the input, counted from 1, were
    /// acknowledged and all before them.
    #[arg(long, env = "HARK_PUB_ACKS_FILE", value_name = "FILE")]
    acks_file: Option<PathBuf>,
}

/// What all lines of one run have in common.
#[derive(Debug, Clone)]
struct Shape {
    key: Option<Bytes>,
    key_separator: Option<Vec<u8>>,
    headers: Vec<Header>,
}

/// Publishes.
pub(crate) async fn run(args: PublishArgs, context: Context) -> Outcome {
    let at_terminal = stdin().is_terminal();
    let topic = match &args.topic {
        Some(topic) => topic.clone(),
        None if at_terminal => ask_topic()?,
        None => return Err(Failure::usage("name the topic: hark pub TOPIC [MESSAGE]")),
    };
    let message = match &args.message {
        None if at_terminal => Some(ask("Message:")?),
        given => given.clone(),
    };
    match message {
        Some(message) => publish_one(&topic, message, &args, context).await,
        None => {
            let shape = shape(&args)?;
            let lines = lines::read(stdin(), shape);
            sender::run(topic, &args, context, lines).await
        }
    }
}

async fn publish_one(
    topic: &TopicName,
    message: String,
    args: &PublishArgs,
    mut context: Context,
) -> Outcome {
    if args.key_separator.is_some() {
        return Err(Failure::usage(
            "--key-separator is for lines of standard input; use --key",
        ));
    }
    let courier = Courier::new(&context.client, topic, args.retry_for.0).await?;
    let mut lanes = Lanes::new(courier.terms(), args.partition.map(PartitionIndex));
    let record = Record {
        key: args.key.clone().map(Bytes::from),
        value: Some(Bytes::from(message)),
        headers: headers(args),
        timestamp: sender::now(),
    };
    let refused = |unfit: lanes::Unfit| Failure::new(Exit::Refused, unfit.to_string());
    lanes.push(1, &record).map_err(refused)?;
    let nothing = || Failure::failed("there is nothing to publish");
    let load = lanes.next(true).ok_or_else(nothing)?;
    let delivered = courier.deliver(&load).await;
    let receipt = delivered
        .map_err(courier::Undelivered::into_failure)?
        .receipt;
    context.out.show(&receipt, || receipt_line(&receipt))?;
    context.out.flush()
}

fn receipt_line(receipt: &Receipt) -> Table {
    let mut table = Table::default();
    table.row([format!(
        "published to {}, partition {}, offset {}",
        receipt.topic, receipt.partition, receipt.offset
    )]);
    table
}

fn shape(args: &PublishArgs) -> Outcome<Shape> {
    let key_separator = args
        .key_separator
        .as_ref()
        .map(|text| text.replace("\\t", "\t"));
    if key_separator.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::usage("--key-separator must not be empty"));
    }
    Ok(Shape {
        key: args.key.clone().map(Bytes::from),
        key_separator: key_separator.map(String::into_bytes),
        headers: headers(args),
    })
}

fn headers(args: &PublishArgs) -> Vec<Header> {
    let header = |(name, value): &(String, String)| Header {
        name: Bytes::from(name.clone()),
        value: Some(Bytes::from(value.clone())),
    };
    args.header.iter().map(header).collect()
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn ask_topic() -> Outcome<TopicName> {
    let name = ask("Topic:")?;
    name.trim()
        .parse()
        .map_err(|error| Failure::usage(format!("'{name}': {error}")))
}

fn ask(question: &str) -> Outcome<String> {
    answered(inquire::Text::new(question).prompt())
}
