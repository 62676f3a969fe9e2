"""A control group with a limit of memory, page cache included, for the daemon and all that it starts.

    with limited(512 << 20) as group:
        subprocess.Popen([*group.launcher, "prismfs", "mount", ...])
        group.peak(), group.kills()

Version 2 or 1, whichever has the memory controller and may be written to. Where neither may, `limited` gives
a group that limits nothing and says why. Knows nothing of what runs in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
# cgroup.procs takes a process; the shell moves itself, then becomes the command.
_ENTER = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True)
class Group:
    """A control group in `directory`; None where there is none, for the reason `kind`."""

    directory: Path | None
    kind: str

    @property
    def launcher(self) -> tuple[str, ...]:
        """A command that runs the one that follows it, within the group."""
        if self.directory is None:
            return ()
        return ("sh", "-c", _ENTER, str(self.directory / "cgroup.procs"))

    def peak(self) -> int | None:
        """The most memory so far, page cache included, in bytes."""
        return self._number("memory.peak", "memory.max_usage_in_bytes")

    def anonymous(self) -> int | None:
        """Memory now that is not page cache: what cannot be had back."""
        if self.directory is None:
            return None
        lines = (line.split() for line in (self.directory / "memory.stat").read_text().splitlines())
        found = {name: int(value) for name, value in lines}
        return found["anon"] if "anon" in found else found["total_rss"]

    def kills(self) -> int | None:
        """How many processes were killed for want of memory."""
        if self.directory is None:
            return None
        events = "memory.events" if (self.directory / "memory.events").exists() else "memory.oom_control"
        lines = (line.split() for line in (self.directory / events).read_text().splitlines())
        return next((int(value) for name, value in lines if name == "oom_kill"), 0)

    def _number(self, *names: str) -> int | None:
        files = (self.directory / name for name in names) if self.directory is not None else ()
        return next((int(file.read_text()) for file in files if file.exists()), None)


@contextmanager
def limited(memory: int) -> Iterator[Group]:
    """A group of at most `memory` bytes, without swap; removed once what runs in it has ended."""
    group = _made(memory)
    try:
        yield group
    finally:
        if group.directory is not None:
            _remove(group.directory)


def _made(memory: int) -> Group:
    reasons = []
    for kind, parent, settings in (
        ("version 2", _ROOT, {"memory.max": memory, "memory.swap.max": 0}),
        ("version 1", _ROOT / "memory", {"memory.limit_in_bytes": memory, "memory.swappiness": 0}),
    ):
        if not _controls_memory(parent):
            reasons.append(f"{kind}: not there")
            continue
        directory = parent / f"prismfs-bench-{os.getpid()}"
        try:
            directory.mkdir()
        except OSError as error:
            reasons.append(f"{kind}: {error.strerror}")
            continue
        try:
            for name, value in settings.items():
                if (directory / name).exists():  # a kernel may have no swap
                    (directory / name).write_text(str(value))
        except OSError as error:
            reasons.append(f"{kind}: {error.strerror}")
            _remove(directory)
            continue
        return Group(directory, f"control group, {kind}")
    return Group(None, f"no limit: no control group can be made ({'; '.join(reasons)})")


def _controls_memory(directory: Path) -> bool:
    """Whether groups made here have limits of memory (version 1 has a plain tmpfs as its root)."""
    enabled = directory / "cgroup.subtree_control"
    if enabled.exists():
        return "memory" in enabled.read_text().split()
    return (directory / "memory.limit_in_bytes").exists()


def _remove(directory: Path) -> None:
    """Remove a group; its last process may be a moment longer in it than it runs."""
    deadline = time.monotonic() + 10
    while True:
        try:
            directory.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
