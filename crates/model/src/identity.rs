//! Sixteen random bytes that name one thing for ever; written as 32 lower-case hexadecimal digits.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The identity made of these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// 32 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        /// Reads what `Display` writes.
        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                bytes_of(text).map(Self).ok_or($error)
            }
        }
    };
}

identity! {
    /// The identity of a topic, never used for a second topic. Directories and the wire use it; a topic
    /// deleted and made again under its old name gets a new one.
    TopicId, TopicIdError
}
identity! {
    /// One cluster, from its founding on.
    ClusterId, IdentityError
}
identity! {
    /// One data directory, from its making on. A wiped disk has another.
    StorageId, IdentityError
}
identity! {
    /// One start of a node. Every start draws a new one, so two processes, or a directory and its
    /// copy, never share one.
    BootId, IdentityError
}

/// The text is not a topic id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a topic id is 32 lower-case hexadecimal digits")]
pub struct TopicIdError;

/// The text is not an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an identity is 32 lower-case hexadecimal digits")]
pub struct IdentityError;

/// The 16 bytes that are written so. Upper case and signs are not: a thing has one name.
fn bytes_of(text: &str) -> Option<[u8; 16]> {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 32 || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_identity_reads_back_what_it_writes() {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        let (topic, storage) = (TopicId::from_bytes(bytes), StorageId::from_bytes(bytes));
        assert_eq!(topic.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(topic.to_string().parse(), Ok(topic));
        assert_eq!(storage.to_string().parse(), Ok(storage));
        assert_eq!(format!("{topic:?}"), format!("TopicId({topic})"));
    }

    #[test]
    fn what_is_not_an_identity() {
        for bad in [
            "",
            "+0",
            "0123456789ABCDEF0123456789ABCDEF",
            "+123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef0",
        ] {
            assert_eq!(bad.parse::<TopicId>(), Err(TopicIdError), "{bad:?}");
            assert_eq!(bad.parse::<BootId>(), Err(IdentityError), "{bad:?}");
        }
    }
}
