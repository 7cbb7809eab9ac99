//! Few lines in the log for what others can cause as often as they like.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Lets one line a minute through, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Sparing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    kept_back: u64,
}

impl Sparing {
    /// How many lines were kept back since the last one, if this one is to be written.
    pub(crate) fn line(&self) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
            state.kept_back += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.kept_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute_tells_of_the_others() {
        let lines = Sparing::default();
        assert_eq!(lines.line(), Some(0));
        assert_eq!([lines.line(), lines.line()], [None, None]);
        tokio::time::advance(LINE_EVERY).await;
        assert_eq!([lines.line(), lines.line()], [Some(2), None]);
        tokio::time::advance(LINE_EVERY).await;
        assert_eq!(lines.line(), Some(1));
    }
}
