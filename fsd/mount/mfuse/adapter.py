"""mfusepy's operations over a tree: inodes behind paths.

It promises what clients need (read-only, and yet O_RDWR and shared writable maps are accepted; the kernel's
pages kept across opens), one errno for every fault, and a mount that survives any exception of a handler.
libfuse tells of interrupted requests only whoever asks all the time (fuse_interrupted), so a reader by
O_DIRECT that is killed stays until its bytes came; buffered readers and maps go at once.
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
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar

from fsd.mount.answers import (
    BACKGROUND,
    BLOCK_SIZE,
    SECTOR,
    THREADS,
    TIMEOUT_SECONDS,
    WATCHED_SECONDS,
    may_write,
    mode_of,
    xattr,
)
from fsd.mount.faults import Answer, Faults
from fsd.mount.listings import Listing
from fsd.mount.mfuse.binding import Binding, Kernel, mfusepy, status_of
from fsd.mount.mfuse.lines import Lines
from fsd.mount.mfuse.names import Name, Names
from fsd.mount.notices import Notices, Told
from fsd.mount.observed import Observed

if TYPE_CHECKING:
    from fsd.tree import Attributes, Handle, News, Tree

log = logging.getLogger(__name__)

_DIRECTORIES_KEPT = 1 << 14

P = ParamSpec("P")
R = TypeVar("R")

# libfuse starts threads as they are needed, and ends idle ones above this.
IDLE = 32
_STATFS = (
    "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_namemax",
)  # fmt: skip


def _operation(method: Callable[Concatenate[Adapter, P], R]) -> Callable[Concatenate[Adapter, P], R]:
    """The one place where an exception becomes an errno."""

    @functools.wraps(method)
    def guarded(self: Adapter, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        # Everything: an exception that escapes would be EINVAL to the reader, or end the mount.
        except BaseException as error:
            code = self._faults.note(method.__name__, error)
            raise OSError(code, os.strerror(code)) from None

    return guarded


class Adapter:
    """mfusepy's operations over a tree. Every method is a FUSE request; mfusepy finds them by name.

    With `flag_nopath`, requests that carry a handle carry no path: libfuse then holds no lock on the path
    while a read is computed, which a retirement (`names`) would wait for.
    """

    use_ns = True
    flag_nopath = True
    flag_nullpath_ok = True

    name = "mfusepy"  # what `--fuse` calls it

    def __init__(self, tree: Tree) -> None:
        self.observed = Observed()
        self._tree = tree
        self._on_ready: Callable[[], None] | None = None
        self._faults = Faults(self.observed)
        self._names = Names(lambda: int(mfusepy.fuse_get_context()[2]))
        self._numbers = itertools.count(1)
        self._opened: dict[int, tuple[Handle, Name]] = {}
        self._listings: dict[int, tuple[str, Listing]] = {}
        self._lines = Lines()
        self._directories: dict[str, tuple[int, float]] = {}
        self._uid, self._gid = os.getuid(), os.getgid()
        self._mountpoint = ""
        self._fuse: int | None = None
        self._watched = False
        self._kernel = Kernel("")
        self._notices = Notices()
        self._known = Told()
        # Paths of what changes by itself, as the status, and was told of: nobody else would say so.
        self._restless: dict[str, None] = {}

    def serve(self, mountpoint: str, *, allow_other: bool, on_ready: Callable[[], None]) -> None:
        """Mount and serve until the mount is gone. Blocks; not for the main thread, whose signals it takes.

        `mountpoint` must be absolute: libfuse changes to "/". `on_ready` is called once the mount answers;
        where libfuse gives up before, its reason is on stderr.
        """
        self._mountpoint = mountpoint
        self._on_ready = on_ready
        self._names.mounted_at(mountpoint)
        self._kernel = Kernel(mountpoint)
        kept = WATCHED_SECONDS if self._watched else TIMEOUT_SECONDS
        options: dict[str, object] = {
            "fsname": "prismfs",
            "subtype": "prismfs",
            "default_permissions": True,
            "allow_other": allow_other,
            "auto_unmount": shutil.which("fusermount3") is not None,  # it is its child that would unmount
            "attr_timeout": kept,
            "entry_timeout": kept,
        }
        if mfusepy.fuse_version_minor >= 12:  # older ones start as many as they need, and refuse the option
            options |= {"max_threads": THREADS, "max_idle_threads": IDLE}
        # Not `ro` (clients open read-write), not `kernel_cache` (it keeps pages that `open` means to drop).
        try:
            Binding(self, mountpoint, raw_fi=True, foreground=True, **options)
        except RuntimeError as error:  # its exit code; signals give one as well
            log.debug("libfuse ended with %s", error)
        finally:
            self._kernel.ended()
            self._notices.close()

    def end(self) -> None:
        """Have libfuse stop and unmount although files are open; their next uncached read gets ENOTCONN."""
        mfusepy._libfuse.fuse_exit(ctypes.c_void_p(self._fuse))
        # The loop looks only when a request comes: have an unknown name looked up. By another
        # process: one that asks its own mount, its workers gone, waits for itself and cannot even die.
        name = f"{self._mountpoint}/.prismfs-{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):
            subprocess.Popen(["/bin/sh", "-c", 'test -e "$1"', "sh", name], cwd="/", stdin=subprocess.DEVNULL)

    def watched(self) -> None:
        """From now on the kernel may keep what it is told, as `forget` and `refresh` will be called."""
        self._watched = True

    def forget(self, news: News) -> None:
        """Have the kernel ask again for what this is about. Returns at once."""
        self._directories.clear()
        self._notices.tell(lambda: self._have_forgotten(news))

    def refresh(self, inos: Collection[int]) -> None:
        """Have the kernel ask again how much of these files is cached. Returns at once."""
        restless, self._restless = self._restless, {}
        if inos or restless:
            self._notices.tell(lambda: self._have_refreshed(set(inos), restless))

    def counters(self) -> dict[str, object]:
        """For status.json: reads that reached the daemon."""
        return {"read_requests": self.observed.requests}

    def init_with_config(self, connection: Any, config: Any) -> None:
        """The mount is there, and what libfuse takes no option for can be set."""
        if connection is not None:
            connection.max_background = connection.congestion_threshold = BACKGROUND
            connection.max_readahead = BLOCK_SIZE
        if config is not None:
            config.use_ino = 1
            # An unlinked file that is open (a retired version) is not to be renamed to .fuse_hidden first.
            config.hard_remove = 1
        self._fuse = mfusepy._libfuse.fuse_get_context().contents.fuse
        self._kernel.serves(self._fuse)
        if self._on_ready is not None:
            self._on_ready()

    @_operation
    def getattr(self, path: str | None, fi: Any = None) -> dict[str, int]:
        """stat of a path; of an open file where libfuse has its handle."""
        if path is None:
            return self._stat(self._tree.attributes(self._opened[fi.fh][0].ino))
        attributes = self._resolve(path)
        self._note(path, attributes)
        if attributes.kind == "file":
            self._names.tell(path, attributes.ino)
        return self._stat(attributes)

    @_operation
    def opendir(self, path: str, fi: Any) -> int:
        """A handle, by which a listing knows where it is, and whether the kernel may keep the listing.

        libfuse 3.14 does not hand that on; newer ones do.
        """
        listing, number = Listing(self._tree, self._directory(path)), next(self._numbers)
        self._listings[number] = path.rstrip("/"), listing
        fi.cache_readdir = fi.keep_cache = self._watched and listing.lasts()
        fi.fh = number
        return 0

    @_operation
    def readdir(
        self, path: str | None, number: int, *, offset: int = 0, plus: bool = False
    ) -> Iterator[tuple[bytes, bytes, int, bool]]:
        """Names with type and inode number, where the next one is, and False; `plus`: with all, and True.

        From the start the directory is looked at anew. What the kernel knows otherwise is told by a look-up.
        """
        directory, listing = self._listings[number]
        return self._told(directory, listing.ino, listing.entries(offset), offset, plus=plus)

    def _told(
        self, directory: str, ino: int, entries: list[tuple[str, Attributes]], offset: int, *, plus: bool
    ) -> Iterator[tuple[bytes, bytes, int, bool]]:
        dots = {b".": ino, b"..": self._tree.ROOT}
        for at, (name, dot) in enumerate(dots.items(), 1):
            if at > offset:
                yield name, status_of(dot, stat.S_IFDIR), at, False
        done = max(0, offset - len(dots))
        for at, line in enumerate(self._lines.of(directory, entries)[done:], len(dots) + done + 1):
            attributes, whole = line.attributes, plus
            if attributes.kind == "directory":
                if plus:
                    self._believe(line.path, attributes.ino)
            else:
                whole = plus and self._names.may_tell(line.path, attributes.ino)
            if whole and not line.noted:
                self._note(line.path, attributes)
                line.noted = self._watched and attributes.lasting
            yield line.name, line.whole(self._packed) if whole else line.few(), at, whole

    @_operation
    def releasedir(self, path: str | None, number: int) -> int:
        """The listing is over."""
        del self._listings[number]
        return 0

    @_operation
    def open(self, path: str, fi: Any) -> int:
        """A handle, and whether the kernel may keep its pages.

        ESTALE makes the kernel look the path up anew and try again: the answer where it was told of another
        inode, so that size and pages are those of the file that is opened.
        """
        may_write(fi.flags)
        attributes = self._resolve(path)
        if attributes.kind != "file":
            raise Answer(errno.EISDIR)
        if not self._names.was_told(path, attributes.ino):
            raise Answer(errno.ESTALE)
        handle = self._tree.open(attributes.ino)
        noted = self._names.opened(path, (attributes.ino, attributes.size, attributes.mtime_ns))
        if noted is None:
            handle.close()
            raise Answer(errno.ESTALE)
        name, fi.keep_cache = noted
        # Nothing is written: a close need not try, and fail for what others did to a shared map.
        fi.noflush = 1
        fi.fh = next(self._numbers)
        self._opened[fi.fh] = (handle, name)
        return 0

    @_operation
    def read(self, number: int, offset: int, into: memoryview) -> int:
        """Fills `into`, less at the end of the file; returns how many bytes."""
        began, count = time.perf_counter(), None
        try:
            count = self._opened[number][0].read_into(offset, into)
            return count
        finally:
            self.observed.read(time.perf_counter() - began, count)

    @_operation
    def release(self, path: str | None, fi: Any) -> int:
        """The last descriptor and the last map of an open are gone."""
        handle, name = self._opened.pop(fi.fh)
        self._names.released(name)
        handle.close()
        return 0

    @_operation
    def statfs(self, path: str) -> dict[str, int]:
        """What `df` shows."""
        figures = self._tree.statfs()
        return {name: getattr(figures, name) for name in _STATFS}

    @_operation
    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        """An extended attribute's value."""
        return xattr(name, lambda: self._tree.xattrs(self._resolve(path).ino))

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
        """Refused, except for the retirement of an old version's name."""
        if not self._names.retire(path):
            raise Answer(errno.EROFS)
        return 0

    @_operation
    def write(self, path: str | None, data: bytes, offset: int, fi: Any) -> NoReturn:
        """Refused; that the kernel asks may mean that a shared map was written to."""
        self._names.spoiled(self._opened[fi.fh][1])
        raise Answer(errno.EROFS)

    def _refuse(self, *args: object) -> NoReturn:
        raise Answer(errno.EROFS)

    # flush, fsync, access, lock and flock are not there on purpose: the kernel then does them by itself,
    # without a request for each close.
    truncate = create = mknod = mkdir = rmdir = rename = link = symlink = _refuse
    chmod = chown = setxattr = removexattr = fallocate = _refuse

    def _resolve(self, path: str) -> Attributes:
        """Looks the path's last part up."""
        parent, _, name = path.rstrip("/").rpartition("/")
        if not name:
            return self._tree.attributes(self._tree.ROOT)
        return self._tree.lookup(self._directory(parent), name)

    def _directory(self, path: str) -> int:
        """The inode number of a directory; believed for as long as the kernel would."""
        if not path.strip("/"):
            return self._tree.ROOT
        ino, until = self._directories.get(path, (0, 0.0))
        if time.monotonic() >= until:
            found = self._resolve(path)
            if found.kind != "directory":
                raise Answer(errno.ENOTDIR)
            ino = found.ino
            self._believe(path, ino)
        return ino

    def _note(self, path: str, attributes: Attributes) -> None:
        """The kernel is about to be told of a path."""
        if self._watched and path != "/":
            directory, _, name = path.rpartition("/")
            self._known.note(directory, name, attributes.ino)
            if not attributes.lasting:
                self._restless[path] = None

    def _have_forgotten(self, news: News) -> None:
        """For the notices' own thread. Children first: their paths are found by way of what is above."""
        for folder in news.inside:
            for name, _ in self._known.inside(folder.path):
                self._kernel.attributes_changed(f"{folder.path}/{name}")
                self._kernel.entry_changed(folder.path, name)
            self._kernel.listing_changed(folder.path)
        for folder, name in news.entries:
            self._kernel.entry_changed(folder.path, name)
        for folder in news.folders:
            self._kernel.listing_changed(folder.path)

    def _have_refreshed(self, inos: set[int], others: Collection[str]) -> None:
        """For the notices' own thread."""
        paths = [f"{directory}/{name}" for directory, name in self._known.having(inos)] if inos else []
        for path in [*paths, *others]:
            self._kernel.attributes_changed(path)

    def _believe(self, path: str, ino: int) -> None:
        if len(self._directories) >= _DIRECTORIES_KEPT:
            self._directories.clear()
        self._directories[path] = ino, time.monotonic() + TIMEOUT_SECONDS

    def _packed(self, attributes: Attributes) -> bytes:
        return status_of(
            attributes.ino, mode_of(attributes), nlink=attributes.nlink, uid=self._uid, gid=self._gid,
            size=attributes.size, blocks=-(-attributes.allocated // SECTOR), blksize=BLOCK_SIZE,
            mtime_ns=attributes.mtime_ns,
        )  # fmt: skip

    def _stat(self, attributes: Attributes) -> dict[str, int]:
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), attributes.mtime_ns)
        return times | {
            "st_ino": attributes.ino,
            "st_mode": mode_of(attributes),
            "st_nlink": attributes.nlink,
            "st_uid": self._uid,
            "st_gid": self._gid,
            "st_size": attributes.size,
            "st_blksize": BLOCK_SIZE,
            "st_blocks": -(-attributes.allocated // SECTOR),
        }
