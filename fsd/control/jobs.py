"""Jobs: long work that goes on by itself, and can be looked at, waited for and called off.

    jobs = Jobs()
    report = jobs.start("warm", ["SmolLM2"], work)      # work(Work) does it; one of each kind at a time
    version = jobs.wait(report.version, 10)             # until any job is another than it was

    queued ──> running ──> done | failed | cancelled      queued ──> cancelled

A job over several files goes on after one of them failed; then its state is `failed`, its `problem` the
first one's, and `results` tells of each. What has ended is remembered for a while. Knows nothing of what
the work is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fsd.control.problems import problem_of
from fsd.control.reports import JobKind, JobReport, JobState, Problem
from fsd.control.work import Called, Work
from fsd.errors import Busy, NoSuchEntry, PrismError
from translators.errors import TranslationError

log = logging.getLogger(__name__)

# Jobs that have ended and are remembered, and those that may wait.
HISTORY = 100
WAITING = 1000
# Who waits for changes is told of mere progress about five times a second.
STEP_SECONDS = 0.2
# Over so many seconds the rate is taken.
RATE_SECONDS = 5.0
# The end of a daemon waits so long for the piece that a job is at.
LEAVE_SECONDS = 2.0

ENDED: frozenset[JobState] = frozenset({"done", "failed", "cancelled"})
Do = Callable[[Work], None]


@dataclass(eq=False)
class _Job:
    """A job, under the registry's lock. `marks` are (seconds, bytes) of the last seconds, for the rate."""

    id: str
    kind: JobKind
    paths: tuple[str, ...]
    do: Do
    created: float
    state: JobState = "queued"
    done: int = 0
    total: int = 0
    current: str = ""
    started: float | None = None
    ended: float | None = None
    problem: Problem | None = None
    results: list[dict[str, object]] = field(default_factory=list)
    version: int = 0
    called: Called = field(default_factory=Called)
    marks: deque[tuple[float, int]] = field(default_factory=deque)

    def mark(self, now: float) -> None:
        """Note how far it is."""
        self.marks.append((now, self.done))
        while len(self.marks) > 2 and now - self.marks[0][0] > RATE_SECONDS:
            self.marks.popleft()

    def rate(self, now: float) -> float:
        """Bytes a second, lately; of one that has ended, over all of its time."""
        if self.ended is not None and self.started is not None:
            return self.done / max(self.ended - self.started, 1e-3)
        if not self.marks or now - self.marks[0][0] < STEP_SECONDS:
            return 0.0
        since, before = self.marks[0]
        return (self.done - before) / (now - since)

    def report(self) -> JobReport:
        rate = self.rate(time.monotonic())
        eta = (self.total - self.done) / rate if self.state == "running" and rate > 0 else None
        return JobReport(
            self.id, self.kind, self.state, self.paths, self.created, self.done, self.total, rate, eta,
            self.current, self.started, self.ended, self.problem, tuple(self.results), self.version,
        )  # fmt: skip


class Jobs:
    """The jobs of a daemon. Safe for use by many threads; to be closed."""

    def __init__(self, *, history: int = HISTORY) -> None:
        self._history = history
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._changed = threading.Condition()
        self._threads: dict[JobKind, threading.Thread] = {}
        self._version = 0
        self._numbers = 0
        self._told = float("-inf")
        self._moved: dict[str, _Job] = {}
        self._closing = False

    def start(self, kind: JobKind, paths: Sequence[str], do: Do) -> JobReport:
        """Queue a job, which goes on by itself. Raises Busy."""
        with self._changed:
            if self._closing or sum(job.state == "queued" for job in self._jobs.values()) >= WAITING:
                raise Busy("there are too many jobs already" if not self._closing else "the daemon is ending")
            self._numbers += 1
            job = _Job(f"{kind}-{self._numbers}", kind, tuple(paths), do, time.time())
            self._jobs[job.id] = job
            self._note(job)
            if kind not in self._threads:
                thread = threading.Thread(target=self._run, args=(kind,), name=f"prismfs-{kind}", daemon=True)
                self._threads[kind] = thread
                thread.start()
            return job.report()

    def list(self) -> list[JobReport]:
        """All that are remembered, the newest first."""
        with self._changed:
            return [job.report() for job in reversed(self._jobs.values())]

    def get(self, id: str) -> JobReport:
        """One of them. Raises NoSuchEntry."""
        with self._changed:
            return self._job(id).report()

    def cancel(self, id: str) -> JobReport:
        """Have a job end before it is done; one that has ended stays as it is. Raises NoSuchEntry.

        One that runs ends after the piece that it is at.
        """
        with self._changed:
            job = self._job(id)
            if job.state == "queued":
                self._end(job, "cancelled")
        job.called.off()
        return self.get(id)

    def wait(self, version: int, timeout: float) -> int:
        """Wait until anything is newer than `version`, or `timeout` seconds; the version then."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._version <= version and not self._closing:
                now = time.monotonic()
                if now >= deadline:
                    break
                due = self._told + STEP_SECONDS if self._moved else deadline
                if now >= due:
                    self._tell_of_progress(now)
                    continue
                self._changed.wait(min(due, deadline) - now)
            return self._version

    @property
    def running(self) -> int:
        """How many run now."""
        with self._changed:
            return sum(job.state == "running" for job in self._jobs.values())

    def close(self, timeout: float = LEAVE_SECONDS) -> None:
        """Call everything off; waits for what is at a piece, but not long. Twice is harmless."""
        with self._changed:
            self._closing = True
            open_jobs = [job for job in self._jobs.values() if job.state not in ENDED]
            for job in open_jobs:
                if job.state == "queued":
                    self._end(job, "cancelled")
            threads = list(self._threads.values())
            self._changed.notify_all()
        for job in open_jobs:
            job.called.off()
        until = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    # A kind's thread.

    def _run(self, kind: JobKind) -> None:
        while (job := self._next(kind)) is not None:
            work = Work(job.called, self._teller(job))
            state: JobState = "failed"
            try:
                job.do(work)
                state = "done" if work.problem is None else "failed"
            except Exception as error:
                if job.called.is_off:
                    state = "cancelled"
                else:
                    work.problem = work.problem or problem_of(error)
                    if not isinstance(error, PrismError | TranslationError | OSError):
                        log.exception("job %s hit a bug", job.id)
            with self._changed:
                job.problem = work.problem
                self._end(job, state)
            log.info("job %s: %s, %d bytes", job.id, state, job.done)

    def _next(self, kind: JobKind) -> _Job | None:
        with self._changed:
            while not self._closing:
                for job in self._jobs.values():
                    if job.kind == kind and job.state == "queued":
                        job.state, job.started = "running", time.time()
                        job.mark(time.monotonic())
                        self._note(job)
                        return job
                self._changed.wait()
            return None

    def _teller(self, job: _Job) -> Callable[[Work, bool], None]:
        def tell(work: Work, step: bool) -> None:
            now = time.monotonic()
            with self._changed:
                job.done, job.total, job.current = work.done, work.total, work.current
                if now - job.marks[-1][0] >= STEP_SECONDS:
                    job.mark(now)
                if step:
                    job.results = list(work.results)
                    self._note(job)
                    return
                if not self._moved:
                    self._changed.notify_all()
                self._moved[job.id] = job
                if now - self._told >= STEP_SECONDS:
                    self._tell_of_progress(now)

        return tell

    # What follows is for the holder of the lock.

    def _job(self, id: str) -> _Job:
        job = self._jobs.get(id)
        if job is None:
            raise NoSuchEntry("no job has this id", place=id, remedy="`prismfs status` lists the jobs")
        return job

    def _note(self, job: _Job) -> None:
        self._version += 1
        job.version = self._version
        self._moved.pop(job.id, None)
        self._changed.notify_all()

    def _tell_of_progress(self, now: float) -> None:
        self._told = now
        for job in list(self._moved.values()):
            self._note(job)

    def _end(self, job: _Job, state: JobState) -> None:
        job.state, job.ended, job.current = state, time.time(), ""
        job.do = _nothing  # what it holds is not needed any more
        ended = [id for id, each in self._jobs.items() if each.state in ENDED]
        for id in ended[: max(0, len(ended) - self._history)]:
            del self._jobs[id]
        self._note(job)


def _nothing(work: Work) -> None:
    """What a job does that has ended."""
