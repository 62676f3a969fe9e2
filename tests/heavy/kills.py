"""SIGKILL at random moments: `make kills`, or

    python -m tests.heavy.kills --kills 500 --seed 1 --fuse kernel

A round: eight readers at random offsets of a mount with a store too small for all; its daemon is killed, half
the time with its watcher, so that a dead mount remains; a new one is mounted at the same place with the same
store, and every byte of every target is compared with the references. That daemon is the next round's victim.
No wrong byte, no read that fails before the kill, no mount that is lost afterwards, and each time something
must have been in the store. Raises AssertionError; the seed makes the same choices again.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from fsd.store import listed
from tests.fsd.mounting import ADAPTERS, ROOT, Daemon, environment, unmount
from tests.heavy import subject
from tests.heavy.comparing import CHUNK
from tests.heavy.readers import Report
from tests.heavy.subject import NAME, Subject

READERS = 8
# What a read may say when nobody answers any more; ENOENT where the watcher has unmounted already.
DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT)

_SPREAD = 0.4  # seconds within which the kill falls, once something is in the store
_CLEARED = 0.2  # of the rounds begin with an empty store
_PATIENCE = 60.0


@dataclass
class Summary:
    """What a run did, in bytes, chunks and rounds.

    read_from_store, translated: by the comparisons after the kills.   of: what they would translate with
        empty stores.
    rounds_in_a_batch: the kill left bytes on disk that the index does not know.
    """

    kills: int = 0
    with_watcher: int = 0
    cleared: int = 0
    compared: int = 0
    compared_by_readers: int = 0
    compared_after_death: int = 0
    surviving_descriptors: int = 0
    killed_by_sigbus: int = 0
    chunks_found: int = 0
    rounds_in_a_batch: int = 0
    read_from_store: int = 0
    translated: int = 0
    of: int = 0
    fewest_found: int = field(default=1 << 30)

    def __str__(self) -> str:
        return "\n".join(
            f"  {each.name.replace('_', ' '):24}{getattr(self, each.name):>16,}" for each in fields(self)
        )


@dataclass(frozen=True)
class Run:
    """The places and choices of a run; `fuse` is an adapter."""

    subject: Subject
    work: Path
    fuse: str
    chance: random.Random
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def end(self) -> None:
        """Leave no daemon and no mount behind."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)
        unmount(self.mountpoint)

    @property
    def mountpoint(self) -> Path:
        """Where each daemon mounts."""
        return self.work / "mnt"

    @property
    def cache(self) -> Path:
        """The store that they hand on."""
        return self.work / "cache"

    def started(self) -> Daemon:
        """A daemon that serves; its store never has room for all, so that it writes on and on."""
        limit = max(4 * CHUNK, self.subject.translated_bytes // 2)
        options = ("--cache-memory", "8M", "--cache-size", str(limit), "--cache-min-free", "1M")
        command = subject.mounting(self.subject, self.mountpoint, self.fuse, self.cache, *options)
        log_file = self.work / "daemon.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment(self.work),
                cwd=self.work,
            )
        daemon = Daemon(process, self.subject.models, self.mountpoint, log_file)
        self.processes.append(process)
        _wait_until_it_serves(daemon)
        return daemon


def killed(model: Subject, work: Path, fuse: str, *, kills: int, seed: int, tell: bool = False) -> Summary:
    """Kill a daemon `kills` times. Raises AssertionError for whatever must not happen."""
    run = Run(model, work, fuse, random.Random(f"{seed} {fuse}"))
    work.mkdir(parents=True, exist_ok=True)
    summary = Summary()
    try:
        daemon = run.started()
        subject.compare(run.subject, run.mountpoint, run.chance)
        cold = subject.status(run.mountpoint)["engine"]["translated"]
        for number in range(kills):
            try:
                daemon = _round(run, daemon, summary, number)
            except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                log = run.work.joinpath("daemon.log").read_text(errors="replace")[-3000:]
                raise AssertionError(f"--fuse {fuse} --seed {seed}, kill {number}: {error}\n{log}") from error
            if tell and sys.stderr.isatty():
                print(f"\r{number + 1} of {kills}", end="", file=sys.stderr)
        summary.of = cold * kills
        # A file that is whole in the store may be read without the daemon, which then only translates less.
        assert summary.read_from_store or summary.translated < summary.of, "nothing came from the store"
        return summary
    finally:
        run.end()


def _round(run: Run, daemon: Daemon, summary: Summary, number: int) -> Daemon:
    if run.chance.random() < _CLEARED:
        daemon = _begun_anew(run, daemon)
        summary.cleared += 1
    with _reading(run, number) as readers:
        _wait_for_chunks(run)
        time.sleep(run.chance.random() * _SPREAD)
        assert not (lines := subject.complaints(daemon.log)), f"the daemon complains: {lines}"
        assert daemon.process.poll() is None, "the daemon ended by itself"
        moment = time.monotonic()
        summary.with_watcher += _kill(daemon, with_watcher=run.chance.random() < 0.5)
        reports = _ended(readers)
    judge(reports, moment, summary)
    summary.rounds_in_a_batch += _in_a_batch(run.cache)
    daemon = run.started()
    found = subject.status(run.mountpoint)["store"]["disk_bytes"] // CHUNK
    assert found > 0, "nothing was in the store when the daemon was killed"
    summary.chunks_found += found
    summary.fewest_found = min(found, summary.fewest_found)
    summary.compared += subject.compare(run.subject, run.mountpoint, run.chance)
    told = subject.status(run.mountpoint)
    assert told["pid"] == daemon.process.pid, "another daemon serves the mount"
    assert told["engine"]["errors"] == 0, "a translation failed"
    assert told["store"]["disk_damaged"] == 0, "a chunk in the store was damaged"
    summary.translated += told["engine"]["translated"]
    summary.read_from_store += told["store"]["disk_reads"]
    summary.kills += 1
    return daemon


def _wait_until_it_serves(daemon: Daemon) -> None:
    """Until this daemon answers: the mount in the table may be the dead one, and then none, for a moment."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        assert daemon.process.poll() is None, f"the daemon ended: {daemon.log}"
        try:
            if subject.status(daemon.mountpoint)["pid"] == daemon.process.pid:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"no mount within {_PATIENCE} s")


def _begun_anew(run: Run, daemon: Daemon) -> Daemon:
    """End the daemon in peace, empty the store, and start another."""
    assert daemon.stop(timeout=_PATIENCE) == 0, "the daemon ended badly"
    subject.clear(run.cache, run.work)
    return run.started()


@contextmanager
def _reading(run: Run, number: int) -> Iterator[subprocess.Popen[str]]:
    """The readers, each of which has read once."""
    targets = [f"{target.name}={target.reference}" for target in run.subject.targets]
    seed = str(run.chance.getrandbits(32))
    words = [str(run.mountpoint / NAME), seed, str(READERS), *targets]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.heavy.readers", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the readers did not start"
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the session of its own: the readers alone
            process.wait(10)


def _wait_for_chunks(run: Run) -> None:
    """Until the store has a chunk on disk: what a kill shall find."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        store = subject.status(run.mountpoint)["store"]
        if store["disk_written"] or store["disk_reads"]:
            return
        time.sleep(0.01)
    raise AssertionError("the readers' chunks do not come to the store")


def _kill(daemon: Daemon, *, with_watcher: bool) -> bool:
    if with_watcher:
        daemon.kill_without_cleanup()
    else:
        daemon.process.kill()
        daemon.process.wait(10)
    return with_watcher


def _ended(readers: subprocess.Popen[str]) -> list[Report]:
    """What the readers say, once they know that the daemon is dead."""
    said, _ = readers.communicate(timeout=_PATIENCE)
    return [Report(**json.loads(line)) for line in said.splitlines()]


def judge(reports: list[Report], moment: float, summary: Summary) -> None:
    """No wrong byte; no error and no SIGBUS before the kill; and what the kernel reads itself lives on."""
    assert len(reports) == READERS, f"{len(reports)} reports"
    for report in reports:
        assert not report.wrong, f"a reader found: {report.wrong}"
        for name, number, when in report.errors:
            told = f"{name} by {report.call}: {errno.errorcode.get(number, number)}"
            assert number in DEAD, f"{told}, {when - moment:+.3f} s from the kill"
            assert when >= moment, f"{told}, {moment - when:.3f} s before the kill"
        assert report.signal in (0, signal.SIGBUS), f"a reader died of signal {report.signal}"
        assert not report.signal or report.died >= moment, "SIGBUS before the kill"
        assert not report.signal or report.call == "map", f"SIGBUS by {report.call}"
        summary.killed_by_sigbus += report.signal != 0
        summary.compared_by_readers += report.before
        summary.compared_after_death += report.after
        summary.surviving_descriptors += len(report.survivors)


def _in_a_batch(cache: Path) -> bool:
    """Whether the disk has bytes that the index does not: the writer was between them (docs/STORE.md)."""
    noted = sum(file.held for file in listed(cache / "index.sqlite"))
    files = [path.stat() for path in (cache / "chunks").iterdir()]
    # A file system's own blocks for a sparse file are counted too.
    return sum(file.st_blocks * 512 for file in files) >= noted + CHUNK // 2


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.heavy.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="in all, shared by the adapters")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    subject.options(parser)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prismfs-kills-") as name:
        work = (chosen.work or Path(name)).resolve()
        model = subject.made(work, chosen.megabytes)
        adapters = chosen.fuse or list(ADAPTERS)
        for fuse in adapters:
            print(f"--fuse {fuse} --seed {chosen.seed} --megabytes {chosen.megabytes}", flush=True)
            each = chosen.kills // len(adapters)
            summary = killed(model, work / fuse, fuse, kills=each, seed=chosen.seed, tell=True)
            print(summary, flush=True)


if __name__ == "__main__":
    main()
