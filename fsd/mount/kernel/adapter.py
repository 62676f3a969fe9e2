"""The operations of a raw FUSE session over a tree's inodes.

It promises what clients need (read-only, and yet O_RDWR and shared writable maps are accepted; the kernel's
pages kept across opens), one errno for every fault, and that two names of one inode share one page cache.
The kernel's nodes are the tree's inodes (of a file two: `opens` tells why), so a changed source is a new
node: a name that leads to an old one answers ESTALE, and the kernel looks it up anew.
Knows the methods of `fsd.tree.Tree`; nothing of models, chunks or formats.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NoReturn

from fsd.engine.interrupt import Interrupt
from fsd.mount.answers import TIMEOUT_SECONDS, WATCHED_SECONDS, may_write, mode_of, xattr
from fsd.mount.faults import Answer, Faults
from fsd.mount.kernel import protocol, watcher
from fsd.mount.kernel.opens import Opens, inode_of, nodes_of
from fsd.mount.kernel.protocol import (
    CHANGES,
    HANDLE,
    NO_ENTRY,
    READ_IN,
    WORD,
    Feature,
    OpenFlag,
    Operation,
)
from fsd.mount.kernel.session import Session
from fsd.mount.kernel.workers import Handler, Request, Workers
from fsd.mount.listings import Listing
from fsd.mount.notices import Notices, Told
from fsd.mount.observed import Observed

if TYPE_CHECKING:
    from fsd.tree import Attributes, Handle, News, Tree


class Adapter:
    """A tree, to be served once. `name` is what `--fuse` calls it."""

    name = "kernel"

    def __init__(self, tree: Tree) -> None:
        self.observed = Observed()
        self._tree = tree
        self._numbers = itertools.count(1)
        self._opened: dict[int, Handle] = {}
        self._listings: dict[int, Listing] = {}
        self._uid, self._gid = os.getuid(), os.getgid()
        self._session: Session | None = None
        self._opens = Opens(None, None)
        self._passthrough = False
        self._workers: Workers | None = None
        self._watched = False
        self._notices = Notices()
        self._told = Told()
        # Grows with all that is found out of date: an answer that was begun before is not to be kept.
        self._age = 0

    def serve(self, mountpoint: str, *, allow_other: bool, on_ready: Callable[[], None]) -> None:
        """Mount and serve until the mount is gone. Blocks. Raises MountError if it cannot be mounted."""
        session = self._session = Session(mountpoint, allow_other=allow_other)
        self._passthrough = Feature.PASSTHROUGH in session.features
        if self._passthrough:
            self._opens = Opens(session.register, session.unregister)
        self._workers = Workers(session.clone, self._handlers(), self._read, Faults(self.observed))
        with watcher.watching(mountpoint):
            on_ready()
            self._workers.run()
        self._notices.close()
        session.close()
        for handle in self._opened.values():
            handle.close()

    def end(self) -> None:
        """Stop although files are open; their next uncached read gets ENOTCONN."""
        if self._session is not None:
            self._session.end()

    def watched(self) -> None:
        """From now on the kernel may keep what it is told, as `forget` and `refresh` will be called."""
        self._watched = True

    def forget(self, news: News) -> None:
        """Have the kernel ask again for what this is about. Returns at once."""
        self._age += 1
        self._notices.tell(lambda: self._have_forgotten(news))

    def refresh(self, inos: Collection[int]) -> None:
        """Have the kernel ask again how much of these files is cached. Returns at once."""
        if inos:
            self._notices.tell(lambda: self._have_refreshed(inos))

    def counters(self) -> dict[str, object]:
        """For status.json: reads that reached the daemon, opens that the kernel reads itself."""
        return {
            "read_requests": self.observed.requests,
            "passthrough": self._passthrough,
            "passthrough_opens": self._opens.passed_through,
        }

    def _handlers(self) -> dict[int, Handler]:
        """What is not here gets ENOSYS, which means to the kernel: flush, fsync, access and locks are its own
        affair, and it need not ask again."""
        refused = (
            "SYMLINK MKNOD MKDIR UNLINK RMDIR RENAME LINK SETXATTR REMOVEXATTR CREATE FALLOCATE RENAME2"
            " COPY_FILE_RANGE TMPFILE"
        )
        return dict.fromkeys((Operation[name] for name in refused.split()), _refuse) | {
            Operation.LOOKUP: self._lookup,
            Operation.FORGET: _ignore,
            Operation.BATCH_FORGET: _ignore,
            Operation.GETATTR: self._getattr,
            Operation.SETATTR: self._setattr,
            Operation.OPEN: self._open,
            Operation.WRITE: self._write,
            Operation.RELEASE: self._release,
            Operation.STATFS: self._statfs,
            Operation.GETXATTR: self._getxattr,
            Operation.LISTXATTR: self._listxattr,
            Operation.OPENDIR: self._opendir,
            Operation.READDIR: self._readdir,
            Operation.READDIRPLUS: self._readdirplus,
            Operation.RELEASEDIR: self._releasedir,
            Operation.DESTROY: lambda request: b"",
        }

    def _lookup(self, request: Request) -> bytes:
        age, name = self._age, os.fsdecode(_text(request.body))
        attributes = self._tree.lookup(request.node, name)
        self._told.note(request.node, name, attributes.ino)
        return self._entry(attributes, age)

    def _getattr(self, request: Request) -> bytes:
        age = self._age
        attributes = self._tree.attributes(inode_of(request.node))
        return protocol.attributes_out(self._packed(attributes), self._kept(attributes, age))

    def _setattr(self, request: Request) -> bytes:
        """Times are accepted without effect: programs touch files that they use."""
        if WORD.unpack_from(request.body)[0] & CHANGES:
            raise Answer(errno.EROFS)
        return self._getattr(request)

    def _open(self, request: Request) -> bytes:
        """A handle, and who reads by it."""
        flags = WORD.unpack_from(request.body)[0]
        writable = may_write(flags)
        attributes = self._tree.attributes(inode_of(request.node))
        if attributes.kind != "file":
            raise Answer(errno.EISDIR)
        handle = self._tree.open(attributes.ino)
        try:
            answer, backing = self._opens.opened(
                request.node,
                (attributes.size, attributes.mtime_ns),
                handle,
                writable=writable,
                opener=request.asker,
                stacked=bool(flags & os.O_NOATIME),
            )
        except BaseException:
            handle.close()
            raise
        number = next(self._numbers)
        self._opened[number] = handle
        return protocol.open_out(number, answer, backing)

    def _read(self, body: memoryview, into: memoryview, interrupt: Interrupt) -> memoryview:
        began, count = time.perf_counter(), None
        try:
            number, offset, size, *_ = READ_IN.unpack_from(body)
            found = self._opened[number].view(offset, into[:size], interrupt)
            count = len(found)
            return found
        finally:
            self.observed.read(time.perf_counter() - began, count)

    def _write(self, request: Request) -> NoReturn:
        """Refused; that the kernel asks means that a shared map was written to."""
        self._opens.spoiled(request.node)
        raise Answer(errno.EROFS)

    def _release(self, request: Request) -> bytes:
        handle = self._opened.pop(HANDLE.unpack_from(request.body)[0])
        self._opens.released(request.node, handle)
        return b""

    def _statfs(self, request: Request) -> bytes:
        figures = self._tree.statfs()
        return protocol.statfs_out(
            (figures.f_blocks, figures.f_bfree, figures.f_bavail),
            (figures.f_files, figures.f_ffree),
            (figures.f_bsize, figures.f_namemax, figures.f_frsize),
        )

    def _getxattr(self, request: Request) -> bytes:
        name = os.fsdecode(_text(request.body[2 * WORD.size :]))
        value = xattr(name, lambda: self._tree.xattrs(inode_of(request.node)))
        return _fitting(value, WORD.unpack_from(request.body)[0])

    def _listxattr(self, request: Request) -> bytes:
        names = b"".join(os.fsencode(name) + b"\0" for name in self._tree.xattrs(inode_of(request.node)))
        return _fitting(names, WORD.unpack_from(request.body)[0])

    def _opendir(self, request: Request) -> bytes:
        """A handle; where the kernel may keep the listing, it need not ask for it by the next one."""
        if self._tree.attributes(request.node).kind != "directory":
            raise Answer(errno.ENOTDIR)
        number = next(self._numbers)
        listing = self._listings[number] = Listing(self._tree, request.node, lambda: self._age)
        kept = self._watched and listing.lasts()
        return protocol.open_out(number, OpenFlag.CACHE_DIR | OpenFlag.KEEP_CACHE if kept else 0, 0)

    def _releasedir(self, request: Request) -> bytes:
        del self._listings[HANDLE.unpack_from(request.body)[0]]
        return b""

    def _readdir(self, request: Request) -> bytes:
        return self._list(request, plus=False)

    def _readdirplus(self, request: Request) -> bytes:
        return self._list(request, plus=True)

    def _list(self, request: Request, *, plus: bool) -> bytes:
        """As many names from an offset on as fit. From the start the directory is looked at anew."""
        number, offset, size, *_ = READ_IN.unpack_from(request.body)
        listing = self._listings[number]
        entries = [(".", None), ("..", None), *listing.entries(offset)]
        parts: list[bytes] = []
        for at, (name, attributes) in enumerate(entries[offset:], offset + 1):
            # The kernel has its own idea of "." and ".."; without a node it is not told of them.
            ino, kind = request.node, stat.S_IFDIR
            if attributes:
                ino, kind = attributes.ino, mode_of(attributes)
                if plus:
                    self._told.note(request.node, name, ino)
            entry = protocol.directory_entry(ino, at, os.fsencode(name), kind)
            if plus:
                entry = (self._entry(attributes, listing.age) if attributes else NO_ENTRY) + entry
            size -= len(entry)
            if size < 0:
                break
            parts.append(entry)
        return b"".join(parts)

    def _entry(self, attributes: Attributes, age: int) -> bytes:
        node = attributes.ino
        if attributes.kind == "file":
            node = self._opens.node_of(node, whole=attributes.allocated >= attributes.size)
        return protocol.entry_out(node, self._packed(attributes), self._kept(attributes, age))

    def _kept(self, attributes: Attributes, age: int) -> float:
        """How long the kernel may believe in attributes, and in their name, that were asked for at `age`."""
        lasting = self._watched and attributes.lasting and age == self._age
        return WATCHED_SECONDS if lasting else TIMEOUT_SECONDS

    def _have_forgotten(self, news: News) -> None:
        """For the notices' own thread."""
        tell = self._session.notify if self._session is not None else lambda message: None
        for folder in news.folders:
            tell(protocol.node_changed(folder.ino, pages=True))
        for folder, name in news.entries:
            tell(protocol.entry_changed(folder.ino, os.fsencode(name)))
        for folder in news.inside:
            tell(protocol.node_changed(folder.ino, pages=True))
            for name, ino in self._told.inside(folder.ino):
                tell(protocol.entry_changed(folder.ino, os.fsencode(name)))
                for node in nodes_of(ino):
                    tell(protocol.node_changed(node, pages=False))

    def _have_refreshed(self, inos: Collection[int]) -> None:
        """For the notices' own thread."""
        if self._session is not None:
            for node in itertools.chain.from_iterable(map(nodes_of, inos)):
                self._session.notify(protocol.node_changed(node, pages=False))

    def _packed(self, attributes: Attributes) -> bytes:
        return protocol.attributes_of(attributes, self._uid, self._gid)


def _refuse(request: Request) -> NoReturn:
    raise Answer(errno.EROFS)


def _ignore(request: Request) -> None:
    """The kernel forgets a node. Nothing is kept for one that would ever be wrong."""


def _text(body: memoryview) -> bytes:
    """A name, which ends with a zero byte."""
    return bytes(body).partition(b"\0")[0]


def _fitting(data: bytes, size: int) -> bytes:
    """The answer to who has room for `size` bytes, or with 0 only asks how many there are."""
    if size == 0:
        return protocol.xattr_size_out(len(data))
    if len(data) > size:
        raise Answer(errno.ERANGE)
    return data
