//! Who may be talked to: what the catalog of this node says.

use catalog::{Claim, Refusal};
use control::Control;
use peer::Admission;

/// Asks the catalog.
#[derive(Debug)]
pub(in crate::assemble) struct Gate(pub Control);

impl Admission for Gate {
    fn claim(&self) -> Claim {
        self.0.claim()
    }

    fn admit(&self, claim: &Claim) -> Result<(), Refusal> {
        self.0.view().admit(claim)
    }
}
