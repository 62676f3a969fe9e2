"""Place: a store's directory, held by one process.

    CACHEDIR.TAG    for backup programs: leave this out          lock        flock, and who holds it
    FORMAT          the version of all this                      chunks/     one data file a layout
    index.sqlite    (and -wal, -shm)

The directory is its owner's alone: what lies in it is served as a model's bytes. Knows nothing of chunks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import time
from pathlib import Path

from fsd.errors import StoreRefused
from fsd.store.datafiles import punch
from fsd.store.index import remove_logs

log = logging.getLogger(__name__)

_FORMAT = "prismfs store 2\n"
_OLDER = ("prismfs store 1\n",)
# https://bford.info/cachedir/: the first 43 bytes are the tag.
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory is a cache of prismfs.\n"


class Place:
    """The store's directory at `path`, made if it is missing, locked until `close`.

    Waits `patience` seconds for a daemon that is about to end. Raises StoreRefused (another process has it,
    or another program made it) and OSError.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prove_private(path)
        strangers = sorted(entry.name for entry in path.iterdir() if entry.name not in _OWN)
        if strangers and not (path / "FORMAT").exists():
            reason = f"the directory is not a store and not empty: it has {strangers[0]!r}"
            raise StoreRefused(reason, path=str(path), remedy="name an empty directory with --cache-dir")
        self._lock = _locked(path / "lock", patience)
        try:
            self._prepare()
            self.directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def index(self) -> Path:
        """Where the index is."""
        return self.path / "index.sqlite"

    @property
    def chunks(self) -> Path:
        """Where the data files are."""
        return self.path / "chunks"

    @property
    def disk(self) -> os.statvfs_result:
        """The figures of the file system; also of a directory that was removed."""
        return os.fstatvfs(self.directory)

    def punches(self) -> bool:
        """Whether a part of a file can be given back here."""
        try:
            punch(self._lock, 0, 1 << 20)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
                return False
            raise
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        return True

    def is_there(self) -> bool:
        """Whether the path still leads to what is locked, with all that belongs to it."""
        try:
            ours = os.path.samestat((self.path / "lock").stat(), os.fstat(self._lock))
            return ours and self.chunks.is_dir() and self.index.exists()
        except OSError:
            return False

    def close(self) -> None:
        """Let another process have it. Once."""
        os.close(self.directory)
        os.close(self._lock)

    def _prepare(self) -> None:
        found = ""
        with contextlib.suppress(FileNotFoundError):
            found = (self.path / "FORMAT").read_text(errors="replace")
        if found in _OLDER:
            log.info("%s: the store is of an older version, and begun anew", self.path)
            self._forget()
        elif found and found != _FORMAT:
            reason = f"the store is of another version: {found.strip()[:40]!r}"
            remedy = "remove the directory, or name another with --cache-dir"
            raise StoreRefused(reason, path=str(self.path), remedy=remedy)
        if found != _FORMAT:
            (self.path / "CACHEDIR.TAG").write_text(_TAG)
            (self.path / "FORMAT").write_text(_FORMAT)
        self.chunks.mkdir(mode=0o700, exist_ok=True)

    def _forget(self) -> None:
        """Remove the index; data files without one are removed by who opens the store."""
        remove_logs(self.index)
        self.index.unlink(missing_ok=True)


_OWN = {"CACHEDIR.TAG", "FORMAT", "lock", "chunks", "lost+found"}


def is_current(path: Path) -> bool:
    """Whether the store at `path` is of this version. Raises OSError where there is none."""
    return (path / "FORMAT").read_text(errors="replace") == _FORMAT


def _prove_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(errno.EACCES, "it is another user's, or others can write to it", str(path))


def _locked(path: Path, patience: float) -> int:
    """A descriptor that holds the lock, with our process id written into the file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            reason = f"the store is in use by another prismfs (process {holder or 'unknown'})"
            remedy = "give each its own --cache-dir, or --no-cache"
            raise StoreRefused(reason, path=str(path.parent), remedy=remedy) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor
