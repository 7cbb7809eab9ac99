//! Reads lines and makes records of them, on a thread of its own: reading standard input blocks.

use std::io::{BufRead, BufReader, Read};

use bytes::Bytes;
use model::Record;
use model::limits::BATCH_BYTES_MAX;
use tokio::sync::mpsc;

use super::Shape;
use crate::exit::{Exit, Failure, Outcome, While as _};

/// A chunk is handed on when it has this size, or when the input has nothing more for now.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of the sender.
const CHUNKS_WAITING_MAX: usize = 8;

/// One record for each of some lines of the input, in order.
pub(super) type Chunk = Vec<Record>;

/// Starts to read; the last thing received is the failure, if there was one.
pub(super) fn read(
    input: impl Read + Send + 'static,
    shape: Shape,
) -> mpsc::Receiver<Outcome<Chunk>> {
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    // Not joined: it may be waiting for a keyboard when the command is done.
    std::thread::spawn(move || {
        let mut reader = LineReader::new(input, shape);
        while let Some(outcome) = reader.next_chunk() {
            let failed = outcome.is_err();
            if sender.blocking_send(outcome).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

#[derive(Debug)]
struct LineReader<R> {
    input: BufReader<R>,
    shape: Shape,
    /// The line being read.
    line: Vec<u8>,
    number: u64,
    chunk: Chunk,
    chunk_bytes: usize,
    /// What stopped the reading, still to be told after the lines before it.
    failure: Option<Failure>,
    ended: bool,
}

impl<R: Read> LineReader<R> {
    fn new(input: R, shape: Shape) -> Self {
        Self {
            input: BufReader::with_capacity(CHUNK_BYTES, input),
            shape,
            line: Vec::new(),
            number: 0,
            chunk: Chunk::new(),
            chunk_bytes: 0,
            failure: None,
            ended: false,
        }
    }

    /// The next lines, or the failure, or `None` at the end.
    fn next_chunk(&mut self) -> Option<Outcome<Chunk>> {
        while !self.ended {
            if let Err(failure) = self.step() {
                self.failure = Some(failure);
                self.ended = true;
            }
            let nothing_more_for_now = self.input.buffer().is_empty();
            let full = self.chunk_bytes >= CHUNK_BYTES;
            if !self.chunk.is_empty() && (full || nothing_more_for_now) {
                break;
            }
        }
        if !self.chunk.is_empty() {
            self.chunk_bytes = 0;
            return Some(Ok(std::mem::take(&mut self.chunk)));
        }
        self.failure.take().map(Err)
    }

    /// Takes what the input has, up to the end of the line.
    fn step(&mut self) -> Outcome {
        let available = self.input.fill_buf().while_doing("read standard input")?;
        if available.is_empty() {
            self.ended = true;
            // A last line may lack its line end.
            return if self.line.is_empty() {
                Ok(())
            } else {
                self.finish_line()
            };
        }
        let found = available.iter().position(|&byte| byte == b'\n');
        let (part, taken) = match found {
            Some(at) => (available.get(..at), at + 1),
            None => (Some(available), available.len()),
        };
        self.line.extend_from_slice(part.unwrap_or_default());
        self.input.consume(taken);
        if self.line.len() > BATCH_BYTES_MAX {
            return Err(self.wrong(format_args!("it has more than {BATCH_BYTES_MAX} bytes")));
        }
        if found.is_some() {
            self.finish_line()
        } else {
            Ok(())
        }
    }

    fn finish_line(&mut self) -> Outcome {
        let record = match &self.shape.key_separator {
            None => Record {
                key: self.shape.key.clone(),
                value: Some(Bytes::copy_from_slice(&self.line)),
                ..Record::default()
            },
            Some(separator) => self.split(separator)?,
        };
        self.chunk_bytes += record.size();
        self.chunk.push(Record {
            headers: self.shape.headers.clone(),
            ..record
        });
        self.number += 1;
        self.line.clear();
        Ok(())
    }

    /// Key and message of the line, which share its bytes.
    fn split(&self, separator: &[u8]) -> Outcome<Record> {
        let Some(at) = position(&self.line, separator) else {
            return Err(self.wrong("it holds no key separator"));
        };
        let line = Bytes::copy_from_slice(&self.line);
        Ok(Record {
            key: Some(line.slice(..at)),
            value: Some(line.slice(at + separator.len()..)),
            ..Record::default()
        })
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Failure {
        Failure::new(
            Exit::Refused,
            format!("line {} of the input: {why}", self.number + 1),
        )
    }
}

fn position(line: &[u8], separator: &[u8]) -> Option<usize> {
    line.windows(separator.len())
        .position(|window| window == separator)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shape() -> Shape {
        Shape {
            key: None,
            key_separator: None,
            headers: Vec::new(),
        }
    }

    fn shown(input: &[u8], shape: Shape) -> String {
        let mut reader = LineReader::new(input, shape);
        let mut text = String::new();
        while let Some(outcome) = reader.next_chunk() {
            match outcome {
                Ok(chunk) => text.extend(chunk.iter().map(shown_record)),
                Err(failure) => text.push_str(&format!("! {failure}\n")),
            }
        }
        text
    }

    fn shown_record(record: &Record) -> String {
        let headers = record.headers.len();
        format!("{:?} {:?} {headers}\n", record.key, record.value)
    }

    #[test]
    fn every_line_is_a_message_and_the_last_needs_no_end() {
        expect![[r#"
            None Some(b"one") 0
            None Some(b"") 0
            None Some(b"\"three\"\r") 0
            None Some(b"\xff") 0
            None Some(b"five") 0
        "#]]
        .assert_eq(&shown(b"one\n\n\"three\"\r\n\xff\nfive", shape()));
        assert_eq!(shown(b"", shape()), "");
    }

    #[test]
    fn keys_stand_before_the_first_separator() {
        let shape = Shape {
            key_separator: Some(b"::".to_vec()),
            ..shape()
        };
        expect![[r#"
            Some(b"k") Some(b"v::w") 0
            Some(b"") Some(b"") 0
            ! line 3 of the input: it holds no key separator
        "#]]
        .assert_eq(&shown(b"k::v::w\n::\nbad\nk::never\n", shape));
    }

    #[test]
    fn what_is_common_stands_on_every_line() {
        let header = model::Header {
            name: "h".into(),
            value: None,
        };
        let shape = Shape {
            key: Some("k".into()),
            headers: vec![header],
            ..shape()
        };
        expect![[r#"
            Some(b"k") Some(b"a") 1
        "#]]
        .assert_eq(&shown(b"a\n", shape));
    }

    #[test]
    fn a_slow_input_is_not_held_back() {
        struct OneByOne(std::vec::IntoIter<u8>);
        impl Read for OneByOne {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                Ok(self.0.next().map_or(0, |byte| {
                    buf[0] = byte;
                    1
                }))
            }
        }
        let input = OneByOne(b"a\nb\n".to_vec().into_iter());
        let mut reader = LineReader::new(input, shape());
        assert_eq!(reader.next_chunk().unwrap().unwrap().len(), 1);
        assert_eq!(reader.next_chunk().unwrap().unwrap().len(), 1);
        assert!(reader.next_chunk().is_none());
    }

    #[test]
    fn large_inputs_come_in_chunks() {
        let input = b"0123456789\n".repeat(100_000);
        let mut reader = LineReader::new(input.as_slice(), shape());
        let chunks: Vec<Chunk> = std::iter::from_fn(|| reader.next_chunk())
            .map(Result::unwrap)
            .collect();
        assert_eq!(chunks.iter().map(Vec::len).sum::<usize>(), 100_000);
        assert!(chunks.len() > 5);
        assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES / 20));
    }
}
