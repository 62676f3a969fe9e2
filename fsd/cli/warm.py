"""`prismfs warm PATH...`: have the forms at these paths of a mount translated and kept, by reading them.

A directory stands for every form that is listed below it, each once, whatever names it has. What needs no
translation (source files, merged shards) is passed over, and so is what is complete already. The errors of
one file do not keep the others from being read; the exit code is the first one's.
"""

from __future__ import annotations

import argparse
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from fsd.cli.mounts import mount_above, status_of
from fsd.cli.terminal import Progress, print_json, printable, progress, say, sentence, tell
from fsd.config import count
from fsd.errors import BadOption, exit_code_of
from fsd.figures import human
from fsd.mount.points import MountError

PIECE = 4 << 20
SECTOR = 512  # the unit of st_blocks
TRANSLATED = "user.prismfs.translated"
READ, WHOLE, FAILED = "read", "whole", "failed"


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    about = "a form under a mount, or a directory there: every form that is listed below it"
    parser.add_argument("paths", metavar="PATH", nargs="+", help=about)
    parser.add_argument("--jobs", metavar="N", help="files read at a time (default: 1, for all processors)")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON, at the end")


@dataclass(frozen=True)
class Form:
    """A file to be warmed. `keeps` says whether its daemon keeps bytes on disk."""

    path: Path
    size: int
    keeps: bool
    is_whole: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a file: read, whole (there was nothing to do) or failed."""

    path: str
    state: str
    bytes: int
    seconds: float
    error: str = ""


class _Stopped(Exception):
    """The reading was called off."""


def run(arguments: argparse.Namespace) -> int:
    """Find the forms, read them, tell of each."""
    jobs = _jobs(arguments.jobs)
    errors: list[Exception] = []
    forms = list(_forms(arguments.paths, errors))
    waiting = sum(form.size for form in forms if not form.is_whole)
    outcomes: list[Outcome] = []
    if waiting:
        say(f"reading {human(waiting)}")
    with progress("warm", waiting) as advance:
        for form, result in _read_all(forms, jobs, advance):
            outcome = _outcome(form, result, errors)
            outcomes.append(outcome)
            if not arguments.json and outcome.state != FAILED:
                print(f"{outcome.state}\t{outcome.bytes}\t{printable(outcome.path)}", flush=True)
    if arguments.json:
        print_json([asdict(outcome) for outcome in outcomes])
    return exit_code_of(errors[0]) if errors else 0


def _forms(paths: Sequence[str], errors: list[Exception]) -> Iterator[Form]:
    """The files to be warmed, each once; what is wrong with a path is told and added to `errors`."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        passed_over = found = 0
        try:
            keeps = _keeps(Path(path))
            for file in _files(Path(path)):
                status = file.stat()
                if not _is_translated(file):
                    passed_over += 1
                    continue
                found += 1
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    yield Form(file, status.st_size, keeps, status.st_blocks * SECTOR >= status.st_size)
        except (OSError, MountError) as error:
            errors.append(error)
            tell(error)
        if passed_over and not found:
            say(f"{printable(path)}: read through as it is, there is nothing to translate")


def _keeps(path: Path) -> bool:
    """Whether the daemon whose mount `path` is in keeps bytes on disk. Raises MountError, OSError."""
    mount = mount_above(path.absolute())
    if mount is None:
        remedy = "mount the source and name a path there, or write a plain file with `prismfs export`"
        raise MountError("this is not in a mount of prismfs", path=str(path), remedy=remedy)
    return "disk_bytes" in status_of(mount)["store"]


def _files(path: Path) -> Iterator[Path]:
    """The file, or all files below a directory: a directory's own before those further down."""
    if not stat.S_ISDIR(path.stat().st_mode):
        yield path
        return
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    yield from (Path(entry.path) for entry in found if entry.is_file())
    for entry in found:
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _files(Path(entry.path))


def _is_translated(path: Path) -> bool:
    """Whether any byte of a file has to be computed."""
    try:
        return os.getxattr(path, TRANSLATED) == b"yes"
    except OSError:  # a source file has no such attribute
        return False


def _read_all(
    forms: Sequence[Form], jobs: int, advance: Progress
) -> Iterator[tuple[Form, Future[tuple[int, float]]]]:
    """Each form with the bytes read and the seconds that it took, as they are done."""
    stop = threading.Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="prismfs-warm") as pool:
        futures = {pool.submit(_read, form, advance, stop): form for form in forms}
        try:
            for future in as_completed(futures):
                yield futures[future], future
        finally:
            stop.set()  # where this is Ctrl-C, nobody waits for more than the piece at hand
            pool.shutdown(wait=False, cancel_futures=True)


def _read(form: Form, advance: Progress, stop: threading.Event) -> tuple[int, float]:
    """Read a form from front to back. Raises OSError."""
    started, offset = time.monotonic(), 0
    if form.is_whole:
        return 0, 0.0
    descriptor = os.open(form.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = memoryview(bytearray(PIECE))
        while not stop.is_set():
            length = os.preadv(descriptor, [buffer], offset)
            if not length:
                return offset, time.monotonic() - started
            if form.keeps:  # on disk: the page cache is left to what is used now
                os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)
            offset += length
            advance(length)
        raise _Stopped
    finally:
        os.close(descriptor)


def _outcome(form: Form, result: Future[tuple[int, float]], errors: list[Exception]) -> Outcome:
    try:
        length, seconds = result.result()
    except OSError as error:
        error.filename = error.filename or str(form.path)
        errors.append(error)
        tell(error)
        return Outcome(str(form.path), FAILED, 0, 0.0, sentence(error))
    return Outcome(str(form.path), WHOLE if form.is_whole else READ, length or form.size, round(seconds, 3))


def _jobs(text: str | None) -> int:
    try:
        return count(text) if text else 1
    except ValueError as error:
        raise BadOption(f"--jobs cannot be {text!r}: {error}") from None
