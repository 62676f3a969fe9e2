"""A prismfs daemon under measurement: started cold, watched, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Daemon:
    """A running mount. `started` is when its command was given, by the monotonic clock."""

    mount: Path
    pid: int
    started: float

    def status(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        found: dict[str, Any] = json.loads((self.mount / ".prismfs" / "status.json").read_text())
        return found

    def peak_memory(self) -> int:
        """The most resident memory so far, in bytes: the daemon's and that of its planning worker."""
        return sum(_peak(pid) for pid in (self.pid, *_children(self.pid)))


@contextmanager
def mounted(source: Path, work: Path) -> Iterator[Daemon]:
    """Mount `source` with empty caches, give the daemon, unmount."""
    mount, cache = work / "mnt", work / "cache"
    mount.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    started = time.monotonic()
    command = [sys.executable, "-m", "fsd.cli", "mount", str(source), str(mount)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        while not os.path.ismount(mount):
            if process.poll() is not None:
                raise RuntimeError(f"prismfs mount ended with {process.returncode}")
            time.sleep(0.005)
        yield Daemon(mount, process.pid, started)
    finally:
        process.terminate()
        process.wait(20)
        subprocess.run(["rm", "-rf", str(cache)], check=True)


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
