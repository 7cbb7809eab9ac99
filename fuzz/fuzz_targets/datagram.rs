//! Any bytes as a datagram, as they are and with what comes before the sealed part made right; and any bytes as a
//! message, which opens to what was sealed, once, and to nothing when a bit of it was changed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{BootId, ClusterId};
use peer::datagram::{MESSAGE_BYTES_MAX, NONCE_BYTES, Sealer};

fuzz_target!(|input: &[u8]| {
    let mut sealer = Sealer::new(ClusterId::from_bytes([1; 16]), BootId::from_bytes([2; 16]), None);
    assert_eq!(sealer.open(input), None);
    let Ok(datagram) = sealer.seal([3; NONCE_BYTES], input) else {
        assert!(input.len() > MESSAGE_BYTES_MAX);
        return;
    };
    assert_eq!(sealer.open(&[&datagram[..7], input].concat()), None);
    let opened = sealer.open(&datagram).map(|opened| opened.message);
    assert_eq!(opened.as_deref(), Some(input));
    assert_eq!(sealer.open(&datagram), None);
    let mut changed = datagram;
    let place = usize::from(input.first().copied().unwrap_or(0)) % changed.len();
    changed[place] ^= 1;
    assert_eq!(sealer.open(&changed), None);
});
