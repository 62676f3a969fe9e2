"""Reading source files: `pread` of exact extents, each file proved to be the one that was planned from.

pread, never mmap: a source that is truncated under us must be an error, not a SIGBUS. A file is opened
read-only, compared with its identity when opened and again after every read, so a read either returns
bytes of the planned version or raises `SourceChanged` (design invariant I3).
Knows nothing of formats, tensors or layouts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading

from translators.errors import MalformedSource, MissingSource, SourceChanged, TranslationError
from translators.model import FileIdentity

_CHANGED = "the file is no longer the one that was planned from"
_REOPEN = "open the file again to read its new version"


class SourceFiles:
    """The source files of one layout, opened when first read. Safe for use by many threads.

    `bytes_read` counts what was asked of the sources, for measuring read amplification.
    """

    def __init__(self, files: tuple[FileIdentity, ...]) -> None:
        self._files = files
        self._descriptors: dict[int, int] = {}
        self._lock = threading.Lock()
        self.bytes_read = 0

    def read(self, file: int, offset: int, length: int) -> bytearray:
        """`length` bytes from `offset` of file number `file`.

        Raises SourceChanged, MalformedSource (shorter than planned) or MissingSource (cannot be read).
        """
        buffer = bytearray(length)
        self.read_into(file, offset, memoryview(buffer))
        return buffer

    def read_into(self, file: int, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset` of file number `file`; raises what `read` raises."""
        identity = self._files[file]
        descriptor = self.fileno(file)
        filled = 0
        try:
            while filled < len(buffer):
                count = os.preadv(descriptor, [buffer[filled:]], offset + filled)
                if count == 0:
                    break
                filled += count
        except OSError as error:
            raise _unreadable(identity, error) from error
        self.bytes_read += filled
        self._check_unchanged(identity)
        if filled < len(buffer):
            raise MalformedSource(
                f"the file ends after {offset + filled:,} bytes, {offset + len(buffer):,} were planned",
                path=identity.shown, remedy="fetch the file again",
            )  # fmt: skip

    def prefetch(self, file: int, offset: int, length: int) -> None:
        """Have the system begin to read. Never raises: the read that follows tells what is wrong."""
        with contextlib.suppress(OSError, TranslationError):
            os.posix_fadvise(self.fileno(file), offset, length, os.POSIX_FADV_WILLNEED)

    def fileno(self, file: int) -> int:
        """The open descriptor of file number `file`, for read-through; owned by this object."""
        descriptor = self._descriptors.get(file)
        if descriptor is not None:
            return descriptor
        with self._lock:
            if file not in self._descriptors:
                self._descriptors[file] = _open(self._files[file])
            return self._descriptors[file]

    def close(self) -> None:
        """Close every descriptor. Reading again opens them again."""
        with self._lock:
            descriptors, self._descriptors = self._descriptors, {}
        for descriptor in descriptors.values():
            os.close(descriptor)

    @staticmethod
    def _check_unchanged(identity: FileIdentity) -> None:
        # stat by path, not by descriptor: a file replaced by rename must be noticed as well.
        try:
            now = FileIdentity.from_stat(identity.path, os.stat(identity.path))
        except OSError as error:
            raise SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN) from error
        if now != identity:
            raise SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN)


def _open(identity: FileIdentity) -> int:
    try:
        descriptor = os.open(identity.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(identity, error) from error
    if FileIdentity.from_stat(identity.path, os.fstat(descriptor)) != identity:
        os.close(descriptor)
        raise SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN)
    return descriptor


def _unreadable(identity: FileIdentity, error: OSError) -> MissingSource | SourceChanged:
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN)
    return MissingSource(
        f"cannot be read: {error.strerror}", path=identity.shown, remedy="check the disk and permissions"
    )
