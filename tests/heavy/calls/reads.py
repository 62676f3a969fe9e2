"""Calls that bring bytes: read and its kin, sendfile, splice and tee, O_DIRECT, and reads at the end."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from tests.heavy.calls.reader import LIBC, PAGE, Op, Reader, prove
from tests.heavy.comparing import WrongBytes

_PIPE = 1 << 20
_FAR = (1 << 40, (1 << 62) + 1, (1 << 63) - PAGE)
_FLAGS = (os.RWF_NOWAIT, os.RWF_HIPRI, os.RWF_NOWAIT | os.RWF_HIPRI)


def read(reader: Reader, op: Op) -> None:
    descriptor = reader.descriptor()
    os.lseek(descriptor, op.offset, os.SEEK_SET)
    got = os.read(descriptor, op.length)
    reader.check(op.offset, op.length, got)
    if os.lseek(descriptor, 0, os.SEEK_CUR) != op.offset + len(got):
        raise WrongBytes(f"{reader.target.name}: a read moved the position elsewhere")


def pread(reader: Reader, op: Op) -> None:
    reader.check(op.offset, op.length, os.pread(reader.descriptor(), op.length, op.offset))


def _buffers(op: Op) -> list[bytearray]:
    """The length in one to four parts of any size."""
    cuts = sorted({0, op.length, *(op.choice >> shift & 1023 for shift in (0, 10, 20)[: op.choice % 4])})
    cuts = [cut for cut in cuts if cut <= op.length]
    return [bytearray(end - start) for start, end in pairwise(cuts)]


def readv(reader: Reader, op: Op) -> None:
    parts = _buffers(op)
    os.lseek(reader.descriptor(), op.offset, os.SEEK_SET)
    count = os.readv(reader.descriptor(), parts)
    reader.check(op.offset, op.length, b"".join(parts)[:count])


def preadv(reader: Reader, op: Op) -> None:
    parts = _buffers(op)
    count = os.preadv(reader.descriptor(), parts, op.offset)
    reader.check(op.offset, op.length, b"".join(parts)[:count])


def preadv2(reader: Reader, op: Op) -> None:
    """RWF_NOWAIT may refuse, or give what is there."""
    parts, flags = _buffers(op), _FLAGS[op.choice % 3]
    try:
        count = os.preadv(reader.descriptor(), parts, op.offset, flags)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP) and flags & os.RWF_NOWAIT:
            return
        raise
    reader.check(op.offset, op.length, b"".join(parts)[:count], short=bool(flags & os.RWF_NOWAIT))


def sendfile(reader: Reader, op: Op) -> None:
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


def splice(reader: Reader, op: Op) -> None:
    with _pipe() as (source, target):
        count = os.splice(reader.descriptor(), target, min(op.length, _PIPE // 2), offset_src=op.offset)
        _check_some(reader, op, count, os.read(source, _PIPE))


def tee(reader: Reader, op: Op) -> None:
    with _pipe() as (source, target), _pipe() as (copy, into):
        count = os.splice(reader.descriptor(), target, min(op.length, _PIPE // 2), offset_src=op.offset)
        copied = prove(LIBC.tee(source, into, ctypes.c_size_t(_PIPE), 0))
        _check_some(reader, op, copied, os.read(copy, _PIPE))
        _check_some(reader, op, count, os.read(source, _PIPE))


def _check_some(reader: Reader, op: Op, count: int, got: bytes) -> None:
    """A splice may give less than was asked for, but something."""
    if len(got) != count or not got:
        raise WrongBytes(f"{reader.target.name}: {len(got)} bytes came out of a pipe, not {count}")
    reader.check(op.offset, op.length, got, short=True)


def copy_file_range(reader: Reader, op: Op) -> None:
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


def direct(reader: Reader, op: Op) -> None:
    offset, length = op.offset // PAGE * PAGE, -(-op.length // PAGE) * PAGE
    view = memoryview(reader.buffer)[:length]
    count = os.preadv(reader.descriptor(os.O_DIRECT), [view], offset)
    reader.check(offset, length, bytes(view[:count]))


def direct_unaligned(reader: Reader, op: Op) -> None:
    """A file that the kernel reads by itself has the rules of its file system, which may say EINVAL."""
    view = memoryview(reader.buffer)[op.choice % 512 :][: op.length]
    try:
        count = os.preadv(reader.descriptor(os.O_DIRECT), [view], op.offset)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return
        raise
    reader.check(op.offset, len(view), bytes(view[:count]))


def dup(reader: Reader, op: Op) -> None:
    """A duplicate shares the position."""
    copy = os.dup(reader.descriptor())
    try:
        os.lseek(reader.descriptor(), op.offset, os.SEEK_SET)
        reader.check(op.offset, op.length, os.read(copy, op.length))
    finally:
        os.close(copy)


def over_the_end(reader: Reader, op: Op) -> None:
    """From just before the end to just after it."""
    offset = reader.size + op.choice % 9 - 4
    reader.check(offset, op.length, os.pread(reader.descriptor(), op.length, offset))


def far_away(reader: Reader, op: Op) -> None:
    """Nothing is there; where offset and length no longer fit a number, the kernel may say so."""
    flags = (os.O_RDONLY, os.O_DIRECT)[op.choice & 1]
    view = memoryview(reader.buffer)[:PAGE]
    try:
        count = os.preadv(reader.descriptor(flags), [view], _FAR[op.choice % len(_FAR)])
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOVERFLOW, errno.EFBIG):
            return
        raise
    if count:
        raise WrongBytes(f"{reader.target.name}: {count} bytes far behind the end")
