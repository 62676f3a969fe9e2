"""What machines ask: is the process alive, do its mounts answer, how does it do.

They have workers of their own: an operator's requests that wait for planning hold no probe up.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from fsd.api import examples
from fsd.api.offers import Exposition
from fsd.api.operations import Operation
from fsd.api.problems import NOT_READY, Refused

if TYPE_CHECKING:
    from fsd.control import Control

WORKERS = 4
_METRICS_TYPE = "text/plain"


@dataclass(frozen=True, slots=True)
class Health:
    """The process is alive, and of this version."""

    alive: bool
    version: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Every mount answers."""

    ready: bool


class Probes:
    """The operations."""

    def __init__(self, control: Control, exposition: Exposition) -> None:
        self._control = control
        self._exposition = exposition
        self._limiter: CapacityLimiter | None = None

    async def get_health(self) -> Health:
        """Whether the process is alive: it is if this answers."""
        return Health(alive=True, version=version("prismfs"))

    async def get_readiness(self) -> Readiness:
        """Whether every mount answers a stat."""
        if not await to_thread.run_sync(self._control.ready, limiter=self._workers()):
            raise Refused(NOT_READY, "a mount does not answer, or not yet")
        return Readiness(ready=True)

    async def get_metrics(self, request: Request) -> Response:
        """The daemon's counters, as Prometheus reads them. docs/METRICS.md has what each means."""
        accept = request.headers.get("accept", "")
        text, media_type = await to_thread.run_sync(self._exposition, accept, limiter=self._workers())
        return Response(text, headers={"Content-Type": media_type})

    def operations(self) -> tuple[Operation, ...]:
        """All of these."""
        return (
            Operation("GET", "/healthz", self.get_health, Health(alive=True, version="0.1.0")),
            Operation("GET", "/readyz", self.get_readiness, Readiness(ready=True), refuses=(NOT_READY,)),
            Operation("GET", "/metrics", self.get_metrics, examples.METRICS, media_type=_METRICS_TYPE),
        )

    def _workers(self) -> CapacityLimiter:
        """Made inside the event loop that it belongs to."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(WORKERS)
        return self._limiter


def router(control: Control, exposition: Exposition) -> APIRouter:
    """The routes, which ask `control` and `exposition`."""
    routes = APIRouter()
    for operation in Probes(control, exposition).operations():
        operation.add_to(routes, "probes")
    return routes
