//! Takes batches to the topic: each as often as it must be, so that it is there once.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use door_http::dto::{BatchReceipt, ProducerAnswer, ProducerTopic};
use model::{ProducerEpoch, ProducerId, TopicName};

use super::lanes::{Load, Terms};
use super::ranges::Ranges;
use crate::client::{CallError, Client, Patience, Request};
use crate::exit::{Failure, Outcome};
use crate::output::note;

/// Time that a server has to acknowledge a batch, before the same is sent to another.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A publisher with an identity. The cluster that gave it recognises batches that it took before.
#[derive(Debug)]
pub(super) struct Courier<'a> {
    client: &'a Client,
    topic: ProducerTopic,
    terms: Terms,
    retry_for: Duration,
    /// Whether the person knows that something is being tried again.
    warned: Cell<bool>,
    /// Nothing is tried again any more.
    stopped: Cell<bool>,
}

/// A batch without an acknowledgement.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub error: CallError,
    /// Whether it may be in the topic all the same.
    pub perhaps_there: bool,
}

impl<'a> Courier<'a> {
    /// Asks for an identity, and for what there is to know of the topic, which is made if need be.
    pub(super) async fn new(
        client: &'a Client,
        topic: &TopicName,
        retry_for: Duration,
    ) -> Outcome<Self> {
        let request = Request::post(&["producers"]).query("topic", topic);
        let answer = introduce(client, &request, retry_for).await?;
        client.learn().await;
        client.keep_learning();
        let strange = || CallError::Strange("it says nothing of the topic".to_owned());
        let topic = answer.topic.ok_or_else(strange)?;
        let terms = Terms {
            producer: ProducerId(answer.producer_id),
            epoch: ProducerEpoch(answer.epoch),
            partitions: topic.partitions,
            max_bytes: usize::try_from(topic.max_message_bytes).unwrap_or(usize::MAX),
        };
        Ok(Self {
            client,
            topic,
            terms,
            retry_for,
            warned: Cell::new(false),
            stopped: Cell::new(false),
        })
    }

    pub(super) const fn terms(&self) -> Terms {
        self.terms
    }

    /// Sends a batch until it is acknowledged or refused, or the time for trying again is over.
    pub(super) async fn deliver(&self, load: &Load) -> Result<BatchReceipt, Undelivered> {
        let request = self.request(load);
        let mut patience = Patience::lasting(self.retry_for);
        let mut perhaps_there = false;
        loop {
            let error = match self.client.ask::<BatchReceipt>(&request).await {
                Ok(receipt) => {
                    self.warned.set(false);
                    return Ok(receipt);
                }
                Err(error) => error,
            };
            perhaps_there |= error.may_be_done();
            if !self.try_again(&error, &mut patience).await {
                return Err(Undelivered {
                    error,
                    perhaps_there,
                });
            }
        }
    }

    /// Lets every delivery end with the answer it waits for.
    pub(super) fn stop(&self) {
        self.stopped.set(true);
    }

    fn request(&self, load: &Load) -> Request {
        let body: Bytes = load.bytes.clone();
        Request::post(&["topics", &self.topic.name, "batches"])
            .query("partition", load.partition)
            .query("topic_id", &self.topic.id)
            .body("application/octet-stream", body)
            .answers_within(ANSWER_TIMEOUT)
    }

    async fn try_again(&self, error: &CallError, patience: &mut Patience) -> bool {
        if self.stopped.get() || !error.may_pass() {
            return false;
        }
        if !self.warned.replace(true) {
            note(&format!("hark: {error}\nhark: trying again"));
        }
        patience.pause(error).await && !self.stopped.get()
    }
}

/// A node that is not there now may be starting; but a person who never had one is told soon.
async fn introduce(
    client: &Client,
    request: &Request,
    retry_for: Duration,
) -> Outcome<ProducerAnswer> {
    let mut patience = Patience::brief();
    let mut was_there = false;
    loop {
        let error = match client.ask(request).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !was_there && !matches!(error, CallError::Unreachable(_)) {
            was_there = true;
            patience = Patience::lasting(retry_for);
        }
        if !(error.may_pass() && patience.pause(&error).await) {
            return Err(error.into());
        }
    }
}

impl Undelivered {
    /// The failure to report.
    pub(super) fn into_failure(self) -> Failure {
        let mut failure = Failure::from(self.error);
        if self.perhaps_there {
            failure.message += "\nIt may have been published all the same.";
        }
        failure
    }

    /// The failure to report when it was of these lines.
    pub(super) fn into_failure_of(self, lines: &Ranges) -> Failure {
        let mut failure = Failure::from(self.error);
        failure.message = format!("{}: {}", lines.described(), failure.message);
        failure
    }
}
