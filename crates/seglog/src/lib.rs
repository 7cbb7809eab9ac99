//! The durable log: one shared journal, segments behind it, and SQLite as a second engine.
//!
//! Synchronous; no async runtime in this crate. Every byte that goes to a disk goes through
//! [`Disk`], so that the simulator can lose, tear and refuse what it likes.
//!
//! Where to start: [`Store`] is the contract; [`log`] is the engine that the simulator torments.

pub mod disk;
mod frame;
pub mod log;
pub mod seal;
pub mod sqlite;
mod store;

pub use disk::{Disk, DiskFile, RealDisk};
pub use frame::{FRAME_HEAD_BYTES, Frame, FrameError, FrameHead};
pub use log::{Log, LogOptions, LogStore, Progress};
pub use seal::Sealer;
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{
    AppendError, Bounds, Done, Health, PartitionSettings, ReadError, Store, StoreError,
};
