"""mfusepy over libfuse 3, where its own way costs a copy of each byte or a request for each name.

Knows mfusepy's and libfuse's conventions; nothing of trees.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import struct
import threading
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

# mfusepy prefers libfuse 2 where both are installed, and decides while it is imported.
os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
import mfusepy

__all__ = ["Binding", "Kernel", "mfusepy", "status_of"]

_FILL_PLUS = 2  # the attributes of an entry are whole: FUSE_FILL_DIR_PLUS
# libfuse's way to take an entry, called with the interpreter's lock held: it copies some hundred bytes, and
# to let go of the lock for each, and ask for it again, takes longer.
_Fill = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
)

_memory = ctypes.pythonapi.PyMemoryView_FromMemory
_memory.argtypes, _memory.restype = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int), ctypes.py_object
_FOR_WRITING = 0x200  # PyBUF_WRITE


class _States(threading.local):
    """What the interpreter knows of a thread, kept from one call of libfuse's threads to the next.

    They are not the interpreter's own, so that it would make a state for each call and drop it afterwards,
    with memory that is mapped and unmapped for all processors: half of the system's time for a listing. What
    a thread kept is lost when libfuse ends it, some 20 KB: that is why only so many threads keep theirs.
    """

    _left = itertools.repeat(None, 256)
    _seen = False

    def keep(self) -> None:
        """Have the state of the thread that calls last as long as the thread."""
        if not self._seen:
            self._seen = True
            for _ in itertools.islice(self._left, 1):
                ctypes.pythonapi.PyGILState_Ensure()


_states = _States()


class Binding(mfusepy.FUSE):  # type: ignore[misc]  # it has no annotations
    """mfusepy's, but that bytes are read straight into libfuse's memory, where it would have copied them, and
    that a listing brings all that stat tells of each entry, where the kernel asks for it.
    """

    def _wrapper(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        _states.keep()
        return super()._wrapper(func, *args, **kwargs)

    def read(self, path: bytes | None, buffer: Any, size: int, offset: int, info: Any) -> int:
        """libfuse's memory is good until the return: the view ends with it."""
        with _memory(buffer, size, _FOR_WRITING) as into:
            found: int = self.operations.read(info.contents.fh, offset, into)
            return found

    def opendir(self, path: bytes, info: Any) -> int:
        """With the flags that say what the kernel may keep."""
        self.operations.opendir(os.fsdecode(path), info.contents)
        return 0

    def readdir_fuse_3(  # noqa: PLR0917  # the binding's own order
        self, path: bytes | None, buffer: Any, fill: Any, offset: int, info: Any, flags: int
    ) -> int:
        """As much as fits; with offsets, as libfuse forgets the attributes of entries that have none."""
        take = _fill(ctypes.cast(fill, ctypes.c_void_p).value)
        entries = self.operations.readdir(path, info.contents.fh, offset=offset, plus=bool(flags))
        for name, status, following, whole in entries:
            if take(buffer, name, status, following, _FILL_PLUS if whole else 0):
                break
        return 0


@functools.cache
def _fill(address: int | None) -> Callable[[int, bytes, bytes, int, int], int]:
    """The function at an address; there are two, with attributes and without."""
    return _Fill(address or 0)


def status_of(
    ino: int, mode: int, *, nlink: int = 0, uid: int = 0, gid: int = 0, size: int = 0, blocks: int = 0,
    blksize: int = 0, mtime_ns: int = 0,
) -> bytes:  # fmt: skip
    """libfuse's struct stat. All times are the one, in nanoseconds."""
    time = divmod(mtime_ns, 10**9)
    return _STAT.pack(*_in_place((ino, mode, nlink, uid, gid, size, blksize, blocks, *time, *time, *time)))


def _fields() -> Iterator[tuple[int, str]]:
    """Where each figure of `status_of` lies in mfusepy's struct stat, and its format."""
    whole = mfusepy.c_stat
    for name in ("st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blksize", "st_blocks"):
        field = getattr(whole, name)
        yield field.offset, {4: "I", 8: "Q"}[field.size]
    for name in ("st_atimespec", "st_mtimespec", "st_ctimespec"):
        start, kind = getattr(whole, name).offset, dict(whole._fields_)[name]
        for part in (kind.tv_sec, kind.tv_nsec):
            yield start + part.offset, {4: "i", 8: "q"}[part.size]


def _layout() -> tuple[struct.Struct, Callable[[tuple[int, ...]], tuple[int, ...]]]:
    """A packer of struct stat, whichever machine's it is, and what brings figures into its order."""
    fields = list(_fields())
    order = sorted(range(len(fields)), key=fields.__getitem__)
    form, at = "=", 0
    for offset, kind in map(fields.__getitem__, order):
        form += f"{offset - at}x{kind}"
        at = offset + struct.calcsize(f"={kind}")
    return struct.Struct(f"{form}{ctypes.sizeof(mfusepy.c_stat) - at}x"), itemgetter(*order)


_STAT, _in_place = _layout()


class Kernel:
    """What the kernel keeps of a mount at `mountpoint`, told by path that it is out of date.

    libfuse's own call for that knows a path's contents alone, and drops its pages; names are invalidated by
    the number of the node that they are in, which libfuse keeps to itself. But it is part of the handle that
    the kernel makes of a path (name_to_handle_at). For a thread of its own: the kernel may ask us meanwhile.
    """

    def __init__(self, mountpoint: str) -> None:
        self._mountpoint = mountpoint
        self._session: int | None = None

    def serves(self, fuse: int) -> None:
        """libfuse has begun: `fuse` is its handle."""
        self._session = _get_session(fuse)

    def ended(self) -> None:
        """libfuse has ended: there is nobody to tell."""
        self._session = None

    def attributes_changed(self, path: str) -> None:
        """What stat tells of a path from the mount's top ("/org/model") is another by now."""
        self._inode(path, -1)

    def listing_changed(self, path: str) -> None:
        """What a directory's listing tells is another by now."""
        self._inode(path, 0)

    def entry_changed(self, directory: str, name: str) -> None:
        """A name in a directory may lead elsewhere by now, or nowhere."""
        node, encoded = self._node(directory), os.fsencode(name)
        if node and self._session:
            _inval_entry(self._session, node, encoded, len(encoded))

    def _inode(self, path: str, start: int) -> None:
        node = self._node(path)
        if node and self._session:
            _inval_inode(self._session, node, start, 0)

    def _node(self, path: str) -> int:
        """The number of the path's node; 0 for none."""
        handle, mount = _Handle(size=_HANDLE_BYTES), ctypes.c_int()
        where = os.fsencode(self._mountpoint + path)
        if not self._session or _name_to_handle_at(
            _AT_FDCWD, where, ctypes.byref(handle), ctypes.byref(mount), 0
        ):
            return 0
        if handle.kind not in _WITH_NODE:
            return 0
        return int(handle.words[0] << 32 | handle.words[1])


_HANDLE_BYTES, _AT_FDCWD = 128, -100
_WITH_NODE = (0x81, 0x82)  # FILEID_INO64_GEN: the node's number and generation; _PARENT: its parent's as well


class _Handle(ctypes.Structure):
    """struct file_handle. The kernel writes FUSE's as 32-bit words, the upper one of the node's first."""

    _fields_ = (
        ("size", ctypes.c_uint),
        ("kind", ctypes.c_int),
        ("words", ctypes.c_uint32 * (_HANDLE_BYTES // 4)),
    )


_libfuse = mfusepy._libfuse
_get_session = _libfuse.fuse_get_session
_get_session.argtypes, _get_session.restype = (ctypes.c_void_p,), ctypes.c_void_p
_inval_inode = _libfuse.fuse_lowlevel_notify_inval_inode
_inval_inode.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int64, ctypes.c_int64)
_inval_entry = _libfuse.fuse_lowlevel_notify_inval_entry
_inval_entry.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_size_t)
_name_to_handle_at = ctypes.CDLL(None, use_errno=True).name_to_handle_at
_name_to_handle_at.argtypes = (
    ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int,
)  # fmt: skip
