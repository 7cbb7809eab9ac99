//! Reads to the end, but no further than a cap.

use std::io::{self, Read};

/// Room made at first, and least room made later.
const STEP_BYTES: usize = 64 * 1024;

/// Why a reader was not read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It holds more than the cap.
    TooLarge,
    /// It failed.
    Failed(io::Error),
}

/// All that `reader` gives, if it is at most `max` bytes. The buffer grows with what has come, and
/// never past the cap by more than one byte, which shows that there is too much.
pub(crate) fn read_to_end(mut reader: impl Read, max: usize) -> Result<Vec<u8>, ReadError> {
    let mut out = Vec::new();
    let mut filled = 0;
    loop {
        if filled > max {
            return Err(ReadError::TooLarge);
        }
        if filled == out.len() {
            let room = filled.max(STEP_BYTES).min(max.saturating_add(1) - filled);
            out.reserve_exact(room);
            out.resize(filled + room, 0);
        }
        let rest = out.get_mut(filled..).unwrap_or_default();
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadError::Failed(error)),
        }
    }
    out.truncate(filled);
    Ok(out)
}
