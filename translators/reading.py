"""Reading source files: `pread` of exact extents, each file proved to be the one that was planned from.

pread, never mmap: a source that is truncated under us must be an error, not a SIGBUS. A file is opened
read-only, compared with its identity when opened and again after every read, so a read either returns
bytes of the planned version or raises `SourceChanged` (design invariant I3).
Nothing of a failure is kept: what asks a file system that is well again succeeds, although it was mounted
anew meanwhile. Knows nothing of formats, tensors or layouts.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
import numpy.typing as npt

from translators.errors import MalformedSource, MissingSource, SourceChanged, TranslationError
from translators.model import FileIdentity, patiently

_CHANGED = "the file is no longer the one that was planned from"
_REOPEN = "open the file again to read its new version"
# What a file system answers of a file that is not there, or not there any more.
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
# What a descriptor answers whose file system was unmounted; it may be mounted anew.
_LOST = frozenset({errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE})


# Bytes of what `kept` keeps for one layout: a few strips of matrices that are stored transposed.
_KEPT = 16 << 20
# What keeping a thing takes besides: small ones may be many.
_KEEPING = 256

Bytes = npt.NDArray[np.uint8]


class SourceFiles:
    """The source files of one layout, opened when first read. Safe for use by many threads.

    `bytes_read` counts what was asked of the sources, for measuring read amplification.
    """

    def __init__(self, files: tuple[FileIdentity, ...]) -> None:
        self._files = files
        self._descriptors: dict[int, _Descriptor] = {}
        self._lock = threading.Lock()
        self._kept = _Kept()
        self._making = threading.Lock()
        self.bytes_read = 0

    def read(self, file: int, offset: int, length: int) -> memoryview:
        """`length` bytes from `offset` of file number `file`.

        Raises SourceChanged, MalformedSource (shorter than planned) or MissingSource (cannot be read).
        """
        buffer = np.empty(length, np.uint8).data  # nobody reads what is not filled: no zeros first
        self.read_into(file, offset, buffer)
        return buffer

    def read_into(self, file: int, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset` of file number `file`; raises what `read` raises."""
        identity = self._files[file]
        try:
            try:
                filled = self._filled(file, offset, buffer)
            except OSError as error:
                if error.errno not in _LOST:
                    raise
                filled = self._filled(file, offset, buffer)
        except OSError as error:
            raise _unreadable(identity, error) from error
        self.bytes_read += filled
        _prove_unchanged(identity)
        if filled < len(buffer):
            raise MalformedSource(
                f"the file ends after {offset + filled:,} bytes, {offset + len(buffer):,} were planned",
                path=identity.shown, remedy="fetch the file again",
            )  # fmt: skip

    def read_strided(self, file: int, offset: int, length: int, stride: int, count: int) -> memoryview:
        """`count` pieces of `length` bytes, the first at `offset`, each `stride` after the one before.

        They are proved unchanged together, which is what makes many small ones bearable. Raises what `read`
        raises.
        """
        buffer = np.empty(length * count, np.uint8).data
        descriptor, got = self._descriptor(file), 0
        for number in range(count):
            part = buffer[number * length : (number + 1) * length]
            try:
                whole = os.preadv(descriptor.number, [part], offset + number * stride) == length
            except OSError:
                whole = False
            if whole:
                got += length
            else:  # what is the matter is found out there
                self.read_into(file, offset + number * stride, part)
        self.bytes_read += got
        _prove_unchanged(self._files[file])
        return buffer

    def kept(self, file: int, key: Hashable, make: Callable[[], Bytes]) -> Bytes:
        """What `make` gives, or gave lately for the same file and key; nobody may write to it.

        `make` reads of that file alone. One at a time: who wants the same waits for it. Raises what it
        raises, and SourceChanged where the file is no longer the one that it was made of.
        """
        with self._making:
            kept = self._kept
            made = kept.made.get((file, key))
            if made is None:
                made = make()
                made.flags.writeable = False
                kept.add((file, key), made)
                return made
            kept.made.move_to_end((file, key))
        _prove_unchanged(self._files[file])
        return made

    def _filled(self, file: int, offset: int, buffer: memoryview) -> int:
        """How many bytes of `buffer` were filled, fewer at the file's end. Raises OSError, and as `read`."""
        descriptor = self._descriptor(file)
        filled = 0
        try:
            while filled < len(buffer):
                count = patiently(os.preadv, descriptor.number, [buffer[filled:]], offset + filled)
                if count == 0:
                    break
                filled += count
        except OSError:
            self._forget(file, descriptor)
            raise
        return filled

    def prefetch(self, file: int, offset: int, length: int) -> None:
        """Have the system begin to read. Never raises: the read that follows tells what is wrong."""
        with contextlib.suppress(OSError, TranslationError):
            os.posix_fadvise(self._descriptor(file).number, offset, length, os.POSIX_FADV_WILLNEED)

    def prove_unchanged(self) -> None:
        """Raise SourceChanged where a file is no longer as planned, MissingSource where none can tell."""
        for identity in self._files:
            _prove_unchanged(identity)

    def close(self) -> None:
        """Close the files, each when no read is at it any more. Reading again opens them again."""
        with self._lock:
            descriptors, self._descriptors = self._descriptors, {}
            self._kept = _Kept()
        # Outside the lock, as all that a slow file system may take long for.
        descriptors.clear()

    def _descriptor(self, file: int) -> _Descriptor:
        descriptor = self._descriptors.get(file)
        if descriptor is not None:
            return descriptor
        with self._lock:
            # Once: a second open of a FUSE file waits, beyond any signal, for the reads that are under way.
            if file not in self._descriptors:
                self._descriptors[file] = _open(self._files[file])
            return self._descriptors[file]

    def _forget(self, file: int, descriptor: _Descriptor) -> None:
        """Open the file anew for the next read: this descriptor may be of a mount that is gone."""
        with self._lock:
            if self._descriptors.get(file) is descriptor:
                del self._descriptors[file]


class _Kept:
    """What was made lately, the oldest first, of at most `_KEPT` bytes unless one alone has more."""

    def __init__(self) -> None:
        self.made: OrderedDict[Hashable, Bytes] = OrderedDict()
        self._size = 0

    def add(self, key: Hashable, made: Bytes) -> None:
        """Keep one more, and leave out what there is no room for any more."""
        self.made[key] = made
        self._size += made.size + _KEEPING
        while len(self.made) > 1 and self._size > _KEPT:
            self._size -= self.made.popitem(last=False)[1].size + _KEEPING


class _Descriptor:
    """An open file, closed with the last reference to it: never under the hands of a reader."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


def _prove_unchanged(identity: FileIdentity) -> None:
    # stat by path, not by descriptor: a file replaced by rename must be noticed as well.
    try:
        now = FileIdentity.from_stat(identity.path, patiently(os.stat, identity.path))
    except OSError as error:
        raise _unreadable(identity, error) from error
    if now != identity:
        raise SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN)


def _open(identity: FileIdentity) -> _Descriptor:
    try:
        descriptor = _Descriptor(patiently(os.open, identity.path, os.O_RDONLY | os.O_CLOEXEC))
        now = FileIdentity.from_stat(identity.path, os.fstat(descriptor.number))
    except OSError as error:
        raise _unreadable(identity, error) from error
    if now != identity:
        raise SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN)
    return descriptor


def _unreadable(identity: FileIdentity, error: OSError) -> MissingSource | SourceChanged:
    if error.errno in _GONE:
        return SourceChanged(_CHANGED, path=identity.shown, remedy=_REOPEN)
    return MissingSource(
        f"cannot be read: {error.strerror}", path=identity.shown, remedy="check the disk and permissions"
    )
