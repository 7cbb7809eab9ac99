//! The bytes on a connection: first the messages of the handshake, then frames. Integers are big-endian.

mod frame;
mod message;

pub use frame::{FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader, FrameKind};
pub use message::{
    Hello, MESSAGE_HEADER_BYTES, Message, MessageError, NONCE_BYTES, PROOF_BYTES, VERSION,
    body_bytes,
};
