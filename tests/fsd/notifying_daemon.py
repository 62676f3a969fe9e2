"""A daemon over a plain directory that tells a service manager of itself; its mount can be held back.

    python notifying_daemon.py SOURCE MOUNTPOINT ADAPTER HOME

While the file HOME/hold exists, no stat is answered. Composed as `fsd.daemon` composes the real one.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from fsd.daemon import notify
from fsd.mount import adapters, lifecycle, points
from tests.fsd.fake_daemon import Attributes, FakeTree

log = logging.getLogger("notifying")


class HeldTree(FakeTree):
    """Its attributes are told when nothing holds them back."""

    def __init__(self, root: Path, hold: Path) -> None:
        super().__init__(root)
        self.hold = hold

    def attributes(self, ino: int) -> Attributes:
        if self.hold.exists():
            log.info("a request is held")
        while self.hold.exists():
            time.sleep(0.01)
        return super().attributes(ino)


def main(source: str, mountpoint: str, fuse: str, home: str) -> int:
    logging.basicConfig(level=logging.INFO)
    service = notify.Service.taken(os.environ)
    point = points.resolved(mountpoint)
    points.prepare(Path(source), point)
    adapter = adapters.made(fuse, HeldTree(Path(source), Path(home, "hold")))
    with notify.telling(service, [point], lambda: "all is well") as told:
        done = lifecycle.run([lifecycle.Served(adapter, point)], told.mounted, on_stop=told.stopping)
    return 0 if done else 9


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
