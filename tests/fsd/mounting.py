"""Test support: a real daemon in a process of its own, ready before the test goes on, gone after it.

A daemon must not be the process that reads the mount: a page fault waits in the kernel with the GIL held.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAKE_DAEMON = Path(__file__).with_name("fake_daemon.py")
ADAPTERS = ("mfusepy", "kernel")
PRISMFS = (sys.executable, "-m", "fsd.cli")


@dataclass
class Daemon:
    """A running daemon. `log` is what it wrote to stdout and stderr."""

    process: subprocess.Popen[bytes]
    source: Path
    mountpoint: Path
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 15) -> int:
        """Send a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def kill_without_cleanup(self) -> None:
        """SIGKILL for the daemon and for its watcher, which would unmount: a dead mount remains."""
        for child in children(self.process.pid):
            if Path(f"/proc/{child}/comm").read_text().startswith(("fusermount", "sh")):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait(5)


def children(pid: int) -> list[int]:
    """The process ids of the children of `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def is_mounted(path: Path) -> bool:
    """Whether the kernel's table has a mount at `path`, dead or alive."""
    return f" {path} " in Path("/proc/self/mountinfo").read_text()


def environment(home: Path) -> dict[str, str]:
    """The environment of a user of his own: no state or cache of this machine is touched."""
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache")}
    own |= {"PRISMFS_API_SOCKET": "none"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PRISMFS_")}
    # The usual socket is this machine's: a daemon of a test has one only if it is named.
    return {**kept, **own, "PYTHONPATH": str(ROOT), "PRISMFS_API_SOCKET": "none"}


def unmount(mountpoint: Path) -> None:
    """Unmount whatever is there, whatever its state."""
    for _ in range(5):
        if not is_mounted(mountpoint):
            return
        subprocess.run(["umount", "-l", str(mountpoint)], check=False, capture_output=True)


@contextmanager
def running(
    command: Sequence[str], source: Path, mountpoint: Path, home: Path, *, timeout: float = 30
) -> Iterator[Daemon]:
    """Run `command` until the mount answers; afterwards it is stopped and unmounted, whatever happened."""
    mountpoint.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    log_file = home / f"daemon-{time.monotonic_ns()}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            list(command), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment(home), cwd=home
        )
    daemon = Daemon(process, source, mountpoint, log_file)
    try:
        wait_until_mounted(daemon, timeout)
        yield daemon
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        unmount(mountpoint)


def wait_until_mounted(daemon: Daemon, timeout: float = 30) -> None:
    """Until the daemon's mount is in the table and answers."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if daemon.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {daemon.process.returncode}:\n{daemon.log}")
        if is_mounted(daemon.mountpoint):
            try:
                os.statvfs(daemon.mountpoint)  # not stat, which the kernel may answer for a dead one
                return
            except OSError:  # an old dead mount, about to be taken over
                pass
        time.sleep(0.02)
    raise AssertionError(f"no mount after {timeout} s:\n{daemon.log}")


def fake_daemon(source: Path, mountpoint: Path, fuse: str, *threads: int) -> list[str]:
    """The command of the daemon over a plain directory, with one of ADAPTERS."""
    return [sys.executable, str(FAKE_DAEMON), str(source), str(mountpoint), fuse, *map(str, threads)]


def counters(daemon: Daemon) -> dict[str, int]:
    """What the adapter of a fake daemon counted. Asking costs one READ, which the next answer counts."""
    return dict(json.loads((daemon.mountpoint / "counters").read_bytes()))


def until(condition: Callable[[], bool], what: str = "it has come", timeout: float = 60) -> None:
    """Wait for a condition, looking often; an assertion that fails says `what` did not come."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.005)


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    """A descriptor, closed with the block."""
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def mounting(source: Path, mountpoint: Path, fuse: str) -> list[str]:
    """The command of the real daemon, with one of ADAPTERS."""
    return [*PRISMFS, "mount", "--fuse", fuse, str(source), str(mountpoint)]


def prismfs(
    *words: str | Path, home: Path, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, to its end."""
    command = [*PRISMFS, *map(str, words)]
    env = env or environment(home)
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=env, cwd=home, check=False
    )
