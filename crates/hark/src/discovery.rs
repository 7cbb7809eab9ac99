//! The discovery service, and a node's way to it.
//!
//! A node registers when it starts without a cluster, and once more when it is a member. The service
//! keeps the map in a file and pushes it to every registered node whenever it changes. It sends no
//! heartbeats and wants none: without it a running cluster runs on, and so does a node that starts
//! again.

mod book;
mod client;
mod push;
mod registry;

pub(crate) use client::Client;
pub(crate) use push::push;
pub(crate) use registry::FileRegistry;
