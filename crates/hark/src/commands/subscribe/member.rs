//! Following as a member of a group, by long polls.

use std::time::Duration;

use door_http::dto::{CommitAnswer, CommitRequest, PollAnswer, UnsubscribeRequest};
use model::limits::POLL_RECORDS_DEFAULT;

use super::{End, Reading, SubscribeArgs, end_of_reading};
use crate::client::{CallError, Request};
use crate::exit::Outcome;
use crate::output::note;

/// How long one poll waits. Short enough that a dead connection is noticed, long enough to be rare.
const POLL_WAIT: Duration = Duration::from_secs(20);

/// One member.
#[derive(Debug)]
struct Member<'a> {
    reading: Reading,
    group: &'a str,
    consumer: String,
    from: String,
    session_timeout: Option<Duration>,
    /// What was shown and not yet committed.
    shown: Option<String>,
}

/// Shows messages until the end; then commits what was shown, and leaves.
pub(super) async fn run(reading: Reading, group: &str, args: &SubscribeArgs) -> Outcome {
    let mut member = Member {
        reading,
        group,
        consumer: args.consumer.clone().unwrap_or_else(made_up_name),
        from: args.from.clone().unwrap_or_else(|| "earliest".to_owned()),
        session_timeout: args.session_timeout.map(|span| span.0),
        shown: None,
    };
    let end = tokio::select! {
        outcome = member.follow() => outcome,
        end = end_of_reading(args.timeout) => Ok(end),
    };
    match end {
        Ok(end) => {
            tokio::select! {
                () = member.say_goodbye() => {}
                // Who presses Ctrl-C now does not want to wait for a node that does not answer.
                _ = tokio::signal::ctrl_c() => {}
            }
            member.reading.finish(end)
        }
        Err(failure) => Err(failure),
    }
}

impl Member<'_> {
    async fn follow(&mut self) -> Outcome<End> {
        while !self.reading.shower.is_done() {
            let request = self.poll();
            match self
                .reading
                .context
                .client
                .ask::<PollAnswer<'static>>(&request)
                .await
            {
                Ok(answer) => {
                    self.reading.reached().await;
                    self.show(answer)?;
                }
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(End::Count)
    }

    fn poll(&self) -> Request {
        let most = self
            .reading
            .shower
            .left()
            .unwrap_or(u64::MAX)
            .min(POLL_RECORDS_DEFAULT as u64);
        Request::get(&["poll"])
            .query("topic", &self.reading.topic)
            .query("group", self.group)
            .query("consumer", &self.consumer)
            .query("from", &self.from)
            .query("max", most)
            .query("timeout_ms", POLL_WAIT.as_millis())
            .query_opt(
                "session_timeout_ms",
                self.session_timeout.map(|time| time.as_millis()),
            )
            .query_opt("cursor", self.shown.as_ref())
            .waits(POLL_WAIT)
    }

    fn show(&mut self, answer: PollAnswer<'_>) -> Outcome {
        self.reading.retry.succeeded();
        answer
            .gaps
            .iter()
            .for_each(|gap| self.reading.shower.gap(gap));
        for record in &answer.records {
            self.reading
                .shower
                .record(&mut self.reading.context.out, record)?;
        }
        self.reading.context.out.flush()?;
        self.shown = Some(answer.cursor);
        Ok(())
    }

    /// After a rebalance what was shown may belong to another member, who will show it again.
    async fn recover(&mut self, error: CallError) -> Outcome {
        if matches!(error.code(), Some("rebalanced" | "not_a_member"))
            && self.shown.take().is_some()
        {
            return Ok(());
        }
        self.reading.retry.pause(error).await
    }

    async fn say_goodbye(&mut self) {
        self.commit().await;
        self.leave().await;
    }

    async fn commit(&mut self) {
        let Some(cursor) = self.shown.take() else {
            return;
        };
        let request = Request::post(&["commit"]).json(&CommitRequest {
            group: self.group.to_owned(),
            consumer: Some(self.consumer.clone()),
            cursor,
        });
        let else_what = "the last messages were not committed and will come again";
        self.last_word(&request, else_what).await;
    }

    /// Leaving spares the others the session timeout; without it they wait, and nothing is lost.
    async fn leave(&self) {
        let request = Request::post(&["unsubscribe"]).json(&UnsubscribeRequest {
            group: self.group.to_owned(),
            consumer: self.consumer.clone(),
        });
        self.last_word(&request, "the group was not left").await;
    }

    /// Tells the group, once: a command that ends waits for nobody.
    async fn last_word(&self, request: &Request, else_what: &str) {
        let answer = self.reading.context.client.ask::<CommitAnswer>(request);
        if let Err(error) = answer.await {
            note(&format!("hark: {else_what}: {error}"));
        }
    }
}

/// A name that no other member has: the process and the moment.
fn made_up_name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.unwrap_or_default().as_nanos();
    format!("hark-{}-{:x}", std::process::id(), nanos & 0xffff_ffff)
}
