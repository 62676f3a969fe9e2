"""Eight readers at random offsets of a mount whose daemon is about to be killed. Each compares as it reads.

    python -m tests.heavy.readers DIRECTORY SEED COUNT NAME=REFERENCE...

Readers are processes: a page that nobody brings any more is a SIGBUS. They read by pread, through maps, and
with O_DIRECT. They say `ready` when each has read once. When stdin ends the daemon is dead: what can still be
read then (descriptors that the kernel serves by itself, pages that it has) is compared some times more.
Then a line of JSON a reader: see `Report`. Knows nothing of what is a fault: the times tell that.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.heavy.comparing import CHUNK, difference

CALLS = ("pread", "map", "direct")

_BLOCK = 4096  # what O_DIRECT is aligned to
_AFTERWARDS = 16  # reads of each target that survived


@dataclass
class Report:
    """What a reader did: bytes compared before and after the end of stdin, the signal it died of, or 0.

    errors: [target, errno, CLOCK_MONOTONIC].   wrong: in words, or empty.
    survivors: the targets that were read after the end of stdin.
    """

    call: str
    before: int = 0
    after: int = 0
    signal: int = 0
    died: float = 0.0
    errors: list[tuple[str, int, float]] = field(default_factory=list)
    wrong: str = ""
    survivors: list[str] = field(default_factory=list)


class _Counters:
    """Bytes compared before and after, in memory that outlives the process that a SIGBUS ends."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 16)

    def add(self, place: int, count: int) -> None:
        struct.pack_into("<Q", self._shared, 8 * place, self.get(place) + count)

    def get(self, place: int) -> int:
        return int(struct.unpack_from("<Q", self._shared, 8 * place)[0])


class _File:
    """A target, opened as `call` needs it."""

    def __init__(self, path: Path, reference: Path, call: str) -> None:
        self.name, self.call = path.name, call
        self.descriptor = os.open(path, os.O_RDONLY | (os.O_DIRECT if call == "direct" else 0))
        self.size = os.fstat(self.descriptor).st_size
        self._reference = os.open(reference, os.O_RDONLY)
        if call == "map":
            self._map = mmap.mmap(self.descriptor, 0, prot=mmap.PROT_READ)
        self._buffer = mmap.mmap(-1, CHUNK)

    def compare(self, chance: random.Random) -> int:
        """Read some bytes somewhere: how many. Raises OSError, ValueError with what is wrong.

        Where a page is missing and nobody brings it, a read is short; the next one has the error.
        """
        offset, length = chance.randrange(self.size), chance.randrange(1, CHUNK // 4)
        if self.call == "direct":
            offset, length = offset // _BLOCK * _BLOCK, -(-length // _BLOCK) * _BLOCK
        elif self.call == "pread" and chance.random() < 0.5:
            os.posix_fadvise(self.descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        right = os.pread(self._reference, length, offset)
        done = 0
        while done < len(right):
            got = self._read(offset + done, length - done)
            part = right[done : done + len(got)]
            if got != part or not got:
                raise ValueError(
                    f"{self.name} by {self.call}: {difference(offset + done, got, part or right)}"
                )
            done += len(got)
        return done

    def _read(self, offset: int, length: int) -> bytes:
        if self.call == "map":
            return self._map[offset : offset + length]
        if self.call == "direct":
            return self._buffer[: os.preadv(self.descriptor, [memoryview(self._buffer)[:length]], offset)]
        return os.pread(self.descriptor, length, offset)


def _read_on(
    report: Report, counters: _Counters, files: list[_File], chance: random.Random, ready: int
) -> None:
    """Until stdin ends; then what is left, in order: a reader of maps ends with the first SIGBUS."""
    over = select.poll()
    over.register(0, select.POLLIN | select.POLLHUP)
    alive = dict.fromkeys(files)
    while not over.poll(0):
        if not alive:  # all gone: only the end of stdin can come
            over.poll()
            break
        file = chance.choice(list(alive))
        if not _compared(file, report, chance, lambda count: counters.add(0, count)):
            del alive[file]
        if ready >= 0:
            os.write(ready, b"r")
            os.close(ready)
            ready = -1
    for file in list(alive):
        if all(_compared(file, report, chance, lambda n: counters.add(1, n)) for _ in range(_AFTERWARDS)):
            report.survivors.append(file.name)


def _compared(file: _File, report: Report, chance: random.Random, count: Callable[[int], None]) -> bool:
    try:
        count(file.compare(chance))
    except OSError as error:
        report.errors.append((file.name, error.errno or 0, time.monotonic()))
        return False
    except ValueError as error:
        report.wrong = str(error)
        return False
    return True


@dataclass(frozen=True)
class _Child:
    pid: int
    report: Report
    counters: _Counters
    said: int  # the pipe with its report


def _child(directory: Path, targets: list[tuple[str, Path]], number: int, seed: int, ready: int) -> _Child:
    report, counters = Report(CALLS[number % len(CALLS)]), _Counters()
    said, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(say)
        return _Child(pid, report, counters, said)
    try:
        files = [_File(directory / name, reference, report.call) for name, reference in targets]
        _read_on(report, counters, files, random.Random(f"{seed} {number}"), os.dup(ready))
    except BaseException as error:
        report.wrong = report.wrong or repr(error)
    finally:
        os.write(say, json.dumps(asdict(report)).encode())
        os._exit(0)


def _gathered(children: list[_Child]) -> list[Report]:
    """The children's reports, in the order in which they ended."""
    left, reports = {child.pid: child for child in children}, []
    while left:
        pid, ended = os.wait()
        child, died = left.pop(pid), time.monotonic()
        text = os.read(child.said, 1 << 16)
        report = Report(**json.loads(text)) if text else child.report
        report.before, report.after = child.counters.get(0), child.counters.get(1)
        if os.WIFSIGNALED(ended):
            report.signal, report.died = os.WTERMSIG(ended), died
        reports.append(report)
    return reports


def main() -> None:
    """See above."""
    directory, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    targets = [(name, Path(path)) for name, _, path in (word.partition("=") for word in sys.argv[4:])]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one ends it
    waiting, ready = os.pipe()
    children = [_child(directory, targets, number, seed, ready) for number in range(count)]
    os.close(ready)
    arrived = 0
    while arrived < count and (some := os.read(waiting, count)):  # no more: one failed before its first read
        arrived += len(some)
    print("ready", flush=True)
    for report in _gathered(children):
        print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main()
