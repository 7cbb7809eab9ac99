//! Where keys come from: a file that only its owner can read, or a text.
//!
//! One key per line, `KEYID:64 hexadecimal digits`, where the key id is a number from 1 to 2³² − 1;
//! the first line seals, the others only open what was sealed before. A line of 64 digits alone is
//! a key whose id is derived from the key. Empty lines and lines that begin with `#` mean nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use model::limits::{STORAGE_KEY_TEXT_BYTES_MAX, STORAGE_KEYS_MAX};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Sealer;
use super::xaes::{KEY_BYTES, Xaes};

/// The number by which stored batches name their key. It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Sealer {
    /// The keys in a file, which must belong to its owner alone: a mode with any permission for
    /// group or others is refused.
    pub fn from_file(path: &Path) -> Result<Self, KeyRingError> {
        let unreadable = |error: io::Error| KeyRingError::Unreadable {
            path: path.display().to_string(),
            error: error.to_string(),
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(KeyRingError::NotAFile {
                path: path.display().to_string(),
            });
        }
        if metadata.mode() & 0o077 != 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(KeyRingError::Permissions {
                path: path.display().to_string(),
                mode,
            });
        }
        Self::from_text(&read_text(file).map_err(unreadable)?)
    }

    /// The keys in a text, as a file would hold them; commas may stand for line ends.
    pub fn from_text(text: &str) -> Result<Self, KeyRingError> {
        if text.len() > STORAGE_KEY_TEXT_BYTES_MAX {
            return Err(KeyRingError::TooMany);
        }
        let mut ring = None;
        for (index, line) in text.split(['\n', ',']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, key) = parse_line(line).ok_or(KeyRingError::Line { line: index + 1 })?;
            add(&mut ring, id, key)?;
        }
        ring.ok_or(KeyRingError::Empty)
    }
}

fn add(ring: &mut Option<Sealer>, id: KeyId, key: Xaes) -> Result<(), KeyRingError> {
    let ring = ring.get_or_insert_with(|| Sealer {
        current: id,
        keys: BTreeMap::new(),
    });
    if ring.keys.len() >= STORAGE_KEYS_MAX {
        return Err(KeyRingError::TooMany);
    }
    match ring.keys.insert(id, key) {
        None => Ok(()),
        Some(_) => Err(KeyRingError::Twice { id }),
    }
}

fn parse_line(line: &str) -> Option<(KeyId, Xaes)> {
    match line.split_once(':') {
        Some((id, digits)) => {
            let id = id.trim().parse().ok().filter(|id| *id > 0)?;
            Some((KeyId(id), parse_key(digits.trim())?))
        }
        None => {
            let key = parse_key(line)?;
            Some((KeyId(key.fingerprint()), key))
        }
    }
}

fn parse_key(digits: &str) -> Option<Xaes> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair
            .iter()
            .try_fold(0, |byte, digit| Some(byte << 4 | hex(*digit)?))?;
    }
    Some(Xaes::new(&key))
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Reads at most one byte more than is allowed, into one buffer that never moves, so that no copy
/// of a key stays behind in freed memory.
fn read_text(file: File) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(STORAGE_KEY_TEXT_BYTES_MAX + 64));
    let limit = STORAGE_KEY_TEXT_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Why keys were not taken. Never shows a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyRingError {
    /// The file cannot be read.
    #[error("encryption key file {path}: {error}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        error: String,
    },
    /// A directory, a pipe or a device.
    #[error("encryption key file {path} is not a regular file")]
    NotAFile {
        /// Which file.
        path: String,
    },
    /// Others can read the file.
    #[error(
        "encryption key file {path} has mode {mode:04o}; others must not read it: chmod 600 {path}"
    )]
    Permissions {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A line that is not a key.
    #[error("line {line} of the encryption keys is not KEYID:64 hexadecimal digits")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// Two keys with one number.
    #[error("two encryption keys have the id {id}")]
    Twice {
        /// Which number.
        id: KeyId,
    },
    /// More than a ring holds.
    #[error("at most {STORAGE_KEYS_MAX} encryption keys can be given")]
    TooMany,
    /// No key at all.
    #[error("no encryption key was given")]
    Empty,
}
