"""Every call by which a program reads a file, each compared with the reference: the operations of fsx.

    op = drawn(chance, sizes)              # data: the same for the same generator, whatever happened before
    CALLS[op.call].run(reader, op)         # raises WrongBytes, OSError

A `Reader` is a thread's view of one target: its descriptors and its map, made when first needed, so that any
operation can be the first. What a call may refuse (RWF_NOWAIT, O_DIRECT out of line, copies between file
systems) is named with it; every other error is one. Knows nothing of threads, seeds and daemons.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.heavy.comparing import CHUNK, WrongBytes, difference
from tests.heavy.subject import Target

PAGE = mmap.PAGESIZE
HUGE = (1 << 40, (1 << 62) + 1, (1 << 63) - PAGE)

_PIPE = 1 << 20
_ADVICE = (mmap.MADV_WILLNEED, mmap.MADV_DONTNEED, mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL, mmap.MADV_NORMAL)
_FILE_ADVICE = (
    os.POSIX_FADV_NORMAL, os.POSIX_FADV_RANDOM, os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_WILLNEED,
    os.POSIX_FADV_DONTNEED, os.POSIX_FADV_NOREUSE,
)  # fmt: skip
_FLAGS = (os.RWF_NOWAIT, os.RWF_HIPRI, os.RWF_NOWAIT | os.RWF_HIPRI)

_libc = ctypes.CDLL(None, use_errno=True)
_STATX = 256  # bytes of struct statx; stx_size is at 40, stx_ino at 32
_STATX_ALL, _AT_EMPTY_PATH = 0xFFF, 0x1000


@dataclass(frozen=True)
class Op:
    """An operation: a call on a target, a range that begins in the file, and a number for other choices."""

    call: str
    target: int
    offset: int
    length: int
    choice: int


class Reader:
    """One thread's descriptors and map of one target."""

    def __init__(self, path: Path, target: Target, scratch: Path) -> None:
        self.path, self.target, self.size = path, target, target.size
        self.scratch = scratch
        self._reference = os.open(target.reference, os.O_RDONLY)
        self._descriptors: dict[int, int] = {}
        self._map: mmap.mmap | None = None
        self.buffer = mmap.mmap(-1, CHUNK + PAGE)

    def descriptor(self, flags: int = os.O_RDONLY) -> int:
        """One that stays open."""
        if flags not in self._descriptors:
            self._descriptors[flags] = os.open(self.path, flags)
        return self._descriptors[flags]

    @contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        """One that is closed at once."""
        descriptor = os.open(self.path, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def map(self) -> mmap.mmap:
        """Of the whole file, shared, and kept."""
        if self._map is None:
            self._map = mmap.mmap(self.descriptor(), 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        return self._map

    def close(self) -> None:
        """Let go of all."""
        if self._map is not None:
            self._map.close()
            self._map = None
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def right(self, offset: int, length: int) -> bytes:
        """What the file has there; fewer bytes at its end."""
        return (
            os.pread(self._reference, max(0, min(length, self.size - offset)), offset) if length > 0 else b""
        )

    def check(self, offset: int, length: int, got: bytes, *, short: bool = False) -> None:
        """`got` has to be what `length` bytes at `offset` are, or a part from their start if `short`."""
        right = self.right(offset, length)
        if got != (right[: len(got)] if short else right):
            raise WrongBytes(f"{self.target.name}: {difference(offset, got, right)}")


def drawn(chance: random.Random, sizes: Sequence[int]) -> Op:
    """The next operation: most are small; borders of chunks and the end of the file are met often."""
    call = chance.choices(_NAMES, cum_weights=_WEIGHTS)[0]
    target = chance.randrange(len(sizes))
    size = sizes[target]
    length = chance.randrange(1, chance.choice((16, PAGE, PAGE, 1 << 16, 1 << 16, 1 << 18, CHUNK)))
    place = chance.random()
    if place < 0.2:
        offset = chance.randrange(size // CHUNK + 1) * CHUNK + chance.randrange(-PAGE, PAGE)
    elif place < 0.25:
        offset = size - chance.randrange(2 * length)
    else:
        offset = chance.randrange(size)
    return Op(call, target, min(max(0, offset), size - 1), length, chance.getrandbits(30))


def _read(reader: Reader, op: Op) -> None:
    descriptor = reader.descriptor()
    os.lseek(descriptor, op.offset, os.SEEK_SET)
    got = os.read(descriptor, op.length)
    reader.check(op.offset, op.length, got)
    if os.lseek(descriptor, 0, os.SEEK_CUR) != op.offset + len(got):
        raise WrongBytes(f"{reader.target.name}: a read moved the position elsewhere")


def _pread(reader: Reader, op: Op) -> None:
    reader.check(op.offset, op.length, os.pread(reader.descriptor(), op.length, op.offset))


def _buffers(op: Op) -> list[bytearray]:
    """The length in one to four parts of any size."""
    cuts = sorted({0, op.length, *(op.choice >> shift & 1023 for shift in (0, 10, 20)[: op.choice % 4])})
    cuts = [cut for cut in cuts if cut <= op.length]
    return [bytearray(end - start) for start, end in pairwise(cuts)]


def _readv(reader: Reader, op: Op) -> None:
    parts = _buffers(op)
    os.lseek(reader.descriptor(), op.offset, os.SEEK_SET)
    count = os.readv(reader.descriptor(), parts)
    reader.check(op.offset, op.length, b"".join(parts)[:count])


def _preadv(reader: Reader, op: Op) -> None:
    parts = _buffers(op)
    count = os.preadv(reader.descriptor(), parts, op.offset)
    reader.check(op.offset, op.length, b"".join(parts)[:count])


def _preadv2(reader: Reader, op: Op) -> None:
    """RWF_NOWAIT may refuse, or give what is there."""
    parts, flags = _buffers(op), _FLAGS[op.choice % 3]
    try:
        count = os.preadv(reader.descriptor(), parts, op.offset, flags)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP) and flags & os.RWF_NOWAIT:
            return
        raise
    reader.check(op.offset, op.length, b"".join(parts)[:count], short=bool(flags & os.RWF_NOWAIT))


def _window(reader: Reader, op: Op, descriptor: int, flags: int, prot: int) -> tuple[mmap.mmap, int]:
    """A map of the pages of the range, and where in it the range begins."""
    start = op.offset // PAGE * PAGE
    length = min(op.offset + op.length, reader.size) - start
    return mmap.mmap(descriptor, length, flags=flags, prot=prot, offset=start), op.offset - start


def _mapped(flags: int) -> Callable[[Reader, Op], None]:
    def run(reader: Reader, op: Op) -> None:
        window, start = _window(reader, op, reader.descriptor(), flags, mmap.PROT_READ)
        with closing(window):
            reader.check(op.offset, op.length, window[start : start + op.length])

    return run


def _kept_map(reader: Reader, op: Op) -> None:
    reader.check(op.offset, op.length, reader.map[op.offset : op.offset + op.length])


def _private_writable(reader: Reader, op: Op) -> None:
    """A copy of one's own may be written; nobody else sees that."""
    prot = mmap.PROT_READ | mmap.PROT_WRITE
    window, start = _window(reader, op, reader.descriptor(), mmap.MAP_PRIVATE, prot)
    with closing(window):
        right = reader.right(op.offset, op.length)
        changed = bytes([right[0] ^ 0xFF])
        window[start : start + 1] = changed
        reader.check(op.offset, op.length, right[:1] + window[start + 1 : start + op.length])
        if window[start : start + 1] != changed:
            raise WrongBytes(f"{reader.target.name}: a private copy forgot what was written")
    reader.check(op.offset, 1, os.pread(reader.descriptor(), 1, op.offset))


def _shared_writable(reader: Reader, op: Op) -> None:
    """As MLX and OpenVINO do: opened to write, mapped to write, and never written."""
    with reader.opened(os.O_RDWR) as descriptor:
        prot = mmap.PROT_READ | mmap.PROT_WRITE
        window, start = _window(reader, op, descriptor, mmap.MAP_SHARED, prot)
        with closing(window):
            reader.check(op.offset, op.length, window[start : start + op.length])
        reader.check(op.offset, op.length, os.pread(descriptor, op.length, op.offset))


def _madvise(reader: Reader, op: Op) -> None:
    start = op.offset // PAGE * PAGE
    length = min(op.offset + op.length, reader.size) - start
    reader.map.madvise(_ADVICE[op.choice % len(_ADVICE)], start, length)
    _kept_map(reader, op)


def _mincore(reader: Reader, op: Op) -> None:
    """Only asks; an answer of another process's pages may be refused, an error may not be."""
    view = np.frombuffer(reader.map, np.uint8)
    start = op.offset // PAGE * PAGE
    pages = -(-(min(op.offset + op.length, reader.size) - start) // PAGE)
    told = ctypes.create_string_buffer(pages)
    address = ctypes.c_void_p(view.ctypes.data + start)
    _prove(_libc.mincore(address, ctypes.c_size_t(pages * PAGE), told))


def _prove(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _sendfile(reader: Reader, op: Op) -> None:
    out = os.memfd_create("sent")
    try:
        sent = 0
        while sent < op.length:
            count = os.sendfile(out, reader.descriptor(), op.offset + sent, op.length - sent)
            if not count:
                break
            sent += count
        reader.check(op.offset, op.length, os.pread(out, op.length, 0))
    finally:
        os.close(out)


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    source, target = os.pipe()
    try:
        fcntl.fcntl(target, fcntl.F_SETPIPE_SZ, _PIPE)
        yield source, target
    finally:
        os.close(source)
        os.close(target)


def _splice(reader: Reader, op: Op) -> None:
    with _pipe() as (source, target):
        count = os.splice(reader.descriptor(), target, min(op.length, _PIPE // 2), offset_src=op.offset)
        _check_some(reader, op, count, os.read(source, _PIPE))


def _tee(reader: Reader, op: Op) -> None:
    with _pipe() as (source, target), _pipe() as (copy, into):
        count = os.splice(reader.descriptor(), target, min(op.length, _PIPE // 2), offset_src=op.offset)
        copied = _prove(_libc.tee(source, into, ctypes.c_size_t(_PIPE), 0))
        _check_some(reader, op, copied, os.read(copy, _PIPE))
        _check_some(reader, op, count, os.read(source, _PIPE))


def _check_some(reader: Reader, op: Op, count: int, got: bytes) -> None:
    """A splice may give less than was asked for, but something."""
    if len(got) != count or not got:
        raise WrongBytes(f"{reader.target.name}: {len(got)} bytes came out of a pipe, not {count}")
    reader.check(op.offset, op.length, got, short=True)


def _copy_file_range(reader: Reader, op: Op) -> None:
    """To another file system: EXDEV, upon which cp reads and writes. Where it copies, it copies right."""
    out = os.open(reader.scratch, os.O_RDWR | os.O_CREAT)
    try:
        count = os.copy_file_range(reader.descriptor(), out, op.length, op.offset, 0)
        reader.check(op.offset, op.length, os.pread(out, count, 0), short=True)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    finally:
        os.close(out)


def _seek_data(reader: Reader, op: Op) -> None:
    """What it passes over has to be zeros."""
    found = os.lseek(reader.descriptor(), op.offset, os.SEEK_DATA)
    if found < op.offset or reader.right(op.offset, found - op.offset).strip(b"\0"):
        raise WrongBytes(f"{reader.target.name}: SEEK_DATA went from {op.offset} to {found}")


def _seek_hole(reader: Reader, op: Op) -> None:
    found = os.lseek(reader.descriptor(), op.offset, os.SEEK_HOLE)
    if not op.offset <= found <= reader.size or reader.right(found, 1).strip(b"\0"):
        raise WrongBytes(f"{reader.target.name}: SEEK_HOLE went from {op.offset} to {found}")


def _seek_beyond(reader: Reader, op: Op) -> None:
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        try:
            os.lseek(reader.descriptor(), reader.size + op.choice, whence)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            raise WrongBytes(f"{reader.target.name}: there is data or a hole after the end")


def _fadvise(reader: Reader, op: Op) -> None:
    advice = _FILE_ADVICE[op.choice % len(_FILE_ADVICE)]
    os.posix_fadvise(reader.descriptor(), op.offset, op.length, advice)
    _pread(reader, op)


def _forget(reader: Reader, op: Op) -> None:
    """The kernel drops what it has of the whole file."""
    os.posix_fadvise(reader.descriptor(), 0, 0, os.POSIX_FADV_DONTNEED)
    _pread(reader, op)


def _readahead(reader: Reader, op: Op) -> None:
    offset, length = ctypes.c_int64(op.offset), ctypes.c_size_t(op.length)
    _prove(_libc.readahead(reader.descriptor(), offset, length))
    _pread(reader, op)


def _direct(reader: Reader, op: Op) -> None:
    offset, length = op.offset // PAGE * PAGE, -(-op.length // PAGE) * PAGE
    view = memoryview(reader.buffer)[:length]
    count = os.preadv(reader.descriptor(os.O_DIRECT), [view], offset)
    reader.check(offset, length, bytes(view[:count]))


def _direct_unaligned(reader: Reader, op: Op) -> None:
    """A file that the kernel reads by itself has the rules of its file system, which may say EINVAL."""
    view = memoryview(reader.buffer)[op.choice % 512 :][: op.length]
    try:
        count = os.preadv(reader.descriptor(os.O_DIRECT), [view], op.offset)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return
        raise
    reader.check(op.offset, len(view), bytes(view[:count]))


def _reopen(reader: Reader, op: Op) -> None:
    reader.close()
    _pread(reader, op)


def _read_write(reader: Reader, op: Op) -> None:
    """Opened to write beside those that only read; the descriptor stays open until the next reopening."""
    reader.check(op.offset, op.length, os.pread(reader.descriptor(os.O_RDWR), op.length, op.offset))


def _dup(reader: Reader, op: Op) -> None:
    """A duplicate shares the position."""
    copy = os.dup(reader.descriptor())
    try:
        os.lseek(reader.descriptor(), op.offset, os.SEEK_SET)
        reader.check(op.offset, op.length, os.read(copy, op.length))
    finally:
        os.close(copy)


def _statx(reader: Reader, op: Op) -> None:
    told = ctypes.create_string_buffer(_STATX)
    by_path = op.choice % 2
    where, name = (-100, os.fsencode(reader.path)) if by_path else (reader.descriptor(), b"")
    _prove(_libc.statx(where, name, 0 if by_path else _AT_EMPTY_PATH, _STATX_ALL, told))
    inode, size = struct.unpack_from("<QQ", told, 32)
    if (inode, size) != (os.fstat(reader.descriptor()).st_ino, reader.size):
        raise WrongBytes(f"{reader.target.name}: statx tells of inode {inode} with {size} bytes")


def _xattrs(reader: Reader, op: Op) -> None:
    for name in os.listxattr(reader.path):
        os.getxattr(reader.path, name)
    try:
        os.getxattr(reader.descriptor(), "user.prismfs.nothing")
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def _listing(reader: Reader, op: Op) -> None:
    with os.scandir(reader.path.parent) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name == reader.path.name}
    if sizes != {reader.path.name: reader.size}:
        raise WrongBytes(f"the directory lists {sizes}, not {reader.size} bytes")


def _over_the_end(reader: Reader, op: Op) -> None:
    """From just before the end to just after it."""
    offset = reader.size + op.choice % 9 - 4
    reader.check(offset, op.length, os.pread(reader.descriptor(), op.length, offset))


def _far_away(reader: Reader, op: Op) -> None:
    """Nothing is there; where offset and length no longer fit a number, the kernel may say so."""
    flags = (os.O_RDONLY, os.O_DIRECT)[op.choice & 1]
    view = memoryview(reader.buffer)[:PAGE]
    try:
        count = os.preadv(reader.descriptor(flags), [view], HUGE[op.choice % len(HUGE)])
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOVERFLOW, errno.EFBIG):
            return
        raise
    if count:
        raise WrongBytes(f"{reader.target.name}: {count} bytes far behind the end")


@dataclass(frozen=True)
class Call:
    """How often a call is drawn, in parts, and what it does."""

    weight: int
    run: Callable[[Reader, Op], None]


CALLS: dict[str, Call] = {
    "read": Call(60, _read),
    "pread": Call(120, _pread),
    "readv": Call(40, _readv),
    "preadv": Call(40, _preadv),
    "preadv2": Call(40, _preadv2),
    "map_private": Call(40, _mapped(mmap.MAP_PRIVATE)),
    "map_shared": Call(40, _mapped(mmap.MAP_SHARED)),
    "map_populate": Call(20, _mapped(mmap.MAP_SHARED | mmap.MAP_POPULATE)),
    "map_kept": Call(80, _kept_map),
    "map_private_writable": Call(20, _private_writable),
    "map_shared_writable": Call(20, _shared_writable),
    "madvise": Call(40, _madvise),
    "mincore": Call(10, _mincore),
    "sendfile": Call(40, _sendfile),
    "splice": Call(40, _splice),
    "tee": Call(20, _tee),
    "copy_file_range": Call(10, _copy_file_range),
    "seek_data": Call(15, _seek_data),
    "seek_hole": Call(15, _seek_hole),
    "seek_beyond": Call(5, _seek_beyond),
    "fadvise": Call(60, _fadvise),
    "forget": Call(1, _forget),
    "readahead": Call(20, _readahead),
    "direct": Call(10, _direct),
    "direct_unaligned": Call(10, _direct_unaligned),
    "reopen": Call(10, _reopen),
    "read_write": Call(20, _read_write),
    "dup": Call(20, _dup),
    "statx": Call(20, _statx),
    "xattrs": Call(10, _xattrs),
    "listing": Call(5, _listing),
    "over_the_end": Call(20, _over_the_end),
    "far_away": Call(10, _far_away),
}

_NAMES = tuple(CALLS)
_WEIGHTS = [sum(call.weight for call in list(CALLS.values())[: at + 1]) for at in range(len(CALLS))]
