//! Frames: calls and their answers, in any order.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..4 | length | u32, bytes after this field: 10 to `PEER_FRAME_BYTES_MAX` − 4 |
//! | 4..12 | call | u64, drawn by who asks; 0 for pings, goodbyes and busy |
//! | 12 | kind | see [`FrameKind`] |
//! | 13 | detail | request: the service; failure: 1 not taken, 2 failed; goodbye: the code; else 0 |
//! | 14.. | body | request, answer: theirs; failure, goodbye: the reason in UTF-8; else empty |

use bytes::Bytes;
use model::limits;
use thiserror::Error;

use crate::error::{Rejection, RejectionCode};
use crate::numbered::numbered;

/// Bytes before the body.
pub const FRAME_HEADER_BYTES: usize = 14;
const LENGTH_FIELD_BYTES: usize = 4;
const NOT_TAKEN: u8 = 1;
const FAILED: u8 = 2;

/// One step of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Asks.
    Request {
        /// Names the call among those of this connection that have no answer yet.
        call: u64,
        /// The number of the service; it may be one that is not known here.
        service: u8,
        /// What is asked.
        body: Bytes,
    },
    /// Answers.
    Answer {
        /// Which call.
        call: u64,
        /// The answer.
        body: Bytes,
    },
    /// There will be no answer.
    Failure {
        /// Which call.
        call: u64,
        /// Whether the request may have had an effect.
        taken: bool,
        /// Why.
        reason: String,
    },
    /// The answer is not wanted any more.
    Cancel {
        /// Which call.
        call: u64,
    },
    /// No more requests are taken; those that were are still answered when the code is
    /// [`RejectionCode::Closing`].
    Goodbye {
        /// Why.
        code: RejectionCode,
        /// Why.
        reason: String,
    },
    /// The sender is there, and does not read for now.
    Busy,
}

impl Frame {
    /// The frame of this header and body.
    pub fn from_parts(header: FrameHeader, body: Bytes) -> Result<Self, FrameError> {
        let FrameHeader { call, detail, .. } = header;
        match header.kind {
            FrameKind::Request => Ok(Self::Request {
                call,
                service: detail,
                body,
            }),
            FrameKind::Answer => Ok(Self::Answer { call, body }),
            FrameKind::Failure => Ok(Self::Failure {
                call,
                taken: detail != NOT_TAKEN,
                reason: reason(&body)?,
            }),
            FrameKind::Cancel if body.is_empty() => Ok(Self::Cancel { call }),
            FrameKind::Busy if body.is_empty() => Ok(Self::Busy),
            FrameKind::Cancel | FrameKind::Busy => Err(FrameError::Body),
            FrameKind::Goodbye => Ok(Self::Goodbye {
                code: RejectionCode::received(detail),
                reason: reason(&body)?,
            }),
        }
    }

    /// Header and body, to be written one after the other. The body must fit: see
    /// [`limits::PEER_FRAME_BYTES_MAX`].
    #[must_use]
    pub fn into_parts(self) -> ([u8; FRAME_HEADER_BYTES], Bytes) {
        let (call, kind, detail, body) = match self {
            Self::Request {
                call,
                service,
                body,
            } => (call, FrameKind::Request, service, body),
            Self::Answer { call, body } => (call, FrameKind::Answer, 0, body),
            Self::Failure {
                call,
                taken,
                reason,
            } => {
                let detail = if taken { FAILED } else { NOT_TAKEN };
                (call, FrameKind::Failure, detail, shortened(reason))
            }
            Self::Cancel { call } => (call, FrameKind::Cancel, 0, Bytes::new()),
            Self::Goodbye { code, reason } => {
                (0, FrameKind::Goodbye, code as u8, shortened(reason))
            }
            Self::Busy => (0, FrameKind::Busy, 0, Bytes::new()),
        };
        let body_bytes = body.len();
        let header = FrameHeader {
            call,
            kind,
            detail,
            body_bytes,
        };
        (header.encode(), body)
    }

    /// What the frame takes on the wire.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        let body_bytes = match self {
            Self::Request { body, .. } | Self::Answer { body, .. } => body.len(),
            Self::Failure { reason, .. } | Self::Goodbye { reason, .. } => reason.len(),
            Self::Cancel { .. } | Self::Busy => 0,
        };
        FRAME_HEADER_BYTES + body_bytes
    }
}

impl From<Rejection> for Frame {
    fn from(rejection: Rejection) -> Self {
        Self::Goodbye {
            code: rejection.code,
            reason: rejection.reason,
        }
    }
}

/// Everything before a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The call.
    pub call: u64,
    /// What the frame is.
    pub kind: FrameKind,
    /// Depends on the kind.
    pub detail: u8,
    /// Length of what follows, at most [`limits::PEER_FRAME_BYTES_MAX`] less the header.
    pub body_bytes: usize,
}

impl FrameHeader {
    /// Reads the header at the beginning of `bytes`; none when they are too few. What is too long for its
    /// kind is refused here, before there is memory for it.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some((header, _)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, c0, c1, c2, c3, c4, c5, c6, c7, kind, detail] = *header;
        let kind = FrameKind::from_number(kind).ok_or(FrameError::Kind(kind))?;
        let body_bytes = body_bytes(u32::from_be_bytes([l0, l1, l2, l3]))?;
        if body_bytes > kind.body_bytes_max() {
            return Err(FrameError::Body);
        }
        Ok(Some(Self {
            call: u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
            kind,
            detail,
            body_bytes,
        }))
    }

    fn encode(self) -> [u8; FRAME_HEADER_BYTES] {
        let length = FRAME_HEADER_BYTES - LENGTH_FIELD_BYTES + self.body_bytes;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let [l0, l1, l2, l3] = length.to_be_bytes();
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.call.to_be_bytes();
        let (kind, detail) = (self.kind as u8, self.detail);
        [l0, l1, l2, l3, c0, c1, c2, c3, c4, c5, c6, c7, kind, detail]
    }
}

numbered! {
    /// What a frame is.
    pub enum FrameKind {
        /// From who dialled.
        Request = 1,
        /// From who was dialled.
        Answer = 2,
        /// From who was dialled.
        Failure = 3,
        /// From who dialled.
        Cancel = 4,
        /// From who was dialled.
        Goodbye = 5,
        /// From who was dialled.
        Busy = 6,
    }
}

impl FrameKind {
    /// What a body of this kind may be long, the limit of all frames apart.
    const fn body_bytes_max(self) -> usize {
        match self {
            Self::Request | Self::Answer => limits::PEER_FRAME_BYTES_MAX,
            Self::Failure | Self::Goodbye => limits::PEER_REASON_BYTES_MAX,
            Self::Cancel | Self::Busy => 0,
        }
    }
}

/// The bytes are not a frame. The connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Shorter than a header, or longer than the limit for who sends it.
    #[error("a frame of {0} bytes")]
    Length(u32),
    /// Not a kind of frame.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// A body where there is none, or a reason that is too long or not text.
    #[error("the body of a frame does not fit its kind")]
    Body,
    /// A frame that the other side does not send, or a call that there is already.
    #[error("a frame that is out of place")]
    Unexpected,
}

fn body_bytes(length: u32) -> Result<usize, FrameError> {
    let error = FrameError::Length(length);
    let total = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(LENGTH_FIELD_BYTES))
        .ok_or(error)?;
    if total > limits::PEER_FRAME_BYTES_MAX {
        return Err(error);
    }
    total.checked_sub(FRAME_HEADER_BYTES).ok_or(error)
}

fn reason(body: &[u8]) -> Result<String, FrameError> {
    if body.len() > limits::PEER_REASON_BYTES_MAX {
        return Err(FrameError::Body);
    }
    let text = str::from_utf8(body).map_err(|_| FrameError::Body)?;
    Ok(text.to_owned())
}

/// A reason, cut to what others take.
pub(super) fn shortened(reason: String) -> Bytes {
    let end = reason.floor_char_boundary(limits::PEER_REASON_BYTES_MAX);
    Bytes::from(reason).slice(..end)
}
