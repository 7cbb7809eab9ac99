//! The secret that all nodes of a cluster share.

use std::fmt;

use model::limits;
use thiserror::Error;
use zeroize::Zeroize;

/// 32 random bytes, written as 64 lower-case hexadecimal digits. Who has them may talk to the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey([u8; 32]);

impl ClusterKey {
    /// A new one, from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0).map_err(|_| KeyError::NoRandomness)?;
        Ok(key)
    }

    /// The key made of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. Keep them secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key as text. Keep it secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_text(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return None;
        }
        let mut key = Self([0; 32]);
        for (place, byte) in key.0.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(key)
    }
}

impl Drop for ClusterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Never the key.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey")
    }
}

/// The keys of a cluster. The first is used; all are accepted, so that a cluster changes its key one
/// node at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterKeys(Vec<ClusterKey>);

impl ClusterKeys {
    /// One key.
    #[must_use]
    pub fn one(key: ClusterKey) -> Self {
        Self(vec![key])
    }

    /// The key in use, and those that are accepted besides. At most [`limits::CLUSTER_KEYS_MAX`].
    pub fn new(keys: Vec<ClusterKey>) -> Result<Self, KeyError> {
        match keys.len() {
            0 => Err(KeyError::None),
            1..=limits::CLUSTER_KEYS_MAX => Ok(Self(keys)),
            _ => Err(KeyError::TooMany),
        }
    }

    /// Reads one key per line. Empty lines, and those that begin with `#`, are left out.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(ClusterKey::from_text(line).ok_or(KeyError::Line(place + 1))?);
        }
        Self::new(keys)
    }

    /// The key that is used.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "every constructor refuses an empty list"
    )]
    pub fn first(&self) -> &ClusterKey {
        &self.0[0]
    }

    /// All that are accepted, the one in use first.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterKey> {
        self.0.iter()
    }
}

/// These are not the keys of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// None.
    #[error("no key")]
    None,
    /// More than are kept.
    #[error("more than {max} keys", max = limits::CLUSTER_KEYS_MAX)]
    TooMany,
    /// A line is not a key.
    #[error("line {0}: a key is 64 lower-case hexadecimal digits")]
    Line(usize),
    /// The system has none.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_text() {
        let one = "00ff".repeat(16);
        let two = "ab".repeat(32);
        let cases = [
            (format!("{one}\n"), Ok(1)),
            (format!("# first\n{one}\n\n  {two}  \n"), Ok(2)),
            (String::new(), Err(KeyError::None)),
            ("# only this\n".into(), Err(KeyError::None)),
            (format!("{one}\n{two}\n{one}"), Err(KeyError::TooMany)),
            (
                format!("{one}\n{}", one.to_uppercase()),
                Err(KeyError::Line(2)),
            ),
            (format!("{one}0"), Err(KeyError::Line(1))),
            ("é".repeat(32), Err(KeyError::Line(1))),
        ];
        for (text, expected) in cases {
            let keys = ClusterKeys::from_text(&text);
            assert_eq!(keys.map(|keys| keys.iter().count()), expected, "{text:?}");
        }
        let key = ClusterKey::generate().unwrap();
        let read = ClusterKeys::from_text(&key.to_text()).unwrap();
        assert_eq!(read.first(), &key);
        assert_eq!(format!("{read:?}"), "ClusterKeys([ClusterKey])");
    }
}
