"""A daemon with several mounts over plain directories.

python several_daemon.py ADAPTER BASE NAME...

Serves BASE/source/NAME at BASE/mnt/NAME. Mount points are not prepared: they are there, or it fails.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from fsd.mount import adapters, lifecycle
from fsd.mount.points import MountError
from tests.fsd.fake_daemon import FakeTree


def main(fuse: str, base: str, *names: str) -> int:
    logging.basicConfig(level=logging.INFO)
    mounts = [
        lifecycle.Served(adapters.made(fuse, FakeTree(Path(base, "source", name))), Path(base, "mnt", name))
        for name in names
    ]
    try:
        return 0 if lifecycle.run(mounts, lambda: print("ready", flush=True)) else 9
    except MountError as error:
        print(f"MountError: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
