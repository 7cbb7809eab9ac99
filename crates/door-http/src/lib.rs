//! The HTTP door: JSON, long polling, SSE and WebSocket.
//!
//! It converts requests into calls of the broker and the answers back, and decides nothing itself.
//!
//! Where to start: [`serve`] runs the door; [`dto`] has every JSON shape; the table of routes is in
//! `route.rs`, and each family of routes has its own file.

mod admin;
mod batches;
mod brokers;
mod convert;
mod discovery;
mod door;
pub mod dto;
mod error;
mod follow;
mod groups;
mod hosts;
mod input;
mod metrics;
mod nodes;
mod poll;
mod publish;
mod reply;
mod route;
mod serve;
mod status;
mod stream;
mod ws;

pub use brokers::BrokerMapListener;
pub use discovery::{Registry, RegistryError, serve_discovery};
pub use serve::{ServerOptions, serve};
