//! What the kernel asks of the file system.
//!
//! Reads, writes and memory maps go through the kernel's page cache, but what is written reaches the tree before the call
//! returns (no write-back cache). Locks are the kernel's own. There is one thread, so that requests have an order.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::content::Content;
use super::switch::{Parked, Switch};
use super::tree::{Folder, Ino, Kind, Node, Tree};

/// For which the kernel believes what it was told.
const TTL: Duration = Duration::from_secs(1);
const BLOCK: u32 = 4096;

pub(super) struct Fuse(pub(super) Arc<Switch>);

/// Answers with what `$work` came to.
macro_rules! answer {
    ($reply:ident, $work:expr, $value:pat => $ok:expr) => {
        match $work {
            Ok($value) => $ok,
            Err(error) => $reply.error(error),
        }
    };
}

impl Fuse {
    fn look<T>(&self, look: impl FnOnce(&mut Tree) -> Result<T, Errno>) -> Result<T, Errno> {
        look(&mut self.0.enter()?.tree)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tree) -> Result<T, Errno>) -> Result<T, Errno> {
        change(&mut self.0.enter_to_change()?.tree)
    }

    fn make(&self, request: &Request, parent: INodeNo, name: &OsStr, kind: Kind, mode: u32) -> Result<FileAttr, Errno> {
        self.change(|tree| {
            let ino = tree.make(parent.0, name, Node::new(kind, mode, (request.uid(), request.gid())))?;
            attributes(tree, ino)
        })
    }

    fn sync(&self, ino: INodeNo, reply: ReplyEmpty) {
        match self.0.enter_to_change() {
            Ok(mut state) => state.sync(Parked { ino: ino.0, reply }),
            Err(error) => reply.error(error),
        }
    }
}

impl Filesystem for Fuse {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.look(|tree| tree.look_up(parent.0, name).and_then(|ino| attributes(tree, ino)));
        answer!(reply, found, attr => reply.entry(&TTL, &attr, Generation(0)));
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.look(|tree| attributes(tree, ino.0)), attr => reply.attr(&TTL, &attr));
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.change(|tree| {
            if let Some(size) = size {
                tree.file(ino.0)?.resize(usize::try_from(size).map_err(|_too_large| Errno::EFBIG)?);
            }
            let node = tree.node_mut(ino.0)?;
            node.uid = uid.unwrap_or(node.uid);
            node.gid = gid.unwrap_or(node.gid);
            node.changed = match mtime {
                Some(TimeOrNow::SpecificTime(time)) => time,
                Some(TimeOrNow::Now) => super::now(),
                None => node.changed,
            };
            if let Some(mode) = mode.and_then(|mode| u16::try_from(mode & 0o7777).ok()) {
                node.mode = mode;
            }
            attributes(tree, ino.0)
        });
        answer!(reply, changed, attr => reply.attr(&TTL, &attr));
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        let read = self.look(|tree| match &tree.node(ino.0)?.kind {
            Kind::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        });
        answer!(reply, read, target => reply.data(target.as_os_str().as_bytes()));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let made = self.make(request, parent, name, Kind::Folder(Folder::default()), mode & !umask);
        answer!(reply, made, attr => reply.entry(&TTL, &attr, Generation(0)));
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.change(|tree| tree.remove(parent.0, name)), () => reply.ok());
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.change(|tree| tree.remove(parent.0, name)), () => reply.ok());
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let made = self.make(request, parent, name, Kind::Link(target.to_owned()), 0o777);
        answer!(reply, made, attr => reply.entry(&TTL, &attr, Generation(0)));
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let renamed = self.change(|tree| tree.rename((parent.0, name), (new_parent.0, new_name)));
        answer!(reply, renamed, () => reply.ok());
    }

    fn link(&self, _request: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.change(|tree| {
            tree.link(ino.0, parent.0, name)?;
            attributes(tree, ino.0)
        });
        answer!(reply, linked, attr => reply.entry(&TTL, &attr, Generation(0)));
    }

    fn open(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        answer!(reply, self.look(|_| Ok(())), () => reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(request, parent, name, Kind::File(Content::default()), mode & !umask);
        answer!(reply, made, attr => reply.created(&TTL, &attr, Generation(0), FileHandle(0), FopenFlags::empty()));
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.look(|tree| Ok(tree.file(ino.0)?.read(place(offset)?, size as usize).to_vec()));
        answer!(reply, read, bytes => reply.data(&bytes));
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.change(|tree| {
            tree.file(ino.0)?.write(place(offset)?, data);
            tree.node_mut(ino.0)?.changed = super::now();
            u32::try_from(data.len()).map_err(|_too_large| Errno::EFBIG)
        });
        answer!(reply, written, bytes => reply.written(bytes));
    }

    fn fallocate(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let allocated = self.change(|tree| {
            let (end, content) = (place(offset.saturating_add(length))?, tree.file(ino.0)?);
            content.resize(end.max(content.len()));
            Ok(())
        });
        answer!(reply, allocated, () => reply.ok());
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, reply);
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = self.look(|tree| {
            let own = [(".".into(), ino.0), ("..".into(), ino.0)];
            let below = tree.folder(ino.0)?.live.iter().map(|(name, ino)| (name.clone(), *ino));
            let entries: Vec<_> = own.into_iter().chain(below).collect();
            entries.into_iter().map(|(name, ino)| Ok((attributes(tree, ino)?, name))).collect::<Result<Vec<_>, Errno>>()
        });
        answer!(reply, entries, entries => {
            for (next, (attr, name)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
                if reply.add(attr.ino, next, attr.kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 20;
        reply.statfs(blocks, blocks, blocks, blocks, blocks, BLOCK, 255, BLOCK);
    }
}

fn place(offset: u64) -> Result<usize, Errno> {
    usize::try_from(offset).map_err(|_too_large| Errno::EFBIG)
}

fn attributes(tree: &Tree, ino: Ino) -> Result<FileAttr, Errno> {
    let node = tree.node(ino)?;
    let (kind, size) = match &node.kind {
        Kind::File(content) => (FileType::RegularFile, content.len() as u64),
        Kind::Folder(_) => (FileType::Directory, 0),
        Kind::Link(target) => (FileType::Symlink, target.as_os_str().len() as u64),
    };
    Ok(FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: size.div_ceil(512),
        atime: node.changed,
        mtime: node.changed,
        ctime: node.changed,
        crtime: node.changed,
        kind,
        perm: node.mode,
        nlink: node.links,
        uid: node.uid,
        gid: node.gid,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}
