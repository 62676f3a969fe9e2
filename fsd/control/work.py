"""Work: what the doing of a job tells of itself, and how it learns that it was called off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fsd.control.problems import problem_of, sentence
from fsd.control.reports import Problem
from fsd.engine import Interrupt
from fsd.errors import Interrupted, PrismError
from translators.errors import TranslationError

FAILED = "failed"


class Called:
    """Whether a job was called off. Safe for use by many threads."""

    def __init__(self) -> None:
        self.is_off = False
        self._interrupt = Interrupt()
        self._lock = threading.Lock()

    def off(self) -> None:
        """Call it off; twice is harmless."""
        with self._lock:
            self.is_off = True
            interrupt = self._interrupt
        interrupt.fire()

    def interrupt(self) -> Interrupt:
        """For the next piece of work: fired when the job is called off. Raises Interrupted if it was."""
        # One for each piece: an interrupt holds on to all that it is for.
        with self._lock:
            if self.is_off:
                raise Interrupted("the job was called off")
            self._interrupt = Interrupt()
            return self._interrupt


@dataclass
class Outcome:
    """What became of a file, to be filled in. `more` is added to its line of the results."""

    state: str = ""
    error: str = ""
    bytes: int = 0
    more: dict[str, object] = field(default_factory=dict)


class Work:
    """A job's progress, in bytes, and its results. For the thread that does it, but for `Called`.

    tell: called after each change; with True for one that everybody is to hear of at once.
    """

    def __init__(self, called: Called, tell: Callable[[Work, bool], None]) -> None:
        self.called = called
        self.done = self.total = 0
        self.current = ""
        self.problem: Problem | None = None
        self.results: list[dict[str, object]] = []
        self._tell = tell

    def expect(self, total: int) -> None:
        """So many bytes there are in all."""
        self.total = total
        self._tell(self, True)

    def advance(self, count: int) -> None:
        """So many bytes more are done. Raises Interrupted once the job is called off."""
        self.done += count
        self._tell(self, False)
        if self.called.is_off:
            raise Interrupted("the job was called off")

    def interrupt(self) -> Interrupt:
        """For the next piece. Raises Interrupted."""
        return self.called.interrupt()

    @contextmanager
    def file(self, path: str, size: int) -> Iterator[Outcome]:
        """The block does what is to be done with a file of `size` bytes, and fills in what became of it.

        A fault of this file is its result, and the job goes on; then its bytes count as done, too.
        """
        outcome, began, before = Outcome(), time.monotonic(), self.done
        self.current = path
        self._tell(self, True)
        try:
            yield outcome
        except (PrismError, TranslationError, OSError) as error:
            if self.called.is_off:
                raise
            outcome.state, outcome.error = FAILED, sentence(error)
            self.wrong(error)
        self.done = before + size
        line: dict[str, object] = {
            "path": path, "state": outcome.state, "bytes": outcome.bytes,
            "seconds": round(time.monotonic() - began, 3), "error": outcome.error,
        }  # fmt: skip
        self.results.append(line | outcome.more)
        self._tell(self, True)

    def wrong(self, error: BaseException) -> None:
        """Something is; the job will have failed, by the first such error."""
        self.problem = self.problem or problem_of(error)
