//! Shows messages as they come.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use door_http::dto::{Encoding, GapAnswer, RecordAnswer};

use crate::exit::{Failure, Outcome};
use crate::output::{Out, note};

/// How messages are shown, and how many still shall be.
#[derive(Debug)]
pub(super) struct Shower {
    json: bool,
    key_separator: Option<String>,
    left: Option<u64>,
}

impl Shower {
    pub(super) const fn new(json: bool, key_separator: Option<String>, count: Option<u64>) -> Self {
        Self {
            json,
            key_separator,
            left: count,
        }
    }

    /// How many messages are still wanted; `None` without a count, or when all have come.
    pub(super) fn left(&self) -> Option<u64> {
        self.left.filter(|left| *left > 0)
    }

    /// Whether all that were wanted have come.
    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Shows one message.
    pub(super) fn record(&mut self, out: &mut Out, record: &RecordAnswer<'_>) -> Outcome {
        if self.json {
            out.json(record)?;
        } else {
            self.text(out, record)?;
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    /// Tells the person what will never come.
    pub(super) fn gap(&self, gap: &GapAnswer) {
        note(&format!(
            "hark: partition {}: offsets {} to {} cannot be read: {}",
            gap.partition,
            gap.from,
            gap.to.saturating_sub(1),
            gap.reason
        ));
    }

    fn text(&self, out: &mut Out, record: &RecordAnswer<'_>) -> Outcome {
        if let Some(separator) = &self.key_separator {
            show_bytes(out, record.key.as_deref(), record.key_encoding)?;
            out.bytes(separator.as_bytes())?;
        }
        show_bytes(out, record.message.as_deref(), record.message_encoding)?;
        out.line("")
    }
}

/// The bytes themselves to a pipe or file, harmless text to a terminal. A deleted key's message is
/// nothing.
fn show_bytes(out: &mut Out, text: Option<&str>, encoding: Encoding) -> Outcome {
    let text = text.unwrap_or_default();
    if encoding == Encoding::Utf8 {
        return out.foreign(text);
    }
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|error| Failure::failed(format!("the server sent broken base64: {error}")))?;
    if out.terminal {
        let readable: Cow<'_, str> = String::from_utf8_lossy(&bytes);
        return out.foreign(&readable);
    }
    out.bytes(&bytes)
}
