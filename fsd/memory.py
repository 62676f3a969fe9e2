"""Memory: freed buffers are kept for the next ones, and what is there for ever is not looked through.

Translation makes and drops buffers of about a megabyte, a few for each chunk. By default the C library gives
such memory back to the system and asks for it again: up to a thousand page faults for each megabyte, up to
half of the time. Kept instead, it costs as much as is in use at the busiest moment, no more: the threads
share two heaps, where by default each of up to sixteen would keep what it once needed.
Python's collector of cycles looks through all objects now and then, and nobody else runs meanwhile: with all
that a daemon has imported, reads waited for up to 0.1 s.
Knows nothing of what the buffers hold.
"""

from __future__ import annotations

import ctypes
import gc

# mallopt(3), malloc.h. Only what is above the first is given back; buffers below the second come from the
# heap (32 MiB is the most that may be asked for).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT, _FROM_HEAP, _HEAPS = 256 << 20, 32 << 20, 2


def keep_freed() -> None:
    """Have this process keep memory that it freed; does nothing where the C library has no mallopt."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _FROM_HEAP)
        mallopt(_ARENA_MAX, _HEAPS)


def here_for_ever() -> None:
    """Have the collector of cycles pass over all objects that there are now."""
    gc.freeze()
