//! What is counted.

/// Messages and claims, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwimCounters {
    /// Messages dropped: not of this protocol.
    pub malformed: u64,
    /// Messages and claims dropped: of nodes that are not in the roster.
    pub strangers: u64,
    /// Messages dropped: of another process of this node, or of one whose place another has.
    pub superseded: u64,
    /// Messages dropped by the protocol engine.
    pub refused: u64,
    /// Answers to nodes that were not known yet, made shorter or left out so that they are not longer than
    /// the question.
    pub cut: u64,
    /// Claims that a node is down, not believed at once.
    pub doubted: u64,
    /// How often this process noticed that it had not been running.
    pub late: u64,
    /// Suspicions kept to oneself, because nobody was heard.
    pub deaf: u64,
    /// How often this process came back under a new name after it was given up for dead.
    pub renewed: u64,
}
