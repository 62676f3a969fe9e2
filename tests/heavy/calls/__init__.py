"""Every call by which a program reads a file, each compared with the reference: the operations of fsx.

    op = drawn(chance, sizes)              # data: the same for the same generator, whatever happened before
    CALLS[op.call].run(reader, op)         # raises WrongBytes, OSError

What a call may refuse (RWF_NOWAIT, O_DIRECT out of line, copies between file systems) is said with it; every
other error is one. Knows nothing of threads, seeds and daemons.
"""

from __future__ import annotations

import mmap
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.heavy.calls import about, maps, reads
from tests.heavy.calls.reader import PAGE, Op, Reader
from tests.heavy.comparing import CHUNK

__all__ = ["CALLS", "Call", "Op", "Reader", "drawn"]


@dataclass(frozen=True)
class Call:
    """How often a call is drawn, in parts, and what it does."""

    weight: int
    run: Callable[[Reader, Op], None]


CALLS: dict[str, Call] = {
    "read": Call(60, reads.read),
    "pread": Call(120, reads.pread),
    "readv": Call(40, reads.readv),
    "preadv": Call(40, reads.preadv),
    "preadv2": Call(40, reads.preadv2),
    "map_private": Call(40, maps.mapped(mmap.MAP_PRIVATE)),
    "map_shared": Call(40, maps.mapped(mmap.MAP_SHARED)),
    "map_populate": Call(20, maps.mapped(mmap.MAP_SHARED | mmap.MAP_POPULATE)),
    "map_kept": Call(80, maps.kept_map),
    "map_private_writable": Call(20, maps.private_writable),
    "map_shared_writable": Call(20, maps.shared_writable),
    "madvise": Call(40, maps.madvise),
    "mincore": Call(10, maps.mincore),
    "sendfile": Call(40, reads.sendfile),
    "splice": Call(40, reads.splice),
    "tee": Call(20, reads.tee),
    "copy_file_range": Call(10, reads.copy_file_range),
    "seek_data": Call(15, about.seek_data),
    "seek_hole": Call(15, about.seek_hole),
    "seek_beyond": Call(5, about.seek_beyond),
    "fadvise": Call(60, about.fadvise),
    "forget": Call(1, about.forget),
    "readahead": Call(20, about.readahead),
    "direct": Call(10, reads.direct),
    "direct_unaligned": Call(10, reads.direct_unaligned),
    "reopen": Call(10, about.reopen),
    "read_write": Call(20, about.read_write),
    "dup": Call(20, reads.dup),
    "statx": Call(20, about.statx),
    "xattrs": Call(10, about.xattrs),
    "listing": Call(5, about.listing),
    "over_the_end": Call(20, reads.over_the_end),
    "far_away": Call(10, reads.far_away),
}

_NAMES = tuple(CALLS)
_WEIGHTS = [sum(call.weight for call in list(CALLS.values())[: at + 1]) for at in range(len(CALLS))]


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
