"""Other people's readers against a mount: `make stress`, or python -m tests.heavy.stress --seconds 60

fio reads five targets at random (psync, mmap, libaio with O_DIRECT, io_uring; 1, 8 and 32 jobs), stress-ng's
stressors read files and directories, each for some time, from a store and a memory that are too small. No
error, a daemon that lives and logs no warning, flat memory; then every byte is compared. Raises
AssertionError.

Of stress-ng, `fstat` can be told a directory; `sysfs` (which opens, reads, maps and polls each file) and
`getdent` read a fixed place, where the mount is bound in a mount namespace of their own. `sysinfo` would ask
every mount of the machine, those of others too. Its readahead, seek, sendfile, splice, tee, mmap, mincore,
handle, open, dir, copy-file and iomix first make and write a file of their own, which cannot be here;
tests.heavy.fsx has those calls.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.fsd.mounting import ADAPTERS, Daemon, running
from tests.heavy import subject
from tests.heavy.subject import NAME, Subject

SECONDS = 60
ENGINES = {
    "psync": (),
    "mmap": (),
    "libaio": ("--direct=1", "--iodepth=4"),
    "io_uring": ("--iodepth=4",),
}
JOBS = (1, 8, 32)

ROUNDS = 3  # of all stressors, which share their time
_SAMPLE = 0.25
_FLAT = 24 << 20  # bytes, or a tenth: what the last round may need above the one before
_WORDS = ("Traceback", " ERROR ", " CRITICAL ", " WARNING ")
_COUNT = "2"


@dataclass
class Memory:
    """The resident memory of a process, sampled: seconds and bytes; `rounds` are where each round ended."""

    pid: int
    samples: list[tuple[float, int]] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        """Sample while the block runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._sample, args=(over,))
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def _sample(self, over: threading.Event) -> None:
        began = time.monotonic()
        while not over.wait(_SAMPLE):
            try:
                lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            except OSError:
                return
            kib = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
            self.samples.append((time.monotonic() - began, kib << 10))

    def now(self) -> str:
        """The last sample."""
        return f"resident {self.samples[-1][1] / 1e6:6.1f} MB" if self.samples else ""

    def end_of_round(self) -> None:
        """The same load comes again from here on."""
        self.rounds.append(len(self.samples))

    def told(self) -> str:
        """The most of each round. Raises AssertionError where the last needs more than the one before.

        Memory is that of the busiest moment, which a load has somewhere; a leak needs more each time.
        """
        peaks = [
            max(size for _, size in self.samples[start:end]) for start, end in pairwise([0, *self.rounds])
        ]
        told = ", then ".join(f"{peak / 1e6:.1f} MB" for peak in peaks)
        *_, before, last = peaks
        assert last - before <= max(_FLAT, before / 10), f"memory grows: {told}"
        return f"resident at most {told}"


def fio(daemon: Daemon, engine: str, jobs: int, seconds: float, seed: int) -> str:
    """Random reads of all targets for so long: how many, in a line. Raises AssertionError."""
    files = ":".join(str(daemon.mountpoint / NAME / name).replace(":", "\\:") for name in subject.TARGETS)
    command = [
        *("fio", "--name=reads", "--readonly", "--rw=randread", "--bsrange=4k-256k", "--blockalign=4k"),
        *("--allow_file_create=0", "--time_based", f"--runtime={seconds}", f"--randseed={seed}"),
        *(f"--ioengine={engine}", *ENGINES[engine], f"--numjobs={jobs}", "--group_reporting"),
        *(f"--filename={files}", "--file_service_type=random", "--output-format=json"),
    ]
    done = _carried_out(command, seconds)
    (told,) = json.loads(done[done.index("{") :])["jobs"]
    assert told["error"] == 0, f"fio {engine}, {jobs} jobs: error {told['error']}"
    assert told["read"]["total_ios"] > 0, f"fio {engine}, {jobs} jobs: nothing was read"
    reads, rate = told["read"]["total_ios"], told["read"]["bw_bytes"]
    return f"fio {engine:8} {jobs:2} jobs {reads:>10,} reads {rate / 1e6:>8,.1f} MB/s"


def stressors(daemon: Daemon) -> dict[str, list[str]]:
    """stress-ng's read-side stressors by name: the command of each, without its time."""
    # The mount in the place that the stressor reads, for it alone.
    bound = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /sys && exec "$@"', str(daemon.mountpoint)]
    common = ["stress-ng", "--verify"]
    directory = str(daemon.mountpoint / NAME)
    return {
        "fstat": [*common, "--fstat", _COUNT, "--fstat-dir", directory],
        "sysfs": [*bound, *common, "--sysfs", _COUNT],
        "getdent": [*bound, *common, "--getdent", _COUNT],
    }


def _carried_out(command: Sequence[str], seconds: float) -> str:
    """Its output. Raises AssertionError where it fails or does not end."""
    shown = " ".join(command)
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        said, complained = process.communicate(timeout=seconds + 180)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{shown}: does not end") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the session of its own: what it started, too
            process.wait(10)
    assert process.returncode == 0, f"{shown}: {process.returncode}\n{said[-2000:]}{complained[-2000:]}"
    return said


def stressed(model: Subject, work: Path, fuse: str, *, seconds: float, seed: int) -> Iterator[str]:
    """Each stressor against one mount by the adapter `fuse`: a line each. Raises AssertionError."""
    work.mkdir(parents=True, exist_ok=True)
    limit = model.translated_bytes
    options = ("--cache-memory", "32M", "--cache-size", str(limit), "--cache-min-free", "1M")
    mountpoint = work / "mnt"
    command = subject.mounting(model, mountpoint, fuse, work / "cache", *options)
    with running(command, model.models, mountpoint, work) as daemon:
        try:
            with Memory(daemon.process.pid).watched() as memory:
                for number in range(ROUNDS):
                    yield from _round(daemon, memory, work, seconds / ROUNDS, seed + number)
                    memory.end_of_round()
            yield memory.told()
            yield f"{subject.compare(model, mountpoint, random.Random(seed)):,} bytes compared"
            _prove_well(daemon)
        except AssertionError as error:
            raise AssertionError(f"--fuse {fuse} --seed {seed}: {error}\n{daemon.log[-3000:]}") from error


def _round(daemon: Daemon, memory: Memory, work: Path, seconds: float, seed: int) -> Iterator[str]:
    """Each stressor once: a line each."""
    for engine in ENGINES:
        for jobs in JOBS:
            yield f"{fio(daemon, engine, jobs, seconds, seed)}   {memory.now()}"
    for name, stressor in stressors(daemon).items():
        timed = [*stressor, "--timeout", f"{math.ceil(seconds)}s", "--temp-path", str(work)]
        _carried_out(timed, seconds)
        yield f"stress-ng {name:36}   {memory.now()}"


def _prove_well(daemon: Daemon) -> None:
    assert daemon.process.poll() is None, "the daemon has ended"
    told = subject.status(daemon.mountpoint)
    assert told["engine"]["errors"] == 0, "a translation failed"
    assert told["store"]["disk_damaged"] == 0, "a chunk in the store was damaged"
    assert not (lines := subject.complaints(daemon.log, _WORDS)), f"the daemon complains: {lines}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.heavy.stress", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each stressor")
    parser.add_argument("--seed", type=int, default=1)
    subject.options(parser)
    chosen = parser.parse_args()
    missing = [name for name in ("fio", "stress-ng", "unshare") if shutil.which(name) is None]
    if missing:
        sys.exit(f"please install {' '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="prismfs-stress-") as name:
        work = (chosen.work or Path(name)).resolve()
        model = subject.made(work, chosen.megabytes)
        for fuse in chosen.fuse or ADAPTERS:
            print(f"--fuse {fuse} --seed {chosen.seed} --megabytes {chosen.megabytes}", flush=True)
            for line in stressed(model, work / fuse, fuse, seconds=chosen.seconds, seed=chosen.seed):
                print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
