//! What can go wrong between a command and a node.

use door_http::dto::{ErrorAnswer, ErrorBody};
use reqwest::{StatusCode, Url};
use thiserror::Error;

use super::Request;
use crate::exit::{Exit, Failure};

/// Why there is no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CallError {
    /// No server took the connection: nothing was sent.
    #[error(
        "no server answers: {0}\nStart one with `hark serve`, or name yours with --server URL."
    )]
    Unreachable(String),
    /// The connection broke, or the answer did not come in time: it may have been done.
    #[error("the connection was lost before the answer: {0}")]
    Lost(String),
    /// The server said no.
    #[error("{message} [{code}]")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The stable code.
        code: String,
        /// The server's words.
        message: String,
    },
    /// An answer that no Hark node gives.
    #[error("the server's answer makes no sense: {0}\nIs it a Hark node, and of this version?")]
    Strange(String),
}

/// Codes of a node that cannot say whether it was done.
const UNCERTAIN: [&str; 3] = ["cluster_unavailable", "outcome_unknown", "partly_published"];
/// Codes with which a stream ends that another node, or the same one later, takes up again.
const PASSING: [&str; 5] = [
    "cluster_unavailable",
    "coordinator_unavailable",
    "leader_unavailable",
    "not_registered",
    "shutting_down",
];

impl CallError {
    /// Whether the same request may be sent again.
    pub(crate) fn may_repeat(&self, request: &Request) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Lost(_) => request.repeatable,
            Self::Refused { .. } => {
                self.is_passing() && (request.repeatable || !self.may_be_done())
            }
            Self::Strange(_) => false,
        }
    }

    /// Whether the trouble may be over soon.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost(_) => true,
            Self::Refused { status, .. } => is_busy(*status),
            Self::Strange(_) => false,
        }
    }

    /// Whether to send again what does no harm when it is done twice: after everything but a plain
    /// no. A node that failed may be started again.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || is_busy(*status)
                    || *status == StatusCode::REQUEST_TIMEOUT
            }
            other => other.is_passing(),
        }
    }

    /// Whether the server may have done what it was asked.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Lost(_) | Self::Strange(_) => true,
            Self::Refused { status, code, .. } => {
                let is_uncertain = UNCERTAIN.contains(&code.as_str());
                status.is_server_error() && (is_uncertain || !is_busy(*status))
            }
        }
    }

    /// The server's stable code, if it gave one.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// A broken or silent connection in the middle of an answer.
    pub(crate) fn lost(error: &reqwest::Error) -> Self {
        Self::Lost(innermost(error))
    }

    /// What ended a stream that had begun well: there is a code, and no status.
    pub(crate) fn ended(error: ErrorBody) -> Self {
        let status = match &*error.code {
            code if PASSING.contains(&code) => StatusCode::SERVICE_UNAVAILABLE,
            code if code.starts_with("unknown_") => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::from_answer(status, error)
    }

    pub(super) fn from_transport(server: &Url, error: &reqwest::Error) -> Self {
        if error.is_connect() {
            return Self::Unreachable(format!("{server}: {}", innermost(error)));
        }
        if error.is_builder() || error.is_request() && error.is_redirect() {
            return Self::Strange(innermost(error));
        }
        Self::lost(error)
    }

    pub(super) fn refusal(server: &Url, status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorAnswer>(body) {
            Ok(answer) => Self::from_answer(status, answer.error),
            Err(_) => Self::Strange(format!(
                "{server} answered with status {status} and no code"
            )),
        }
    }

    fn from_answer(status: StatusCode, error: ErrorBody) -> Self {
        Self::Refused {
            status,
            code: error.code.into_owned(),
            message: error.message,
        }
    }
}

/// The exit code follows from whose fault it is.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match &error {
            CallError::Unreachable(_) => Exit::Unreachable,
            CallError::Lost(_) | CallError::Strange(_) => Exit::Failed,
            CallError::Refused { status, .. } => exit_of(*status),
        };
        Self::new(exit, error.to_string())
    }
}

fn exit_of(status: StatusCode) -> Exit {
    match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        _ if is_busy(status) => Exit::Busy,
        _ if status.is_client_error() => Exit::Refused,
        _ => Exit::Failed,
    }
}

fn is_busy(status: StatusCode) -> bool {
    [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INSUFFICIENT_STORAGE,
    ]
    .contains(&status)
}

/// The cause at the bottom says most: `Connection refused`.
fn innermost(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        deepest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> CallError {
        CallError::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        let (read, change) = (Request::get(&["a"]), Request::post(&["a"]));
        let lost = || CallError::Lost(String::new());
        // The error; whether it may be done; whether a read, and a change, is sent again.
        let cases = [
            (CallError::Unreachable(String::new()), false, true, true),
            (lost(), true, true, false),
            (CallError::Strange(String::new()), true, false, false),
            (refused(503, "shutting_down"), false, true, true),
            (refused(503, "leader_unavailable"), false, true, true),
            (refused(503, "not_registered"), false, true, true),
            (refused(503, "cluster_unavailable"), true, true, false),
            (refused(503, "outcome_unknown"), true, true, false),
            (refused(500, "store_stopped"), true, false, false),
            (refused(409, "topic_exists"), false, false, false),
        ];
        for (error, may_be_done, read_again, change_again) in cases {
            assert_eq!(error.may_be_done(), may_be_done, "{error:?}");
            assert_eq!(error.may_repeat(&read), read_again, "{error:?}");
            assert_eq!(error.may_repeat(&change), change_again, "{error:?}");
        }
    }

    #[test]
    fn a_stream_that_ends_for_now_is_taken_up_again() {
        let ended = |code: &'static str| {
            CallError::ended(ErrorBody {
                code: code.into(),
                ..ErrorBody::default()
            })
        };
        let cases = [
            ("leader_unavailable", true, Exit::Busy),
            ("shutting_down", true, Exit::Busy),
            ("unknown_topic", false, Exit::NotFound),
            ("damaged", false, Exit::Failed),
        ];
        for (code, passes, exit) in cases {
            assert_eq!(ended(code).is_passing(), passes, "{code}");
            assert_eq!(Failure::from(ended(code)).exit, exit, "{code}");
        }
    }
}
