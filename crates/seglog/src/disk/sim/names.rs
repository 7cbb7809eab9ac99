//! What the operations on names do.

use std::io;
use std::sync::Arc;

use super::oplog::OpKind;
use super::tree::{self, DirNode, FileNode, Inode, NameChange, Node, ROOT};
use super::world::World;

impl World {
    pub(super) fn open(&mut self, path: &str) -> io::Result<Inode> {
        self.operate(OpKind::Open, path, |world, op| {
            op.inode = world.file_at(path)?;
            Ok(op.inode)
        })
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<Inode> {
        self.operate(OpKind::Create, path, |world, op| {
            if world.find(path).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (dir, name) = tree::split(path);
            let parent = world.dir_at(dir)?;
            op.inode = world.add(Node::File(FileNode::default()));
            world.link(parent, name, op.inode)?;
            Ok(op.inode)
        })
    }

    pub(super) fn list(&mut self, dir: &str) -> io::Result<Vec<String>> {
        self.operate(OpKind::List, dir, |world, _| match world.dir_at(dir) {
            Ok(inode) => Ok(world.dir(inode)?.cached.keys().cloned().collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        })
    }

    pub(super) fn create_dir(&mut self, dir: &str) -> io::Result<()> {
        self.operate(OpKind::CreateDir, dir, |world, op| {
            let mut parent = ROOT;
            for name in tree::names(dir) {
                let known = world.dir(parent)?.cached.get(name).copied();
                parent = match known {
                    Some(inode) => inode,
                    None => world.add_dir(parent, name)?,
                };
            }
            op.inode = parent;
            world.dir(parent).map(|_| ())
        })
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.operate(OpKind::Remove, path, |world, op| {
            let Some(inode) = world.find(path) else {
                return Ok(());
            };
            op.inode = inode;
            world.file(inode)?;
            let (dir, name) = tree::split(path);
            world.unlink(dir, name)
        })
    }

    pub(super) fn remove_dir(&mut self, dir: &str) -> io::Result<()> {
        self.operate(OpKind::RemoveDir, dir, |world, op| {
            let Some(inode) = world.find(dir) else {
                return Ok(());
            };
            op.inode = inode;
            world.empty(inode)?;
            let (parent, name) = tree::split(dir);
            world.unlink(parent, name)
        })
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operate(OpKind::Rename, from, |world, op| {
            op.to = Some(Arc::from(to));
            op.inode = world.find(from).ok_or(io::ErrorKind::NotFound)?;
            let ((from_dir, from_name), (to_dir, to_name)) = (tree::split(from), tree::split(to));
            let target = world.dir_at(to_dir)?;
            let mut removed = Some(from_name.to_owned());
            if world.dir_at(from_dir)? != target {
                world.unlink(from_dir, from_name)?;
                removed = None;
            }
            let added = Some((to_name.to_owned(), op.inode));
            world.dir_mut(target)?.change(NameChange { removed, added });
            Ok(())
        })
    }

    pub(super) fn sync_dir(&mut self, dir: &str) -> io::Result<()> {
        self.operate(OpKind::SyncDir, dir, |world, op| {
            op.inode = world.dir_at(dir)?;
            world.dir_mut(op.inode)?.sync();
            Ok(())
        })
    }

    pub(super) fn lock_for(&mut self, path: &str, process: u64) -> io::Result<()> {
        self.operate(OpKind::Lock, path, |world, _| {
            if world.lock_holder.is_some() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            world.lock_holder = Some(process);
            Ok(())
        })
    }

    pub(super) fn unlock(&mut self, process: u64) {
        self.lock_holder = self.lock_holder.filter(|holder| *holder != process);
    }

    // -- the tree ---------------------------------------------------------------

    pub(super) fn find(&self, path: &str) -> Option<Inode> {
        tree::names(path).try_fold(ROOT, |inode, name| match self.nodes.get(&inode)? {
            Node::Dir(dir) => dir.cached.get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn file_at(&self, path: &str) -> io::Result<Inode> {
        let inode = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        self.file(inode).map(|_| inode)
    }

    fn dir_at(&self, path: &str) -> io::Result<Inode> {
        let inode = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        self.dir(inode).map(|_| inode)
    }

    fn dir(&self, inode: Inode) -> io::Result<&DirNode> {
        match self.nodes.get(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_mut(&mut self, inode: Inode) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn add(&mut self, node: Node) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.insert(inode, node);
        inode
    }

    fn add_dir(&mut self, parent: Inode, name: &str) -> io::Result<Inode> {
        let inode = self.add(Node::Dir(DirNode::default()));
        self.link(parent, name, inode).map(|()| inode)
    }

    fn link(&mut self, parent: Inode, name: &str, inode: Inode) -> io::Result<()> {
        let added = Some((name.to_owned(), inode));
        self.dir_mut(parent)?.change(NameChange {
            removed: None,
            added,
        });
        Ok(())
    }

    fn unlink(&mut self, dir: &str, name: &str) -> io::Result<()> {
        let parent = self.dir_at(dir)?;
        let removed = Some(name.to_owned());
        self.dir_mut(parent)?.change(NameChange {
            removed,
            added: None,
        });
        Ok(())
    }

    /// Unlinks everything below a directory.
    fn empty(&mut self, inode: Inode) -> io::Result<()> {
        let entries: Vec<_> = self.dir(inode)?.cached.clone().into_iter().collect();
        for (name, child) in entries {
            if self.dir(child).is_ok() {
                self.empty(child)?;
            }
            self.dir_mut(inode)?.change(NameChange {
                removed: Some(name),
                added: None,
            });
        }
        Ok(())
    }
}
