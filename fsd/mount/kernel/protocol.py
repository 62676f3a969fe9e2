"""Messages of the FUSE protocol, version 7: numbers, layouts, and packing of what is answered.

Layouts are those of the kernel's uapi header linux/fuse.h; all fields are little-endian here, as on every
machine that the wheels we need exist for. Knows no device and no tree.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

from fsd.mount.answers import BLOCK_SIZE, SECTOR, mode_of

if TYPE_CHECKING:
    from fsd.tree import Attributes

MAJOR, NEWEST_MINOR = 7, 45
PAGES = BLOCK_SIZE // 4096  # a request's most
MAX_WRITE = 1 << 16  # nothing is written; this also bounds what a setxattr sends
NO_FLAGS = 0


class Operation(IntEnum):
    """What a request asks for."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    COPY_FILE_RANGE = 47
    TMPFILE = 51


class Feature(IntFlag):
    """Flags of INIT; those from bit 32 on travel in a field of their own."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    BIG_WRITES = 1 << 5
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    INIT_EXT = 1 << 30
    PASSTHROUGH = 1 << 37


# Everything above, as far as the kernel offers it. Not ASYNC_DIO (bit 15): it has an O_DIRECT reader wait
# where no signal reaches it, so that who is killed stays until all of its read has come.
WANTED = Feature(sum(Feature))


class OpenFlag(IntFlag):
    """Flags of the answer to OPEN."""

    KEEP_CACHE = 1 << 1
    CACHE_DIR = 1 << 3
    NOFLUSH = 1 << 5
    PASSTHROUGH = 1 << 7


class Notice(IntEnum):
    """What the daemon tells the kernel unasked; it stands where an answer has its errno."""

    INVAL_INODE = 2
    INVAL_ENTRY = 3


# SETATTR's mask: mode, owner, group or size; all other bits are times and whose they are.
CHANGES = 0b1111

HEADER_IN = struct.Struct("<IIQQIIIHH")  # length, operation, unique, node, uid, gid, pid, extensions, -
HEADER_OUT = struct.Struct("<IiQ")  # length, -errno, unique
READ_IN = struct.Struct("<QQIIQII")  # handle, offset, size, ...; READDIR's as well
HANDLE = struct.Struct("<Q")  # how RELEASE and RELEASEDIR begin
WORD = struct.Struct("<I")  # how OPEN (flags), SETATTR (mask) and GETXATTR (size) begin
FORGET_ONE = struct.Struct("<QQ")  # node, look-ups
BATCH = struct.Struct("<II")  # how many FORGET_ONE follow
INIT_IN = struct.Struct("<5I")  # major, minor, max_readahead, flags, flags2; 44 bytes follow
# major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran, max_pages,
# map_alignment, flags2, max_stack_depth, request_timeout, -
INIT_OUT = struct.Struct("<4IHHIIHHIIH22x")
BACKING_MAP = struct.Struct("<iIQ")  # descriptor, flags, -
_OPEN_OUT = struct.Struct("<QIi")  # handle, flags, backing id
# inode, size, blocks; atime, mtime, ctime; their nanoseconds; mode, nlink, uid, gid, rdev, blksize, flags
_ATTRIBUTES = struct.Struct("<3Q3q10I")
_ATTRIBUTES_OUT = struct.Struct("<QII")  # valid for seconds, nanoseconds, -; the attributes follow
_ENTRY_OUT = struct.Struct("<4Q2I")  # node, generation, entry and attributes valid: seconds, nanoseconds
_DIRENT = struct.Struct("<QQII")  # inode, next offset, length of the name, type; the name follows
_STATFS = struct.Struct("<5Q4I24x")  # blocks, bfree, bavail, files, ffree, bsize, namelen, frsize, -
_XATTR_SIZE = struct.Struct("<II")
_INVAL_INODE = struct.Struct("<Qqq")  # node, from where, how much; from -1: no pages, attributes alone
_EXPIRE_ONLY = 1  # it is looked up again, and not taken from under who is in it (or has mounted there)
_INVAL_ENTRY = struct.Struct("<QII")  # parent, length of the name, flags; the name follows, with a zero byte

NO_ENTRY = bytes(_ENTRY_OUT.size + _ATTRIBUTES.size)


def attributes_of(attributes: Attributes, uid: int, gid: int) -> bytes:
    """stat's figures; all three times are the one that the tree has."""
    seconds, nanoseconds = divmod(attributes.mtime_ns, 10**9)
    return _ATTRIBUTES.pack(
        attributes.ino, attributes.size, -(-attributes.allocated // SECTOR),
        seconds, seconds, seconds, nanoseconds, nanoseconds, nanoseconds,
        mode_of(attributes), attributes.nlink, uid, gid, 0, BLOCK_SIZE, NO_FLAGS,
    )  # fmt: skip


def attributes_out(attributes: bytes, seconds: float) -> bytes:
    """The answer to GETATTR and SETATTR: the kernel may use it for `seconds`."""
    whole, rest = _split(seconds)
    return _ATTRIBUTES_OUT.pack(whole, rest, 0) + attributes


def entry_out(node: int, attributes: bytes, seconds: float) -> bytes:
    """The answer to LOOKUP: name and attributes may be used for `seconds`."""
    whole, rest = _split(seconds)
    return _ENTRY_OUT.pack(node, 0, whole, whole, rest, rest) + attributes


def directory_entry(ino: int, following: int, name: bytes, kind: int) -> bytes:
    """One name of a listing; `following` is the offset to go on from after it."""
    return _padded(_DIRENT.pack(ino, following, len(name), kind >> 12) + name)


def open_out(handle: int, flags: int, backing: int) -> bytes:
    """The answer to OPEN and OPENDIR. `backing` is 0 but for passthrough."""
    return _OPEN_OUT.pack(handle, flags, backing)


def statfs_out(blocks: tuple[int, int, int], files: tuple[int, int], sizes: tuple[int, int, int]) -> bytes:
    """The answer to STATFS: blocks (all, free, available), files (all, free), bsize, namemax, frsize."""
    return _STATFS.pack(*blocks, *files, *sizes, 0)


def xattr_size_out(size: int) -> bytes:
    """The answer to GETXATTR and LISTXATTR that only ask how much there is."""
    return _XATTR_SIZE.pack(size, 0)


def init_out(minor: int, readahead: int, features: Feature, background: int) -> bytes:
    """The answer to INIT. `background` is how many read-ahead requests may be under way."""
    # With one more layer allowed, no overlay could be laid on this mount (the kernel allows two in all).
    depth = 1 if Feature.PASSTHROUGH in features else 0
    low, high = features & 0xFFFFFFFF, features >> 32
    return INIT_OUT.pack(
        MAJOR, min(minor, NEWEST_MINOR), readahead, low, background, background, MAX_WRITE, 1, PAGES, 0,
        high, depth, 0,
    )  # fmt: skip


def offered(body: memoryview) -> tuple[int, int, int, Feature]:
    """Of INIT: major, minor, max_readahead and what the kernel offers of `WANTED`."""
    fields = body[: INIT_IN.size].tobytes().ljust(INIT_IN.size, b"\0")
    major, minor, readahead, low, high = INIT_IN.unpack(fields)
    flags = low | (high << 32 if low & Feature.INIT_EXT else 0)
    return major, minor, readahead, Feature(flags & WANTED)


def node_changed(node: int, *, pages: bool) -> bytes:
    """A notice: what is known of a node is out of date; `pages`: what its cached pages hold as well."""
    body = _INVAL_INODE.pack(node, 0 if pages else -1, 0)
    return HEADER_OUT.pack(HEADER_OUT.size + len(body), Notice.INVAL_INODE, 0) + body


def entry_changed(parent: int, name: bytes) -> bytes:
    """A notice: a name may lead elsewhere by now, or nowhere."""
    body = _INVAL_ENTRY.pack(parent, len(name), _EXPIRE_ONLY) + name + b"\0"
    return HEADER_OUT.pack(HEADER_OUT.size + len(body), Notice.INVAL_ENTRY, 0) + body


def _split(seconds: float) -> tuple[int, int]:
    return int(seconds), int(seconds % 1 * 1e9)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
