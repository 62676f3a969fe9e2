"""Random reads by every call, compared with references: `make soak`, or

    python -m tests.heavy.fsx --operations 1000000 --seed 1 --fuse kernel [--skip N]

Several threads, each with a generator of its own, read five targets at once through one mount, whose store
and memory are too small for them; now and then the kernel drops its pages. A failure tells seed, thread and
number and the last operations of all threads; with --skip N every thread leaves out its first N operations.
Raises AssertionError.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from tests.fsd.mounting import ADAPTERS, Daemon, running
from tests.heavy import subject
from tests.heavy.calls import CALLS, Op, Reader, drawn
from tests.heavy.comparing import CHUNK
from tests.heavy.subject import NAME, Subject

THREADS = 4
DROP_EVERY = 20_000  # operations, after which the kernel drops all its pages; as root

_SHOWN = 24
_PATIENCE = 120.0
_DROP = Path("/proc/sys/vm/drop_caches")


@dataclass
class Run:
    """What the threads share. `last` are the last operations: thread, number, operation."""

    subject: Subject
    directory: Path
    scratch: Path
    seed: str
    skip: int = 0
    drop_every: int = DROP_EVERY
    last: deque[tuple[int, int, Op]] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    moved: float = field(default_factory=time.monotonic)

    def stuck(self) -> bool:
        """Whether no operation has begun for so long that none will end; that is a failure."""
        if time.monotonic() - self.moved < _PATIENCE:
            return False
        if not self.failures:
            self.failures.append(f"no operation has begun for {_PATIENCE:g} s")
        return True

    def carry_out(self, thread: int, operations: int) -> None:
        """The operations of one thread, until it is through or one fails anywhere."""
        chance = random.Random(f"{self.seed} {thread}")
        sizes = [target.size for target in self.subject.targets]
        readers = [
            Reader(self.directory / target.name, target, self.scratch / f"copy-{thread}")
            for target in self.subject.targets
        ]
        done: Counter[str] = Counter()
        try:
            for number in range(operations):
                op = drawn(chance, sizes)
                if number < self.skip:
                    continue
                if self.failures:
                    return
                self.last.append((thread, number, op))
                self.moved = time.monotonic()
                if thread == 0 and number and number % max(1, self.drop_every // THREADS) == 0:
                    _drop_pages()
                try:
                    CALLS[op.call].run(readers[op.target], op)
                except BaseException as error:
                    self.failures.append(f"thread {thread}, operation {number}, {op}: {error!r}")
                    return
                done[op.call] += 1
        finally:
            for reader in readers:
                reader.close()
            self.counts.update(done)


def _drop_pages() -> None:
    if os.access(_DROP, os.W_OK):
        _DROP.write_text("1")


def fsx(run: Run, operations: int) -> None:
    """Carry out `operations` by THREADS threads. Raises AssertionError with how to repeat it."""
    each = -(-operations // THREADS)
    threads = [
        threading.Thread(target=run.carry_out, args=(number, each), daemon=True) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive() and not run.stuck():
            thread.join(1)
    if run.failures:
        last = "\n".join(f"  thread {thread}, {number}: {op}" for thread, number, op in run.last)
        raise AssertionError("\n".join([*run.failures, "the last operations:", last]))


def mounted(model: Subject, work: Path, fuse: str, *, operations: int, seed: int, skip: int = 0) -> str:
    """A run over a mount by the adapter `fuse`; what it did, in a line. Raises AssertionError."""
    work.mkdir(parents=True, exist_ok=True)
    limit = max(4 * CHUNK, model.translated_bytes)  # the own precision has translated chunks too
    options = ("--cache-memory", "4M", "--cache-size", str(limit), "--cache-min-free", "1M")
    mountpoint = work / "mnt"
    command = subject.mounting(model, mountpoint, fuse, work / "cache", *options)
    run = Run(model, mountpoint / NAME, work, str(seed), skip)
    began = time.monotonic()
    with running(command, model.models, mountpoint, work) as daemon:
        try:
            fsx(run, operations)
            _prove_well(daemon)
        except AssertionError as error:
            how = f"--fuse {fuse} --seed {seed} --operations {operations} --skip {skip}"
            raise AssertionError(f"{how}\n{error}\n{daemon.log[-3000:]}") from error
        told = subject.status(mountpoint)
    figures = {"translated": told["engine"]["translated"], "evicted": told["store"]["disk_evicted"]}
    return f"{run.counts.total()} operations in {time.monotonic() - began:.1f} s, {figures}"


def _prove_well(daemon: Daemon) -> None:
    assert daemon.process.poll() is None, "the daemon has ended"
    told = subject.status(daemon.mountpoint)
    assert told["engine"]["errors"] == 0, "a translation failed"
    assert told["store"]["disk_damaged"] == 0, "a chunk in the store was damaged"
    assert not (lines := subject.complaints(daemon.log)), f"the daemon complains: {lines}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.heavy.fsx", description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000, help="in all, shared by the adapters")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--skip", type=int, default=0, help="leave out each thread's first operations")
    subject.options(parser)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prismfs-fsx-") as name:
        work = (chosen.work or Path(name)).resolve()
        model = subject.made(work, chosen.megabytes)
        adapters = chosen.fuse or list(ADAPTERS)
        for fuse in adapters:
            print(f"--fuse {fuse} --seed {chosen.seed} --megabytes {chosen.megabytes}", flush=True)
            count = chosen.operations // len(adapters)
            print(
                mounted(model, work / fuse, fuse, operations=count, seed=chosen.seed, skip=chosen.skip),
                flush=True,
            )


if __name__ == "__main__":
    main()
