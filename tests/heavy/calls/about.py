"""Calls about a file: advice, holes, opening anew, attributes. Where it can be, a read follows."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from tests.heavy.calls.reader import LIBC, Op, Reader, prove
from tests.heavy.calls.reads import pread
from tests.heavy.comparing import WrongBytes

_ADVICE = (
    os.POSIX_FADV_NORMAL, os.POSIX_FADV_RANDOM, os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_WILLNEED,
    os.POSIX_FADV_DONTNEED, os.POSIX_FADV_NOREUSE,
)  # fmt: skip
_STATX = 256  # bytes of struct statx; stx_ino is at 32, stx_size at 40
_STATX_ALL, _AT_EMPTY_PATH, _AT_FDCWD = 0xFFF, 0x1000, -100


def seek_data(reader: Reader, op: Op) -> None:
    """What it passes over has to be zeros."""
    found = os.lseek(reader.descriptor(), op.offset, os.SEEK_DATA)
    if found < op.offset or reader.right(op.offset, found - op.offset).strip(b"\0"):
        raise WrongBytes(f"{reader.target.name}: SEEK_DATA went from {op.offset} to {found}")


def seek_hole(reader: Reader, op: Op) -> None:
    found = os.lseek(reader.descriptor(), op.offset, os.SEEK_HOLE)
    if not op.offset <= found <= reader.size or reader.right(found, 1).strip(b"\0"):
        raise WrongBytes(f"{reader.target.name}: SEEK_HOLE went from {op.offset} to {found}")


def seek_beyond(reader: Reader, op: Op) -> None:
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        try:
            os.lseek(reader.descriptor(), reader.size + op.choice, whence)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            raise WrongBytes(f"{reader.target.name}: there is data or a hole after the end")


def fadvise(reader: Reader, op: Op) -> None:
    advice = _ADVICE[op.choice % len(_ADVICE)]
    os.posix_fadvise(reader.descriptor(), op.offset, op.length, advice)
    pread(reader, op)


def forget(reader: Reader, op: Op) -> None:
    """The kernel drops what it has of the whole file."""
    os.posix_fadvise(reader.descriptor(), 0, 0, os.POSIX_FADV_DONTNEED)
    pread(reader, op)


def readahead(reader: Reader, op: Op) -> None:
    offset, length = ctypes.c_int64(op.offset), ctypes.c_size_t(op.length)
    prove(LIBC.readahead(reader.descriptor(), offset, length))
    pread(reader, op)


def reopen(reader: Reader, op: Op) -> None:
    reader.let_go()
    pread(reader, op)


def read_write(reader: Reader, op: Op) -> None:
    """Opened to write beside those that only read; the descriptor stays open until the next reopening."""
    reader.check(op.offset, op.length, os.pread(reader.descriptor(os.O_RDWR), op.length, op.offset))


def statx(reader: Reader, op: Op) -> None:
    told = ctypes.create_string_buffer(_STATX)
    by_path = op.choice % 2
    where, name = (_AT_FDCWD, os.fsencode(reader.path)) if by_path else (reader.descriptor(), b"")
    prove(LIBC.statx(where, name, 0 if by_path else _AT_EMPTY_PATH, _STATX_ALL, told))
    inode, size = struct.unpack_from("<QQ", told, 32)
    if (inode, size) != (os.fstat(reader.descriptor()).st_ino, reader.size):
        raise WrongBytes(f"{reader.target.name}: statx tells of inode {inode} with {size} bytes")


def xattrs(reader: Reader, op: Op) -> None:
    for name in os.listxattr(reader.path):
        os.getxattr(reader.path, name)
    try:
        os.getxattr(reader.descriptor(), "user.prismfs.nothing")
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def listing(reader: Reader, op: Op) -> None:
    with os.scandir(reader.path.parent) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name == reader.path.name}
    if sizes != {reader.path.name: reader.size}:
        raise WrongBytes(f"the directory lists {sizes}, not {reader.size} bytes")
