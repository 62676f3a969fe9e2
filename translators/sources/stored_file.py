"""A source file while it is parsed: opened once, measured once, read by `pread`.

Every length that a header claims is checked against `size` before it is used for a read, and no read
returns fewer bytes than asked for. Whatever the operating system refuses becomes `MissingSource`.
Symbolic links are followed (a hub cache is made of them); a pipe or a device is refused unopened.
Knows nothing of any format. Reads of tensor data go through `translators.reading`, not through this.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType

from translators.errors import MalformedSource, MissingSource, TranslationError
from translators.model import FileIdentity

FETCH_AGAIN = "fetch the file again"


def shown(path: Path) -> str:
    """A path as a person can read it, also where its bytes are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def clipped(text: str) -> str:
    """`text`, shortened to what an error should show: a file may hold a name of 100 MB."""
    return text if len(text) <= 200 else f"{text[:200]}..."


def malformed(path: Path, reason: str, place: str = "", remedy: str = FETCH_AGAIN) -> MalformedSource:
    """The error that says what is wrong with a file, and where in it."""
    return MalformedSource(clipped(reason), path=shown(path), place=clipped(place), remedy=remedy)


def unreadable(path: Path, error: OSError) -> MissingSource:
    """The error for a file or directory that the operating system refuses."""
    if isinstance(error, FileNotFoundError):
        dangling = path.is_symlink()
        reason = "is a symbolic link to nowhere" if dangling else "is not there"
        return MissingSource(reason, path=shown(path), remedy="fetch the model again, with all its files")
    remedy = "check the disk, the symbolic links and the permissions"
    return MissingSource(f"cannot be read: {error.strerror or error}", path=shown(path), remedy=remedy)


def identity_of(path: Path) -> FileIdentity:
    """The identity of the regular file at `path`. Raises MissingSource."""
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise MissingSource("is not a regular file", path=shown(path), remedy="put the file itself here")
    return FileIdentity.from_stat(os.fsencode(path.absolute()), status)


class StoredFile:
    """A regular file opened for parsing; a context manager. `identity` is that of what is read.

    An error of ours that leaves the context and tells no file is about this one.
    """

    def __init__(self, path: Path) -> None:
        self.shown = shown(path)
        self._path = path
        identity_of(path)
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        self.identity = FileIdentity.from_stat(os.fsencode(path.absolute()), status)

    @property
    def size(self) -> int:
        """Bytes in the file when it was opened."""
        return self.identity.size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`. Raises MalformedSource (shorter) or MissingSource."""
        pieces: list[bytes] = []
        missing = length
        if offset + length > self.size:
            raise self.malformed(f"the file ends after {self.size:,} bytes, {offset + length:,} are needed")
        while missing:
            try:
                piece = os.pread(self._descriptor, missing, offset + length - missing)
            except OSError as error:
                raise unreadable(self._path, error) from error
            if not piece:
                raise self.malformed("the file became shorter while it was read")
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def malformed(self, reason: str, place: str = "", remedy: str = FETCH_AGAIN) -> MalformedSource:
        """The error that says what is wrong with this file, and where in it."""
        return malformed(self._path, reason, place, remedy)

    def __enter__(self) -> StoredFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
        if isinstance(error, TranslationError):
            error.path = error.path or self.shown
