"""What every scenario works with: one model, a directory on the disk that is measured, how often to measure.

Also complete files: read once through a mount, so that the store has them, and copied to plain files beside,
which is what they are compared with. Knows nothing of what is measured.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.daemon import Daemon, mounted

_STORED_FILE = 1 << 20  # what is smaller in the caches holds no translated bytes


@dataclass(frozen=True)
class Setting:
    """`model` is the only folder in its directory; `repeat` is of how many samples the median counts."""

    work: Path
    model: Path
    repeat: int
    workers: int

    @property
    def sources(self) -> list[Path]:
        """The model's weights."""
        return sorted(self.model.glob("*.safetensors"))

    @property
    def plain(self) -> Path:
        """The directory of plain copies."""
        return self.work / "plain"

    @contextmanager
    def mounted(self, *flags: str, keep_cache: bool = False) -> Iterator[Daemon]:
        """A daemon of the model, with the usual number of workers unless `flags` say otherwise."""
        flags = ("--workers", str(self.workers), *flags)
        with mounted(self.model.parent, self.work, *flags, keep_cache=keep_cache) as daemon:
            yield daemon

    def path(self, daemon: Daemon, name: str) -> Path:
        """A file of the model in the mount."""
        return daemon.mount / self.model.name / name

    def complete(self, *names: str) -> None:
        """Have each of these complete in the store, and as a plain copy. To be called without a mount."""
        self.plain.mkdir(exist_ok=True)
        with self.mounted(keep_cache=True) as daemon:
            for name in names:
                shutil.copyfile(self.path(daemon, name), self.plain / name)

    def stored(self) -> list[Path]:
        """The files on disk that the daemon keeps translated bytes in."""
        files = (path for path in (self.work / "cache").rglob("*") if path.is_file())
        return sorted(path for path in files if path.stat().st_size >= _STORED_FILE)

    def forget(self) -> None:
        """Remove the caches and the plain copies."""
        subprocess.run(["rm", "-rf", str(self.work / "cache"), str(self.plain)], check=True)
