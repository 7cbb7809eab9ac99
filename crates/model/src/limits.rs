//! Every limit in one place. A value that comes from outside is compared with one of these before
//! anything is allocated for it.

use core::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// -- names --------------------------------------------------------------------

/// Longest topic name.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Longest name of a group, a consumer or an instance.
pub const GROUP_NAME_BYTES_MAX: usize = 249;

// -- records and batches ------------------------------------------------------

/// Largest batch, compressed or not, that a node stores; topics may set less.
pub const BATCH_BYTES_MAX: usize = 16 * MIB;
/// Largest batch that a topic takes when it sets nothing.
pub const BATCH_BYTES_DEFAULT: usize = MIB + 12;
/// The least that a topic may set as its largest batch.
pub const MESSAGE_BYTES_LIMIT_MIN: usize = 128;
/// Most bytes that one batch may decompress to.
pub const BATCH_DECOMPRESSED_BYTES_MAX: usize = 64 * MIB;
/// Most records in one batch.
pub const BATCH_RECORDS_MAX: usize = 1 << 20;
/// Most headers of one record.
pub const RECORD_HEADERS_MAX: usize = 1024;
/// Batches remembered per producer and partition to recognise a retry.
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;
/// Producers remembered per partition; the one idle longest is forgotten first.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;
/// About how many bytes of idempotent producers' batches a start reads to learn what they wrote.
pub const PRODUCER_REPLAY_BYTES_MAX: u64 = 256 << 20;
/// Producer ids that a node takes from the catalog at once.
pub const PRODUCER_IDS_PER_BLOCK: u32 = 1_000;

// -- topics -------------------------------------------------------------------

/// Most partitions of one topic.
pub const PARTITIONS_PER_TOPIC_MAX: u32 = 10_000;
/// Most partitions on one node.
pub const PARTITIONS_PER_NODE_MAX: usize = 200_000;
/// Smallest and largest segment file a topic may ask for.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Segment size of a topic that sets nothing.
pub const SEGMENT_BYTES_DEFAULT: u64 = 256 << 20;

// -- the journal --------------------------------------------------------------

/// Size of one journal file.
pub const JOURNAL_FILE_BYTES: u64 = 32 << 20;
/// Most journal files; appends wait when all of them hold unsettled records.
pub const JOURNAL_FILES_MAX: usize = 24;
/// Most bytes of one group commit.
pub const GROUP_COMMIT_BYTES_MAX: usize = 4 * MIB;
/// Most bytes accepted but not yet on disk, over all partitions that a node leads.
pub const APPEND_BYTES_IN_FLIGHT_MAX: usize = 64 * MIB;
/// Most bytes on disk in the journal but not yet written to segments.
pub const UNSETTLED_BYTES_MAX: usize = 64 * MIB;

// -- encryption at rest -------------------------------------------------------

/// Most keys of one ring; old ones stay in it for as long as their records are kept.
pub const STORAGE_KEYS_MAX: usize = 64;
/// Longest text of a key ring.
pub const STORAGE_KEY_TEXT_BYTES_MAX: usize = 16 * KIB;

// -- reading ------------------------------------------------------------------

/// Most records that one poll answers with.
pub const POLL_RECORDS_MAX: usize = 10_000;
/// Records that a poll answers with when it does not say.
pub const POLL_RECORDS_DEFAULT: usize = 500;
/// Most bytes that one fetch answers with; a first batch larger than this still comes whole.
pub const FETCH_BYTES_MAX: usize = 8 * MIB;
/// Most bytes of fresh batches kept in memory for readers that wait at the end, over all partitions.
pub const FRESH_BYTES_MAX: usize = 16 * MIB;
/// The same for one partition.
pub const FRESH_BYTES_PER_PARTITION_MAX: usize = 2 * MIB;
/// Most reads of a node that wait for the disk at once; the others stand in line.
pub const DISK_READS_MAX: usize = 32;
/// Longest wait of a long poll.
pub const POLL_TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// Wait of a long poll that does not say.
pub const POLL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest cursor text.
pub const CURSOR_TEXT_BYTES_MAX: usize = 256 * KIB;

// -- groups -------------------------------------------------------------------

/// Most groups on one node.
pub const GROUPS_MAX: usize = 100_000;
/// Most members of one group.
pub const GROUP_MEMBERS_MAX: usize = 10_000;
/// Most topics that one member subscribes to.
pub const GROUP_TOPICS_PER_MEMBER_MAX: usize = 1_000;
/// Bounds of a member's session timeout.
pub const SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// See [`SESSION_TIMEOUT_MIN`].
pub const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(1800);
/// Session timeout of a member that does not say.
pub const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Longest time that a rebalance waits for a member; a member that asks for more gets this.
pub const REBALANCE_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Most assignment protocols that one member offers.
pub const GROUP_PROTOCOLS_PER_MEMBER_MAX: usize = 64;
/// Most bytes that one member's subscription and protocols take.
pub const GROUP_MEMBER_BYTES_MAX: usize = 256 * KIB;
/// Most bytes that the members of one group take together: the group is stored as one record.
pub const GROUP_BYTES_MAX: usize = 8 * MIB;
/// Most partitions that one group keeps commits of.
pub const GROUP_COMMITS_MAX: usize = 200_000;
/// Most positions of commits that a node takes before earlier ones are on disk; whoever commits more
/// waits.
pub const COMMIT_POSITIONS_IN_FLIGHT_MAX: usize = 100_000;
/// Longest time between two signs of life of a member that waits for records.
pub const HEARTBEAT_INTERVAL_MAX: Duration = Duration::from_secs(3);
/// Longest note kept with a commit.
pub const COMMIT_METADATA_BYTES_MAX: usize = 4 * KIB;
/// The log of groups is written anew when it holds more bytes than this, and four times what lives.
pub const GROUPS_LOG_BYTES_MAX: u64 = 16 << 20;
/// Size of its segments.
pub const GROUPS_LOG_SEGMENT_BYTES: u64 = 4 << 20;
/// How long the commits of an empty group are kept.
pub const COMMIT_RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);

// -- between brokers ----------------------------------------------------------

/// About how many bytes of batches go to another node's partition with one call; a first batch larger
/// than this goes whole.
pub const PEER_APPEND_BYTES_MAX: usize = 4 * MIB;
/// Most bytes accepted for partitions of other nodes and not yet answered for.
pub const PEER_APPEND_BYTES_IN_FLIGHT_MAX: usize = 64 * MIB;
/// The same, for those of one other node.
pub const PEER_APPEND_BYTES_PER_NODE_MAX: usize = 16 * MIB;
/// Longest time that a broker waits for records in the place of another one, which then asks again.
pub const PEER_FETCH_WAIT_MAX: Duration = Duration::from_secs(30);
/// Largest answer of one broker to another.
pub const PEER_ANSWER_BYTES_MAX: usize = 60 * MIB;
/// Most bytes of answers to the brokers of other nodes that are being read, or wait to be sent; whoever
/// would answer with more waits.
pub const PEER_ANSWER_BYTES_IN_FLIGHT_MAX: usize = 128 * MIB;
/// The same, for those to one other node.
pub const PEER_ANSWER_BYTES_PER_NODE_MAX: usize = 32 * MIB;
/// Answers up to this size are not counted: the number of calls bounds them.
pub const PEER_ANSWER_BYTES_FREE: usize = 4 * KIB;
/// Partitions of the internal topic that says who coordinates which group.
pub const GROUPS_PARTITIONS: u32 = 32;

// -- the HTTP door ------------------------------------------------------------

/// Largest request body.
pub const HTTP_BODY_BYTES_MAX: usize = 32 * MIB;
/// Deepest nesting of a JSON body.
pub const JSON_DEPTH_MAX: usize = 64;
/// Time that a client has to send a request's headers.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * KIB;
/// Most connections at once.
pub const HTTP_CONNECTIONS_MAX: usize = 16_000;
/// Bytes of bodies that are read and served at once; more wait.
pub const HTTP_BYTES_IN_FLIGHT_MAX: usize = 256 * MIB;
/// How slowly a body may come that is held as a whole, in bytes per second.
pub const HTTP_BODY_RATE_MIN: usize = 64 * KIB;

// -- the catalog of a cluster -------------------------------------------------

/// Most nodes of a cluster.
pub const NODES_MAX: usize = 4_096;
/// Longest address of a node, `host:port`: the longest name of a host, and a port.
pub const ADDRESS_BYTES_MAX: usize = 255 + 6;
/// Longest name of a rack.
pub const RACK_BYTES_MAX: usize = 249;
/// Most earlier starts that a node names when it registers or calls.
pub const KNOWN_BOOTS_MAX: usize = 8;
/// Most topics that a cluster has at once.
pub const TOPICS_MAX: usize = 100_000;
/// Most topics that a cluster makes in its life: it remembers those that it deleted.
pub const TOPICS_EVER_MAX: usize = 1_000_000;
/// Most partitions of all topics together.
pub const PARTITIONS_PER_CLUSTER_MAX: usize = 1_000_000;
/// Most copies of one partition.
pub const REPLICAS_MAX: usize = 16;
/// Most users.
pub const USERS_MAX: usize = 10_000;
/// Longest name of a user.
pub const USER_NAME_BYTES_MAX: usize = 249;
/// Longest credential of a user.
pub const CREDENTIAL_BYTES_MAX: usize = KIB;
/// Most rules about who may do what.
pub const ACLS_MAX: usize = 10_000;
/// Longest encoding of one command.
pub const COMMAND_BYTES_MAX: usize = 64 * KIB;
/// Longest encoding of a whole catalog.
pub const CATALOG_BYTES_MAX: usize = 128 * MIB;

// -- agreement on it ----------------------------------------------------------

/// Most nodes that vote.
pub const VOTERS_MAX: usize = 5;
/// How many of so many nodes vote: the largest odd number, for of an even one no more may be lost.
#[must_use]
pub const fn voters_among(nodes: usize) -> usize {
    let most = if nodes < VOTERS_MAX {
        nodes
    } else {
        VOTERS_MAX
    };
    most.saturating_sub(1 - most % 2)
}
const _: () = assert!(voters_among(0) == 0 && voters_among(1) == 1 && voters_among(2) == 1);
const _: () = assert!(voters_among(4) == 3 && voters_among(5) == 5 && voters_among(300) == 5);
/// Answers to the last commands that are remembered, so that one proposed again happens once.
pub const PROPOSALS_REMEMBERED_MAX: usize = 1024;
/// The same in bytes.
pub const PROPOSALS_REMEMBERED_BYTES_MAX: usize = MIB;
/// Most bytes of a snapshot that one call carries.
pub const SNAPSHOT_CHUNK_BYTES: usize = MIB;
/// Largest snapshot: a catalog, and what is remembered beside it.
pub const SNAPSHOT_BYTES_MAX: usize = CATALOG_BYTES_MAX + 2 * MIB;
/// Last position that a log can have; no cluster gets there.
pub const LOG_POSITION_MAX: u64 = 1 << 62;
/// How far ahead of its own term a node believes another one to be. Terms grow by one per election.
pub const TERM_AHEAD_MAX: u64 = 1 << 32;

// -- between nodes: calls -----------------------------------------------------

/// Largest frame of a connection between nodes, its header included.
pub const PEER_FRAME_BYTES_MAX: usize = 64 * MIB;
/// Most calls that wait for their answers on one connection; more stand in line.
pub const PEER_CALLS_IN_FLIGHT_MAX: usize = 16_384;
/// Most bytes of requests on one connection that are not answered, at either end of it.
pub const PEER_REQUEST_BYTES_PER_CONNECTION_MAX: usize = PEER_FRAME_BYTES_MAX;
/// Most bytes of requests, received from all nodes on one lane, that are not answered.
pub const PEER_REQUEST_BYTES_MAX: usize = 4 * PEER_FRAME_BYTES_MAX;
/// Largest frame from a process that has no id yet.
pub const PEER_GUEST_FRAME_BYTES_MAX: usize = 64 * KIB;
/// Bytes that stand in line on one connection; while there are more, no further request is read.
pub const PEER_ANSWER_BYTES_QUEUED_MAX: usize = PEER_FRAME_BYTES_MAX;
/// Bytes that stand in line on one connection; while there are more, only small answers find a place, and
/// others are dropped.
pub const PEER_ANSWER_BYTES_KEPT_MAX: usize = 2 * PEER_FRAME_BYTES_MAX;
/// Most connections from other nodes at once.
pub const PEER_CONNECTIONS_MAX: usize = 4_096;
/// Most of them that have not yet shown who they are.
pub const PEER_HANDSHAKES_MAX: usize = 256;
/// Most of those from one address that no node was met at yet.
pub const PEER_HANDSHAKES_PER_ADDRESS_MAX: usize = 64;
/// Time that they have to do so.
pub const PEER_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most addresses that nodes were met at, and that are remembered.
pub const PEER_ADDRESSES_KNOWN_MAX: usize = 1_024;
/// Most bytes that are read from somebody before that, those of TLS included.
pub const PEER_HANDSHAKE_BYTES_MAX: usize = 64 * KIB;
/// Largest message of the handshake after its header.
pub const PEER_HANDSHAKE_MESSAGE_BYTES_MAX: usize = KIB;
/// Longest reason given to another node.
pub const PEER_REASON_BYTES_MAX: usize = 512;
/// Most addresses that connections, or failed attempts, are remembered for.
pub const PEER_TARGETS_MAX: usize = 4_096;
/// Largest file of a certificate, a key or a cluster key.
pub const PEER_SECURITY_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most cluster keys: the one in use and the one before it, or the one to come.
pub const CLUSTER_KEYS_MAX: usize = 2;

// -- between nodes: membership ------------------------------------------------

/// Largest datagram: it crosses every usual network in one piece.
pub const DATAGRAM_BYTES_MAX: usize = 1_400;
/// Most processes whose datagrams are told from repeated ones; the one silent longest is forgotten.
pub const DATAGRAM_SENDERS_MAX: usize = 16_384;
/// Most members in one exchange of everything that two nodes know: as many as there are ids.
pub const MEMBERS_PER_EXCHANGE_MAX: usize = 1 << 16;
/// Most requests to the membership that wait for their turn.
pub const MEMBERSHIP_REQUESTS_MAX: usize = 1_024;

// -- finding peers ------------------------------------------------------------

/// Most peers that a node without a cluster asks, and most that one answer names.
pub const PEERS_SOUGHT_MAX: usize = 1024;
/// Largest body that a discovery service reads or writes.
pub const BROKER_MAP_BYTES_MAX: usize = MIB;
/// Most connections to a discovery service at once; others wait to be accepted.
pub const DISCOVERY_CONNECTIONS_MAX: usize = 256;
