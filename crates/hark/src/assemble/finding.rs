//! How a node finds its cluster: where it may ask, whom it asks, and who founds.

mod address;
mod messages;
mod peers_file;
mod search;
mod seeking;
mod sources;

pub(crate) use address::{PEER_PORT_DEFAULT, PeerAddress};
pub(crate) use messages::{
    Answer, MessageError, Question, Stage, decode_join, decode_joined, encode_join, encode_joined,
};
pub(crate) use peers_file::PeersFile;
pub(crate) use search::{Asking, Found, Search, Seeker};
pub(crate) use seeking::{Candidate, Input, Rules, Seeking};
pub(crate) use sources::Sources;
