"""/v1/events: jobs and the daemon's state as they change, as server-sent events.

One thread waits for changes, whoever listens, and only while somebody does. Each listener has room for the
latest report of each job and one status: who reads slowly skips what is outdated, and holds nothing up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from fsd.api import examples
from fsd.api.operations import Operation
from fsd.control.reports import JobReport, StatusReport
from fsd.errors import Busy

if TYPE_CHECKING:
    from fsd.control import Control

log = logging.getLogger(__name__)

LISTENERS = 64
STATUS_SECONDS = 2.0
PACE_SECONDS = 0.1  # a job that reports each chunk would otherwise send thousands of events a second
WAIT_SECONDS = 0.5
SILENCE_SECONDS = 15.0
_JOB, _STATUS = TypeAdapter(JobReport), TypeAdapter(StatusReport)
_EXAMPLE = "event: job\nid: 7\ndata: " + _JOB.dump_json(examples.JOB).decode() + "\n\n"


class Listener:
    """One stream's room for what is still to be sent. Of the event loop, but for `offer` and `end`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, JobReport] = {}
        self._status: StatusReport | None = None
        self._sent: dict[str, int] = {}
        self._ended = False
        self._woken = asyncio.Event()

    def offer(self, jobs: list[JobReport], status: StatusReport | None) -> None:
        """What is there now: from another thread."""
        self._call(lambda: self._take(jobs, status))

    def end(self) -> None:
        """Nothing more will come: from another thread."""
        self._call(self._end)

    async def events(self) -> AsyncIterator[str]:
        """Text of events as they come, until the end; a comment now and then when none do."""
        while not self._ended:
            try:
                await asyncio.wait_for(self._woken.wait(), SILENCE_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            self._woken.clear()
            jobs, status = self._jobs, self._status
            self._jobs, self._status = {}, None
            for job in jobs.values():
                yield _event("job", str(job.version), _JOB.dump_json(job))
            if status is not None:
                yield _event("status", "", _STATUS.dump_json(status))

    def _take(self, jobs: list[JobReport], status: StatusReport | None) -> None:
        changed = {job.id: job for job in jobs if self._sent.get(job.id) != job.version}
        self._sent = {job.id: job.version for job in jobs}
        self._jobs |= changed
        self._status = status or self._status
        if changed or status is not None:
            self._woken.set()

    def _end(self) -> None:
        self._ended = True
        self._woken.set()

    def _call(self, action: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(action)


class Feed:
    """All listeners, and the thread that looks out for them. Thread-safe."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._follower: threading.Thread | None = None
        self._closing = threading.Event()

    def join(self, listener: Listener) -> None:
        """Tell `listener` from now on. Raises Busy when there are enough."""
        with self._lock:
            if len(self._listeners) >= LISTENERS or self._closing.is_set():
                raise Busy(f"there may be {LISTENERS} streams of events at once")
            self._listeners.add(listener)
            if self._follower is None:
                self._follower = threading.Thread(target=self._follow, name="prismfs-events", daemon=True)
                self._follower.start()

    def leave(self, listener: Listener) -> None:
        """No more for `listener`."""
        with self._lock:
            self._listeners.discard(listener)

    def look(self, listener: Listener) -> None:
        """Tell `listener` of everything, now."""
        listener.offer(self._control.jobs.list(), self._control.status())

    def close(self) -> None:
        """End all streams."""
        self._closing.set()
        with self._lock:
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener.end()

    def _follow(self) -> None:
        version, due = -1, time.monotonic() + STATUS_SECONDS
        while listeners := self._present():
            try:
                version = self._control.jobs.wait(version, WAIT_SECONDS)
                status = self._control.status() if time.monotonic() >= due else None
                jobs = self._control.jobs.list()
            except Exception:  # the stream of events outlives a bug below it
                log.exception("events are held up")
                self._closing.wait(STATUS_SECONDS)
                continue
            if status is not None:
                due = time.monotonic() + STATUS_SECONDS
            for listener in listeners:
                listener.offer(jobs, status)
            self._closing.wait(PACE_SECONDS)

    def _present(self) -> list[Listener]:
        with self._lock:
            if not self._listeners or self._closing.is_set():
                self._follower = None
                return []
            return list(self._listeners)


class Events:
    """The operation."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def stream_events(self) -> StreamingResponse:
        """Server-sent events: `job` with a job's report whenever it changes, `status` every two seconds.

        It begins with every job and the status of now, and lasts until either side ends it. A client that
        reads too slowly is sent the latest reports, not each.
        """
        listener = Listener()
        self._feed.join(listener)
        return StreamingResponse(self._stream(listener), media_type="text/event-stream")

    async def _stream(self, listener: Listener) -> AsyncIterator[str]:
        try:
            await run_in_threadpool(self._feed.look, listener)
            async for text in listener.events():
                yield text
        finally:
            self._feed.leave(listener)


def router(feed: Feed) -> APIRouter:
    """The route of the events that `feed` has."""
    routes = APIRouter()
    Operation(
        "GET",
        "/v1/events",
        Events(feed).stream_events,
        _EXAMPLE,
        raises=(Busy,),
        answer="Events, for as long as both sides want",
        media_type="text/event-stream",
    ).add_to(routes, "jobs")
    return routes


def _event(name: str, id: str, data: bytes) -> str:
    return f"event: {name}\n" + (f"id: {id}\n" if id else "") + f"data: {data.decode()}\n\n"
