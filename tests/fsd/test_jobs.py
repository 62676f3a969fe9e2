"""Jobs: states, progress, calling off, waiting for changes, what is remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from fsd.control.jobs import HISTORY, Jobs
from fsd.control.reports import JobReport
from fsd.control.work import Work
from fsd.errors import Busy, NoSuchEntry, SourceChanged
from tests.fsd.mounting import until


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


def ended(jobs: Jobs, id: str) -> JobReport:
    until(lambda: jobs.get(id).state in ("done", "failed", "cancelled"), f"{id} has ended")
    return jobs.get(id)


def nothing(work: Work) -> None:
    pass


class Gate:
    """A piece of work that tells when it has begun, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, work: Work) -> None:
        work.expect(10)
        self.begun.set()
        assert self.go.wait(60)
        work.advance(10)


def test_a_job_runs_by_itself_and_tells_of_each_file(jobs: Jobs) -> None:
    def work(work: Work) -> None:
        work.expect(30)
        with work.file("a", 10) as outcome:
            work.advance(10)
            outcome.state, outcome.bytes, outcome.more = "read", 10, {"sha256": "x"}
        with work.file("b", 20) as outcome:
            work.advance(5)
            raise SourceChanged("the file was replaced", path="b.safetensors")

    first = jobs.start("warm", ["m"], work)
    assert (first.id, first.state, first.done, first.paths) == ("warm-1", "queued", 0, ("m",))
    last = ended(jobs, first.id)
    assert (last.state, last.done, last.total, last.current) == ("failed", 30, 30, "")
    assert last.started is not None and last.ended is not None and last.version > first.version
    a, b = last.results
    assert {name: a[name] for name in ("path", "state", "bytes", "error", "sha256")} == {
        "path": "a", "state": "read", "bytes": 10, "error": "", "sha256": "x",
    }  # fmt: skip
    assert (b["path"], b["state"], b["error"]) == ("b", "failed", "b.safetensors: the file was replaced")
    assert last.problem is not None and last.problem.kind == "SourceChanged" and last.problem.hint


def test_one_job_of_a_kind_runs_at_a_time(jobs: Jobs) -> None:
    gates = [Gate(), Gate(), Gate()]
    warm = [jobs.start("warm", ["m"], gate) for gate in gates[:2]]
    other = jobs.start("verify", ["m"], gates[2])
    assert gates[0].begun.wait(60) and gates[2].begun.wait(60)
    assert [jobs.get(job.id).state for job in (*warm, other)] == ["running", "queued", "running"]
    assert jobs.running == 2
    gates[0].go.set()
    assert gates[1].begun.wait(60)
    assert ended(jobs, warm[0].id).state == "done"
    for gate in gates:
        gate.go.set()
    assert {ended(jobs, job.id).state for job in (*warm, other)} == {"done"}
    assert [job.id for job in jobs.list()] == ["verify-3", "warm-2", "warm-1"]


def test_a_queued_job_is_called_off_at_once_a_running_one_at_its_next_piece(jobs: Jobs) -> None:
    gate = Gate()
    running, queued = jobs.start("warm", ["m"], gate), jobs.start("warm", ["n"], nothing)
    assert gate.begun.wait(60)
    assert jobs.cancel(queued.id).state == "cancelled"
    assert jobs.cancel(running.id).state == "running"
    gate.go.set()
    last = ended(jobs, running.id)
    assert (last.state, last.problem, last.done) == ("cancelled", None, 10)
    assert jobs.cancel(running.id).state == "cancelled"  # twice is harmless
    with pytest.raises(NoSuchEntry):
        jobs.cancel("warm-9")


def test_who_waits_hears_of_every_change_of_state_and_of_some_progress(jobs: Jobs) -> None:
    gate = threading.Event()

    def work(work: Work) -> None:
        work.expect(1000)
        for _ in range(1000):
            work.advance(1)
        assert gate.wait(60)

    version = jobs.wait(-1, 0)
    assert jobs.wait(version, 0.01) == version
    job = jobs.start("warm", ["m"], work)
    seen = []
    while jobs.get(job.id).done < 1000 or jobs.get(job.id).version < version:
        later = jobs.wait(version, 60)
        assert later > version
        version = later
        seen.append(jobs.get(job.id))
    # A thousand steps are a few changes, and the last step is among them.
    until(lambda: jobs.get(job.id).version <= jobs.wait(version - 1, 60))
    assert len(seen) < 100
    gate.set()
    while jobs.get(job.id).state != "done":
        version = jobs.wait(version, 60)
    assert [report.done for report in seen] == sorted(report.done for report in seen)


def test_a_bug_in_the_work_is_a_failed_job_and_no_end_of_its_kind(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(work: Work) -> None:
        raise ZeroDivisionError("a bug")

    failed = ended(jobs, jobs.start("verify", ["m"], bug).id)
    assert failed.state == "failed" and failed.problem is not None
    assert failed.problem.kind == "ZeroDivisionError" and "Traceback" in caplog.text
    assert ended(jobs, jobs.start("verify", ["m"], nothing).id).state == "done"


def test_the_last_jobs_are_remembered() -> None:
    jobs = Jobs(history=3)
    try:
        ids = [jobs.start("warm", ["m"], nothing).id for _ in range(8)]
        ended(jobs, ids[-1])
        assert [job.id for job in jobs.list()] == ids[:-4:-1]
        with pytest.raises(NoSuchEntry):
            jobs.get(ids[0])
    finally:
        jobs.close()
    assert HISTORY >= 10


def test_closing_calls_everything_off_and_waits_for_nobody_long() -> None:
    jobs, gate = Jobs(), Gate()
    running, queued = jobs.start("warm", ["m"], gate), jobs.start("warm", ["n"], nothing)
    assert gate.begun.wait(60)
    jobs.close(timeout=0.05)  # the work does not notice: it is left to itself
    assert jobs.get(queued.id).state == "cancelled"
    assert jobs.wait(10**9, 60) < 10**9  # who waits is let go
    with pytest.raises(Busy):
        jobs.start("warm", ["m"], nothing)
    gate.go.set()
    assert ended(jobs, running.id).state == "cancelled"
