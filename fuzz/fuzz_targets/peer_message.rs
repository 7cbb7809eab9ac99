//! Any bytes as a message of the handshake between nodes, and any bytes as the body of each kind. What is
//! accepted is written back so that it reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::protocol::{MESSAGE_HEADER_BYTES, Message, body_bytes};

fuzz_target!(|input: &[u8]| {
    check(input);
    let Ok(length) = u16::try_from(input.len()) else {
        return;
    };
    for kind in 0..=5 {
        let header = [b"HARKPEER".as_slice(), &[kind], &length.to_be_bytes()].concat();
        check(&[&header, input].concat());
    }
});

fn check(bytes: &[u8]) {
    if let Some(message) = read(bytes) {
        assert_eq!(read(&message.encode()), Some(message));
    }
}

fn read(bytes: &[u8]) -> Option<Message> {
    let (header, rest) = bytes.split_first_chunk::<MESSAGE_HEADER_BYTES>()?;
    let body = rest.get(..body_bytes(header).ok()?)?;
    Message::decode(header, body).ok()
}
