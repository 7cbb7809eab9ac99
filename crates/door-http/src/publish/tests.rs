use bytes::Bytes;
use model::PartitionIndex;

use super::lines::{Chunk, LineBuffer};

fn parse(text: &'static str) -> (Chunk, Option<String>) {
    let block = Bytes::from_static(text.as_bytes());
    let mut chunk = Chunk::new(10);
    let refusal = chunk.extend(&block, &"t".parse().unwrap(), None).err();
    let fault = refusal.map(|refusal| {
        let body = refusal.body();
        format!(
            "{} line {}: {}",
            body.code,
            body.line.unwrap(),
            body.message
        )
    });
    (chunk, fault)
}

#[test]
fn lines_become_records_by_partition() {
    let (chunk, fault) = parse(
        "{\"message\":\"a\"}\n\n  {\"message\":\"b\",\"topic\":\"t\"}\r\n{\"message\":\"long one\",\"partition\":3}",
    );
    assert_eq!(fault, None);
    assert_eq!((chunk.next_line(), chunk.largest_line()), (14, 13));
    let counts: Vec<_> = chunk.records.iter().map(|(p, r)| (*p, r.len())).collect();
    assert_eq!(counts, [(None, 2), (Some(PartitionIndex(3)), 1)]);
}

#[test]
fn a_bad_line_is_named_and_ends_the_chunk() {
    let cases = [
        (
            "{\"message\":\"a\"}\n{\"message\":",
            "invalid_json line 11: EOF while parsing a value at column 11",
        ),
        ("{\"message\":\"a\"}\nnull\n", "invalid_request line 11: "),
        (
            "{\"message\":\"a\"}\n{\"message\":\"b\"} x\n",
            "invalid_json line 11: trailing characters",
        ),
        (
            "{\"message\":\"a\"}\n{\"message\":\"b\",\"topic\":\"u\"}\n",
            "invalid_request line 11: 'topic'",
        ),
        (
            "{\"message\":\"a\"}\n{\"message\":\"b\",\"colour\":1}\n",
            "invalid_request line 11: unknown field",
        ),
        (
            "{\"message\":\"a\"}\n{\"message\":[[[[1]]]]}\n",
            "invalid_request line 11: ",
        ),
    ];
    for (text, expected) in cases {
        let (chunk, fault) = parse(text);
        assert_eq!(chunk.next_line(), 11, "{text}");
        let fault = fault.unwrap();
        assert!(fault.starts_with(expected), "{text}: {fault}");
    }
}

#[test]
fn lines_are_found_however_the_bytes_are_cut() {
    let text = b"one\ntwo\n\nthree";
    for size in 1..=text.len() {
        let (mut buffer, mut taken) = (LineBuffer::default(), Vec::new());
        for piece in text.chunks(size) {
            buffer.push(piece);
            let block = buffer.take();
            assert!(block.is_empty() || block.ends_with(b"\n"));
            taken.extend_from_slice(&block);
        }
        assert_eq!((buffer.ready(), buffer.unfinished()), (0, 5));
        taken.extend_from_slice(&buffer.take_rest());
        assert_eq!(taken, text);
    }
}

#[test]
fn whole_lines_are_counted() {
    let mut buffer = LineBuffer::default();
    buffer.push(b"a\nb\nc");
    assert_eq!(
        (buffer.whole_lines(), buffer.ready(), buffer.unfinished()),
        (2, 4, 1)
    );
}
