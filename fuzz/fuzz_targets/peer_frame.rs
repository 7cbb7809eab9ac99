//! Any bytes as frames between nodes, one after the other. What is accepted is written back so that it
//! reads the same.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peer::protocol::{FRAME_HEADER_BYTES, Frame, FrameHeader};

fuzz_target!(|input: &[u8]| {
    let mut rest = Bytes::copy_from_slice(input);
    while let Ok(Some(header)) = FrameHeader::decode(&rest) {
        let total = FRAME_HEADER_BYTES + header.body_bytes;
        if rest.len() < total {
            return;
        }
        let body = rest.split_to(total).slice(FRAME_HEADER_BYTES..);
        if let Ok(frame) = Frame::from_parts(header, body.clone()) {
            let (written, again) = frame.clone().into_parts();
            assert_eq!(again, body);
            let header = FrameHeader::decode(&written).unwrap().unwrap();
            assert_eq!(Frame::from_parts(header, again), Ok(frame));
        }
    }
});
