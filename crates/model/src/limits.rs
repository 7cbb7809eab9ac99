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
/// Producer ids that a node takes from its database at once.
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
/// Most bytes accepted but not yet on disk, over all partitions of a node.
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
