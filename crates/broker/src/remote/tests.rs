//! Everything that brokers say comes out as it went in, and nothing else is believed.

mod errors;
mod words;

use bytes::Bytes;
use proptest::prelude::*;

use self::words::{request, response};
use super::codec::Malformed;
use super::message::{Request, Response};

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
    fn what_is_cut_off_is_no_message(request in request(), response in response(), cut in any::<prop::sample::Index>()) {
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
    fn changed_bytes_are_refused_or_say_something_else(response in response(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = response.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let bytes = Bytes::from(bytes);
        if let Ok(read) = Response::decode(bytes.clone()) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0..16_u8) {
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
