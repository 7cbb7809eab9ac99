//! Users, and what they may do.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Catalog;

/// The principal of rules that are for everybody.
pub const EVERYBODY: &str = "*";

/// Somebody who can prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name; see [`model::limits`] for its length.
    pub name: String,
    /// What proves it, as the door that checks it wrote it. Never a password in clear.
    pub credential: Vec<u8>,
}

/// A rule: whether somebody may do something to something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclEntry {
    /// Who: a user's name, or `*` for everybody.
    pub principal: String,
    /// What they do.
    pub operation: Operation,
    /// To what.
    pub resource: Resource,
    /// Whether they may.
    pub effect: Effect,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Read records.
    Read,
    /// Publish.
    Write,
    /// Make, change and delete.
    Admin,
}

/// What it is done to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The cluster itself.
    Cluster,
    /// The topic of this name, or those that begin so when it ends with `*`.
    Topic(String),
    /// The group of this name, or those that begin so when it ends with `*`.
    Group(String),
}

/// Whether a rule allows or forbids. The greater one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

impl Catalog {
    /// Whether somebody may do something to something. A rule that forbids wins; without any rule that
    /// allows, they may not. Each operation stands for itself: who may `Admin` may not thereby read.
    #[must_use]
    pub fn authorize(&self, principal: &str, operation: Operation, resource: &Resource) -> bool {
        let of_them = |rule: &&AclEntry| rule.principal == principal || rule.principal == EVERYBODY;
        let about_it =
            |rule: &&AclEntry| rule.operation == operation && rule.resource.covers(resource);
        let rules = self.acls().filter(of_them).filter(about_it);
        rules.map(|rule| rule.effect).max() == Some(Effect::Allow)
    }
}

impl Resource {
    /// Whether a rule about this is about `other`, which is one thing with its exact name.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cluster, Self::Cluster) => true,
            (Self::Topic(pattern), Self::Topic(name))
            | (Self::Group(pattern), Self::Group(name)) => pattern
                .strip_suffix('*')
                .map_or_else(|| pattern == name, |prefix| name.starts_with(prefix)),
            _ => false,
        }
    }
}
