"""Digests: the sha256 of files, computed once, known from then on by what names their bytes.

Kept in the index of the disk's store, or, where there is none, in a small blob beside the plans. An identity
names bytes (plan, version of the sources), so that a digest is never out of date; it may be forgotten.
"""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from fsd.planner.cache import PlanCache
from fsd.store import DiskStore

_BLOB = "sha256"
_MOST = 1 << 16
_DECODER = msgspec.msgpack.Decoder(dict[str, str])


class Digests:
    """Of files by identity; `known` is live. Safe for use by many threads."""

    def __init__(self, disk: DiskStore | None, plans: Path) -> None:
        self._disk = disk
        self._beside = PlanCache(plans) if disk is None else None
        self._lock = threading.Lock()
        self.known: dict[str, str] = disk.digests() if disk is not None else self._read()

    def note(self, identity: str, sha256: str) -> None:
        """The digest of all of a file is known; from now on, and after a restart."""
        with self._lock:
            if self.known.get(identity) == sha256:
                return
            self.known[identity] = sha256
            if self._beside is not None:
                # Another daemon may have noted some as well.
                kept = self._read() | self.known
                for oldest in list(kept)[: max(0, len(kept) - _MOST)]:
                    del kept[oldest]
                self._beside.put(_BLOB, msgspec.msgpack.encode(kept))
        if self._disk is not None:
            self._disk.note_digest(identity, sha256)

    def _read(self) -> dict[str, str]:
        data = self._beside.get(_BLOB) if self._beside is not None else None
        try:
            return _DECODER.decode(data) if data is not None else {}
        except msgspec.MsgspecError:
            return {}
