"""A small process that unmounts when its parent died without doing so, as fusermount3 does for libfuse.

It reads a pipe that only the daemon can write to: a line means that all is well, the end of the file that the
daemon was killed. Files that the kernel reads by itself live on.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

log = logging.getLogger(__name__)

# Another daemon may have taken the mount over by the time that this one comes to run: that mount answers.
_SCRIPT = 'read -r line || stat -f -- "$1" >/dev/null 2>&1 || exec umount -l -- "$1"'


@contextmanager
def watching(mountpoint: str) -> Iterator[None]:
    """While the block runs, the death of this process unmounts `mountpoint`."""
    command = ["/bin/sh", "-c", _SCRIPT, "prismfs-watcher", mountpoint]
    try:
        # A session of its own: Ctrl-C is for the daemon.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        log.warning("a killed daemon would leave its mount behind: %s", error)
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            process.communicate(b"done\n")
