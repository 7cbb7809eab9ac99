//! Everything that brokers say comes out as it went in, and nothing else is believed.

mod errors;
mod words;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use self::words::{request, response};
use super::codec::Malformed;
use super::message::{Request, Response};
use super::reread;

/// A byte of a message, and what of it is flipped.
fn change() -> impl Strategy<Value = (Index, u8)> {
    let bit = (0..8).prop_map(|bit| 1_u8 << bit);
    (any::<Index>(), prop_oneof![bit, 1..=u8::MAX])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_request_comes_out_as_it_went_in(request in request()) {
        prop_assert_eq!(Request::decode(request.encode()), Ok(request));
    }

    #[test]
    fn an_answer_comes_out_as_it_went_in(response in response()) {
        prop_assert_eq!(Response::decode(response.encode()), Ok(response));
    }

    #[test]
    fn what_is_cut_off_is_no_message(request in request(), response in response(), cut in any::<Index>()) {
        let (request, response) = (request.encode(), response.encode());
        let short = request.slice(..cut.index(request.len()));
        prop_assert!(Request::decode(short).is_err());
        let short = response.slice(..cut.index(response.len()));
        prop_assert!(Response::decode(short).is_err());
    }

    #[test]
    fn what_follows_a_message_is_refused(request in request()) {
        let longer = Bytes::from([&request.encode()[..], &[0]].concat());
        prop_assert_eq!(Request::decode(longer), Err(Malformed::TrailingBytes(1)));
    }

    /// Whatever is read at all is read for what it says.
    #[test]
    fn changed_bytes_are_refused_or_say_something_else(request in request(), response in response(), changes in vec(change(), 1..4)) {
        for bytes in [request.encode(), response.encode()] {
            let mut bytes = bytes.to_vec();
            for (at, flipped) in &changes {
                let at = at.index(bytes.len());
                bytes[at] ^= flipped;
            }
            let bytes = Bytes::from(bytes);
            for read in reread(&bytes).into_iter().flatten() {
                prop_assert_eq!(&read, &bytes);
            }
        }
    }

    /// A count that is made up, anywhere, is not believed.
    #[test]
    fn a_count_takes_no_memory_anywhere(request in request(), response in response(), at in any::<Index>()) {
        for bytes in [request.encode(), response.encode()] {
            let mut bytes = bytes.to_vec();
            let Some(last) = bytes.len().checked_sub(4) else { continue };
            let at = at.index(last + 1);
            bytes[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
            let bytes = Bytes::from(bytes);
            for read in reread(&bytes).into_iter().flatten() {
                prop_assert_eq!(&read, &bytes);
            }
        }
    }

    #[test]
    fn any_bytes_are_harmless(bytes in vec(any::<u8>(), 0..200), tag in 0..16_u8) {
        let versioned = [&[1, tag], &bytes[..]].concat();
        let _ = Response::decode(versioned.into());
        let versioned = [&[1; 9][..], &[tag], &bytes].concat();
        let _ = Request::decode(versioned.into());
        let _ = Request::decode(bytes.into());
    }
}

/// A count is not believed beyond the bytes that are there.
#[test]
fn a_count_takes_no_memory() {
    let bytes = [&[1, 3][..], &u32::MAX.to_be_bytes()].concat();
    assert_eq!(Response::decode(bytes.into()), Err(Malformed::Short));
}

/// A list of many small things would take much more memory than its bytes.
#[test]
fn a_list_is_not_longer_than_any_message_needs() {
    const COUNT: u32 = (1 << 20) + 1;
    let empty = [1, 3]; // An error, and that nothing was given.
    let fates = empty.repeat(COUNT as usize);
    let bytes = [&[1, 3][..], &COUNT.to_be_bytes(), &fates].concat();
    let refused = Response::decode(bytes.into());
    assert_eq!(refused, Err(Malformed::Value("list")));
}

#[test]
fn another_version_is_named() {
    let mut bytes = Response::Last(None).encode().to_vec();
    bytes[0] = 9;
    let refused = Response::decode(bytes.into());
    assert_eq!(refused, Err(Malformed::Version(9)));
    assert_eq!(
        Malformed::Version(9).to_string(),
        "version 9 of the broker's protocol is not known here"
    );
}
