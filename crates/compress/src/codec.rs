//! One call for all codecs.

use std::io::{self, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use wire::Compression;

use crate::capped::{self, ReadError};
use crate::{DecompressError, snappy};

/// What zstd's own tool takes when it is not told.
const ZSTD_LEVEL: i32 = 3;
/// The largest window that zstd's levels ask for, 128 MiB. Little of it is touched when little
/// comes out, and never more than the cap.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const LZ4_FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// The compressed form of `input`, as Kafka's clients write it: gzip and zstd at their default
/// levels, snappy in xerial framing, LZ4 as one frame of independent 64 KiB blocks.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "writing to memory fails only when there is none left"
)]
pub fn compress(codec: Compression, input: &[u8]) -> Vec<u8> {
    match codec {
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => gzip(input),
        Compression::Snappy => Ok(snappy::compress(input)),
        Compression::Lz4 => lz4(input),
        Compression::Zstd => zstd::bulk::compress(input, ZSTD_LEVEL),
    }
    .expect("compression to memory cannot fail")
}

/// The bytes that `input` was made of, if they are at most `max`. The whole input must be used.
pub fn decompress(
    codec: Compression,
    input: &[u8],
    max: usize,
) -> Result<Vec<u8>, DecompressError> {
    let result = match codec {
        _ if input.is_empty() => Err(failed("no bytes at all")),
        Compression::None if input.len() > max => Err(ReadError::TooLarge),
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => capped::read_to_end(MultiGzDecoder::new(input), max),
        Compression::Snappy => snappy::decompress(input, max),
        Compression::Lz4 => unlz4(input, max),
        Compression::Zstd => unzstd(input, max),
    };
    result.map_err(|error| match error {
        ReadError::TooLarge => DecompressError::TooLarge { max },
        ReadError::Failed(error) => DecompressError::Corrupt {
            codec,
            reason: error.to_string(),
        },
    })
}

/// An error with a reason of our own.
pub(crate) fn failed(reason: &'static str) -> ReadError {
    ReadError::Failed(io::Error::new(io::ErrorKind::InvalidData, reason))
}

fn gzip(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(input)?;
    encoder.finish()
}

fn lz4(input: &[u8]) -> io::Result<Vec<u8>> {
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(input)?;
    encoder.finish().map_err(io::Error::from)
}

/// The decoder takes the end of its input for the end of the frame, wherever it comes; and it knows
/// an older format, which no client of Kafka writes.
fn unlz4(input: &[u8], max: usize) -> Result<Vec<u8>, ReadError> {
    if !input.starts_with(&LZ4_FRAME_MAGIC) {
        return Err(failed("not an LZ4 frame"));
    }
    let mut decoder = FrameDecoder::new(Watched {
        rest: input,
        starved: false,
    });
    let out = capped::read_to_end(&mut decoder, max)?;
    match decoder.get_ref() {
        Watched { starved: true, .. } => Err(failed("the frame is cut off")),
        Watched { rest: [], .. } => Ok(out),
        Watched { .. } => Err(failed("bytes follow the frame")),
    }
}

/// Remembers whether somebody wanted more than there was.
struct Watched<'a> {
    rest: &'a [u8],
    starved: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.starved |= self.rest.is_empty() && !buf.is_empty();
        self.rest.read(buf)
    }
}

fn unzstd(input: &[u8], max: usize) -> Result<Vec<u8>, ReadError> {
    let decoder = zstd::Decoder::with_buffer(input).and_then(|mut decoder| {
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Ok(decoder)
    });
    capped::read_to_end(decoder.map_err(ReadError::Failed)?, max)
}
