//! The invariants of a cluster, by their ids.
//!
//! | id | what it says | where it is checked |
//! |---|---|---|
//! | E1 | of one term and one node there is one leader, ever | `watch::agreement` |
//! | E2 | entries of one position, wherever they lie, are the same | `watch::agreement` |
//! | E3 | what was agreed on at an index is never another thing, on any disk | `watch::agreement` |
//! | E4 | a leader has everything that was agreed on before its term | `watch::agreement` |
//! | E5 | purged ≤ applied ≤ agreed ≤ last; terms, agreed and applied positions never go back | `watch::agreement` |
//! | E6 | what was acknowledged is in the log that was agreed on, and takes effect once | `history` |
//! | M1 | catalogs at one position are equal; a snapshot and the rest of the log give what the whole log gives | `ledger`, `watch` |
//! | M2 | the identity of a topic is used once and has one name | `ledger::topics` |
//! | M3 | one disk, in one line of starts, is a node; what was removed or given up never comes back | `ledger::nodes` |
//! | M4 | a fresh read sees everything that anybody saw before it began | `history` |
//! | M5 | votes and entries are on disk before they are answered, a start before it is registered | `whole::wire` |
//! | M6 | who answers is who was asked | `whole::wire` |
//! | M7 | who was refused has changed nothing; who changed something has counted it | `ledger` |
//! | M8 | new partitions lie on nodes that may hold them, spread evenly | `ledger::topics` |
//! | M9 | a change that names what it saw takes effect only on that | `ledger` |
//! | G1 | membership takes down only who is away, sees who is there, and knows which start it sees | `pure` |
//! | V1 | ten seconds after the faults a proposal succeeds | `settle` |
//! | V2 | ten seconds after the faults there is one controller; in the end it is the highest that lives | `settle` |
//! | V3 | nobody stays behind | `settle` |
//! | B1 | leadership is handed over once a minute at most, to who is steady and lacks nothing | `watch::leadership` |
//! | B2 | a leader that cannot lead is replaced within ten seconds, once | `whole::scripts` |
//! | B3 | voters are registered nodes, five at most, each under the name of its present disk | `settle` |

pub(super) const E1: &str = "E1";
pub(super) const E2: &str = "E2";
pub(super) const E3: &str = "E3";
pub(super) const E4: &str = "E4";
pub(super) const E5: &str = "E5";
pub(super) const E6: &str = "E6";
pub(super) const M1: &str = "M1";
pub(super) const M2: &str = "M2";
pub(super) const M3: &str = "M3";
pub(super) const M4: &str = "M4";
pub(super) const M5: &str = "M5";
pub(super) const M6: &str = "M6";
pub(super) const M7: &str = "M7";
pub(super) const M8: &str = "M8";
pub(super) const M9: &str = "M9";
pub(super) const G1: &str = "G1";
pub(super) const V1: &str = "V1";
pub(super) const V2: &str = "V2";
pub(super) const V3: &str = "V3";
pub(super) const B1: &str = "B1";
pub(super) const B2: &str = "B2";
pub(super) const B3: &str = "B3";
/// Not an invariant: the simulator itself cannot go on.
pub(super) const HARNESS: &str = "X1";
