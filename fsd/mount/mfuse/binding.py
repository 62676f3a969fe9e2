"""mfusepy over libfuse 3, where its own way costs a copy of each byte or a request for each name.

Knows mfusepy's and libfuse's conventions; nothing of trees.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

# mfusepy prefers libfuse 2 where both are installed, and decides while it is imported.
os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
import mfusepy

__all__ = ["Binding", "Kernel", "mfusepy", "status_of"]

_FIELDS = ("st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blksize", "st_blocks")
_FILL_PLUS = 2  # the attributes of an entry are whole: FUSE_FILL_DIR_PLUS

_memory = ctypes.pythonapi.PyMemoryView_FromMemory
_memory.argtypes, _memory.restype = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int), ctypes.py_object
_FOR_WRITING = 0x200  # PyBUF_WRITE


class Binding(mfusepy.FUSE):  # type: ignore[misc]  # it has no annotations
    """mfusepy's, but that bytes are read straight into libfuse's memory, where it would have copied them, and
    that a listing brings all that stat tells of each entry, where the kernel asks for it.
    """

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
        entries = self.operations.readdir(path, info.contents.fh, offset=offset, plus=bool(flags))
        for name, status, following, whole in entries:
            if fill(buffer, name, status, following, _FILL_PLUS if whole else 0):
                break
        return 0


def status_of(attributes: Mapping[str, int]) -> ctypes.Structure:
    """libfuse's struct stat of what a handler gives; times are all "st_mtime", in nanoseconds."""
    status: ctypes.Structure = mfusepy.c_stat()
    for field in _FIELDS:
        setattr(status, field, attributes.get(field, 0))
    seconds, nanoseconds = divmod(attributes.get("st_mtime", 0), 10**9)
    for time in (status.st_atimespec, status.st_mtimespec, status.st_ctimespec):
        time.tv_sec, time.tv_nsec = seconds, nanoseconds
    return status


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
