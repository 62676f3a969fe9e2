"""Plans on disk: named blobs, each with its checksum, written whole or not at all.

A blob that is damaged, missing or not ours counts as absent; a disk that is full or read-only only means
that nothing is kept. The directory belongs to one user: a plan says which bytes of which files are read,
so that a directory which others can write to is not used at all.
Knows nothing of what a plan is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
import threading
from hashlib import blake2b
from pathlib import Path

log = logging.getLogger(__name__)

_DIGEST = 16
_TRIM_EVERY = 64
_TEMPORARY = ".part-"


class PlanCache:
    """Blobs by name under `directory`, about `limit` bytes; the longest unused go first."""

    def __init__(self, directory: Path, limit: int = 512 << 20) -> None:
        self.directory = directory
        self._limit = limit
        self._written = 0
        self._told = False
        self._lock = threading.Lock()
        self._usable = self._prepare()

    def get(self, name: str) -> bytes | None:
        """What was put under `name`, or None."""
        if not self._usable:
            return None
        path = self.directory / name
        try:
            content = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of the last use, by which the longest unused are found
        digest, data = content[:_DIGEST], content[_DIGEST:]
        return data if digest == _digest(data) else None

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, if that can be done."""
        if not self._usable:
            return
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=self.directory)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_digest(data) + data)
                Path(temporary).replace(self.directory / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            if not self._told:
                log.warning("%s: plans are not kept: %s", self.directory, error.strerror)
            self._told = True
            return
        with self._lock:
            self._written += 1
            due = self._written % _TRIM_EVERY == 1
        if due:
            self._trim()

    def _prepare(self) -> bool:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.directory.stat()
        except OSError as error:
            log.warning("%s: plans are not kept: %s", self.directory, error.strerror)
            return False
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
            log.warning("%s: plans are not kept: others can write to it (chmod 700 it)", self.directory)
            return False
        return True

    def _trim(self) -> None:
        found: list[tuple[int, int, str]] = []
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime_ns, status.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                return
            with contextlib.suppress(OSError):
                Path(path).unlink()
            total -= size


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST).digest()
