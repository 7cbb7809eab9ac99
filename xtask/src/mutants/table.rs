//! The planted mistakes.

use super::Mutant;

const COMMIT: &str = "seglog/src/log/commit.rs";
const JOURNAL: &str = "seglog/src/log/journal.rs";
const CHECKPOINT: &str = "seglog/src/log/checkpoint.rs";
const CONTROL: &str = "seglog/src/log/control.rs";
const RECOVER: &str = "seglog/src/log/recover.rs";
const TAIL: &str = "seglog/src/log/recover/tail.rs";
const QUEUE: &str = "seglog/src/log/queue.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "no-journal-sync",
        file: JOURNAL,
        find: "ring.file.sync_data()?;",
        replace: "",
        caught_by: &["S1", "S2", "S3"],
        why: "an ack out of the page cache: the default of several brokers, gone with the power",
    },
    Mutant {
        name: "ack-after-a-failed-sync",
        file: JOURNAL,
        find: "ring.file.sync_data()?;",
        replace: "let _ = ring.file.sync_data();",
        caught_by: &["S1", "S2", "S4"],
        why: "the error code of fsync is the one that is looked at least",
    },
    Mutant {
        name: "failed-sync-tried-again",
        file: JOURNAL,
        find: "ring.file.sync_data()?;",
        replace: "ring.file.sync_data().or_else(|_| ring.file.sync_data())?;",
        caught_by: &["S1", "S2", "S4"],
        why: "the pages of a failed sync are clean, so the second one succeeds: PostgreSQL, 2018",
    },
    Mutant {
        name: "ack-before-sync",
        file: JOURNAL,
        find: "write_group(&*ring.file, &self.head, items, self.position, bytes)?; \
               ring.file.sync_data()?;",
        replace: "ring.file.sync_data()?; \
                  write_group(&*ring.file, &self.head, items, self.position, bytes)?;",
        caught_by: &["S1", "S2", "S3"],
        why: "the sync of one group is taken for that of the next: pipelining gone wrong",
    },
    Mutant {
        name: "readable-before-sync",
        file: COMMIT,
        find: "journal.write(&items)",
        replace: "{ for item in &items { if let Change::Append(stored) = &item.change { \
                  item.partition.state.lock().end = stored.header.next(); } } \
                  journal.write(&items) }",
        caught_by: &["S2", "S3"],
        why: "a reader acts on a record that the next power cut takes away",
    },
    Mutant {
        name: "journal-name-not-synced",
        file: JOURNAL,
        find: "self.disk.sync_dir(JOURNAL_DIR).map_err(fatal)?;",
        replace: "",
        caught_by: &["S1", "S2", "S3", "S6"],
        why: "a synced file without a durable name is not there after a crash",
    },
    Mutant {
        name: "segment-names-not-synced",
        file: CHECKPOINT,
        find: ".try_for_each(|dir| self.disk.sync_dir(dir))",
        replace: ".try_for_each(|_| Ok(()))",
        caught_by: &["S2", "S3"],
        why: "the same mistake one directory further down, seen only after the journal moved on",
    },
    Mutant {
        name: "checkpoint-before-segment-sync",
        file: CHECKPOINT,
        find: "self.disk.sync_files(&snapshot.files)?;",
        replace: "",
        caught_by: &["S2", "S3"],
        why: "a checkpoint that promises what only the page cache holds",
    },
    Mutant {
        name: "checkpoint-name-not-synced",
        file: CHECKPOINT,
        find: "log.disk.sync_dir(\"\").map_err(fatal)",
        replace: "Ok(())",
        caught_by: &["S2", "S3"],
        why: "rename without a directory sync: the old checkpoint is back, its journal written over",
    },
    Mutant {
        name: "journal-recycled-too-early",
        file: COMMIT,
        find: "journal.make_room(needed, self.covered())?",
        replace: "journal.make_room(needed, self.settling.lock().sequence + 1)?",
        caught_by: &["S2", "S3"],
        why: "settled is not synced: the only durable copy is written over",
    },
    Mutant {
        name: "damage-cut-as-a-torn-tail",
        file: TAIL,
        find: "if let Some(later) = search.later(place, tail.next_sequence).map_err(failed)? {",
        replace: "if let Some(later) = search.later(place, tail.next_sequence).map_err(failed)?\
                  .filter(|_| false) {",
        caught_by: &["S3"],
        why: "a log cut at the first bad checksum loses acked records: half the field, FAST 2018",
    },
    Mutant {
        name: "group-sequence-not-checked",
        file: TAIL,
        find: "&& group.head.sequence == sequence",
        replace: "",
        caught_by: &["S2", "S3"],
        why: "a recycled file still holds sound groups of its last turn",
    },
    Mutant {
        name: "torn-number-used-again",
        file: RECOVER,
        find: "tail.next_sequence + 1",
        replace: "tail.next_sequence",
        caught_by: &["S2", "S3"],
        why: "what lies torn on the disk is later taken for the group that counts",
    },
    Mutant {
        name: "torn-frames-taken",
        file: TAIL,
        find: "tail.drop_torn(disk)?;",
        replace: "",
        caught_by: &["S2", "S3"],
        why: "the header is sound, so the write must have been: sectors land in any order",
    },
    Mutant {
        name: "replay-not-saved",
        file: RECOVER,
        find: "self.save(Save::Opened);",
        replace: "",
        caught_by: &["S2", "S3"],
        why: "recovery relies on what it read, and the ring is written over",
    },
    Mutant {
        name: "served-from-the-page-cache",
        file: RECOVER,
        find: "return tail.write_last_again(&*self.disk);",
        replace: "return Ok(());",
        caught_by: &["S2", "S3"],
        why: "after a failed sync the system gives back what the disk does not hold",
    },
    Mutant {
        name: "written-before-the-first-checkpoint",
        file: CONTROL,
        find: "Err(AppendError::Full) if self.has_begun() => {}",
        replace: "Err(AppendError::Full) => {}",
        caught_by: &["S2", "S3"],
        why: "the number that a start leaves out looks like a lost group until a checkpoint covers it",
    },
    Mutant {
        name: "checkpoint-covers-too-much",
        file: CHECKPOINT,
        find: "let next_sequence = settling.sequence + 1;",
        replace: "let next_sequence = settling.sequence + 2;",
        caught_by: &["S2", "S3"],
        why: "one off between the last group covered and the first one not",
    },
    Mutant {
        name: "start-forgotten-at-recovery",
        file: RECOVER,
        find: "EntryChange::Start(offset) => Change::Start(offset),",
        replace: "EntryChange::Start(_) => return Ok(None),",
        caught_by: &["S2"],
        why: "deleted records come back",
    },
    Mutant {
        name: "drop-forgotten-at-recovery",
        file: RECOVER,
        find: "EntryChange::Drop => Change::Drop,",
        replace: "EntryChange::Drop => return Ok(None),",
        caught_by: &["S2", "S3"],
        why: "a deleted topic comes back",
    },
    Mutant {
        name: "failed-segment-sync-tried-again",
        file: CHECKPOINT,
        find: "return self.fail(format!(\"cannot sync the segments: {error}\"));",
        replace: "let _ = error; return Progress::Blocked;",
        caught_by: &["S2", "S3", "S4"],
        why: "the next checkpoint promises what the failed sync has thrown away",
    },
    Mutant {
        name: "failed-segment-write-passed-over",
        file: "seglog/src/log/settle.rs",
        find: "self.fail(reason)",
        replace: "{ let _ = reason; Progress::Blocked }",
        caught_by: &["S4"],
        why: "a disk that has begun to fail is trusted with more",
    },
    Mutant {
        name: "index-rebuilt-one-batch-off",
        file: "seglog/src/log/segment.rs",
        find: "index.note(&header, found_at);",
        replace: "index.note(&header, found_at + header.stored_bytes());",
        caught_by: &["S2", "S3", "S7"],
        why: "an index that is only ever read as it was written is never seen to be wrong",
    },
    Mutant {
        name: "served-without-checksum",
        file: "wire/src/batch.rs",
        find: "if computed != fields.crc {",
        replace: "if computed != fields.crc && false {",
        caught_by: &["S2", "S3"],
        why: "checked when written, trusted when read",
    },
    Mutant {
        name: "refusal-lets-a-later-one-through",
        file: QUEUE,
        find: "let items: Vec<Item> = self.items.drain(..).collect();",
        replace: "let items: Vec<Item> = self.items.drain(..self.items.len().min(1)).collect();",
        caught_by: &["S2", "S5"],
        why: "the caller has rolled its offset back already",
    },
    Mutant {
        name: "full-disk-for-ever",
        file: QUEUE,
        find: "if self.refusal == Some(AppendError::Full) {",
        replace: "if false {",
        caught_by: &["S10"],
        why: "the disk has space again and nobody looks",
    },
];
