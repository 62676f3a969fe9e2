"""Readiness: whether each mount answers, asked by processes of their own (`fsd.mount.asking`).

What was answered counts for a moment, so that who asks often does not start a process each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from fsd.mount.asking import Question

WITHIN_SECONDS = 3.0
_COUNTS_SECONDS = 1.0


class Readiness:
    """Of the mounts at these absolute paths. Safe for use by many threads; to be closed."""

    def __init__(self, mountpoints: Sequence[Path]) -> None:
        self._questions = [Question(mountpoint) for mountpoint in mountpoints]
        self._answers = [False for _ in mountpoints]
        self._asked = float("-inf")
        self._lock = threading.Lock()

    def answers(self) -> list[bool]:
        """For each mount, whether it answers."""
        with self._lock:  # whoever comes meanwhile gets the same answer
            if time.monotonic() - self._asked >= _COUNTS_SECONDS:
                for question in self._questions:
                    question.ask()
                until = time.monotonic() + WITHIN_SECONDS
                self._answers = [
                    question.answered(max(0.0, until - time.monotonic())) for question in self._questions
                ]
                self._asked = time.monotonic()
            return list(self._answers)

    def close(self) -> None:
        """Ask no more."""
        for question in self._questions:
            question.close()
