//! The small words: numbers, text, identities, options and lists.

use std::time::Duration;

use bytes::Bytes;
use model::{
    Header, LeaderEpoch, NodeId, Offset, PartitionId, PartitionIndex, Record, Timestamp, TopicId,
    TopicName,
};
use wire::Batch;
use wire::cursor::Cursor;

use super::{Coded, Malformed, Reader, Writer, coded};

/// Longest text on its way; the rest is cut off.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Most things in one list: more than any message needs. Some take forty times as much memory as bytes.
const LIST_MAX: usize = 1 << 20;
/// Room for so many things is taken before the first of a list is read.
const RESERVE_MAX: usize = 1024;

macro_rules! number {
    ($($name:ident),*) => {$(
        impl Coded for $name {
            const BYTES_MIN: usize = size_of::<Self>();
            fn put(&self, out: &mut Writer) {
                out.raw(&self.to_be_bytes());
            }
            fn take(from: &mut Reader) -> Result<Self, Malformed> {
                from.array().map(Self::from_be_bytes)
            }
        }
    )*};
}
number!(u8, u16, u32, u64, i16, i32, i64);

/// A u64.
impl Coded for usize {
    const BYTES_MIN: Self = 8;
    fn put(&self, out: &mut Writer) {
        (*self as u64).put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        Self::try_from(u64::take(from)?).map_err(|_| Malformed::Value("number"))
    }
}

/// 0 or 1.
impl Coded for bool {
    const BYTES_MIN: usize = 1;
    fn put(&self, out: &mut Writer) {
        u8::from(*self).put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::Tag("bool", other)),
        }
    }
}

/// Microseconds, a u64.
impl Coded for Duration {
    const BYTES_MIN: usize = 8;
    fn put(&self, out: &mut Writer) {
        let micros = self.as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX).put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        u64::take(from).map(Self::from_micros)
    }
}

/// UTF-8, its length before it; of a long one the beginning.
impl Coded for String {
    const BYTES_MIN: usize = 4;
    fn put(&self, out: &mut Writer) {
        let end = self.floor_char_boundary(TEXT_BYTES_MAX);
        out.sized(self.get(..end).unwrap_or_default().as_bytes());
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        let bytes = from.sized()?;
        match str::from_utf8(&bytes) {
            Ok(text) if text.len() <= TEXT_BYTES_MAX => Ok(text.to_owned()),
            _ => Err(Malformed::Value("text")),
        }
    }
}

/// The length before them.
impl Coded for Bytes {
    const BYTES_MIN: usize = 4;
    fn put(&self, out: &mut Writer) {
        out.sized(self);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        from.sized()
    }
}

/// 0, or 1 and the thing.
impl<T: Coded> Coded for Option<T> {
    const BYTES_MIN: usize = 1;
    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(thing) = self {
            thing.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

/// 0 and the good, or 1 and the bad.
impl<T: Coded, E: Coded> Coded for Result<T, E> {
    const BYTES_MIN: usize = 1;
    fn put(&self, out: &mut Writer) {
        self.is_err().put(out);
        match self {
            Ok(good) => good.put(out),
            Err(bad) => bad.put(out),
        }
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match bool::take(from)? {
            false => Ok(T::take(from)?),
            true => Err(E::take(from)?),
        })
    }
}

/// The count before them.
impl<T: Coded> Coded for Vec<T> {
    const BYTES_MIN: usize = 4;
    fn put(&self, out: &mut Writer) {
        out.count(self.len());
        self.iter().for_each(|thing| thing.put(out));
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        let count = from.count(T::BYTES_MIN)?;
        if count > LIST_MAX {
            return Err(Malformed::Value("list"));
        }
        let mut things = Self::with_capacity(count.min(RESERVE_MAX));
        for _ in 0..count {
            things.push(T::take(from)?);
        }
        Ok(things)
    }
}

/// One after the other.
impl<A: Coded, B: Coded> Coded for (A, B) {
    const BYTES_MIN: usize = A::BYTES_MIN + B::BYTES_MIN;
    fn put(&self, out: &mut Writer) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

/// Nothing more to say, which takes a byte all the same: 0.
impl Coded for () {
    const BYTES_MIN: usize = 1;
    fn put(&self, out: &mut Writer) {
        0_u8.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(()),
            other => Err(Malformed::Tag("nothing", other)),
        }
    }
}

/// 16 bytes.
impl Coded for TopicId {
    const BYTES_MIN: usize = 16;
    fn put(&self, out: &mut Writer) {
        out.raw(self.as_bytes());
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        from.array().map(Self::from_bytes)
    }
}

/// Text.
impl Coded for TopicName {
    const BYTES_MIN: usize = 4;
    fn put(&self, out: &mut Writer) {
        out.sized(self.as_str().as_bytes());
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        let bytes = from.sized()?;
        let text = str::from_utf8(&bytes).map_err(|_| Malformed::Value("topic name"))?;
        text.parse().map_err(|_| Malformed::Value("topic name"))
    }
}

/// A number that wraps another one, and may not take all of its values.
macro_rules! wrapped {
    ($($name:ident as $kind:ident: $get:expr, $new:expr;)*) => {$(
        impl Coded for $name {
            const BYTES_MIN: usize = size_of::<$kind>();
            fn put(&self, out: &mut Writer) {
                let get: fn(&Self) -> $kind = $get;
                get(self).put(out);
            }
            fn take(from: &mut Reader) -> Result<Self, Malformed> {
                let new: fn($kind) -> Option<Self> = $new;
                new($kind::take(from)?).ok_or(Malformed::Value(stringify!($name)))
            }
        }
    )*};
}
wrapped! {
    NodeId as u16: |id| id.0, |id| Some(Self(id));
    PartitionIndex as u32: |index| index.0, |index| Some(Self(index));
    LeaderEpoch as u32: |epoch| epoch.0, |epoch| Some(Self(epoch));
    Offset as u64: |offset| offset.get(), Self::new;
    Timestamp as i64: |time| time.as_millis(), Self::from_millis;
}

coded!(
    struct PartitionId {
        topic: TopicId,
        index: PartitionIndex,
    }
);
coded!(
    struct Header {
        name: Bytes,
        value: Option<Bytes>,
    }
);
coded!(
    struct Record {
        key: Option<Bytes>,
        value: Option<Bytes>,
        headers: Vec<Header>,
        timestamp: Option<Timestamp>,
    }
);

/// Its bytes, as on disk; checked again when they are read.
impl Coded for Batch {
    const BYTES_MIN: usize = 4 + wire::batch::HEADER_BYTES;
    fn put(&self, out: &mut Writer) {
        out.sized(self.bytes());
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        Self::parse(from.sized()?).map_err(|_| Malformed::Value("batch"))
    }
}

/// The topic, and the positions by ascending partition.
impl Coded for Cursor {
    const BYTES_MIN: usize = 16 + 4;
    fn put(&self, out: &mut Writer) {
        self.topic().put(out);
        out.count(self.positions().len());
        self.positions().iter().for_each(|at| at.put(out));
    }
    fn take(from: &mut Reader) -> Result<Self, Malformed> {
        let topic = TopicId::take(from)?;
        let positions = Vec::<(PartitionIndex, Offset)>::take(from)?;
        if !positions.is_sorted_by(|(before, _), (after, _)| before < after) {
            return Err(Malformed::Value("cursor"));
        }
        Ok(Self::new(topic, positions))
    }
}
