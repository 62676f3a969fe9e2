"""Does a mount answer? Asked by a process of its own, one a mount at a time, that nobody waits for in vain.

A thread that asked its own mount could not end before it was answered: a daemon that was killed meanwhile
would wait for itself, for ever. The kernel may not answer in the daemon's place: it is told to ask.
Knows the path of a mount; nothing of who serves it.
"""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

# Of coreutils 8.32 and newer (AT_STATX_FORCE_SYNC): for FUSE, a GETATTR each time, if anything is asked for.
_STAT = ("stat", "--cached=never", "--format=%f %s %Y", "--")


class Question:
    """A stat of `mountpoint` (absolute): put by `ask`, answered when the process for it ends well."""

    def __init__(self, mountpoint: Path) -> None:
        self._command = [*_STAT, str(mountpoint)]
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self) -> None:
        """Put the question, unless one is still to be answered."""
        if self._process is not None and self._process.poll() is None:
            return
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the daemon
            )
        except OSError as error:  # no processes left: as good as no answer
            log.warning("a mount cannot be asked whether it answers: %s", error)
            self._process = None

    def answered(self, within: float) -> bool:
        """Whether the question was answered by now, or is within so many seconds. False if it failed."""
        if self._process is None:
            return False
        try:
            return self._process.wait(within) == 0
        except subprocess.TimeoutExpired:
            return False

    def close(self) -> None:
        """Ask no more. One that is not answered dies with its mount: no more waiting for it here."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
