//! The file that remembers which keys a data directory was sealed with.
//!
//! `KEY_CHECK` holds one entry for each key that ever sealed here, all of them twice, so that one
//! flipped bit does not lock the owner out. An entry has 64 bytes, numbers big-endian:
//!
//! | at | bytes | what |
//! |---:|---:|---|
//! | 0 | 4 | `HKEY` |
//! | 4 | 4 | key id |
//! | 8 | 24 | nonce |
//! | 32 | 8 | a known text, encrypted; bytes 0 to 7 are its associated data |
//! | 40 | 16 | tag |
//! | 56 | 4 | zero |
//! | 60 | 4 | CRC32C of bytes 0 to 59 |

use std::io;

use model::limits::STORAGE_KEYS_MAX;

use super::{KeyId, NONCE_BYTES, Sealer, TAG_BYTES, Xaes};
use crate::frame::{be_u32, field};
use crate::{Disk, StoreError};

/// Name of the file in the data directory. It exists where records are encrypted.
pub const KEY_CHECK_FILE: &str = "KEY_CHECK";

const TEMPORARY: &str = "KEY_CHECK.tmp";
const ENTRY_BYTES: usize = 64;
const FILE_BYTES_MAX: usize = 2 * ENTRY_BYTES * STORAGE_KEYS_MAX;
const MAGIC: &[u8; 4] = b"HKEY";
const KNOWN: &[u8; 8] = b"hark key";
type Entry = [u8; ENTRY_BYTES];

/// Compares the keys with those that the directory was sealed with, before anything is read or
/// written; remembers a key that seals here for the first time. `has_records` says whether the
/// engine found a log in the directory.
///
/// Refused with [`StoreError::Key`]: no key for a sealed directory, a wrong or a missing key, a key
/// for a directory whose records are in clear.
pub fn check_or_create(
    disk: &dyn Disk,
    sealer: Option<&Sealer>,
    has_records: bool,
) -> Result<(), StoreError> {
    let known = load(disk)?;
    match (sealer, known) {
        (None, None) => Ok(()),
        (None, Some(entries)) => Err(refuse(format!(
            "the records in this data directory are encrypted with key {}; give it with \
             --encryption-key-file or HARK_STORAGE_KEY",
            list(&entries)
        ))),
        (Some(_), None) if has_records => Err(refuse(
            "an encryption key was given, but the records in this data directory are not \
             encrypted; start without the key, or choose another --data directory"
                .to_owned(),
        )),
        (Some(sealer), known) => {
            let entries = known.unwrap_or_default();
            entries.iter().try_for_each(|entry| check(sealer, entry))?;
            remember(disk, sealer, entries)
        }
    }
}

fn check(sealer: &Sealer, entry: &Entry) -> Result<(), StoreError> {
    let id = id(entry);
    let Some(key) = sealer.key(id) else {
        return Err(refuse(format!(
            "the records in this data directory are encrypted with key {id}, which was not given; \
             add its line below the first one of the encryption key file"
        )));
    };
    if opens(key, entry) {
        Ok(())
    } else {
        Err(refuse(format!(
            "encryption key {id} is not the one that this data directory was encrypted with; \
             give the right key, or choose another --data directory"
        )))
    }
}

/// Adds the sealing key when it is new. The file is replaced in one step.
fn remember(disk: &dyn Disk, sealer: &Sealer, mut entries: Vec<Entry>) -> Result<(), StoreError> {
    if entries.iter().any(|entry| id(entry) == sealer.current()) {
        return Ok(());
    }
    if entries.len() >= STORAGE_KEYS_MAX {
        return Err(refuse(format!(
            "this data directory was already encrypted with {STORAGE_KEYS_MAX} keys"
        )));
    }
    let key = sealer.key(sealer.current());
    let entry = key
        .and_then(|key| make(sealer.current(), key))
        .ok_or_else(|| StoreError::Io {
            what: "make a nonce".to_owned(),
            source: io::Error::other(super::SealError),
        })?;
    entries.push(entry);
    store(disk, &entries).map_err(|source| StoreError::Io {
        what: format!("write {KEY_CHECK_FILE}"),
        source,
    })
}

fn store(disk: &dyn Disk, entries: &[Entry]) -> io::Result<()> {
    let bytes = entries.concat();
    disk.remove(TEMPORARY)?;
    let file = disk.create(TEMPORARY)?;
    file.write_at(&[&bytes, &bytes], 0)?;
    file.sync_data()?;
    disk.rename(TEMPORARY, KEY_CHECK_FILE)?;
    disk.sync_dir("")
}

/// The entries, or `None` when the directory has none.
fn load(disk: &dyn Disk) -> Result<Option<Vec<Entry>>, StoreError> {
    let file = match disk.open(KEY_CHECK_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(source)),
    };
    let len = usize::try_from(file.len().map_err(unreadable)?).unwrap_or(usize::MAX);
    if len == 0 || len > FILE_BYTES_MAX || len % (2 * ENTRY_BYTES) != 0 {
        return Err(damaged());
    }
    let mut bytes = vec![0; len];
    file.read_at(&mut bytes, 0).map_err(unreadable)?;
    parse(&bytes).ok_or_else(damaged).map(Some)
}

/// Each entry from whichever of its two copies is whole.
fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (first, second) = bytes.split_at_checked(bytes.len() / 2)?;
    let (first, _) = first.as_chunks::<ENTRY_BYTES>();
    let (second, _) = second.as_chunks::<ENTRY_BYTES>();
    let pairs = first.iter().zip(second);
    pairs
        .map(|pair| [pair.0, pair.1].into_iter().copied().find(is_whole))
        .collect()
}

fn is_whole(entry: &Entry) -> bool {
    let (body, _) = entry.split_at(ENTRY_BYTES - 4);
    entry.starts_with(MAGIC) && be_u32(entry, ENTRY_BYTES - 4) == Ok(crc32c::crc32c(body))
}

fn make(id: KeyId, key: &Xaes) -> Option<Entry> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok()?;
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&id.0.to_be_bytes());
    let mut text = *KNOWN;
    let tag = key.seal(&nonce, &head, &mut text)?;
    let mut entry = [&head, nonce.as_slice(), &text, &tag, &[0; 4]].concat();
    entry.extend_from_slice(&crc32c::crc32c(&entry).to_be_bytes());
    entry.try_into().ok()
}

fn opens(key: &Xaes, entry: &Entry) -> bool {
    let parts = || {
        let nonce = field::<NONCE_BYTES>(entry, 8).ok()?;
        let text = field::<8>(entry, 32).ok()?;
        let tag = field::<TAG_BYTES>(entry, 40).ok()?;
        Some((entry.get(..8)?, nonce, text, tag))
    };
    parts().is_some_and(|(head, nonce, mut text, tag)| {
        key.open(&nonce, head, &mut text, tag).is_some() && &text == KNOWN
    })
}

fn id(entry: &Entry) -> KeyId {
    KeyId(be_u32(entry, 4).unwrap_or_default())
}

fn list(entries: &[Entry]) -> String {
    let ids: Vec<String> = entries.iter().map(|entry| id(entry).to_string()).collect();
    ids.join(" and key ")
}

const fn refuse(message: String) -> StoreError {
    StoreError::Key(message)
}

fn damaged() -> StoreError {
    StoreError::Damaged(format!(
        "{KEY_CHECK_FILE} in the data directory; restore this file from a backup"
    ))
}

fn unreadable(source: io::Error) -> StoreError {
    StoreError::Io {
        what: format!("read {KEY_CHECK_FILE}"),
        source,
    }
}
