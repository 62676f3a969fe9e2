"""`.prismfs/SHA256SUMS`: the known digests of virtual files, as `sha256sum -c` reads them at the mount's top.

Its size follows from what it says, and the kernel may keep what stat told for a while. So each version is a
file of its own, with its own inode number: who opened one goes on to read that one. Knows no inode itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# For so long (seconds) nobody looks whether there is another version; and so many old ones can be read.
_LOOK_AGAIN = 1.0
_KEPT = 8


@dataclass(frozen=True, slots=True)
class SumsVersion:
    """What the file said at a time."""

    number: int
    text: bytes
    made_ns: int


class Sums:
    """Versions of what `make` gives. Safe for use by many threads."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._versions: OrderedDict[int, SumsVersion] = OrderedDict()
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def current(self) -> SumsVersion:
        """The newest version, of the last second."""
        with self._lock:
            last = next(reversed(self._versions.values()), None)
            if last is not None and time.monotonic() - self._looked < _LOOK_AGAIN:
                return last
            text = self._make()
            self._looked = time.monotonic()
            if last is not None and text == last.text:
                return last
            made = SumsVersion(last.number + 1 if last is not None else 1, text, time.time_ns())
            self._versions[made.number] = made
            if len(self._versions) > _KEPT:
                self._versions.popitem(last=False)
            return made

    def of(self, number: int) -> SumsVersion | None:
        """An earlier version, if it is still kept."""
        with self._lock:
            return self._versions.get(number)


def lines(digests: Iterable[tuple[str, str]]) -> bytes:
    """The file's text, of paths with their sha256, in order of the paths."""
    return b"".join(_line(path, sha256) for path, sha256 in sorted(digests))


def _line(path: str, sha256: str) -> bytes:
    """A line as coreutils write it: one whose name has a backslash or a line's end begins with one."""
    name = os.fsencode(path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + sha256.encode() + b"  " + escaped + b"\n"
