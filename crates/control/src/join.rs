//! Letting in a node that asks to be registered.

use catalog::{Claim, Command, Outcome, Refusal, Registration};
use thiserror::Error;

use crate::{Control, ProposeError};

/// Who asks, as its connection has proven it.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// What the process says of itself.
    pub claim: &'a Claim,
    /// Whether its certificate, if it needs one, names the node that it asks to be; any node, when it asks
    /// for no certain id.
    pub is_named: bool,
}

/// What the catalog made of the registration, if it came to that.
pub type Joined = Result<Result<Outcome, Refusal>, NotJoined>;

/// The catalog was not asked, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotJoined {
    /// It may be asked again, here or elsewhere.
    #[error("{0}")]
    NotNow(String),
    /// It would be the same again.
    #[error("{0}")]
    Never(String),
}

impl Control {
    /// Registers a process that is not a member yet, or an earlier start of a member, with the cluster.
    /// It can register only itself, and as no node that its certificate does not name.
    ///
    /// # Errors
    /// When the cluster was not asked, or nobody could say within the deadline. It may have been registered
    /// nonetheless, and may ask again.
    pub async fn handle_join(&self, who: &Newcomer<'_>, registration: Registration) -> Joined {
        check(who, &registration).map_err(NotJoined::Never)?;
        if !self.is_registered() {
            let why = "the node that was asked is about to become a member itself";
            return Err(NotJoined::NotNow(why.to_owned()));
        }
        match self.propose(Command::Register(registration)).await {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(ProposeError::Refused(refusal)) => Ok(Err(refusal)),
            Err(ProposeError::Unavailable(why)) => Err(NotJoined::NotNow(why)),
        }
    }

    /// Whether the catalog that is here holds this node. Before that it may be a founder, and whoever it
    /// let in could be given its id.
    fn is_registered(&self) -> bool {
        let identity = self.identity();
        let catalog = self.view();
        let node = identity.node().and_then(|id| catalog.node(id));
        node.is_some_and(|node| node.storage == identity.storage)
    }
}

fn check(who: &Newcomer<'_>, registration: &Registration) -> Result<(), String> {
    let claim = who.claim;
    if (claim.storage, claim.boot) != (registration.storage, registration.boot) {
        return Err("a node can register only itself".to_owned());
    }
    match (who.is_named, registration.id) {
        (true, _) => Ok(()),
        (false, Some(id)) => Err(format!("the certificate is not that of node {id}")),
        (false, None) => Err(
            "the certificate is for one certain id: start the node with --id, or give it a \
             certificate for any id (hark init --any)"
                .to_owned(),
        ),
    }
}
