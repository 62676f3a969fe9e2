"""A daemon's job, followed from the command line to its end.

A bar on a terminal, a line for every tenth in a pipe; Ctrl-C calls the job off and says so.
Knows nothing of what the job does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fsd.cli.client import Client, error_of
from fsd.cli.terminal import advancing, printable, say
from fsd.figures import human, share

Job = Mapping[str, Any]
OVER = ("done", "failed", "cancelled")
LOOK_SECONDS = 0.2


def started(daemon: Client, kind: str, **fields: object) -> Job:
    """A new job, queued."""
    job: Job = daemon.post("/v1/jobs", kind=kind, **fields)
    return job


def followed(daemon: Client, job: Job, tell: Callable[[Job], object] = lambda job: None) -> Job:
    """The job once it is over; `tell` is called with what is known of it from time to time.

    Raises NoDaemon where the daemon ends before the job. Ctrl-C calls the job off, and goes on.
    """
    name = str(job["id"])
    with _cancelling(daemon, name), advancing(str(job["kind"])) as advance:
        steps = _Steps(str(job["kind"]))
        while True:
            tell(job)
            if not advance(int(job["done"]), int(job["total"])):
                steps.at(job)
            if job["state"] in OVER:
                return job
            time.sleep(LOOK_SECONDS)
            job = daemon.get(f"/v1/jobs/{name}")


def problem_of(job: Job) -> Exception | None:
    """Why a job failed, as the error that it was; None where it did not."""
    told = job.get("problem")
    if not told:
        return None
    return error_of(told["kind"], told["reason"], told["path"], told["place"], told["hint"])


class _Steps:
    """Lines for a log: one for each tenth that is done."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._told = 0

    def at(self, job: Job) -> None:
        done, total = int(job["done"]), int(job["total"])
        step = 10 * done // total if total else 0
        if self._told < step < 10:
            rate = f", {human(job['rate'])}/s" if job["rate"] else ""
            say(f"{self._kind} {share(done, total)} of {human(total)}{rate}")
        self._told = max(self._told, step)


@contextmanager
def _cancelling(daemon: Client, name: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        ended = daemon.delete(f"/v1/jobs/{name}")["state"] in ("done", "failed")
        fate = "had just ended" if ended else "was cancelled; what is translated already is kept"
        say(f"job {printable(name)} {fate}")
        raise
