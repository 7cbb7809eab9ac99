//! Snappy, in both forms that Kafka's clients write: one raw block, or the xerial framing.
//!
//! Xerial framing, integers big-endian:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | magic | 0x82 `SNAPPY` 0 |
//! | 8..12 | version | i32, 1 |
//! | 12..16 | oldest version that can read it | i32, 1 |
//! | then, each | length | i32 |
//! | | block | a raw block of that length, from 32 KiB of input |
//!
//! No raw block begins like the magic: its first element would copy from before the beginning.

use snap::raw::{Decoder, Encoder, decompress_len};

use crate::capped::ReadError;
use crate::codec::failed;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// Input bytes of one block.
const BLOCK_BYTES: usize = 32 * 1024;
/// The shortest element that gives most has 3 bytes and gives 64, so no block expands further.
const EXPANSION_MAX: usize = 22;

/// `input` in xerial framing.
#[expect(
    clippy::expect_used,
    reason = "a block of 32 KiB is within snappy's limits"
)]
pub(crate) fn compress(input: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = [MAGIC, VERSIONS].concat();
    for block in input.chunks(BLOCK_BYTES) {
        let compressed = encoder
            .compress_vec(block)
            .expect("a block is not too large");
        // A block compresses to less than twice its size, so the length fits.
        out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    out
}

pub(crate) fn decompress(input: &[u8], max: usize) -> Result<Vec<u8>, ReadError> {
    let mut out = Vec::new();
    let Some(framed) = input.strip_prefix(&MAGIC) else {
        append_block(&mut out, input, max)?;
        return Ok(out);
    };
    let (_, mut rest) = framed
        .split_at_checked(VERSIONS.len())
        .ok_or_else(cut_off)?;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or_else(cut_off)?;
        append_block(&mut out, block, max)?;
        rest = after;
    }
    if rest.is_empty() {
        Ok(out)
    } else {
        Err(cut_off())
    }
}

/// The length that the block states is compared with the cap, and with what so many bytes can
/// give, before there is room for it.
fn append_block(out: &mut Vec<u8>, block: &[u8], max: usize) -> Result<(), ReadError> {
    let stated = decompress_len(block).map_err(snap_failed)?;
    if stated / EXPANSION_MAX > block.len() {
        return Err(failed("a block cannot give as much as it states"));
    }
    let start = out.len();
    if stated > max - start {
        return Err(ReadError::TooLarge);
    }
    out.resize(start + stated, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    Decoder::new()
        .decompress(block, room)
        .map_err(snap_failed)?;
    Ok(())
}

fn cut_off() -> ReadError {
    failed("a block is cut off")
}

fn snap_failed(error: snap::Error) -> ReadError {
    ReadError::Failed(error.into())
}
