//! The catalog from outside: what each command leads to, and that its bytes read back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod admission;
mod any;
mod clusters;
mod codec;
mod identity;
mod loss;
mod nodes;
mod replay;
mod topics;
