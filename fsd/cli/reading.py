"""Forms translated and kept by reading them through their mount: for daemons without an API.

A directory stands for every form that is listed below it, each once, whatever names it has. What needs no
translation (source files, merged shards) is passed over, and so is what is complete already. The errors of
one file do not keep the others from being read.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from fsd.cli.mounts import SECTOR, TARGET, TRANSLATED, mount_above, status_of
from fsd.cli.terminal import Progress, printable, progress, say, sentence, tell
from fsd.figures import human
from fsd.mount.points import MountError

PIECE = 4 << 20
READ, WHOLE, FAILED = "read", "whole", "failed"


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


def read(
    paths: Sequence[str], at_a_time: int, errors: list[Exception], tell_of: Callable[[Outcome], object]
) -> None:
    """Find the forms, read them; `tell_of` each. What goes wrong is told and added to `errors`."""
    forms = list(_forms(paths, errors))
    waiting = sum(form.size for form in forms if not form.is_whole)
    if waiting:
        say(f"reading {human(waiting)}")
    with progress("warm", waiting) as advance:
        for form, result in _read_all(forms, at_a_time, advance):
            tell_of(_outcome(form, result, errors))


def _forms(paths: Sequence[str], errors: list[Exception]) -> Iterator[Form]:
    """The files to be warmed, each once; what is wrong with a path is told and added to `errors`."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        passed_over = found = 0
        try:
            keeps = _keeps(Path(path))
            for file in _files(Path(path)):
                status = file.stat()
                if not is_translated(file):
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
            say_nothing_to_do(path)


def say_nothing_to_do(path: str) -> None:
    """That warming is not needed."""
    say(f"{printable(path)}: read through as it is, there is nothing to translate")


def _keeps(path: Path) -> bool:
    """Whether the daemon whose mount `path` is in keeps bytes on disk. Raises MountError, OSError."""
    mount = mount_above(path.absolute())
    if mount is None:
        remedy = "mount the source and name a path there, or write a plain file with `prismfs export`"
        raise MountError("this is not in a mount of prismfs", path=str(path), remedy=remedy)
    return "disk_bytes" in status_of(mount)["store"]


def _files(path: Path) -> Iterator[Path]:
    """The file, or all files below a directory: a directory's own before those further down.

    Directories of formats (`hf-bf16/`) are left to who names them: each is the whole model once more.
    """
    if not stat.S_ISDIR(path.stat().st_mode):
        yield path
        return
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    yield from (Path(entry.path) for entry in found if entry.is_file())
    for entry in found:
        if entry.is_dir() and not entry.name.startswith(".") and not _is_format(entry.path):
            yield from _files(Path(entry.path))


def _is_format(directory: str) -> bool:
    try:
        return bool(os.getxattr(directory, TARGET))
    except OSError:  # no other directory has such an attribute
        return False


def is_translated(path: Path) -> bool:
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
