//! Answers to other nodes, and the room that they take until they are sent.
//!
//! What is large is not even read before there is room for it. Whoever has room waits for nothing any
//! more but the other node to take the answer, so nobody waits in a circle.

use bytes::Bytes;
use model::NodeId;
use model::limits::{PEER_ANSWER_BYTES_FREE, PEER_ANSWER_BYTES_MAX};

use super::message::Response;
use crate::budget::{AnswerRoom, RoomAfar};
use crate::inner::Inner;

/// An answer, and the room that was taken before it was read.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) room: AnswerRoom,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Self {
        Self {
            response,
            room: AnswerRoom::default(),
        }
    }
}

/// The bytes of an answer, which keep their room for as long as anybody has them.
struct Held {
    bytes: Bytes,
    _room: RoomAfar,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Inner {
    /// The bytes of an answer to this node, once there is room for them.
    pub(super) async fn to_send(&self, to: NodeId, answered: Answered) -> Bytes {
        let Answered { response, room } = answered;
        let bytes = response.encode();
        let size = bytes.len();
        if size > PEER_ANSWER_BYTES_MAX {
            tracing::warn!(%to, size, "an answer that is too large to be sent");
            return Response::Refused(format!("an answer of {size} bytes is too large")).encode();
        }
        // The fates of batches take less than the batches, which their request has room for.
        if size <= PEER_ANSWER_BYTES_FREE || matches!(response, Response::Appended(_)) {
            return bytes;
        }
        drop(response);
        let room = match room.into_taken() {
            Some(room) => Some(room),
            None => self.budget.take_answer(to, size).await,
        };
        let Some(mut room) = room else {
            return bytes;
        };
        room.shrink_to(size);
        Bytes::from_owner(Held { bytes, _room: room })
    }
}
