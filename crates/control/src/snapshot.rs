//! A snapshot: the catalog at one position of the log.
//!
//! Its contents, as they also travel to other nodes: version `u8` 1, the answers to the last commands
//! (see `recent`), the catalog as `bytes`. On disk the position (optional) and the membership stand
//! before them and a checksum behind.

use bytes::Bytes;
use catalog::Catalog;
use model::limits;

use crate::codec::{DecodeError, Reader, Writer, seal, unseal};
use crate::engine::{Snapshot, SnapshotMeta};
use crate::recent::Recent;

const VERSION: u8 = 1;

/// The contents of a snapshot.
pub(crate) fn encode_contents(catalog: &Catalog, recent: &Recent) -> Bytes {
    let mut w = Writer::new();
    w.u8(VERSION);
    recent.encode(&mut w);
    w.bytes(&catalog.encode());
    w.finish().into()
}

/// Reads what [`encode_contents`] wrote.
pub(crate) fn decode_contents(contents: Bytes) -> Result<(Catalog, Recent), DecodeError> {
    Reader::one(contents, |r| {
        if r.u8()? != VERSION {
            return Err(DecodeError { at: 0 });
        }
        let recent = Recent::decode(r)?;
        let error = r.error();
        let catalog = r.bytes()?;
        if catalog.len() > limits::CATALOG_BYTES_MAX {
            return Err(error);
        }
        let catalog = Catalog::decode(&catalog).map_err(|_| error)?;
        Ok((catalog, recent))
    })
}

/// A snapshot as it lies on disk.
pub(crate) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut w = Writer::new();
    write_meta(&mut w, &snapshot.meta);
    w.raw(&snapshot.snapshot);
    seal(w.finish())
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Snapshot, DecodeError> {
    let mut r = Reader::new(unseal(bytes)?);
    let meta = read_meta(&mut r)?;
    Ok(Snapshot {
        meta,
        snapshot: r.rest(),
    })
}

pub(crate) fn write_meta(w: &mut Writer, meta: &SnapshotMeta) {
    w.position_or_none(meta.last_log_id.as_ref())
        .stored_membership(&meta.last_membership);
}

pub(crate) fn read_meta(r: &mut Reader) -> Result<SnapshotMeta, DecodeError> {
    Ok(SnapshotMeta {
        last_log_id: r.position_or_none()?,
        last_membership: r.stored_membership()?,
    })
}
