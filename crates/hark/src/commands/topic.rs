//! `hark topic`: make, list, describe, change and delete topics.

use std::io::IsTerminal as _;

use clap::{Args, Subcommand};
use door_http::dto::{
    ConfigRequest, CreateTopicRequest, DeletedAnswer, ModeName, TopicAnswer, TopicConfig,
    TopicsAnswer,
};
use model::TopicName;

use super::{Context, answered};
use crate::client::Request;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Table;
use crate::time::rfc3339;
use crate::units::{Size, Span};

/// What to do with topics.
#[derive(Debug, Subcommand)]
#[command(arg_required_else_help = true)]
pub(crate) enum TopicCommand {
    /// Make a topic.
    Create(CreateArgs),
    /// List all topics.
    List,
    /// Show one topic: settings and partitions.
    Describe {
        /// Its name.
        name: TopicName,
    },
    /// Change settings of a topic, or show them when no change is given.
    Config(ConfigArgs),
    /// Delete a topic and all its records, for ever.
    Delete(DeleteArgs),
}

/// Options of `hark topic create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name: 1 to 249 letters, digits, '.', '_' and '-'.
    name: TopicName,
    /// How many partitions [default: the node's].
    #[arg(long, short, env = "HARK_TOPIC_CREATE_PARTITIONS", value_name = "N")]
    partitions: Option<u32>,
    /// How many copies [default: 1].
    #[arg(
        long,
        visible_alias = "rf",
        env = "HARK_TOPIC_CREATE_REPLICATION_FACTOR",
        value_name = "N"
    )]
    replication_factor: Option<u16>,
    /// How long records are kept [default: for ever].
    #[arg(long, env = "HARK_TOPIC_CREATE_RETENTION", value_name = "DURATION")]
    retention: Option<Span>,
    /// How many bytes each partition keeps [default: all].
    #[arg(long, env = "HARK_TOPIC_CREATE_RETENTION_BYTES", value_name = "SIZE")]
    retention_bytes: Option<Size>,
    /// Size of a segment file [default: 256MiB].
    #[arg(long, env = "HARK_TOPIC_CREATE_SEGMENT_BYTES", value_name = "SIZE")]
    segment_bytes: Option<Size>,
    /// Largest batch taken [default: 1MiB].
    #[arg(long, env = "HARK_TOPIC_CREATE_MAX_MESSAGE_BYTES", value_name = "SIZE")]
    max_message_bytes: Option<Size>,
}

/// Options of `hark topic config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The topic.
    name: TopicName,
    /// How long records are kept, or `default`.
    #[arg(long, env = "HARK_TOPIC_CONFIG_RETENTION", value_name = "DURATION")]
    retention: Option<OrDefault<Span>>,
    /// How many bytes each partition keeps, or `default`.
    #[arg(long, env = "HARK_TOPIC_CONFIG_RETENTION_BYTES", value_name = "SIZE")]
    retention_bytes: Option<OrDefault<Size>>,
    /// Size of a segment file, or `default`.
    #[arg(long, env = "HARK_TOPIC_CONFIG_SEGMENT_BYTES", value_name = "SIZE")]
    segment_bytes: Option<OrDefault<Size>>,
    /// Largest batch taken, or `default`.
    #[arg(long, env = "HARK_TOPIC_CONFIG_MAX_MESSAGE_BYTES", value_name = "SIZE")]
    max_message_bytes: Option<OrDefault<Size>>,
}

/// Options of `hark topic delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The topic, by its exact name.
    name: TopicName,
    /// Do not ask; needed where nobody can be asked.
    #[arg(long)]
    yes: bool,
}

/// A value, or back to the default.
#[derive(Debug, Clone, Copy)]
struct OrDefault<T>(Option<T>);

impl<T: std::str::FromStr> std::str::FromStr for OrDefault<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "default" {
            Ok(Self(None))
        } else {
            text.parse().map(|value| Self(Some(value)))
        }
    }
}

/// Does it.
pub(crate) async fn run(command: TopicCommand, mut context: Context) -> Outcome {
    match command {
        TopicCommand::Create(args) => create(args, &mut context).await?,
        TopicCommand::List => list(&mut context).await?,
        TopicCommand::Describe { name } => describe(&name, &mut context).await?,
        TopicCommand::Config(args) => config(args, &mut context).await?,
        TopicCommand::Delete(args) => delete(&args, &mut context).await?,
    }
    context.out.flush()
}

async fn create(args: CreateArgs, context: &mut Context) -> Outcome {
    let request = Request::post(&["admin", "topics"]).json(&CreateTopicRequest {
        name: args.name.to_string(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        mode: None,
        config: TopicConfig {
            retention_ms: args.retention.map(millis),
            retention_bytes: args.retention_bytes.map(|size| size.0),
            segment_bytes: args.segment_bytes.map(|size| size.0),
            max_message_bytes: args.max_message_bytes.map(|size| size.0),
        },
    });
    let topic: TopicAnswer = context.client.call(&request).await?;
    context.out.show(&topic, || summary(&topic))
}

async fn list(context: &mut Context) -> Outcome {
    let answer: TopicsAnswer = context
        .client
        .call(&Request::get(&["admin", "topics"]))
        .await?;
    context.out.show(&answer, || {
        let mut table = Table::new(&[
            "TOPIC",
            "MODE",
            "PARTITIONS",
            "COPIES",
            "RECORDS",
            "SIZE",
            "CREATED",
        ]);
        for topic in &answer.topics {
            table.row([
                topic.name.clone(),
                mode(topic.mode).to_owned(),
                topic.partitions.to_string(),
                topic.replication_factor.to_string(),
                topic.records.to_string(),
                Size(topic.bytes).to_string(),
                rfc3339(topic.created),
            ]);
        }
        table
    })
}

async fn describe(name: &TopicName, context: &mut Context) -> Outcome {
    let topic = fetch(name, context).await?;
    if context.out.format == crate::output::Format::Json {
        return context.out.json(&topic);
    }
    context.out.line(&summary(&topic).text())?;
    context.out.line("")?;
    context.out.line(&partitions(&topic).text())
}

fn partitions(topic: &TopicAnswer) -> Table {
    let mut table = Table::new(&[
        "PARTITION",
        "LEADER",
        "REPLICAS",
        "ISR",
        "START",
        "END",
        "RECORDS",
        "SIZE",
        "EPOCH",
        "LEADER HTTP",
    ]);
    for partition in &topic.partitions {
        let bounds = partition.start.zip(partition.end);
        let records = bounds.map(|(start, end)| end.saturating_sub(start));
        table.row([
            partition.partition.to_string(),
            partition
                .leader
                .map_or_else(|| "-".to_owned(), |id| id.to_string()),
            ids(&partition.replicas),
            ids(&partition.isr),
            known(partition.start),
            known(partition.end),
            known(records),
            known(partition.bytes.map(Size)),
            partition.epoch.to_string(),
            partition
                .leader_http
                .clone()
                .unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}

fn ids(nodes: &[u16]) -> String {
    let ids: Vec<String> = nodes.iter().map(u16::to_string).collect();
    ids.join(",")
}

/// A value, or a mark in the place of one that nobody could tell.
fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

async fn config(args: ConfigArgs, context: &mut Context) -> Outcome {
    let bytes = |size: OrDefault<Size>| size.0.map(|size| size.0);
    let changes = ConfigRequest {
        retention_ms: args.retention.map(|span| span.0.map(millis)),
        retention_bytes: args.retention_bytes.map(bytes),
        segment_bytes: args.segment_bytes.map(bytes),
        max_message_bytes: args.max_message_bytes.map(bytes),
    };
    let topic = if changes == ConfigRequest::default() {
        fetch(&args.name, context).await?
    } else {
        let path = ["admin", "topics", args.name.as_str()];
        context
            .client
            .call(&Request::patch(&path).json(&changes))
            .await?
    };
    context.out.show(&topic, || summary(&topic))
}

async fn delete(args: &DeleteArgs, context: &mut Context) -> Outcome {
    confirm(args)?;
    let path = ["admin", "topics", args.name.as_str()];
    let answer: DeletedAnswer = context.client.call(&Request::delete(&path)).await?;
    context.out.show(&answer, || {
        let mut table = Table::default();
        table.row([format!("deleted {}", answer.deleted)]);
        table
    })
}

/// A person types the name once more; a script says `--yes`.
fn confirm(args: &DeleteArgs) -> Outcome {
    if args.yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::usage(format!(
            "deleting '{0}' takes all its records for ever; say so with: hark topic delete {0} --yes",
            args.name
        )));
    }
    let question = format!(
        "All records of '{}' will be gone. Type its name to go on:",
        args.name
    );
    let typed = answered(inquire::Text::new(&question).prompt())?;
    if typed.trim() == args.name.as_str() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Refused,
        "that is another name; nothing was deleted",
    ))
}

async fn fetch(name: &TopicName, context: &Context) -> Outcome<TopicAnswer> {
    context
        .client
        .call(&Request::get(&["admin", "topics", name.as_str()]))
        .await
}

fn summary(topic: &TopicAnswer) -> Table {
    let (own, holds) = (&topic.config, &topic.effective);
    let time = |millis| Span(std::time::Duration::from_millis(millis)).to_string();
    let size = |bytes| Size(bytes).to_string();
    let rows = [
        ("id", topic.id.clone()),
        ("mode", mode(topic.mode).to_owned()),
        ("partitions", topic.partitions.len().to_string()),
        ("copies", topic.replication_factor.to_string()),
        ("created", rfc3339(topic.created)),
        (
            "retention",
            setting(own.retention_ms, holds.retention_ms, time),
        ),
        (
            "retention-bytes",
            setting(own.retention_bytes, holds.retention_bytes, size),
        ),
        (
            "segment-bytes",
            setting(own.segment_bytes, holds.segment_bytes, size),
        ),
        (
            "max-message-bytes",
            setting(own.max_message_bytes, holds.max_message_bytes, size),
        ),
    ];
    let mut table = Table::new(&["TOPIC", &topic.name]);
    rows.into_iter()
        .for_each(|(name, value)| table.row([name, &value]));
    table
}

/// What holds, and whether the topic sets it or follows the node.
fn setting(own: Option<u64>, holds: Option<u64>, show: impl Fn(u64) -> String) -> String {
    let value = holds.map_or_else(|| "no limit".to_owned(), show);
    match own {
        Some(_) => value,
        None => format!("{value} (default)"),
    }
}

const fn mode(mode: ModeName) -> &'static str {
    match mode {
        ModeName::Leader => "leader",
        ModeName::Gossip => "gossip",
    }
}

fn millis(span: Span) -> u64 {
    u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
}
