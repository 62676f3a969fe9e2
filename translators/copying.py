"""Copying: bytes from one memory to another, while other threads go on.

A slice assigned to a memoryview is copied with the GIL held, and by a slower loop: a mebibyte keeps every
other thread waiting for 0.1 to 0.3 ms, which is a good part of what computing it takes.
Knows nothing of what the bytes are.
"""

from __future__ import annotations

import numpy as np

# What is shorter is copied sooner than the GIL is let go.
_SHORT = 1 << 14


def copy(into: memoryview, data: memoryview | bytes) -> None:
    """Fill `into` with `data`, which is as long; both are plain bytes, one after the other."""
    if len(into) < _SHORT:
        into[:] = data
    else:
        np.copyto(np.frombuffer(into, np.uint8), np.frombuffer(data, np.uint8))
