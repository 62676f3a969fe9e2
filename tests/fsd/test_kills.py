"""SIGKILLs at random moments, over both adapters; `make kills` does five hundred on a bigger model."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS
from tests.heavy import kills, subject
from tests.heavy.readers import Report

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
    if fuse == "kernel":  # of each reader the source file, at least
        assert summary.surviving_descriptors >= count * kills.READERS
        assert summary.compared_after_death > 0


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
