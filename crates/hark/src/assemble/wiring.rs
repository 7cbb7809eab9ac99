//! What joins the parts of a node: each part knows only its own seams, and here is what is behind them.
//!
//! The parts need each other before all of them are there: control must be able to call before it can
//! open, and others call before the broker has recovered. So the ends of these wires are set one after
//! the other, and whoever comes too early waits, or is told that nobody is there.

mod address_book;
mod cluster;
mod gate;
mod late;
mod links;
mod liveness;
mod overview;
mod reception;
mod senses;
mod standing;
mod way;

pub(super) use address_book::AddressBook;
pub(super) use cluster::NodeCluster;
pub(super) use gate::Gate;
pub(super) use late::Late;
pub(super) use links::Links;
pub(super) use liveness::GossipLiveness;
pub(super) use reception::Reception;
pub(super) use senses::Senses;
pub(super) use standing::{Heard, Standing};
pub(super) use way::{Unanswered, Way, ask};
