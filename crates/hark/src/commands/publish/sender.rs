//! Sends lines, many partitions at once, until all are acknowledged.

use std::time::{Duration, Instant, SystemTime};

use door_http::dto::BatchReceipt;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use model::{PartitionIndex, Record, Timestamp, TopicName};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::PublishArgs;
use super::courier::{Courier, Undelivered};
use super::lanes::{Lanes, Load};
use super::lines::Chunk;
use super::progress::Progress;
use crate::commands::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Table;
use crate::text::counted;
use crate::units::Size;

/// Batches under way at once, each to another partition.
const SENDS_MAX: usize = 16;
/// Nothing more is read while so many bytes are not acknowledged.
const BYTES_AHEAD_MAX: usize = 16 << 20;
/// Nothing more is read this many lines behind the first that is not acknowledged.
const LINES_AHEAD_MAX: u64 = 1 << 20;
/// How long answers are waited for when the rest has failed already.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What a run did.
#[derive(Debug, Serialize)]
struct Summary {
    topic: String,
    /// Lines acknowledged: each is there exactly once.
    lines: u64,
    /// Bytes of the batches that hold them.
    bytes: u64,
    /// Of them, lines that were sent again although they were there: the node recognised them.
    recognised: u64,
    /// Lines sent whose acknowledgement never came: each is there once or not at all.
    uncertain: u64,
}

/// Sends everything; then, however it ended, tells how many lines are safe.
pub(super) async fn run(
    topic: TopicName,
    args: &PublishArgs,
    mut context: Context,
    mut lines: Receiver<Outcome<Chunk>>,
) -> Outcome {
    let started = Instant::now();
    let mut progress = Progress::new(args.acks_file.as_ref())?;
    let end = send_all(&topic, args, &context, &mut lines, &mut progress).await;
    progress.finish()?;
    let summary = Summary {
        topic: topic.to_string(),
        lines: progress.lines(),
        bytes: progress.bytes(),
        recognised: progress.recognised(),
        uncertain: progress.uncertain(),
    };
    let elapsed = started.elapsed().as_secs_f64();
    context.out.show(&summary, || summary.table(elapsed))?;
    context.out.flush()?;
    end
}

async fn send_all(
    topic: &TopicName,
    args: &PublishArgs,
    context: &Context,
    lines: &mut Receiver<Outcome<Chunk>>,
    progress: &mut Progress,
) -> Outcome {
    let interrupted = || Err(Failure::new(Exit::Interrupted, "interrupted"));
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    // Nobody is asked for anything before there is something to publish.
    let first = tokio::select! {
        _ = &mut interrupt => return interrupted(),
        first = lines.recv() => first,
    };
    let Some(first) = first.transpose()? else {
        return Ok(());
    };
    let courier = tokio::select! {
        _ = &mut interrupt => return interrupted(),
        courier = Courier::new(&context.client, topic, args.retry_for.0) => courier?,
    };
    let fixed = args.partition.map(PartitionIndex);
    let mut sender = Sender {
        courier: &courier,
        lanes: Lanes::new(courier.terms(), fixed),
        under_way: FuturesUnordered::new(),
        lines,
        read: 0,
        ended: false,
        failure: None,
        progress,
    };
    sender.take(Some(Ok(first)));
    let outcome = tokio::select! {
        _ = &mut interrupt => interrupted(),
        outcome = sender.run() => outcome,
    };
    if outcome.is_err() {
        sender.wind_up().await;
    }
    outcome
}

/// A batch and what became of it.
type Delivery = (Load, Result<BatchReceipt, Undelivered>);

/// The state of one run.
struct Sender<'a> {
    courier: &'a Courier<'a>,
    lanes: Lanes,
    under_way: FuturesUnordered<LocalBoxFuture<'a, Delivery>>,
    lines: &'a mut Receiver<Outcome<Chunk>>,
    /// Lines taken from the input.
    read: u64,
    ended: bool,
    /// What ended the input, to be told once everything before it is safe.
    failure: Option<Failure>,
    progress: &'a mut Progress,
}

impl Sender<'_> {
    async fn run(&mut self) -> Outcome {
        loop {
            self.send();
            if self.ended && self.under_way.is_empty() {
                return self.failure.take().map_or(Ok(()), Err);
            }
            // Without room there is something under way, so one of the two always comes.
            let may_take = !self.ended && self.has_room();
            tokio::select! {
                Some(delivery) = self.under_way.next() => self.settle(delivery)?,
                chunk = self.lines.recv(), if may_take => self.take(chunk),
            }
        }
    }

    /// Sends what can be sent. A batch that could still grow waits only for lines that are there.
    fn send(&mut self) {
        let all = self.ended || self.lines.is_empty() || !self.has_room();
        while self.under_way.len() < SENDS_MAX
            && let Some(load) = self.lanes.next(all)
        {
            self.progress.send(&load.lines);
            let courier = self.courier;
            let delivery = async move {
                let outcome = courier.deliver(&load).await;
                (load, outcome)
            };
            self.under_way.push(Box::pin(delivery));
        }
    }

    fn has_room(&self) -> bool {
        let lines_ahead = self.read - self.progress.complete();
        self.lanes.bytes() < BYTES_AHEAD_MAX && lines_ahead < LINES_AHEAD_MAX
    }

    fn take(&mut self, chunk: Option<Outcome<Chunk>>) {
        match chunk {
            None => self.ended = true,
            Some(Err(failure)) => self.end_with(failure),
            Some(Ok(chunk)) => {
                if let Err(failure) = self.push_all(chunk) {
                    self.end_with(failure);
                }
            }
        }
    }

    fn push_all(&mut self, chunk: Chunk) -> Outcome {
        let timestamp = now();
        for record in chunk {
            let line = self.read + 1;
            let record = Record {
                timestamp,
                ..record
            };
            let pushed = self.lanes.push(line, &record);
            pushed.map_err(|unfit| {
                Failure::new(Exit::Refused, format!("line {line} of the input: {unfit}"))
            })?;
            self.read = line;
        }
        Ok(())
    }

    fn end_with(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.ended = true;
    }

    /// Takes note of what became of a batch.
    fn settle(&mut self, (load, outcome): Delivery) -> Outcome {
        match outcome {
            Ok(receipt) => {
                self.lanes.done(&load);
                if receipt.receipt.duplicate {
                    self.progress.recognise(&load.lines);
                }
                self.progress.acknowledge(&load.lines, load.bytes.len())
            }
            Err(undelivered) => {
                if !undelivered.perhaps_there {
                    self.progress.withdraw(&load.lines);
                }
                Err(undelivered.into_failure_of(&load.lines))
            }
        }
    }

    /// Takes the answers that are still to come, so that what is safe is known.
    async fn wind_up(&mut self) {
        self.courier.stop();
        let answers = async {
            while let Some(delivery) = self.under_way.next().await {
                // The first failure is told already.
                drop(self.settle(delivery));
            }
        };
        // What has no answer by then stays uncertain.
        drop(tokio::time::timeout(LAST_ANSWERS, answers).await);
    }
}

impl Summary {
    fn table(&self, seconds: f64) -> Table {
        let mut table = Table::default();
        let rate = self.lines as f64 / seconds.max(1e-6);
        table.row([format!(
            "published {} ({}) to {} in {seconds:.1} s ({rate:.0} lines/s)",
            counted(self.lines, "line"),
            Size(self.bytes),
            self.topic,
        )]);
        if self.recognised > 0 {
            table.row([format!(
                "{} of them were sent again and recognised: they are there once",
                self.recognised
            )]);
        }
        if self.uncertain > 0 {
            table.row([format!(
                "{} sent and never acknowledged, and perhaps there",
                counted(self.uncertain, "more line")
            )]);
        }
        table
    }
}

/// The time now; records carry it from here on.
pub(super) fn now() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = i64::try_from(since.unwrap_or_default().as_millis());
    Timestamp::from_millis(millis.unwrap_or(i64::MAX))
}
