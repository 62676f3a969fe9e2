"""A thousand models come at once while others read: `make arrivals` (`python -m tests.heavy.arrivals -h`).

Reads are of 4 KiB at random places of a file that is complete in the store, by two readers at once. `daemon`
reads by O_DIRECT, and has opened the file for writing as well, so that each of its reads reaches the daemon,
by either adapter: the hardest there is. `warm` does what most do: an ordinary open and pread. Their latencies
are measured in processes of their own for some seconds before, and then from the first model's coming until
the daemon has said of the last that it is there; then they are listed.

Prints the latencies and the ratios of the 99th percentiles, each of which must stay within `--limit` (else it
ends with 1). The processors must be idle otherwise: making the models is itself work.
"""

from __future__ import annotations

import argparse
import mmap
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.fsd.mounting import ADAPTERS, mounting, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

TARGET = "model.gguf-q8_0"
PAGE = 4096
# What each reader opens the file with.
READERS = {"daemon": os.O_RDWR | os.O_DIRECT, "warm": os.O_RDONLY}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def read(path: str, flags: int, done: Event, into: SimpleQueue[list[float]]) -> None:
    """Read until `done`; then give the seconds that each read took."""
    descriptor = os.open(path, flags)
    pages = os.fstat(descriptor).st_size // PAGE
    chance, took = random.Random(1), []
    with mmap.mmap(-1, PAGE) as buffer:
        while not done.is_set():
            offset = chance.randrange(pages) * PAGE
            begun = time.perf_counter()
            os.preadv(descriptor, [buffer], offset)
            took.append(time.perf_counter() - begun)
            time.sleep(0.0005)  # a reader, not a second load
    os.close(descriptor)
    into.put(took)


@contextmanager
def reading(path: Path) -> Iterator[dict[str, list[float]]]:
    """Has the latencies of each reader's reads during the block, once that is over."""
    took: dict[str, list[float]] = {}
    done = multiprocessing.Event()
    readers = []
    for name, flags in READERS.items():
        results: SimpleQueue[list[float]] = multiprocessing.SimpleQueue()
        reader = multiprocessing.Process(target=read, args=(str(path), flags, done, results))
        reader.start()
        readers.append((name, reader, results))
    try:
        yield took
    finally:
        done.set()
        for name, reader, results in readers:
            took[name] = results.get()
            reader.join()


def announced(log: str) -> int:
    """How many models the daemon has said to be new."""
    several = sum(map(int, re.findall(r"new: (\d+) models,", log)))
    return several + len(re.findall(r"new: new-\d+$", log, re.MULTILINE))


def measure(fuse: str, models: int, seconds: float, scratch: Path) -> list[float]:
    """The ratio of the two 99th percentiles of each reader, by one adapter.

    Raises AssertionError if a model never comes.
    """
    kind = build(MODELS["Qwen2.5-0.5B-Instruct"], scratch / "kinds")
    source, coming = scratch / "source", scratch / "coming"
    shutil.copytree(kind, source / "read")
    for number in range(models):
        shutil.copytree(kind, coming / f"new-{number:04d}", copy_function=os.link)
    mountpoint = scratch / "mnt"
    with running(mounting(source, mountpoint, fuse), source, mountpoint, scratch / "home") as daemon:
        path = mountpoint / "read" / TARGET
        path.read_bytes()
        with reading(path) as before:
            time.sleep(seconds)
        with reading(path) as during:
            begun = time.monotonic()
            for folder in coming.iterdir():
                shutil.copytree(folder, source / folder.name, copy_function=os.link)
            copied = time.monotonic() - begun

            # To list a thousand again and again would be work of its own, which nobody asked about.
            until(lambda: announced(daemon.log) == models, f"{models} models are announced", timeout=120)
            listed = time.monotonic() - begun - copied
        found = len(os.listdir(mountpoint))  # noqa: PTH208
        assert found == models + 2, f"{found} entries are listed"
    print(f"{fuse}: {models} models made in {copied:.1f} s, all shown {listed:.1f} s later")
    return [_compared(name, before[name], during[name]) for name in READERS]


def _compared(reader: str, before: Sequence[float], during: Sequence[float]) -> float:
    """The ratio, with the figures printed."""
    for name, took in (("before", before), ("during", during)):
        shares = ", ".join(
            f"p{share * 100:g} {percentile(took, share) * 1e6:,.0f} us" for share in (0.5, 0.99)
        )
        print(f"  {reader:6} {name}: {len(took):,} reads, {shares}, worst {max(took) * 1e3:.1f} ms")
    ratio = percentile(during, 0.99) / percentile(before, 0.99)
    print(f"  {reader:6} p99 during / before: {ratio:.1f}")
    return ratio


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long reads are measured before")
    parser.add_argument("--limit", type=float, default=5.0, help="the ratio that is still good")
    parser.add_argument("--fuse", choices=ADAPTERS, action="append", help="one adapter only")
    arguments = parser.parse_args()
    ratios: list[float] = []
    for fuse in arguments.fuse or ADAPTERS:
        with tempfile.TemporaryDirectory(prefix="prismfs-arrivals-") as directory:
            ratios += measure(fuse, arguments.models, arguments.seconds, Path(directory))
    return int(max(ratios) > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
