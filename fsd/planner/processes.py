"""The planning processes: started when needed or before, limited, and replaced when they stall or die.

A few processes serve all models; one model is planned by one at a time. A process that goes over its wall
time is killed, one that died is noticed, and both are told as errors of this one request: the next gets a
new process. Idle ones end after a while, so that the memory of planning is not kept.
Knows nothing of what is planned, nor of caches.
"""

from __future__ import annotations

import contextlib
import select
import signal
import threading
import time
from functools import partial

import msgspec

from fsd.children import Start
from fsd.errors import PlanningCrash, PlanningMemory, PlanningTimeout, StaleHandle
from fsd.planner.messages import REPLIES, Failure, Ready, Reply, Request, frame, unframed

# Starting one afresh takes 0.5 s (numpy and msgspec); on a machine that is swapping, much longer.
_START_SECONDS = 60.0
_IDLE_SECONDS = 30.0
# The last process is started only after so long without another: mostly one is sooner done than started.
_RESERVE_SECONDS = 1.0


class _Stalled(Exception):
    """No reply within the time allowed."""


class _Died(Exception):
    """The process ended without a reply."""

    def __init__(self, error: PlanningCrash) -> None:
        self.failure = Failure.of(error)


class _Process:
    """One planning process. Not safe for use by several threads, but for `stop`."""

    def __init__(self, start: Start, provider: str, seconds: float, memory: int) -> None:
        self.last = b""
        self.since = time.monotonic()
        try:
            self._child = start("fsd.planner.worker", (provider, str(seconds), str(memory)))
        except OSError as error:
            raise PlanningCrash(f"the planning process cannot be started: {error.strerror}") from error
        self.stop, self.ended, self.kill = self._child.stop, self._child.ended, self._child.close
        try:
            if not isinstance(self._receive(_START_SECONDS), Ready):
                raise EOFError
        except (_Stalled, EOFError):
            self.kill()
            raise PlanningCrash("the planning process does not start") from None

    def ask(self, request: Request, seconds: float) -> Reply:
        """The reply. Raises _Stalled or EOFError; then the process must be killed."""
        self.last = request.path
        try:
            self._child.connection.sendall(frame(request))
        except ConnectionError:
            raise EOFError from None
        reply = self._receive(seconds)
        self.since = time.monotonic()
        return reply

    def _receive(self, seconds: float) -> Reply:
        until = time.monotonic() + seconds
        poll = select.poll()  # not select(): a daemon may have more than 1024 descriptors
        poll.register(self._child.connection, select.POLLIN)

        def read(count: int) -> bytes:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise _Stalled
            return self._child.connection.recv(count)

        try:
            return REPLIES.decode(unframed(read))
        except (msgspec.MsgspecError, ConnectionError):
            raise EOFError from None


class Processes:
    """Plans by asking `provider` ("module:function") in at most `count` processes, which `start` starts.

    Safe for use by many threads.
    """

    def __init__(self, start: Start, provider: str, *, seconds: float, memory: int, count: int) -> None:
        self.started = 0
        self._start_child = start
        self._provider = provider
        self._seconds = seconds
        self._memory = memory
        self._free = self._count = count
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._planned: set[bytes] = set()
        self._condition = threading.Condition()
        self._timer: threading.Timer | None = None
        self._closed = False

    def start(self) -> None:
        """Have all processes but the last started, so that who asks first need not wait for that."""
        for _ in range(self._usual):
            threading.Thread(target=self._start_idle, name="prismfs-plan-start", daemon=True).start()

    def ask(self, request: Request) -> Reply:
        """The reply, once a process is free and nobody else plans this model.

        A failure of planning is a reply; that of a process as well. Raises StaleHandle when closed meanwhile.
        """
        with self._condition:
            for within, reserve in ((_RESERVE_SECONDS, False), (None, True)):
                if self._condition.wait_for(partial(self._may_plan, request.path, reserve), within):
                    break
            self._prove_open()
            self._free -= 1
            self._planned.add(request.path)
            process = self._take(request.path)
        try:
            if process is not None:
                # One that was idle may have died for reasons that are not this model's: a new one decides.
                with contextlib.suppress(_Died):
                    return self._ask(process, request)
            return self._ask(self._start(), request)
        except _Died as died:
            return died.failure
        except PlanningCrash as error:
            return Failure.of(error)
        finally:
            with self._condition:
                self._free += 1
                self._planned.discard(request.path)
                self._condition.notify_all()

    def close(self) -> None:
        """End every process. Who waits for one gets a failure or StaleHandle."""
        with self._condition:
            self._closed = True
            idle, self._idle = self._idle, []
            if self._timer is not None:
                self._timer.cancel()
            for process in self._busy:
                process.stop()
            self._condition.notify_all()
        for process in idle:
            process.kill()

    @property
    def _usual(self) -> int:
        """How many processes there are where nobody waits for long."""
        return max(1, self._count - 1)

    @property
    def _alive(self) -> int:
        """How many there are, or will be at once."""
        return len(self._idle) + self._count - self._free

    def _may_plan(self, path: bytes, reserve: bool) -> bool:
        at_hand = reserve or bool(self._idle) or self._alive < self._usual
        return self._closed or (self._free > 0 and at_hand and path not in self._planned)

    def _start_idle(self) -> None:
        """Start a process if there are fewer than usual. That none can be started is told to who asks."""
        with self._condition:
            if self._closed or self._alive >= self._usual:
                return
            self._free -= 1
        process = None
        with contextlib.suppress(PlanningCrash):
            process = self._start()
        with self._condition:
            self._free += 1
            if process is not None and not self._closed:
                self._idle.append(process)
                self._wake_later()
                process = None
            self._condition.notify_all()
        if process is not None:
            process.kill()

    def _prove_open(self) -> None:
        if self._closed:
            raise StaleHandle("the planner has been closed")

    def _start(self) -> _Process:
        process = _Process(self._start_child, self._provider, self._seconds, self._memory)
        self.started += 1
        return process

    def _ask(self, process: _Process, request: Request) -> Reply:
        """The reply of one process, which is idle afterwards, or killed. Raises _Died, StaleHandle."""
        with self._condition:
            self._busy.add(process)
            if self._closed:
                process.stop()
        healthy = False
        try:
            reply = process.ask(request, self._seconds)
            # After running out of memory, what it had collected may still count against the next model.
            healthy = not (isinstance(reply, Failure) and reply.kind == PlanningMemory.__name__)
            return reply
        except _Stalled:
            return Failure.of(_timeout(request, self._seconds))
        except EOFError:
            self._prove_open()
            raise _Died(_death(request, process.ended(within=1))) from None
        finally:
            with self._condition:
                self._busy.discard(process)
                healthy = healthy and not self._closed
                if healthy:
                    self._idle.append(process)
                    self._wake_later()
            if not healthy:
                process.kill()

    def _take(self, path: bytes) -> _Process | None:
        """An idle process, best the one that still has the model's plans."""
        chosen = next((process for process in self._idle if process.last == path), None)
        if chosen is None and self._idle:
            chosen = self._idle[-1]
        if chosen is not None:
            self._idle.remove(chosen)
        return chosen

    def _wake_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(_IDLE_SECONDS, self._retire)
            self._timer.daemon = True
            self._timer.start()

    def _retire(self) -> None:
        """End what has been idle for long."""
        limit = time.monotonic() - _IDLE_SECONDS
        with self._condition:
            self._timer = None
            old = [process for process in self._idle if process.since <= limit]
            self._idle = [process for process in self._idle if process.since > limit]
            if self._idle and not self._closed:
                self._wake_later()
        for process in old:
            process.kill()


def _timeout(request: Request, seconds: float) -> PlanningTimeout:
    path = request.path.decode("utf-8", "backslashreplace")
    return PlanningTimeout(f"planning was stopped after {seconds:g} seconds", path=path)


def _death(request: Request, status: int | None) -> PlanningCrash:
    path = request.path.decode("utf-8", "backslashreplace")
    if status is None:
        return PlanningCrash("the planning process answered with nonsense", path=path)
    if status >= 0:
        return PlanningCrash(f"the planning process ended with status {status}", path=path)
    # A library that cannot get memory ends the process; nothing tells this from another abort.
    name = signal.Signals(-status).name
    return PlanningCrash(f"the planning process was ended by {name}", path=path)
