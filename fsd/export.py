"""Export: the bytes of a virtual file into a plain one, without FUSE.

    export(layout, Path("x.gguf"), workers=8, progress=bar.update)

The target appears complete or not at all: until everything is written and synced the data has no name
(or, where the file system knows no such files, a hidden one that is removed on any error). Pieces are
translated side by side, each thread with one buffer, so memory is bounded by the number of threads.
Knows layouts; nothing of names under a mount, nor of terminals.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from fsd.errors import PrismError

# What a piece is made of should stay in the caches: with 2 MiB, the kernel takes three times as long.
PIECE = 512 << 10
_SETTLE = 0.5  # seconds
# What open(O_TMPFILE) says where the kernel or the file system has no such thing (open(2)).
_NO_UNNAMED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})

Progress = Callable[[int], object]


class ExportError(PrismError):
    """A file cannot be written."""


class Content(Protocol):
    """What is written: a layout, or a file as the engine has it."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def read(self, offset: int, length: int, /) -> bytes:
        """As `Layout.read`."""

    def read_into(self, offset: int, buffer: memoryview, /) -> object:
        """As `Layout.read_into`."""


class Digest(Protocol):
    """As hashlib's."""

    def update(self, data: bytes, /) -> None:
        """Take up more bytes."""


def export(
    layout: Content, target: Path, *, workers: int, progress: Progress, replace: bool = False,
    digest: Digest | None = None,
) -> None:  # fmt: skip
    """Write `layout` to the file `target`; `progress` gets the count of each run of bytes written.

    `digest`, if there is one, gets all bytes in order; it has no other use, and makes it no faster.
    Raises ExportError (the target exists, no room), OSError, and what `Layout.read_into` raises; then, and
    on KeyboardInterrupt, nothing is left behind.
    """
    if target.is_dir():
        raise ExportError("this is a directory", path=str(target), remedy="name a file: -o DIRECTORY/FILE")
    if not replace and os.path.lexists(target):
        raise ExportError("the file exists", path=str(target), remedy="replace it with --force")
    directory = target.absolute().parent
    if not directory.is_dir():
        raise ExportError("there is no such directory", path=str(directory), remedy=f"mkdir -p {directory}")
    _check_room(directory, layout.size)
    with _draft(target, replace) as descriptor:
        os.truncate(descriptor, layout.size)
        if digest is None:
            _write_pieces(layout, descriptor, workers, progress)
        else:
            with open(descriptor, "wb", closefd=False, buffering=0) as out:
                stream(layout, cast(BinaryIO, _Digesting(out, digest)), workers=workers, progress=progress)
        os.fsync(descriptor)
    _sync_directory(directory)


def stream(layout: Content, out: BinaryIO, *, workers: int, progress: Progress) -> None:
    """Write `layout` to a pipe, in order; a few pieces ahead are translated meanwhile."""
    with _pool(workers) as pool:
        ahead: deque[Future[bytes]] = deque()
        offsets = iter(range(0, layout.size, PIECE))
        for offset in itertools.chain(offsets, itertools.repeat(None, workers + 1)):
            if offset is not None:
                ahead.append(pool.submit(layout.read, offset, PIECE))
            if ahead and (offset is None or len(ahead) > workers):
                data = ahead.popleft().result()
                out.write(data)
                progress(len(data))
    out.flush()


class _Digesting:
    """A file of which a digest sees what is written."""

    def __init__(self, out: RawIOBase, digest: Digest) -> None:
        self._out = out
        self._digest = digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._out.write(rest) or 0 :]
        return len(data)

    def flush(self) -> None:
        self._out.flush()


def _write_pieces(layout: Content, descriptor: int, workers: int, progress: Progress) -> None:
    """Each thread takes the next piece until none is left, or until one failed."""
    offsets = iter(range(0, layout.size, PIECE))

    def work() -> None:
        buffer = memoryview(bytearray(min(PIECE, layout.size)))
        for offset in offsets:  # a range iterator's step is atomic under the GIL
            piece = buffer[: min(PIECE, layout.size - offset)]
            layout.read_into(offset, piece)
            written = 0
            while written < len(piece):
                written += os.pwrite(descriptor, piece[written:], offset + written)
            progress(len(piece))

    ended = threading.Event()

    def settle() -> None:
        """Have the disk at work meanwhile, instead of for seconds at the end."""
        while not ended.wait(_SETTLE):
            os.fdatasync(descriptor)

    with _pool(workers + 1) as pool:
        running = [pool.submit(work) for _ in range(workers)]
        settling = pool.submit(settle)
        try:
            done, _ = wait(running, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            deque(offsets, maxlen=0)  # an error or an interrupt: the other threads find nothing left
            ended.set()
        settling.result()  # an error of the disk is told once: the last fsync would not know of it


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that on an error does not start what is queued; what runs is waited for."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prismfs-export")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _draft(target: Path, replace: bool) -> Iterator[int]:
    """A descriptor for data that becomes `target` when the block ends well, and vanishes when it does not."""
    hidden = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(target.absolute().parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
        named = False
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        named = True
    try:
        yield descriptor
        if not named:
            # Without a name of its own to replace, link gives the final name at once, and never overwrites.
            _link(descriptor, hidden if replace else target)
        if named or replace:
            hidden.rename(target)
    except BaseException:
        with contextlib.suppress(OSError):
            hidden.unlink()
        raise
    finally:
        os.close(descriptor)


def _link(descriptor: int, name: Path) -> None:
    """Name an unnamed file (open(2), O_TMPFILE); through /proc, as this needs no privilege."""
    try:
        # Python follows the symlink only where it is given a directory, which an absolute path ignores.
        os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)
    except FileExistsError:
        raise ExportError("the file exists", path=str(name), remedy="replace it with --force") from None


def _check_room(directory: Path, size: int) -> None:
    """Tell before an hour of work what would fail after it."""
    free = os.statvfs(directory)
    available = free.f_bavail * free.f_frsize
    if size > available:
        raise ExportError(
            f"{size:,} bytes are needed, {available:,} are free",
            path=str(directory),
            remedy="make room, or write to another file system",
        )


def _sync_directory(directory: Path) -> None:
    """Make the name as durable as the data."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
