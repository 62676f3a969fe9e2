"""Test support: the API over a stand-in for `Control`, or a daemon's own, and a client on its socket."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from fsd.api import Offered, examples, serving
from fsd.config import Options, resolve
from fsd.control.reports import JobReport
from fsd.errors import NoSuchEntry

METRICS = (b"# TYPE up gauge\nup 1\n", "text/plain; version=0.0.4; charset=utf-8")


class FakeJobs:
    """As `Control.jobs` is: `change` is what time does there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._jobs: dict[str, JobReport] = {}

    def change(self, job: JobReport) -> None:
        with self._changed:
            self._version += 1
            self._jobs[job.id] = replace(job, version=self._version)
            self._changed.notify_all()

    def list(self) -> list[JobReport]:
        with self._changed:
            return list(self._jobs.values())

    def get(self, id: str) -> JobReport:
        with self._changed:
            if id not in self._jobs:
                raise NoSuchEntry("there is no such job", path=id)
            return self._jobs[id]

    def cancel(self, id: str) -> JobReport:
        self.change(replace(self.get(id), state="cancelled"))
        return self.get(id)

    def wait(self, version: int, timeout: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._version > version, timeout)
            return self._version


class FakeControl:
    """As `Control` is: it answers with the reference's examples, and notes what it was asked for.

    `failure` is raised by whatever is asked about a path.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As new."""
        self.jobs = FakeJobs()
        self.asked: list[tuple[Any, ...]] = []
        self.failure: BaseException | None = None
        self.answers = True
        self.gate = threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Any] = {
            "mounts": [examples.MOUNT],
            "models": [examples.MODEL],
            "files": examples.FILES,
            "file": examples.FILE,
            "pin": [examples.FILE],
            "evict": [examples.FILE],
            "cache": examples.CACHE,
            "cache_clear": examples.CACHE,
            "rescan": examples.RESCAN,
            "options": [examples.OPTION],
        }

        def method(*words: Any) -> Any:
            self.asked.append((name, *words))
            assert self.gate.wait(60)
            if self.failure is not None:
                raise self.failure
            return answers[name]

        return method

    def status(self) -> Any:
        return examples.STATUS

    def ready(self) -> bool:
        return self.answers

    def _job(self, *asked: Any) -> JobReport:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure
        self.jobs.change(replace(examples.QUEUED, kind=asked[0]))
        return self.jobs.get(examples.QUEUED.id)

    def warm(self, paths: list[str]) -> JobReport:
        return self._job("warm", paths)

    def verify(self, paths: list[str], sample: float = 1.0) -> JobReport:
        return self._job("verify", paths, sample)

    def export(self, path: str, to: str, replace: bool = False) -> JobReport:
        return self._job("export", path, to, replace)


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose name leaves room for a Unix socket's."""
    directory = Path(tempfile.mkdtemp(prefix="prismfs-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def options(**given: str) -> Options:
    """Options with the given ones; no socket unless one is named."""
    return resolve({"api_socket": "none", **given}, {})


@contextmanager
def offered(control: FakeControl, **given: str) -> Iterator[Offered]:
    """The API over `control`, in this process."""
    with serving(control, options(**given), lambda accept: METRICS) as offer:  # type: ignore[arg-type]
        yield offer


@contextmanager
def on_socket(path: Path) -> Iterator[httpx.Client]:
    """A client of the API at a Unix socket."""
    transport = httpx.HTTPTransport(uds=str(path), verify=False)  # certificates take a while to load
    with httpx.Client(transport=transport, base_url="http://prismfs", timeout=60) as client:
        yield client
