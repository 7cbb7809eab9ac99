//! Lines of NDJSON as records. Pure: bytes in, records out.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use model::{PartitionIndex, Record, TopicName};

use crate::convert::line_record;
use crate::dto::PublishLine;
use crate::error::{Code, Refusal};

/// Cuts a stream of bytes into whole lines.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    bytes: BytesMut,
    /// Bytes at the front that end with a line's end.
    whole: usize,
}

impl LineBuffer {
    /// Adds what came.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if let Some(end) = piece.iter().rposition(|b| *b == b'\n') {
            self.whole = self.bytes.len() + end + 1;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Bytes of whole lines that wait to be taken.
    pub(super) const fn ready(&self) -> usize {
        self.whole
    }

    /// Bytes of the line that has no end yet.
    pub(super) fn unfinished(&self) -> usize {
        self.bytes.len() - self.whole
    }

    /// How many whole lines wait.
    pub(super) fn whole_lines(&self) -> u64 {
        let whole = self.bytes.get(..self.whole).unwrap_or_default();
        whole.iter().filter(|b| **b == b'\n').count() as u64
    }

    /// All whole lines.
    pub(super) fn take(&mut self) -> Bytes {
        let whole = std::mem::take(&mut self.whole);
        self.bytes.split_to(whole).freeze()
    }

    /// What is left when the input is over: the last line may lack its end.
    pub(super) fn take_rest(&mut self) -> Bytes {
        self.whole = 0;
        self.bytes.split().freeze()
    }
}

/// The records of consecutive lines, to be published together.
#[derive(Debug)]
pub(super) struct Chunk {
    /// By the partition they name, each in the order of the lines.
    pub(super) records: BTreeMap<Option<PartitionIndex>, Vec<Record>>,
    /// Bytes of the lines.
    pub(super) bytes: usize,
    /// Number of the first line, counted from 1.
    first_line: u64,
    /// Lines, blank ones too.
    lines: u64,
    /// Size and line of the largest record.
    largest: (usize, u64),
}

impl Chunk {
    /// No lines yet; the first will have this number.
    pub(super) const fn new(first_line: u64) -> Self {
        Self {
            records: BTreeMap::new(),
            bytes: 0,
            first_line,
            lines: 0,
            largest: (0, 0),
        }
    }

    /// Adds the lines of `block`. A bad line ends it: those before it are added, and the refusal
    /// names the line.
    pub(super) fn extend(
        &mut self,
        block: &Bytes,
        topic: &TopicName,
        partition: Option<PartitionIndex>,
    ) -> Result<(), Refusal> {
        for line in block.split_inclusive(|b| *b == b'\n') {
            self.add(line, block, topic, partition)
                .map_err(|refusal| refusal.at_line(Some(self.next_line()), 0))?;
            self.lines += 1;
            self.bytes += line.len();
        }
        Ok(())
    }

    /// What there is so far; a chunk of the lines that follow takes its place.
    pub(super) fn take(&mut self) -> Self {
        let next = Self::new(self.next_line());
        std::mem::replace(self, next)
    }

    /// Whether there are no lines.
    pub(super) const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The line of the largest record.
    pub(super) const fn largest_line(&self) -> u64 {
        self.largest.1
    }

    /// Number of the line after the last.
    pub(super) const fn next_line(&self) -> u64 {
        self.first_line + self.lines
    }

    fn add(
        &mut self,
        line: &[u8],
        block: &Bytes,
        topic: &TopicName,
        partition: Option<PartitionIndex>,
    ) -> Result<(), Refusal> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let parsed: PublishLine<'_> =
            serde_json::from_slice(line).map_err(|error| line_refusal(&error))?;
        check_topic(&parsed, topic)?;
        let partition = parsed.partition.map(PartitionIndex).or(partition);
        let record = line_record(parsed, block)?;
        self.largest = self.largest.max((record.size(), self.next_line()));
        self.records.entry(partition).or_default().push(record);
        Ok(())
    }
}

/// A line may repeat the topic of the path, and not name another.
pub(crate) fn check_topic(line: &PublishLine<'_>, topic: &TopicName) -> Result<(), Refusal> {
    match &line.topic {
        Some(named) if named != topic.as_str() => {
            let message = "'topic' is not the topic of the path";
            Err(Refusal::new(Code::InvalidRequest, message))
        }
        _ => Ok(()),
    }
}

/// The position that the parser names is one within the line.
fn line_refusal(error: &serde_json::Error) -> Refusal {
    let code = if error.is_data() {
        Code::InvalidRequest
    } else {
        Code::InvalidJson
    };
    let text = error.to_string();
    Refusal::new(code, text.replace(" at line 1 column ", " at column "))
}
