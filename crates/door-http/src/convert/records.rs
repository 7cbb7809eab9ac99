//! Records, receipts, gaps and cursors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::{Assignment, Delivered, Gap, GapReason};
use bytes::Bytes;
use model::{Header, Record, Timestamp, TopicName};
use wire::cursor::Cursor;

use super::mode_name;
use crate::dto::{
    Base64, BatchReceipt, Encoding, GapAnswer, HeaderValue, Headers, PublishLine, PublishRequest,
    Receipt, RecordAnswer,
};
use crate::error::{Code, Refusal};

/// The record that a single publish asks for.
pub(crate) fn request_record(request: PublishRequest) -> Result<Record, Refusal> {
    let key = request
        .key
        .map(|key| decode("key", Bytes::from(key), request.key_encoding));
    let message = request.message;
    let value = message.map(|text| decode("message", Bytes::from(text), request.message_encoding));
    Ok(Record {
        key: key.transpose()?,
        value: value.transpose()?,
        headers: headers(request.headers)?,
        timestamp: timestamp(request.timestamp)?,
    })
}

/// The record of one line. Text that the line borrowed from `block` becomes a slice of it.
pub(crate) fn line_record(line: PublishLine<'_>, block: &Bytes) -> Result<Record, Refusal> {
    let field = |name, text: Option<Cow<'_, str>>, encoding| {
        text.map(|text| decode(name, bytes_of(text, block), encoding))
            .transpose()
    };
    Ok(Record {
        key: field("key", line.key, line.key_encoding)?,
        value: field("message", line.message, line.message_encoding)?,
        headers: headers(line.headers)?,
        timestamp: timestamp(line.timestamp)?,
    })
}

fn bytes_of(text: Cow<'_, str>, block: &Bytes) -> Bytes {
    match text {
        // An empty slice may point anywhere, even outside the block.
        Cow::Borrowed("") => Bytes::new(),
        Cow::Borrowed(text) => block.slice_ref(text.as_bytes()),
        Cow::Owned(text) => Bytes::from(text),
    }
}

fn decode(field: &str, bytes: Bytes, encoding: Encoding) -> Result<Bytes, Refusal> {
    match encoding {
        Encoding::Utf8 => Ok(bytes),
        Encoding::Base64 => match STANDARD.decode(&bytes) {
            Ok(decoded) => Ok(Bytes::from(decoded)),
            Err(_) => Err(invalid(format!(
                "{field} is not base64 (standard alphabet, padded)"
            ))),
        },
    }
}

fn headers(headers: Headers) -> Result<Vec<Header>, Refusal> {
    let one = |(name, value)| {
        let value = match value {
            HeaderValue::Text(text) => Some(Bytes::from(text)),
            HeaderValue::Bytes(Base64 { base64 }) => {
                Some(decode("a header", Bytes::from(base64), Encoding::Base64)?)
            }
            HeaderValue::Null => None,
        };
        Ok(Header {
            name: Bytes::from(name),
            value,
        })
    };
    headers.0.into_iter().map(one).collect()
}

fn timestamp(millis: Option<i64>) -> Result<Option<Timestamp>, Refusal> {
    let one = |millis| {
        Timestamp::from_millis(millis)
            .ok_or_else(|| invalid("a timestamp is not negative: milliseconds since 1970".into()))
    };
    millis.map(one).transpose()
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Code::InvalidRequest, message)
}

/// A record as it is read.
pub(crate) fn record_answer(delivered: &Delivered) -> RecordAnswer<'_> {
    let Delivered {
        partition,
        offset,
        record,
    } = delivered;
    let (key, key_encoding) = text(record.key.as_ref());
    let (message, message_encoding) = text(record.value.as_ref());
    RecordAnswer {
        partition: partition.0,
        offset: offset.get(),
        timestamp: record.timestamp.unwrap_or_default().as_millis(),
        key,
        message,
        headers: Headers(record.headers.iter().map(header_answer).collect()),
        key_encoding,
        message_encoding,
    }
}

fn text(bytes: Option<&Bytes>) -> (Option<Cow<'_, str>>, Encoding) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, Encoding::Utf8),
        Some((_, Ok(text))) => (Some(Cow::Borrowed(text)), Encoding::Utf8),
        Some((bytes, Err(_))) => (Some(Cow::Owned(STANDARD.encode(bytes))), Encoding::Base64),
    }
}

/// A name that is not UTF-8 has its bad bytes replaced: names are text by convention.
fn header_answer(header: &Header) -> (String, HeaderValue) {
    let value = match text(header.value.as_ref()) {
        (None, _) => HeaderValue::Null,
        (Some(text), Encoding::Utf8) => HeaderValue::Text(text.into_owned()),
        (Some(text), Encoding::Base64) => HeaderValue::Bytes(Base64 {
            base64: text.into_owned(),
        }),
    };
    (String::from_utf8_lossy(&header.name).into_owned(), value)
}

/// An acknowledgement.
pub(crate) fn receipt(topic: &TopicName, receipt: &broker::Receipt) -> Receipt {
    Receipt {
        topic: topic.to_string(),
        partition: receipt.partition.0,
        offset: receipt.offset.get(),
        timestamp: receipt.timestamp.as_millis(),
        mode: mode_name(receipt.mode),
        epoch: receipt.leader_epoch.0,
        copies: receipt.copies,
        duplicate: receipt.duplicate,
    }
}

/// The acknowledgement of a batch of `records` records.
pub(crate) fn batch_receipt(
    topic: &TopicName,
    of_batch: &broker::Receipt,
    records: u32,
) -> BatchReceipt {
    let last = u64::from(records).saturating_sub(1);
    BatchReceipt {
        receipt: receipt(topic, of_batch),
        last_offset: of_batch.offset.saturating_add(last).get(),
    }
}

/// A loss.
pub(crate) fn gap_answer(gap: &Gap) -> GapAnswer {
    GapAnswer {
        partition: gap.partition.0,
        from: gap.from.get(),
        to: gap.to.get(),
        reason: Cow::Borrowed(match gap.reason {
            GapReason::Deleted => "deleted",
            GapReason::Damaged => "damaged",
        }),
    }
}

/// What a member holds, by topic.
pub(crate) fn assignment(assignment: &Assignment) -> BTreeMap<String, Vec<u32>> {
    by_topic(&assignment.partitions)
}

/// Partitions by topic.
pub(super) fn by_topic(
    partitions: &[(TopicName, Vec<model::PartitionIndex>)],
) -> BTreeMap<String, Vec<u32>> {
    let numbers = |indexes: &[model::PartitionIndex]| indexes.iter().map(|p| p.0).collect();
    partitions
        .iter()
        .map(|(topic, list)| (topic.to_string(), numbers(list)))
        .collect()
}

/// The cursor that this text is.
pub(crate) fn cursor(text: &str) -> Result<Cursor, Refusal> {
    text.parse().map_err(|error: wire::cursor::CursorError| {
        Refusal::new(Code::InvalidCursor, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use model::{Offset, PartitionIndex};

    use super::*;

    fn line(text: &'static str) -> Result<Record, Refusal> {
        let block = Bytes::from_static(text.as_bytes());
        let line: PublishLine<'_> = serde_json::from_slice(&block).unwrap();
        line_record(line, &block)
    }

    #[test]
    fn a_line_becomes_slices_of_its_block() {
        let block = Bytes::from(r#"{"message":"hello","key":"","headers":{"a":null}}"#);
        let line: PublishLine<'_> = serde_json::from_slice(&block).unwrap();
        let record = line_record(line, &block).unwrap();
        let value = record.value.unwrap();
        assert!(
            block.as_ptr_range().contains(&value.as_ptr()),
            "the message was copied"
        );
        assert_eq!(
            (&value[..], record.key),
            (&b"hello"[..], Some(Bytes::new()))
        );
        assert_eq!(
            record.headers,
            [Header {
                name: "a".into(),
                value: None
            }]
        );
    }

    #[test]
    fn what_cannot_be_a_record_is_refused() {
        let cases = [
            r#"{"message":"!","message_encoding":"base64"}"#,
            r#"{"message":"","key":"AA=","key_encoding":"base64"}"#,
            r#"{"message":"","timestamp":-1}"#,
            r#"{"message":"","headers":{"h":{"base64":"x"}}}"#,
        ];
        for text in cases {
            assert_eq!(
                line(text).unwrap_err().body().code,
                "invalid_request",
                "{text}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_text_come_back_as_they_were() {
        let record = Record {
            key: Some(Bytes::from_static(b"\xff")),
            value: Some(Bytes::from_static(b"\0\xfe")),
            headers: vec![Header {
                name: "h".into(),
                value: Some(Bytes::from_static(b"\x80")),
            }],
            timestamp: Timestamp::from_millis(5),
        };
        let delivered = Delivered {
            partition: PartitionIndex(1),
            offset: Offset::new(2).unwrap(),
            record: record.clone(),
        };
        let json = serde_json::to_string(&record_answer(&delivered)).unwrap();
        expect_test::expect![[r#"{"partition":1,"offset":2,"timestamp":5,"key":"/w==","message":"AP4=","headers":{"h":{"base64":"gA=="}},"key_encoding":"base64","message_encoding":"base64"}"#]]
            .assert_eq(&json);
        let answer: RecordAnswer<'_> = serde_json::from_str(&json).unwrap();
        let again = PublishLine {
            message: answer.message,
            key: answer.key,
            headers: answer.headers,
            timestamp: Some(answer.timestamp),
            message_encoding: answer.message_encoding,
            key_encoding: answer.key_encoding,
            ..PublishLine::default()
        };
        assert_eq!(line_record(again, &Bytes::new()).unwrap(), record);
    }
}
