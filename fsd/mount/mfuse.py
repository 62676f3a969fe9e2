"""The FUSE adapter that works everywhere: a tree's inodes behind mfusepy's paths.

It promises what clients need (read-only, and yet O_RDWR and shared writable maps are accepted), one errno
for every fault, one log line for it, and a mount that survives any exception of a handler.
libfuse gives each path one node, and the kernel gives each node one page cache. So the adapter remembers
what the kernel was told of a path: pages are kept across opens exactly as long as the path's inode, size and
mtime stand; a path whose inode changed while old handles are open gets a new node (see `_Retirements`), so
that two versions never meet in one page cache (invariant I3).
Knows the methods of `fsd.tree.Tree`; nothing of models, chunks or formats.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import logging
import os
import queue
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar

# mfusepy prefers libfuse 2 where both are installed, and decides while it is imported.
os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
import mfusepy

from fsd.errors import PrismError, errno_of
from translators.errors import TranslationError

if TYPE_CHECKING:
    from fsd.tree import Attributes, Handle, Tree

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

BLOCK_SIZE = 1 << 20  # st_blksize: the size of cp's and cat's reads
SECTOR = 512  # the unit of st_blocks, whatever st_blksize says
# How long the kernel answers stat and look-up by itself. Long enough that one `ls -l` or one loader asks once,
# short enough that a person sees a changed source at once; an open never relies on it (`Adapter.open`).
TIMEOUT_SECONDS = 2.0
THREADS = 32
REMEMBERED_NAMES = 1 << 16
RETIREMENT_SECONDS = 0.2
XATTR_PREFIX = "user.prismfs."
EVERYDAY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENODATA, errno.EROFS})

Version = tuple[int, int, int]


class _Answer(OSError):
    """An errno that is an ordinary answer to the kernel, not a fault to be logged."""

    def __init__(self, code: int) -> None:
        super().__init__(code, os.strerror(code))


@dataclass(eq=False)
class _Name:
    """What the kernel believes of the file at one path.

    told:  the inode number that the last look-up answered with.
    pages: the version whose bytes its page cache may hold.
    open:  handles that are not yet released (a memory map keeps its handle).
    """

    told: int
    pages: Version | None = None
    open: int = 0
    retired: threading.Event = field(default_factory=threading.Event)


def _operation(method: Callable[Concatenate[Adapter, P], R]) -> Callable[Concatenate[Adapter, P], R]:
    """The one place where an exception becomes an errno, and a fault one log line."""

    @functools.wraps(method)
    def guarded(self: Adapter, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except _Answer:
            raise
        # Everything: an exception that escapes would be EINVAL to the reader, or end the mount.
        except BaseException as error:
            code = self.faults.note(method.__name__, error)
            raise OSError(code, os.strerror(code)) from None

    return guarded


class _Faults:
    """Logs each fault once, however often a reader tries again."""

    REMEMBERED = 1024

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], None] = {}

    def note(self, operation: str, error: BaseException) -> int:
        """Log `error` if it is a new fault; returns the errno to answer with."""
        code = errno_of(error)
        expected = isinstance(error, OSError | TranslationError | PrismError)
        if expected and code in EVERYDAY:
            return code
        key = (operation, str(error))
        if key in self._seen:
            return code
        if len(self._seen) >= self.REMEMBERED:
            self._seen.clear()
        self._seen[key] = None
        name = errno.errorcode.get(code, str(code))
        log.error("%s: %s: %s", operation, name, error or type(error).__name__, exc_info=None if expected else error)
        return code


class _Retirements:
    """Gives a path a new node, by unlinking its old name in our own mount.

    libfuse finds a node by path, so a changed file would share node and page cache with its old version, and a
    reader in the middle of the old one would get pages of the new one. After an unlink the old handles live on as
    those of any deleted file, and the next look-up makes a new node. The kernel must do it, hence a thread of
    its own: a handler that called into its own mount could wait for itself.
    """

    def __init__(self) -> None:
        self.mountpoint = ""
        self.pending: set[str] = set()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def add(self, path: str) -> None:
        """Ask for the retirement of the node at `path` (as libfuse gives it); once is enough."""
        if path in self.pending or not self.mountpoint:
            return
        self.pending.add(path)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="prismfs-retire", daemon=True)
            self._thread.start()
        self._queue.put(path)

    def asks(self) -> bool:
        """True if the request at hand is our own thread's (the kernel names a thread, not a process)."""
        return self._thread is not None and mfusepy.fuse_get_context()[2] == self._thread.native_id

    def _run(self) -> None:
        while True:
            path = self._queue.get()
            try:
                os.unlink(self.mountpoint + path)
            except OSError as error:
                log.warning("the old version of %s keeps its name: %s", path, error.strerror)
            finally:
                self.pending.discard(path)


class Adapter:
    """mfusepy's operations over a tree. Every method is a FUSE request; mfusepy finds them by name.

    With `flag_nopath`, requests that carry a handle carry no path: libfuse then holds no path lock while a read
    is computed, which a retirement would wait for.
    """

    use_ns = True
    flag_nopath = True
    flag_nullpath_ok = True

    def __init__(self, tree: Tree, on_init: Callable[[], None] | None = None) -> None:
        self.faults = _Faults()
        self.retirements = _Retirements()
        self._tree = tree
        self._on_init = on_init
        self._fuse: int | None = None
        self._uid, self._gid = os.getuid(), os.getgid()
        self._numbers = itertools.count(1)
        self._opened: dict[int, tuple[Handle, _Name]] = {}
        self._names: dict[str, _Name] = {}
        self._lock = threading.Lock()

    def init_with_config(self, connection: Any, config: Any) -> None:
        """Many requests at a time: a reader that waits for a computation must not hold up the others."""
        if connection is not None:
            connection.max_background = connection.congestion_threshold = 64
            connection.max_readahead = 1 << 20
        if config is not None:
            config.use_ino = 1
            # An unlinked file that is open (a retired version) is not to be renamed to .fuse_hidden first.
            config.hard_remove = 1
        self._fuse = mfusepy._libfuse.fuse_get_context().contents.fuse
        if self._on_init is not None:
            self._on_init()

    def end(self) -> None:
        """Have libfuse stop and unmount although files are open; their next uncached read gets ENOTCONN."""
        mfusepy._libfuse.fuse_exit(ctypes.c_void_p(self._fuse))
        # The loop looks only when a request comes: look up a name that nobody has looked up.
        with contextlib.suppress(OSError):
            os.lstat(f"{self.retirements.mountpoint}/.prismfs-{secrets.token_hex(8)}")

    @_operation
    def getattr(self, path: str | None, fi: Any = None) -> dict[str, int]:
        """stat of a path; of an open file where libfuse has its handle."""
        if path is None:
            return self._stat(self._tree.attributes(self._opened[fi.fh][0].ino))
        attributes = self._resolve(path)
        if attributes.kind == "file":
            self._tell(path, attributes)
        return self._stat(attributes)

    @_operation
    def opendir(self, path: str) -> int:
        """The inode number serves as the handle."""
        return self._resolve(path).ino

    @_operation
    def readdir(self, path: str | None, ino: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """Names with type and inode number; libfuse's high-level interface takes no more."""
        entries = self._tree.entries(ino)
        here = {"st_mode": stat.S_IFDIR, "st_ino": ino}
        listing = [(".", here, 0), ("..", {"st_mode": stat.S_IFDIR, "st_ino": self._tree.ROOT}, 0)]
        listing += [(name, {"st_mode": _mode(entry), "st_ino": entry.ino}, 0) for name, entry in entries]
        return iter(listing)

    @_operation
    def open(self, path: str, fi: Any) -> int:
        """Refuses what means to write; reading and writing is accepted, as clients open so and never write.

        ESTALE makes the kernel look the path up anew and try again: the answer where it was told of another inode,
        so that size and pages are the ones of the file that is opened.
        """
        if fi.flags & os.O_ACCMODE == os.O_WRONLY or fi.flags & os.O_TRUNC:
            raise _Answer(errno.EROFS)
        if fi.flags & os.O_ACCMODE == os.O_RDWR and fi.flags & os.O_APPEND:
            raise _Answer(errno.EROFS)
        attributes = self._resolve(path)
        if attributes.kind != "file":
            raise _Answer(errno.EISDIR)
        if not self._told(path, attributes.ino):
            raise _Answer(errno.ESTALE)
        handle = self._tree.open(attributes.ino)
        with self._lock:
            name = self._names.get(path)
            if name is not None and name.told == attributes.ino:
                version = (attributes.ino, attributes.size, attributes.mtime_ns)
                fi.keep_cache = int(name.pages == version)
                name.pages = version
                name.open += 1
                fi.fh = next(self._numbers)
                self._opened[fi.fh] = (handle, name)
                return 0
        handle.close()
        raise _Answer(errno.ESTALE)

    @_operation
    def read(self, path: str | None, size: int, offset: int, fi: Any) -> bytes:
        """Exactly `size` bytes, fewer at the end of the file."""
        return self._opened[fi.fh][0].read(offset, size)

    @_operation
    def release(self, path: str | None, fi: Any) -> int:
        """The last descriptor and the last map of an open are gone."""
        handle, name = self._opened.pop(fi.fh)
        with self._lock:
            name.open -= 1
        handle.close()
        return 0

    @_operation
    def statfs(self, path: str) -> dict[str, int]:
        """What `df` shows."""
        return _statvfs(self._tree.statfs())

    @_operation
    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        """Ours only: the kernel asks for many others with every `ls -l`."""
        if name.startswith(XATTR_PREFIX):
            value = self._tree.xattrs(self._resolve(path).ino).get(name)
            if value is not None:
                return value
        raise _Answer(errno.ENODATA)

    @_operation
    def listxattr(self, path: str) -> list[str]:
        """The names of a file's extended attributes."""
        return list(self._tree.xattrs(self._resolve(path).ino))

    @_operation
    def utimens(self, path: str | None, times: object = None) -> int:
        """Accepted without effect: programs touch files that they use."""
        return 0

    @_operation
    def unlink(self, path: str) -> int:
        """Refused, except to our own thread that retires an old version's name."""
        if path not in self.retirements.pending or not self.retirements.asks():
            raise _Answer(errno.EROFS)
        with self._lock:
            name = self._names.pop(path, None)
        if name is not None:
            name.retired.set()
        return 0

    def _refuse(self, *args: object) -> NoReturn:
        raise _Answer(errno.EROFS)

    # flush, fsync, access, lock and flock are not there on purpose: the kernel then does them by itself,
    # without a request for each close.
    write = truncate = create = mknod = mkdir = rmdir = rename = link = symlink = _refuse
    chmod = chown = setxattr = removexattr = fallocate = _refuse

    def _resolve(self, path: str) -> Attributes:
        """Walks the path: the kernel already keeps what look-ups answered."""
        ino, attributes = self._tree.ROOT, None
        for part in path.split("/"):
            if part:
                attributes = self._tree.lookup(ino, part)
                ino = attributes.ino
        return self._tree.attributes(ino) if attributes is None else attributes

    def _told(self, path: str, ino: int) -> bool:
        with self._lock:
            name = self._names.get(path)
            return name is not None and name.told == ino

    def _tell(self, path: str, attributes: Attributes) -> None:
        """Note what the kernel learns of a path; a changed file with old handles open gets a new node first."""
        with self._lock:
            name = self._names.get(path)
            if name is None or (name.told != attributes.ino and not name.open):
                self._forget_idle()
                self._names[path] = _Name(attributes.ino, name.pages if name else None)
                return
            if name.told == attributes.ino:
                return
        self.retirements.add(path)
        # Our own unlink looks the name up too, and must not wait for itself. A bounded wait, as this request
        # may itself hold a lock that the unlink needs; if it was too short, the open says ESTALE once more.
        if not self.retirements.asks() and name.retired.wait(RETIREMENT_SECONDS):
            with self._lock:
                self._names.setdefault(path, _Name(attributes.ino))

    def _forget_idle(self) -> None:
        """Keeps memory bounded; for a forgotten name the next open just drops the kernel's pages."""
        if len(self._names) >= REMEMBERED_NAMES:
            self._names = {path: name for path, name in self._names.items() if name.open}

    def _stat(self, attributes: Attributes) -> dict[str, int]:
        time = attributes.mtime_ns
        return {
            "st_ino": attributes.ino,
            "st_mode": _mode(attributes),
            "st_nlink": attributes.nlink,
            "st_uid": self._uid,
            "st_gid": self._gid,
            "st_size": attributes.size,
            "st_blksize": BLOCK_SIZE,
            "st_blocks": -(-attributes.allocated // SECTOR),
            "st_atime": time,
            "st_mtime": time,
            "st_ctime": time,
        }


def serve(adapter: Adapter, mountpoint: str, *, allow_other: bool, auto_unmount: bool) -> None:
    """Mount and serve until the mount is gone. Blocks; not for the main thread (libfuse takes no signals then).

    `mountpoint` must be absolute: libfuse changes to "/". Raises RuntimeError if libfuse gives up; what it says is
    on stderr.
    """
    adapter.retirements.mountpoint = mountpoint
    options: dict[str, object] = {
        "fsname": "prismfs",
        "subtype": "prismfs",
        "default_permissions": True,
        "allow_other": allow_other,
        "auto_unmount": auto_unmount,
        "attr_timeout": TIMEOUT_SECONDS,
        "entry_timeout": TIMEOUT_SECONDS,
    }
    if mfusepy.fuse_version_minor >= 12:  # older ones start as many as they need, and refuse the option
        options["max_threads"] = options["max_idle_threads"] = THREADS
    # Not `ro` (clients open read-write), not `kernel_cache` (it would keep pages that `open` means to drop).
    mfusepy.FUSE(adapter, mountpoint, raw_fi=True, foreground=True, **options)


def _mode(attributes: Attributes) -> int:
    return (stat.S_IFDIR if attributes.kind == "directory" else stat.S_IFREG) | attributes.mode


def _statvfs(numbers: Any) -> dict[str, int]:
    """statvfs' fields, from an object or a mapping that has them."""
    if isinstance(numbers, dict):
        return numbers
    fields = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_namemax")
    return {name: getattr(numbers, name) for name in fields}
