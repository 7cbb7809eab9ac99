//! Hark's bytes: record batches, segment headers, index entries and cursors.
//!
//! Everything here turns bytes into checked types and back. Nothing here touches a file, decides a
//! policy or decompresses (`compress` does). Every length found in the input is compared with the
//! bytes that remain before anything is allocated for it, and no input can cause a panic.
//!
//! Where to start: [`batch`] is the unit of append, storage, replication and fetch.

#![no_std]

extern crate alloc;

pub mod batch;
pub mod cursor;
pub mod index;
pub mod murmur2;
mod reader;
pub mod segment;
mod varint;

pub use batch::{Batch, BatchBuilder, BatchError, BatchHeader, Compression};
pub use cursor::{Cursor, CursorError};
pub use murmur2::{murmur2, partition_for_key};
