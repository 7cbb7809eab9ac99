//! What the operations on open files do.

use std::io;
use std::sync::Arc;

use super::oplog::OpKind;
use super::tree::{self, Change, FileNode, Inode, Node};
use super::world::{self, World};

impl World {
    pub(super) fn len_of(&self, inode: Inode) -> io::Result<u64> {
        if self.is_off() {
            Err(world::off())
        } else {
            Ok(self.file(inode)?.cached.len() as u64)
        }
    }

    pub(super) fn read_at(
        &mut self,
        inode: Inode,
        path: &Arc<str>,
        buf: &mut [u8],
        position: u64,
    ) -> io::Result<()> {
        self.operate_file(OpKind::Read, path, inode, position, |world, op| {
            op.len = buf.len() as u64;
            let from = tree::index(position)?;
            let bytes = world.file(inode)?.cached.get(from..).unwrap_or_default();
            let bytes = bytes.get(..buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buf.copy_from_slice(bytes);
            Ok(())
        })
    }

    pub(super) fn write_at(
        &mut self,
        inode: Inode,
        path: &Arc<str>,
        parts: &[&[u8]],
        position: u64,
    ) -> io::Result<()> {
        self.operate_file(OpKind::Write, path, inode, position, |world, op| {
            op.data = Arc::from(parts.concat());
            op.len = op.data.len() as u64;
            let room = world.room_for(inode, position + op.len)?;
            let short = position.saturating_add(op.len).saturating_sub(room);
            if short > 0 {
                // Some of it still fits, as it does on a real disk.
                let fits = tree::index(op.len.saturating_sub(short))?;
                op.data = Arc::from(op.data.get(..fits).unwrap_or_default());
            }
            let change = Change::Write {
                position: tree::index(position)?,
                data: op.data.clone(),
            };
            world.file_mut(inode)?.change(change);
            if short > 0 {
                Err(io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        })
    }

    pub(super) fn reserve(&mut self, inode: Inode, path: &Arc<str>, len: u64) -> io::Result<()> {
        self.operate_file(OpKind::Reserve, path, inode, len, |world, _| {
            world.need_room(inode, len)?;
            let file = world.file_mut(inode)?;
            file.reserved = file.reserved.max(len);
            Ok(())
        })
    }

    pub(super) fn set_len(&mut self, inode: Inode, path: &Arc<str>, len: u64) -> io::Result<()> {
        self.operate_file(OpKind::SetLen, path, inode, len, |world, _| {
            world.need_room(inode, len)?;
            let change = Change::SetLen(tree::index(len)?);
            let file = world.file_mut(inode)?;
            if len < file.cached.len() as u64 {
                // Cutting a file gives back what was reserved past its new end.
                file.reserved = 0;
            }
            file.change(change);
            Ok(())
        })
    }

    pub(super) fn sync_data(&mut self, inode: Inode, path: &Arc<str>) -> io::Result<()> {
        self.operate_file(OpKind::Sync, path, inode, 0, |world, _| {
            world.file_mut(inode)?.sync();
            Ok(())
        })
    }

    pub(super) fn file(&self, inode: Inode) -> io::Result<&FileNode> {
        match self.nodes.get(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file_mut(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Up to which length a file can grow that would like to grow to `len`.
    fn room_for(&self, inode: Inode, len: u64) -> io::Result<u64> {
        let allocated = self.file(inode)?.allocated();
        let Some(capacity) = self.capacity.filter(|_| len > allocated) else {
            return Ok(len);
        };
        Ok(len.min(allocated + capacity.saturating_sub(self.used())))
    }

    fn need_room(&self, inode: Inode, len: u64) -> io::Result<()> {
        if self.room_for(inode, len)? < len {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}
