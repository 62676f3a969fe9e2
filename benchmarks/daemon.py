"""A prismfs daemon under measurement: started by its command line, watched from outside, stopped.

Promises that nothing of it is left: the mount is gone, and its caches too unless they are to be kept.
Knows the command line, status.json and /proc; nothing of what is inside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


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

    def requests(self) -> int:
        """How many reads have reached the daemon, that of its status included."""
        return int(self.status()["adapter"]["read_requests"])

    def cpu(self) -> float:
        """Seconds of processor time so far, without its planning worker's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def peak_memory(self) -> int:
        """The most resident memory so far, in bytes: the daemon's and that of its planning worker."""
        return sum(self.peaks().values())

    def peaks(self) -> dict[str, int]:
        """The most resident memory so far, in bytes, of the daemon and of each of its children."""
        children = {f"child {pid}": peak_memory(pid) for pid in _children(self.pid)}
        return {"daemon": peak_memory(self.pid)} | children


@contextmanager
def mounted(
    source: Path, work: Path, *flags: str, keep_cache: bool = False, launcher: Sequence[str] = ()
) -> Iterator[Daemon]:
    """Mount `source`, give the daemon, unmount. `flags` are of `prismfs mount`; its log is work/daemon.log.

    The caches are in work/cache; they are removed afterwards unless `keep_cache`. `launcher` is a command
    that runs the one that follows it. Raises RuntimeError where the daemon ends before it has mounted.
    """
    mount, cache = work / "mnt", work / "cache"
    mount.mkdir(exist_ok=True)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [*launcher, sys.executable, "-m", "fsd.cli", "mount", str(source), str(mount), *flags]
    log = work / "daemon.log"
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        while not os.path.ismount(mount):
            if process.poll() is not None:
                raise RuntimeError(f"prismfs mount ended with {process.returncode}: {log.read_text()}")
            time.sleep(0.005)
        yield Daemon(mount, process.pid, started)
    finally:
        process.terminate()
        process.wait(120)
        if not keep_cache:
            subprocess.run(["rm", "-rf", str(cache)], check=True)


def peak_memory(pid: int | str) -> int:
    """The most resident memory of a process so far ("self" for this one), in bytes; 0 of one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]
