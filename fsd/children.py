"""Child processes: a module of ours with a `main`, in a process of its own, at the other end of a socket.

    child = fresh("fsd.planner.worker", ["a", "b"])    # main(["a", "b"]), by a new interpreter: half a second
    stem = Stem(["fsd.planner.worker"])                # once, before there are threads, or files of a source
    child = stem.start("fsd.planner.worker", ["a"])    # the same, forked in some milliseconds

The socket is the child's stdin and stdout, and ends it when it ends. The stem is a copy of the process that
made it, as it then was: it has its imports, and no file that is opened later, as the copy of a descriptor of
a stalled file system would stall too. It does nothing but fork. Where it is gone, children are started fresh.
Knows nothing of what children do.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NoReturn, cast

from fsd.memory import here_for_ever

# Libraries that would start threads, whose stacks and arenas count against a limit of address space.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MALLOC_ARENA_MAX": "2",
}
_MESSAGE = 1 << 16
_KILLED_SECONDS = 1.0


class Child(ABC):
    """A process. `connection` is our end of its socket. For one thread at a time, but for `stop`."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    @abstractmethod
    def stop(self) -> None:
        """Make it end, whatever it does; whoever waits for what it says gets the end of the socket."""

    @abstractmethod
    def ended(self, within: float) -> int | None:
        """Its exit status, negative for a signal, where it ends by itself within so many seconds."""

    @abstractmethod
    def close(self) -> None:
        """End it, and let go of it. Waits a moment at most: one that waits for a disk ends later."""


Start = Callable[[str, Sequence[str]], Child]


def fresh(module: str, arguments: Sequence[str]) -> Child:
    """`main(arguments)` of a module, by a new interpreter. Raises OSError."""
    environment = os.environ | _ENVIRONMENT
    environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    # -P and a neutral directory: Python must not find modules where a model lies (invariant I6). A group of
    # its own: Ctrl-C is for the daemon, which ends its processes itself. No session: Linux shares processors
    # between sessions first (sched(7), autogroup), and priorities would count within the child's alone.
    command: list[str] = [sys.executable, "-P", "-m", module, *arguments]
    ours, its = socket.socketpair()
    with its:
        try:
            started: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdin=its.fileno(), stdout=its.fileno(), cwd="/", env=environment,
                process_group=0,
            )  # fmt: skip
        except OSError:
            ours.close()
            raise
    return _Fresh(ours, started)


class _Fresh(Child):
    def __init__(self, connection: socket.socket, started: subprocess.Popen[bytes]) -> None:
        super().__init__(connection)
        self._popen = started

    def stop(self) -> None:
        self._popen.kill()

    def ended(self, within: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout=within)
        return None

    def close(self) -> None:
        self._popen.kill()
        self.connection.close()
        self.ended(_KILLED_SECONDS)


class Stem:
    """Forks children that have imported `modules`. To be made while the process has one thread."""

    def __init__(self, modules: Sequence[str]) -> None:
        for module in modules:
            importlib.import_module(module)
        self._lock = threading.Lock()
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _live_as_stem(its)
        its.close()

    def start(self, module: str, arguments: Sequence[str]) -> Child:
        """`main(arguments)` of a module. Raises OSError."""
        ours, its = socket.socketpair()
        with its:
            try:
                pid, handle = self._fork([module, *arguments], its)
            except OSError:  # none more can be had of it, or it is gone
                ours.close()
                return fresh(module, arguments)
        return _Forked(ours, pid, handle, self._status)

    def close(self) -> None:
        """End the stem; its children end with their sockets."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _fork(self, words: Sequence[str], its: socket.socket) -> tuple[int, int]:
        with self._lock:
            socket.send_fds(self._control, [json.dumps(words).encode()], [its.fileno()])
            reply, handles, _, _ = socket.recv_fds(self._control, _MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
        if not handles:
            raise OSError("the stem could not fork")
        return int(reply), handles[0]

    def _status(self, pid: int) -> int | None:
        """The exit status of a child, if it has ended; it is forgotten then, or as soon as it has."""
        with contextlib.suppress(OSError, ValueError), self._lock:
            self._control.send(json.dumps(pid).encode())
            return cast(int | None, json.loads(self._control.recv(_MESSAGE)))
        return None


class _Forked(Child):
    """`handle` is its pidfd; `status` asks the stem, whose child it is, and once only."""

    def __init__(
        self, connection: socket.socket, pid: int, handle: int, status: Callable[[int], int | None]
    ) -> None:
        super().__init__(connection)
        self._pid = pid
        self._handle = handle
        self._ask: Callable[[int], int | None] | None = status
        self._status: int | None = None

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def ended(self, within: float) -> int | None:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        if self._ask is not None and poll.poll(within * 1000):
            self._status, self._ask = self._ask(self._pid), None
        return self._status

    def close(self) -> None:
        self.stop()
        self.connection.close()
        if self._ask is not None:
            self._ask(self._pid)
        os.close(self._handle)


def _live_as_stem(control: socket.socket) -> NoReturn:
    """In the stem. A SIGTERM for a whole service is for the daemon, with which this ends."""
    try:
        os.setpgid(0, 0)  # as `fresh` does
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
            if int(name) > 2 and int(name) != control.fileno():
                with contextlib.suppress(OSError):
                    os.close(int(name))
        here_for_ever()  # children need not look through it, and share it
        ended: list[int] = []
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
            if not message:
                break
            ended = [pid for pid in ended if os.waitpid(pid, os.WNOHANG)[0] == 0]
            asked = json.loads(message)
            if isinstance(asked, int):
                pid, status = os.waitpid(asked, os.WNOHANG)
                ended += [asked] if pid == 0 else []
                control.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            else:
                _fork(control, asked, descriptors[0])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _fork(control: socket.socket, words: Sequence[str], connection: int) -> None:
    """A child of the stem; in it, does not return."""
    try:
        pid = os.fork()
        if pid == 0:
            _live_as_child(control, words, connection)
        handle = os.pidfd_open(pid)  # not reaped before it is asked for: the number is still its own
        socket.send_fds(control, [str(pid).encode()], [handle])
        os.close(handle)
    except OSError:
        control.send(b"null")
    finally:
        os.close(connection)


def _live_as_child(control: socket.socket, words: Sequence[str], connection: int) -> NoReturn:
    code = 1
    try:
        control.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for standard in (0, 1):
            os.dup2(connection, standard)
        os.close(connection)
        importlib.import_module(words[0]).main(words[1:])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
