//! Names that come from outside: short texts, cheap to copy.

use alloc::format;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use model::limits::GROUP_NAME_BYTES_MAX;
use thiserror::Error;

/// Why a text cannot be the name of a group, a member or an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// No text at all.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than [`GROUP_NAME_BYTES_MAX`].
    #[error("a name has at most {GROUP_NAME_BYTES_MAX} bytes")]
    TooLong,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                checked(text).map(Self)
            }
        }
    };
}

name! {
    /// The name of a group: 1 to 249 bytes of any text.
    GroupName
}

name! {
    /// The name of one member, given by the coordinator: `NAME-HEX`, where `NAME` is the member's
    /// instance or client id and `HEX` 32 digits that no other member has.
    MemberId
}

name! {
    /// The name of a *static* member, given by its operator. It outlives the process: a new
    /// process with the same instance id takes the old one's place and partitions.
    InstanceId
}

/// Gives out member ids: two numbers of a generator started at a seed, so that ids of one process
/// never meet and those of two processes practically never.
#[derive(Debug)]
pub(crate) struct MemberIds(u64);

impl MemberIds {
    /// Digits of an id, and the dash before them.
    const SUFFIX_BYTES: usize = 33;

    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The id of a new member, beginning with its instance id or its client's name, cut where it
    /// must be.
    pub(crate) fn next(&mut self, instance: Option<&InstanceId>, client: &str) -> MemberId {
        let name = match instance {
            Some(instance) => instance.as_str(),
            None if client.is_empty() => "member",
            None => client,
        };
        let end = name.floor_char_boundary(GROUP_NAME_BYTES_MAX - Self::SUFFIX_BYTES);
        let (name, _) = name.split_at(end);
        let id = format!("{name}-{:016x}{:016x}", self.number(), self.number());
        MemberId(Arc::from(id))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a bijection of a counter, so no number comes twice.
    const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn checked(text: &str) -> Result<Arc<str>, NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > GROUP_NAME_BYTES_MAX => Err(NameError::TooLong),
        _ => Ok(Arc::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn names_have_1_to_249_bytes() {
        assert_eq!("".parse::<GroupName>(), Err(NameError::Empty));
        let longest = "x".repeat(GROUP_NAME_BYTES_MAX);
        assert_eq!(longest.parse::<GroupName>().unwrap().to_string(), longest);
        assert_eq!((longest + "x").parse::<MemberId>(), Err(NameError::TooLong));
        assert_eq!("é\n ".parse::<InstanceId>().unwrap().as_str(), "é\n ");
    }

    #[test]
    fn a_member_id_is_a_valid_name_whatever_the_client_is_called() {
        let mut ids = MemberIds::new(7);
        for client in ["", "a", &"é".repeat(500)] {
            let id = ids.next(None, client).to_string();
            assert_eq!(id.parse::<MemberId>().unwrap().to_string(), id);
        }
        assert_ne!(ids.next(None, "a"), ids.next(None, "a"));
        let instance = "blue".parse().unwrap();
        assert!(ids.next(Some(&instance), "a").as_str().starts_with("blue-"));
    }
}
