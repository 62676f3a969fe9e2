"""mfusepy over libfuse 3, where its own way costs a copy of each byte or a request for each name.

Knows mfusepy's and libfuse's conventions; nothing of trees.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

# mfusepy prefers libfuse 2 where both are installed, and decides while it is imported.
os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
import mfusepy

__all__ = ["Binding", "mfusepy"]

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

    def readdir_fuse_3(  # noqa: PLR0917  # the binding's own order
        self, path: bytes | None, buffer: Any, fill: Any, offset: int, info: Any, flags: int
    ) -> int:
        """As much as fits; with offsets, as libfuse forgets the attributes of entries that have none."""
        status = mfusepy.c_stat()
        entries = self.operations.readdir(path, info.contents.fh, offset=offset, plus=bool(flags))
        for name, attributes, following in entries:
            mfusepy.set_st_attrs(status, attributes, use_ns=True)
            plus = _FILL_PLUS if "st_size" in attributes else 0
            if fill(buffer, os.fsencode(name), status, following, plus):
                break
        return 0
