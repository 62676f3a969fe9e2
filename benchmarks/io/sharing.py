"""Item 2: eight readers at random offsets of one cold q4_k_m.

Targets: the engine's `translated` counter is the number of chunks, not one more; every block that any reader
got has the digest of the exported file's; two cores, with a worker each, are at least 1.7 times as fast as
one. Readers and daemon are on the same cores; the clock runs from when all readers have begun.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import xxhash

from benchmarks.findings import Findings, Row, Target, at_least
from benchmarks.io.setting import Setting

TARGET = "model.gguf-q4_k_m"
_READERS, _BLOCK, _CHUNK = 8, 256 << 10, 1 << 20
_WANTED = 1.7


def run(setting: Setting) -> Findings:
    """Export, then let the readers go on cold daemons of one and of two cores, in turns."""
    digests = setting.work / "digests.npy"
    size = _export(setting, digests)
    chunks = -(-size // _CHUNK)
    found = Findings()
    rows = found.tables[
        f"{_READERS} readers of all blocks of a cold {TARGET}, each in an order of its own"
    ] = []
    for _ in range(setting.repeat):
        for cores in (1, 2):
            row = _sample(setting, digests, cores)
            rows.append({"cores": cores, "MB/s": size / 1e6 / row["seconds"], "chunks": chunks} | row)
    translated, wrong = {row["translated"] for row in rows}, sum(row["wrong blocks"] for row in rows)
    shown = ", ".join(map(str, sorted(translated)))
    found.targets.append(Target("chunks translated", f"{chunks} each time", shown, translated == {chunks}))
    found.targets.append(Target("blocks that are not as exported", "0", str(wrong), wrong == 0))
    one, two = (median(row["seconds"] for row in rows if row["cores"] == count) for count in (1, 2))
    found.targets.append(at_least("two cores, of one", one / two, _WANTED))
    setting.forget()
    return found


def _export(setting: Setting, digests: Path) -> int:
    """Export the file, note its blocks' digests; returns its size."""
    exported = setting.work / "exported"
    command = [sys.executable, "-m", "fsd.cli", "export", str(setting.model), TARGET, "-o", str(exported)]
    subprocess.run(command, check=True, capture_output=True)
    size = exported.stat().st_size
    descriptor = os.open(exported, os.O_RDONLY)
    try:
        blocks = [xxhash.xxh3_64_intdigest(os.pread(descriptor, _BLOCK, at)) for at in range(0, size, _BLOCK)]
    finally:
        os.close(descriptor)
        exported.unlink()
    np.save(digests, np.array(blocks, np.uint64))
    return size


def _sample(setting: Setting, digests: Path, cores: int) -> Row:
    with _on(cores), setting.mounted("--workers", str(cores)) as daemon:
        path = setting.path(daemon, TARGET)
        os.close(os.open(path, os.O_RDONLY))  # planned
        seconds, wrong = _read_by_all(path, digests)
        engine = daemon.status()["engine"]
    return {"seconds": seconds, "translated": engine["translated"], "wrong blocks": wrong}


@contextmanager
def _on(cores: int) -> Iterator[None]:
    """All that is started meanwhile has so many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _read_by_all(path: Path, digests: Path) -> tuple[float, int]:
    """Seconds until all readers are done, and how many wrong blocks they got."""
    command = [sys.executable, "-m", "benchmarks.io.sharing", str(path), str(digests)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    readers = [subprocess.Popen([*command, str(seed)], text=True, **pipes) for seed in range(_READERS)]
    for reader in readers:  # each says when it is ready
        assert reader.stdout is not None
        reader.stdout.readline()
    started = time.monotonic()
    for reader in readers:
        assert reader.stdin is not None
        reader.stdin.close()
    wrong = 0
    for reader in readers:
        assert reader.stdout is not None
        wrong += int(json.loads(reader.stdout.read()))
        reader.wait()
    return time.monotonic() - started, wrong


def _read(path: Path, digests: Path, seed: int) -> int:
    """Read every block once, in a random order, when input ends; returns how many were wrong."""
    expected = np.load(digests)
    order = list(range(len(expected)))
    random.Random(seed).shuffle(order)
    buffer, wrong = memoryview(bytearray(_BLOCK)), 0
    descriptor = os.open(path, os.O_RDONLY)
    print("ready", flush=True)
    sys.stdin.read()
    for block in order:
        count = os.preadv(descriptor, [buffer], block * _BLOCK)
        wrong += xxhash.xxh3_64_intdigest(buffer[:count]) != int(expected[block])
    os.close(descriptor)
    return wrong


if __name__ == "__main__":
    print(json.dumps(_read(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
