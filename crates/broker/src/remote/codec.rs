//! How words of the protocol become bytes and come back.
//!
//! Numbers are big-endian. Text, bytes, batches and lists carry their length or count before them, as
//! a u32, and it is compared with what remains before anything is allocated. Nothing may follow the
//! last field.

mod errors;
mod nouns;
mod words;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Something that has a place in a message.
pub(super) trait Coded: Sized {
    /// The fewest bytes that one takes; at least 1.
    const BYTES_MIN: usize;
    /// Writes it.
    fn put(&self, out: &mut Writer);
    /// Reads it back.
    fn take(from: &mut Reader) -> Result<Self, Malformed>;
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Malformed {
    /// They end too early.
    #[error("the message is cut off")]
    Short,
    /// Something follows the message.
    #[error("{0} bytes follow the message")]
    TrailingBytes(usize),
    /// Another version than this one.
    #[error("version {0} of the broker's protocol is not known here")]
    Version(u8),
    /// A byte that stands for nothing.
    #[error("{0} has no variant {1}")]
    Tag(&'static str, u8),
    /// A value that its type does not allow.
    #[error("not a possible {0}")]
    Value(&'static str),
}

/// Bytes of a message that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer(BytesMut);

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.freeze()
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes, their length before them.
    pub(super) fn sized(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    /// No message comes near 4 GiB: what is larger would be cut off by whoever sends it, and is
    /// refused by whoever reads it.
    pub(super) fn count(&mut self, count: usize) {
        self.0.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

/// Bytes of a message that are still to be read.
#[derive(Debug)]
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The next bytes, not copied.
    pub(super) fn raw(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() {
            return Err(Malformed::Short);
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.raw(N)?;
        bytes.first_chunk().copied().ok_or(Malformed::Short)
    }

    /// Bytes that their length goes before.
    pub(super) fn sized(&mut self) -> Result<Bytes, Malformed> {
        let length = self.count(1)?;
        self.raw(length)
    }

    /// A count of things that take at least `each` bytes.
    pub(super) fn count(&mut self, each: usize) -> Result<usize, Malformed> {
        let count = u32::from_be_bytes(self.array()?) as usize;
        if count > self.0.len() / each {
            return Err(Malformed::Short);
        }
        Ok(count)
    }

    /// To be asked when the message has been read.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(Malformed::TrailingBytes(more)),
        }
    }
}

/// Gives a struct or an enum its bytes: the fields in the order written here, after the tag of an
/// enum's variant, one byte.
macro_rules! coded {
    (struct $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        impl Coded for $name {
            const BYTES_MIN: usize = 0 $(+ <$kind as Coded>::BYTES_MIN)*;
            fn put(&self, out: &mut Writer) {
                $(<$kind as Coded>::put(&self.$field, out);)*
            }
            fn take(from: &mut Reader) -> Result<Self, Malformed> {
                Ok(Self { $($field: <$kind as Coded>::take(from)?),* })
            }
        }
    };
    (enum $name:ident { $($tag:literal => $variant:ident $(($($place:ident: $kind:ty),*))? $({$($field:ident: $fkind:ty),*})?,)* }) => {
        impl Coded for $name {
            const BYTES_MIN: usize = 1;
            fn put(&self, out: &mut Writer) {
                match self {
                    $(Self::$variant $(($($place),*))? $({$($field),*})? => {
                        u8::put(&$tag, out);
                        $($(<$kind as Coded>::put($place, out);)*)?
                        $($(<$fkind as Coded>::put($field, out);)*)?
                    })*
                }
            }
            fn take(from: &mut Reader) -> Result<Self, Malformed> {
                match u8::take(from)? {
                    $($tag => Ok(Self::$variant
                        $(($(<$kind as Coded>::take(from)?),*))?
                        $({$($field: <$fkind as Coded>::take(from)?),*})?),)*
                    other => Err(Malformed::Tag(stringify!($name), other)),
                }
            }
        }
    };
}
pub(super) use coded;
