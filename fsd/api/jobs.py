"""/v1/jobs: long work. It is asked for, goes on by itself, and is looked at or called off by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body, Path, Response

from fsd.api import examples
from fsd.api.asked import ExportRequest, JobId, JobRequest, VerifyRequest
from fsd.api.operations import Operation
from fsd.api.routes import KEEPING, NAMING, PLANNING
from fsd.control.reports import JobReport
from fsd.errors import BadOption, Busy, ExportRefused, NoSuchEntry

if TYPE_CHECKING:
    from fsd.control import Control


class Jobs:
    """The operations on jobs."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def list_jobs(self) -> list[JobReport]:
        """Jobs that wait or run, and the last ones that ended."""
        return self._control.jobs.list()

    def get_job(self, id: Annotated[JobId, Path()]) -> JobReport:
        """A job: how far it is, how fast, and what became of it."""
        return self._control.jobs.get(id)

    def start_job(self, asked: Annotated[JobRequest, Body()], response: Response) -> JobReport:
        """Have files warmed, verified or exported. The answer comes at once; the job goes on by itself."""
        if isinstance(asked, VerifyRequest):
            job = self._control.verify(asked.paths, asked.sample)
        elif isinstance(asked, ExportRequest):
            job = self._control.export(asked.paths[0], asked.to, asked.replace)
        else:
            job = self._control.warm(asked.paths)
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return job

    def cancel_job(self, id: Annotated[JobId, Path()]) -> JobReport:
        """Call a job off. One that has ended stays as it is."""
        return self._control.jobs.cancel(id)

    def operations(self) -> tuple[Operation, ...]:
        """All of these."""
        start = Operation(
            "POST",
            "/v1/jobs",
            self.start_job,
            examples.QUEUED,
            (*NAMING, *PLANNING, *KEEPING, BadOption, ExportRefused, Busy),
            status=202,
            answer="The job, which has just been queued",
            body=True,
            headers={"Location": "Where the job is to be looked at"},
        )
        named = "/v1/jobs/{id}"
        return (
            Operation("GET", "/v1/jobs", self.list_jobs, [examples.JOB]),
            start,
            Operation("GET", named, self.get_job, examples.JOB, (NoSuchEntry,), checked=True),
            Operation("DELETE", named, self.cancel_job, examples.CANCELLED, (NoSuchEntry,), checked=True),
        )


def router(control: Control) -> APIRouter:
    """The routes, which ask `control`."""
    routes = APIRouter()
    for operation in Jobs(control).operations():
        operation.add_to(routes, "jobs")
    return routes
