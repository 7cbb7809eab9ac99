//! Nodes of a cluster, and what tells one from another.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// The number of a node. In binary it is the node's corner of the hypercube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

impl NodeId {
    /// The corner in binary, at least `width` digits wide.
    #[must_use]
    pub const fn corner(self, width: usize) -> Corner {
        Corner { id: self, width }
    }

    /// The number as it is typed: what is shown parses to the same id again. `100` does not, which is four.
    #[must_use]
    pub const fn argument(self) -> Argument {
        Argument(self)
    }
}

/// The number in decimal.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node's number in binary, as [`NodeId::corner`] gives it.
#[derive(Debug, Clone, Copy)]
pub struct Corner {
    id: NodeId,
    width: usize,
}

impl fmt::Display for Corner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$b}", self.id.0, width = self.width)
    }
}

/// A node's number as it is typed, as [`NodeId::argument`] gives it.
#[derive(Debug, Clone, Copy)]
pub struct Argument(NodeId);

/// In decimal, after `0d` if the digits alone would be read as binary.
impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.0;
        let mut is_binary = rest >= 100;
        while rest > 0 {
            is_binary &= rest % 10 <= 1;
            rest /= 10;
        }
        let prefix = if is_binary { "0d" } else { "" };
        write!(f, "{prefix}{}", self.0)
    }
}

/// `3`, or binary: three or more digits of 0 and 1 (`011`), or any number of them after `0b`.
/// A decimal number made of such digits is written after `0d`, as in `0d101`.
impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        let (digits, radix) = if let Some(digits) = text.strip_prefix("0b") {
            (digits, 2)
        } else if let Some(digits) = text.strip_prefix("0d") {
            (digits, 10)
        } else if text.len() >= 3 && text.bytes().all(|b| matches!(b, b'0' | b'1')) {
            (text, 2)
        } else {
            (text, 10)
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NodeIdError);
        }
        u16::from_str_radix(digits, radix)
            .map(Self)
            .map_err(|_| NodeIdError)
    }
}

/// The text is not the number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a node id is a number from 0 to 65535, in decimal ('3') or in binary ('011' or '0b11')")]
pub struct NodeIdError;

/// A part of the hypercube: all corners that begin with the same binary digits. Written with an `x` for
/// each digit that is free: `01xx` holds 4 to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    first: u16,
    free_bits: u8,
}

impl Site {
    /// The whole cube.
    pub const EVERYWHERE: Self = Self {
        first: 0,
        free_bits: 16,
    };

    /// Whether a corner lies in it.
    #[must_use]
    pub fn contains(self, id: NodeId) -> bool {
        self.ids().contains(&id.0)
    }

    /// Its corners, from the lowest.
    #[must_use]
    pub fn ids(self) -> core::ops::RangeInclusive<u16> {
        let free = u16::MAX.checked_shr(16 - u32::from(self.free_bits));
        self.first..=self.first | free.unwrap_or(0)
    }
}

/// Reads what [`FromStr`] takes.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.free_bits < 16 && self.first >> self.free_bits > 0 {
            write!(f, "{:b}", self.first >> self.free_bits)?;
        } else if self.free_bits < 16 {
            f.write_str("0")?;
        }
        (0..self.free_bits).try_for_each(|_| f.write_str("x"))
    }
}

impl FromStr for Site {
    type Err = SiteError;

    fn from_str(text: &str) -> Result<Self, SiteError> {
        let fixed = text.trim_end_matches('x');
        let free_bits = text.len() - fixed.len();
        let is_binary = fixed.bytes().all(|b| matches!(b, b'0' | b'1'));
        if text.is_empty() || text.len() > 16 || free_bits == 0 || !is_binary {
            return Err(SiteError);
        }
        let prefix = if fixed.is_empty() {
            0
        } else {
            u32::from_str_radix(fixed, 2).map_err(|_| SiteError)?
        };
        Ok(Self {
            first: u16::try_from(prefix << free_bits).map_err(|_| SiteError)?,
            free_bits: u8::try_from(free_bits).map_err(|_| SiteError)?,
        })
    }
}

/// The text is not a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a site is the beginning of an id in binary and an 'x' for each free digit: '01xx' holds the ids 4 to 7"
)]
pub struct SiteError;

/// A dense number, given to each node once and never again: unlike ids, slots have no holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often the node of an id has been registered: each start makes it one larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn node_ids() {
        let cases = [
            ("3", Ok(3)),
            ("011", Ok(3)),
            ("0b11", Ok(3)),
            ("10", Ok(10)),
            ("101", Ok(5)),
            ("0d101", Ok(101)),
            ("102", Ok(102)),
            ("65535", Ok(65535)),
            ("65536", Err(NodeIdError)),
            ("", Err(NodeIdError)),
            ("0b", Err(NodeIdError)),
            ("0b2", Err(NodeIdError)),
            ("-1", Err(NodeIdError)),
            ("+1", Err(NodeIdError)),
            ("0d+1", Err(NodeIdError)),
            ("A", Err(NodeIdError)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), expected.map(NodeId), "{text:?}");
        }
        assert_eq!(NodeId(3).corner(4).to_string(), "0011");
        assert_eq!(NodeId(9).corner(2).to_string(), "1001");
    }

    #[test]
    fn what_is_to_be_typed_is_read_as_the_same_id() {
        for id in (0..=u16::MAX).map(NodeId) {
            assert_eq!(id.argument().to_string().parse(), Ok(id));
        }
        let typed =
            [0, 1, 11, 99, 100, 101, 112, 1111, 2111].map(|id| NodeId(id).argument().to_string());
        let expected = [
            "0", "1", "11", "99", "0d100", "0d101", "112", "0d1111", "2111",
        ];
        assert_eq!(typed, expected);
    }

    #[test]
    fn sites() {
        let cases: [(&str, u16, u16); 5] = [
            ("01xx", 4, 7),
            ("x", 0, 1),
            ("0x", 0, 1),
            ("1x", 2, 3),
            ("xxxxxxxxxxxxxxxx", 0, u16::MAX),
        ];
        for (text, first, last) in cases {
            let site: Site = text.parse().unwrap();
            assert_eq!(site.ids(), first..=last, "{text}");
            assert_eq!(site.to_string().parse(), Ok(site), "{text}");
            assert!(site.contains(NodeId(first)) && site.contains(NodeId(last)));
        }
        for bad in ["", "01", "x1", "2x", "0X", "xxxxxxxxxxxxxxxxx", "-x"] {
            assert_eq!(bad.parse::<Site>(), Err(SiteError), "{bad:?}");
        }
    }
}
