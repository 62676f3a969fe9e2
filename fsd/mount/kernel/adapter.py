"""The operations of a raw FUSE session over a tree's inodes.

It promises what clients need (read-only, and yet O_RDWR and shared writable maps are accepted; the kernel's
pages kept across opens), one errno for every fault, and that two names of one inode share one page cache.
The kernel's nodes are the tree's inodes (`opens` tells the exception), so a changed source is a new node: a
name that leads to an old one answers ESTALE, and the kernel looks it up anew.
Knows the methods of `fsd.tree.Tree`; nothing of models, chunks or formats.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from fsd.mount.faults import Answer
from fsd.mount.kernel import protocol, watcher
from fsd.mount.kernel.opens import Opens, inode_of
from fsd.mount.kernel.protocol import (
    BATCH,
    CHANGES,
    FORGET_ONE,
    HANDLE,
    NO_ENTRY,
    READ_IN,
    WORD,
    Feature,
    Operation,
)
from fsd.mount.kernel.session import Handler, Session

if TYPE_CHECKING:
    from fsd.tree import Attributes, Handle, Tree

# How long the kernel answers stat and look-up by itself; as the other adapter.
TIMEOUT_SECONDS = 2.0
XATTR_PREFIX = "user.prismfs."

Listing = list[tuple[bytes, "Attributes | None"]]


class Adapter:
    """A tree, to be served once. `name` is what `--fuse` calls it."""

    name = "kernel"

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._numbers = itertools.count(1)
        self._opened: dict[int, Handle] = {}
        self._listings: dict[int, Listing] = {}
        self._uid, self._gid = os.getuid(), os.getgid()
        self._session: Session | None = None
        self._opens = Opens(self._register, self._unregister)
        self._passthrough = False
        self._lock = threading.Lock()
        self._reads = 0

    def serve(self, mountpoint: str, *, allow_other: bool, on_ready: Callable[[], None]) -> None:
        """Mount and serve until the mount is gone. Blocks. Raises MountError if it cannot be mounted."""
        session = self._session = Session(mountpoint, allow_other=allow_other)
        self._passthrough = Feature.PASSTHROUGH in session.features
        with watcher.watching(mountpoint):
            on_ready()
            session.serve(self._handlers())
        for handle in self._opened.values():
            handle.close()

    def end(self) -> None:
        """Stop although files are open; their next uncached read gets ENOTCONN."""
        if self._session is not None:
            self._session.end()

    def counters(self) -> dict[str, object]:
        """For status.json: reads that reached the daemon, opens that the kernel reads itself."""
        return {
            "read_requests": self._reads,
            "passthrough": self._passthrough,
            "passthrough_opens": self._opens.passed_through,
        }

    def _handlers(self) -> dict[int, Handler]:
        """What is not here gets ENOSYS, which means to the kernel: flush, fsync, access, interrupts and locks
        are its own affair, and it need not ask again."""
        refused = (
            "SYMLINK MKNOD MKDIR UNLINK RMDIR RENAME LINK SETXATTR REMOVEXATTR CREATE FALLOCATE RENAME2"
            " COPY_FILE_RANGE TMPFILE"
        )
        return dict.fromkeys((Operation[name] for name in refused.split()), _refuse) | {
            Operation.LOOKUP: self._lookup,
            Operation.FORGET: self._forget,
            Operation.BATCH_FORGET: self._batch_forget,
            Operation.GETATTR: self._getattr,
            Operation.SETATTR: self._setattr,
            Operation.OPEN: self._open,
            Operation.READ: self._read,
            Operation.WRITE: self._write,
            Operation.RELEASE: self._release,
            Operation.STATFS: self._statfs,
            Operation.GETXATTR: self._getxattr,
            Operation.LISTXATTR: self._listxattr,
            Operation.OPENDIR: self._opendir,
            Operation.READDIR: self._readdir,
            Operation.READDIRPLUS: self._readdirplus,
            Operation.RELEASEDIR: self._releasedir,
            Operation.DESTROY: lambda node, body: b"",
        }

    def _lookup(self, node: int, body: memoryview) -> bytes:
        return self._entry(self._tree.lookup(inode_of(node), os.fsdecode(_text(body))))

    def _forget(self, node: int, body: memoryview) -> None:
        self._opens.forgotten(node)

    def _batch_forget(self, node: int, body: memoryview) -> None:
        count, _ = BATCH.unpack_from(body)
        for at in range(count):
            self._opens.forgotten(FORGET_ONE.unpack_from(body, BATCH.size + at * FORGET_ONE.size)[0])

    def _getattr(self, node: int, body: memoryview) -> bytes:
        return protocol.attributes_out(self._packed(self._tree.attributes(inode_of(node))), TIMEOUT_SECONDS)

    def _setattr(self, node: int, body: memoryview) -> bytes:
        """Times are accepted without effect: programs touch files that they use."""
        if WORD.unpack_from(body)[0] & CHANGES:
            raise Answer(errno.EROFS)
        return self._getattr(node, body)

    def _open(self, node: int, body: memoryview) -> bytes:
        """Refuses what means to write; read-write is accepted, as clients open so and never write."""
        flags = WORD.unpack_from(body)[0]
        access = flags & os.O_ACCMODE
        if access == os.O_WRONLY or flags & os.O_TRUNC or (access == os.O_RDWR and flags & os.O_APPEND):
            raise Answer(errno.EROFS)
        attributes = self._tree.attributes(inode_of(node))
        if attributes.kind != "file":
            raise Answer(errno.EISDIR)
        handle = self._tree.open(attributes.ino)
        try:
            answer, backing = self._opens.opened(
                node,
                (attributes.size, attributes.mtime_ns),
                backing=handle.backing() if self._passthrough else None,
                writable=access != os.O_RDONLY,
            )
        except BaseException:
            handle.close()
            raise
        number = next(self._numbers)
        self._opened[number] = handle
        return protocol.open_out(number, answer, backing)

    def _read(self, node: int, body: memoryview) -> bytes:
        number, offset, size, *_ = READ_IN.unpack_from(body)
        with self._lock:
            self._reads += 1
        return self._opened[number].read(offset, size)

    def _write(self, node: int, body: memoryview) -> NoReturn:
        """Refused; that the kernel asks means that a shared map was written to."""
        self._opens.spoiled(node)
        raise Answer(errno.EROFS)

    def _release(self, node: int, body: memoryview) -> bytes:
        handle = self._opened.pop(HANDLE.unpack_from(body)[0])
        self._opens.released(node)
        handle.close()
        return b""

    def _statfs(self, node: int, body: memoryview) -> bytes:
        figures = self._tree.statfs()
        return protocol.statfs_out(
            (figures.f_blocks, figures.f_bfree, figures.f_bavail),
            (figures.f_files, figures.f_ffree),
            (figures.f_bsize, figures.f_namemax, figures.f_frsize),
        )

    def _getxattr(self, node: int, body: memoryview) -> bytes:
        """Ours only: the kernel asks for many others with every `ls -l`."""
        name = os.fsdecode(_text(body[2 * WORD.size :]))
        value = self._tree.xattrs(inode_of(node)).get(name) if name.startswith(XATTR_PREFIX) else None
        if value is None:
            # Whoever is told that there are none of a kind, as access control lists, need not ask for each.
            raise Answer(errno.EOPNOTSUPP if name.startswith("system.") else errno.ENODATA)
        return _fitting(value, WORD.unpack_from(body)[0])

    def _listxattr(self, node: int, body: memoryview) -> bytes:
        names = b"".join(os.fsencode(name) + b"\0" for name in self._tree.xattrs(inode_of(node)))
        return _fitting(names, WORD.unpack_from(body)[0])

    def _opendir(self, node: int, body: memoryview) -> bytes:
        if self._tree.attributes(node).kind != "directory":
            raise Answer(errno.ENOTDIR)
        return protocol.open_out(next(self._numbers), 0, 0)

    def _releasedir(self, node: int, body: memoryview) -> bytes:
        self._listings.pop(HANDLE.unpack_from(body)[0], None)
        return b""

    def _readdir(self, node: int, body: memoryview) -> bytes:
        return self._list(node, body, plus=False)

    def _readdirplus(self, node: int, body: memoryview) -> bytes:
        return self._list(node, body, plus=True)

    def _list(self, node: int, body: memoryview, *, plus: bool) -> bytes:
        """As many names from an offset on as fit. From the start the directory is looked at anew."""
        number, offset, size, *_ = READ_IN.unpack_from(body)
        if offset == 0 or number not in self._listings:
            found: Listing = [(b".", None), (b"..", None)]
            found += [(os.fsencode(name), attributes) for name, attributes in self._tree.entries(node)]
            self._listings[number] = found
        parts: list[bytes] = []
        for at, (name, attributes) in enumerate(self._listings[number][offset:], offset + 1):
            # The kernel has its own idea of "." and ".."; without a node it is not told of them.
            ino, kind = (attributes.ino, protocol.kind_of(attributes)) if attributes else (node, stat.S_IFDIR)
            entry = protocol.directory_entry(ino, at, name, kind)
            if plus:
                entry = (self._entry(attributes) if attributes else NO_ENTRY) + entry
            size -= len(entry)
            if size < 0:
                break
            parts.append(entry)
        return b"".join(parts)

    def _entry(self, attributes: Attributes) -> bytes:
        node = self._opens.node_of(attributes.ino)
        return protocol.entry_out(node, self._packed(attributes), TIMEOUT_SECONDS)

    def _packed(self, attributes: Attributes) -> bytes:
        return protocol.attributes_of(attributes, self._uid, self._gid)

    def _register(self, descriptor: int) -> int:
        assert self._session is not None
        return self._session.register(descriptor)

    def _unregister(self, backing: int) -> None:
        assert self._session is not None
        self._session.unregister(backing)


def _refuse(node: int, body: memoryview) -> NoReturn:
    raise Answer(errno.EROFS)


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
