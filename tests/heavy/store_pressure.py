"""A store on a small disk of its own, against a working set of many times its size.

    python -m tests.heavy.store_pressure [--disk MIB] [--working-set MIB] [--rounds N]

Three runs, each on a fresh ext4 in a file, each with four readers that compare every byte: by the limit; with
the disk full; with the disk out of inodes. Prints the figures; the exit code is 1 where one is not as it must
be. Needs root (a loop device).
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path

from fsd.engine import CHUNK, ChunkKey
from fsd.store import DiskStore

_MIB = 1 << 20
_READERS = 4
# Blocks of the file system's own that count with a file in many pieces.
_SLACK = 64 << 10


class CannotMount(Exception):
    """There is no loop device to be had."""


@dataclass
class Reads:
    """What readers got of one kind of file."""

    hits: int = 0
    misses: int = 0

    @property
    def rate(self) -> float:
        """Hits of all reads."""
        return self.hits / max(1, self.hits + self.misses)


@dataclass
class Outcome:
    """What a run showed. `wrong` counts chunks of wrong bytes, `highest` is in bytes of disk."""

    cold: Reads = field(default_factory=Reads)
    hot: Reads = field(default_factory=Reads)
    pinned: Reads = field(default_factory=Reads)
    wrong: int = 0
    highest: int = 0
    limit: int = 0
    figures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """How much is read, in chunks: `cold` at random, `rounds` times; `hot` and `pinned` all the while."""

    cold: int
    hot: int
    pinned: int
    rounds: int


@contextmanager
def small_disk(directory: Path, mebibytes: int, inodes: int) -> Iterator[Path]:
    """An ext4 of this size, mounted below `directory`. Raises CannotMount."""
    image, place = directory / "disk.img", directory / "disk"
    with image.open("wb") as file:
        file.truncate(mebibytes * _MIB)
    place.mkdir()
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(inodes), str(image))
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        place.chmod(0o700)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
        image.unlink()


def by_limit(place: Path, load: Load, limit: int) -> Outcome:
    """The limit is what presses. The hot and the pinned set must stay, and the limit must hold."""
    with closing(DiskStore(place / "store", limit, 0)) as store:
        return _pressed(store, place, load)


def with_disk_full(place: Path, load: Load) -> Outcome:
    """Neither limit nor floor keep the store from filling the disk to its last block."""
    with closing(DiskStore(place / "store", 1 << 50, -(1 << 50))) as store:
        return _pressed(store, place, load)


def without_inodes(place: Path, load: Load, limit: int) -> Outcome:
    """No file can be made any more; those that are there go on to take chunks."""
    with closing(DiskStore(place / "store", limit, 0)) as store:
        outcome = Outcome(limit=limit)
        _warm(store, load, outcome)
        with suppress(OSError):
            for number in itertools.count():
                (place / f"file-{number}").touch()
        return _pressed(store, place, load)


def _pressed(store: DiskStore, place: Path, load: Load) -> Outcome:
    outcome = Outcome(limit=store.limit)
    _warm(store, load, outcome)
    outcome.hot, outcome.pinned = Reads(), Reads()
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(place / "store" / "chunks", outcome, done))
    watcher.start()
    lock = threading.Lock()

    def reader(seed: int) -> None:
        chance = random.Random(seed)
        share = list(range(seed, load.cold, _READERS))
        own = (Reads(), Reads(), Reads())
        wrong = 0
        for _ in range(load.rounds):
            chance.shuffle(share)
            for step, number in enumerate(share):
                wrong += not _read(store, _key("cold", number), own[0])
                # In turn: however the readers are scheduled, no hot chunk is older than the cold ones of
                # half as many steps of each, as there are hot chunks.
                for turn in (2 * step, 2 * step + 1):
                    wrong += not _read(store, _key("hot", turn % load.hot), own[1])
                wrong += not _read(store, _key("pinned", chance.randrange(load.pinned)), own[2])
        with lock:
            outcome.wrong += wrong
            for total, part in zip((outcome.cold, outcome.hot, outcome.pinned), own, strict=True):
                total.hits += part.hits
                total.misses += part.misses

    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(reader, range(_READERS)))
    store.flush()
    done.set()
    watcher.join()
    outcome.figures = store.figures()
    return outcome


def _warm(store: DiskStore, load: Load, outcome: Outcome) -> None:
    """Have the hot and the pinned set in the store."""
    store.pin(_key("pinned", 0).identity)
    for number in range(load.pinned):
        _read(store, _key("pinned", number), outcome.pinned)
    for number in range(load.hot):
        _read(store, _key("hot", number), outcome.hot)
    store.flush()


def _read(store: DiskStore, key: ChunkKey, reads: Reads) -> bool:
    """Read a chunk as the engine would: from the store, or make it and keep it. Whether it was right."""
    buffer = bytearray(CHUNK)
    if store.read(key, 0, memoryview(buffer)):
        reads.hits += 1
        return buffer == _content(key)
    reads.misses += 1
    store.put(key, memoryview(_content(key)))
    return True


def _watch(chunks: Path, outcome: Outcome, done: threading.Event) -> None:
    """Note the most that the data files took. Two looks in a row that agree are of one moment."""
    before: dict[str, int] = {}
    while not done.wait(0.002):
        now = _taken(chunks)
        if now == before:
            outcome.highest = max(outcome.highest, sum(now.values()))
        before = now


def _taken(chunks: Path) -> dict[str, int]:
    """Bytes on disk of each file, one after the other: space may move from one to the next meanwhile."""
    taken = {}
    for file in chunks.iterdir():
        with suppress(FileNotFoundError):
            taken[file.name] = file.stat().st_blocks * 512
    return taken


def _key(kind: str, number: int) -> ChunkKey:
    """Cold chunks are of several files, the others of one each."""
    file = f"cold {number % 8}" if kind == "cold" else kind
    return ChunkKey(sha256(file.encode()).hexdigest(), number)


def _content(key: ChunkKey) -> bytes:
    seed = blake2b(f"{key.identity}/{key.number}".encode(), digest_size=32).digest()
    return seed * (CHUNK // len(seed))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise CannotMount(f"{' '.join(command[:2])}: {done.stderr.decode(errors='replace').strip()}")


def problems_by_limit(found: Outcome) -> list[str]:
    """What is not as it must be after `by_limit`."""
    return _failed(
        found,
        over_the_limit=found.highest > found.limit + _SLACK or found.figures["disk_bytes"] > found.limit,
        limit_not_reached=found.highest < 0.9 * found.limit,
        hot_set_lost=found.hot.misses > 0,
        pinned_set_lost=found.pinned.misses > 0,
        cold_not_cold=found.cold.rate >= 0.2,
    )


def problems_with_disk_full(found: Outcome) -> list[str]:
    """What is not as it must be after `with_disk_full`."""
    return _failed(
        found, disk_not_filled=not found.figures["disk_refused"], pinned_set_lost=found.pinned.misses > 0
    )


def problems_without_inodes(found: Outcome) -> list[str]:
    """What is not as it must be after `without_inodes`."""
    return _failed(
        found,
        inodes_left=not found.figures["disk_refused"],
        hot_set_lost=found.hot.misses > 0,
        pinned_set_lost=found.pinned.misses > 0,
    )


def _failed(found: Outcome, **checks: bool) -> list[str]:
    checks |= {"wrong_bytes": found.wrong > 0, "damage_found": found.figures["disk_damaged"] > 0}
    return [name.replace("_", " ") for name, failed in checks.items() if failed]


def run(directory: Path, disk: int, working_set: int, rounds: int, tell: Callable[[str], None]) -> list[str]:
    """All three on disks of `disk` MiB; what was not as it must be. Raises CannotMount."""
    limit = disk * 3 // 4
    load = Load(working_set - limit // 2, hot=limit // 6, pinned=limit // 8, rounds=rounds)
    problems: list[str] = []

    def report(name: str, found: Outcome, failed: list[str]) -> None:
        tell(
            f"{name}: hot {found.hot.rate:.1%} of {found.hot.hits + found.hot.misses}, "
            f"pinned {found.pinned.rate:.1%} of {found.pinned.hits + found.pinned.misses}, "
            f"cold {found.cold.rate:.1%} of {found.cold.hits + found.cold.misses} reads from the store; "
            f"wrong {found.wrong}; at most {found.highest / _MIB:.1f} MiB on disk; "
            f"evicted {found.figures['disk_evicted']}, refused {found.figures['disk_refused']}"
        )
        problems.extend(f"{name}: {problem}" for problem in failed)

    tell(f"disk {disk} MiB, limit {limit} MiB, hot {load.hot}, pinned {load.pinned}, cold {load.cold} chunks")
    with small_disk(directory, disk, 4096) as place:
        found = by_limit(place, load, limit * _MIB)
        report("by the limit", found, problems_by_limit(found))
    with small_disk(directory, disk, 4096) as place:
        found = with_disk_full(place, load)
        report("disk full", found, problems_with_disk_full(found))
    with small_disk(directory, disk, 64) as place:
        found = without_inodes(place, load, limit * _MIB)
        report("out of inodes", found, problems_without_inodes(found))
    return problems


def main() -> int:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description="A store under pressure of room.")
    parser.add_argument("--disk", type=int, default=256, metavar="MIB")
    parser.add_argument("--working-set", type=int, default=2048, metavar="MIB")
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    arguments = parser.parse_args()
    if os.geteuid():
        sys.exit("a loop device needs root")
    with tempfile.TemporaryDirectory(prefix="store-pressure-") as directory:
        problems = run(Path(directory), arguments.disk, arguments.working_set, arguments.rounds, print)
    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
