//! Server-sent events, read from a stream of bytes that may be cut anywhere.

use bytes::{Buf as _, BytesMut};

/// The longest line taken: a record of the largest batch, as escaped JSON.
const LINE_BYTES_MAX: usize = 128 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// `event:`; empty for the usual ones.
    pub kind: String,
    /// `data:`, lines joined by line ends.
    pub data: String,
    /// The last `id:` seen, on this event or before.
    pub id: String,
}

/// An event stream so far.
#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    waiting: BytesMut,
    /// Bytes of `waiting` known to hold no line end.
    searched: usize,
    event: Event,
    has_data: bool,
}

/// The stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Default for Parser {
    fn default() -> Self {
        Self::with_limit(LINE_BYTES_MAX)
    }
}

impl Parser {
    fn with_limit(limit: usize) -> Self {
        let event = Event::default();
        Self {
            limit,
            waiting: BytesMut::new(),
            searched: 0,
            event,
            has_data: false,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.waiting.len() + bytes.len() > self.limit {
            return Err(TooLong);
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    /// The last `id:` seen, even one without an event.
    pub(crate) fn last_id(&self) -> &str {
        &self.event.id
    }

    /// The next whole event, if there is one.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.field(&line);
            } else if let Some(event) = self.finish() {
                return Some(event);
            }
        }
        None
    }

    fn next_line(&mut self) -> Option<String> {
        let unsearched = self.waiting.get(self.searched..)?;
        let Some(found) = unsearched.iter().position(|&byte| byte == b'\n') else {
            self.searched = self.waiting.len();
            return None;
        };
        let mut line = self.waiting.split_to(self.searched + found);
        self.waiting.advance(1);
        self.searched = 0;
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.kind),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // A comment (the empty name) or a field that this client has no use for.
            _ => {}
        }
    }

    /// The event that an empty line ends; one without data is none.
    fn finish(&mut self) -> Option<Event> {
        let next = Event {
            id: self.event.id.clone(),
            ..Event::default()
        };
        let event = std::mem::replace(&mut self.event, next);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: 7\ndata: {\"a\":1}\n\nevent: gap\r\ndata: x\r\ndata:y\r\n\r\n\
                          : beat\n\nid: 9\n\ndata\n\ndata: cut";

    fn expected() -> Vec<Event> {
        let event = |kind: &str, data: &str, id: &str| Event {
            kind: kind.into(),
            data: data.into(),
            id: id.into(),
        };
        vec![
            event("", "{\"a\":1}", "7"),
            event("gap", "x\ny", "7"),
            event("", "", "9"),
        ]
    }

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        for size in 1..=STREAM.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                parser.push(piece).unwrap();
                events.extend(std::iter::from_fn(|| parser.next_event()));
            }
            assert_eq!(events, expected(), "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::with_limit(400);
        let piece = [b'x'; 100];
        for _ in 0..4 {
            parser.push(&piece).unwrap();
            assert_eq!(parser.next_event(), None);
        }
        assert_eq!(parser.push(b"x"), Err(TooLong));
    }
}
