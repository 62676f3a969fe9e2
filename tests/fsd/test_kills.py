"""SIGKILLs at random moments, over both adapters; `make kills` does five hundred on a bigger model."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS, children
from tests.heavy import kills, subject
from tests.heavy.comparing import WrongBytes
from tests.heavy.readers import CALLS, Report

KILLS = 20
MEGABYTES = 12
SEED = 3


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_no_kill_costs_a_byte_or_the_mount(
    fuse: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = subject.made(tmp_path_factory.getbasetemp().resolve(), MEGABYTES)
    count = KILLS // len(ADAPTERS)
    summary = kills.killed(model, tmp_path.resolve(), fuse, kills=count, seed=SEED)
    print(summary)
    assert summary.kills == count
    assert summary.compared == count * sum(target.size for target in model.targets)
    assert summary.compared_by_readers > 0
    assert 0 < summary.with_watcher < count
    if fuse == "kernel":
        # The source file at least, of each reader but those of maps, which a SIGBUS elsewhere may end.
        lasting = [number for number in range(kills.READERS) if CALLS[number % len(CALLS)] != "map"]
        assert summary.surviving_descriptors >= count * len(lasting)
        assert summary.compared_after_death > 0


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_a_late_watcher_leaves_the_next_mount_alone(
    fuse: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The watcher of a killed daemon comes to run only when another has taken the mount over."""
    model = subject.made(tmp_path_factory.getbasetemp().resolve(), MEGABYTES)
    run = kills.Run(model, tmp_path.resolve(), fuse, random.Random(SEED))
    try:
        first = run.started()
        watchers = [child for child in children(first.process.pid) if is_watcher(child)]
        assert watchers
        for watcher in watchers:
            os.kill(watcher, signal.SIGSTOP)
        first.process.kill()
        first.process.wait(10)
        second = run.started()
        for watcher in watchers:
            os.kill(watcher, signal.SIGCONT)
        deadline = time.monotonic() + 30
        while any(map(is_watcher, watchers)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(map(is_watcher, watchers))
        assert subject.status(run.mountpoint)["pid"] == second.process.pid
        assert second.stop() == 0
    finally:
        run.end()


def is_watcher(pid: int) -> bool:
    """Whether a process is one that unmounts when its daemon is dead, and still runs."""
    try:
        command = Path(f"/proc/{pid}/comm").read_text()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return command.startswith(("fusermount", "sh")) and state not in "ZX"


def test_a_comparison_reads_everything_and_finds_a_byte(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = subject.made(tmp_path_factory.getbasetemp().resolve(), MEGABYTES)
    (tmp_path / subject.NAME).mkdir()
    for target in model.targets:
        shutil.copyfile(target.reference, tmp_path / subject.NAME / target.name)
    whole = sum(target.size for target in model.targets)
    assert subject.compare(model, tmp_path, random.Random(1)) == whole
    with (tmp_path / subject.NAME / model.targets[-1].name).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    with pytest.raises(WrongBytes, match=f"the last at {model.targets[-1].size - 1};"):
        subject.compare(model, tmp_path, random.Random(1))


def reports(**changes: object) -> list[Report]:
    """A round's, the first changed."""
    return [Report("map", **changes), *(Report("pread") for _ in range(kills.READERS - 1))]  # type: ignore[arg-type]


def test_what_readers_may_say_once_the_daemon_is_dead() -> None:
    kills.judge(reports(signal=signal.SIGBUS, died=10.5), 10.0, kills.Summary())
    kills.judge(reports(errors=[("model.safetensors", errno.ENOTCONN, 10.5)]), 10.0, kills.Summary())


@pytest.mark.parametrize(
    "changes",
    [
        {"wrong": "a byte"},
        {"signal": signal.SIGBUS, "died": 9.5},
        {"signal": signal.SIGSEGV, "died": 10.5},
        {"errors": [("model.safetensors", errno.EIO, 9.5)]},
        {"errors": [("model.safetensors", errno.EINVAL, 10.5)]},
    ],
)
def test_what_they_may_not_say(changes: dict[str, object]) -> None:
    with pytest.raises(AssertionError):
        kills.judge(reports(**changes), 10.0, kills.Summary())
