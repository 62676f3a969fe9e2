"""Test support: a child that says its arguments, and then back what it hears, but for a few words."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Until nothing comes any more."""
    os.write(1, " ".join(arguments).encode())
    while heard := os.read(0, 1 << 16):
        if heard == b"exit":
            os._exit(3)
        if heard == b"files":
            heard = " ".join(_opened()).encode()
        os.write(1, heard)


def _opened() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found.append(str(Path("/proc/self/fd", name).readlink()))
        except OSError:  # that of this listing
            continue
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
