"""The threads that answer requests, each with buffers of its own.

A handler gets a request and returns the answer's body, or None where none is expected; a read may fill the
worker's own buffer, and the kernel takes its bytes from wherever they lie. What they raise becomes an errno.
No exception ends a worker: only the end of the mount does. As many workers run as requests were ever in hand
at a time, up to `THREADS`; reads that wait leave `RESERVED` of them free for everything else.
Knows the messages' frames; nothing of what they ask for.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from fsd.engine.interrupt import Interrupt
from fsd.mount.answers import BLOCK_SIZE, THREADS
from fsd.mount.faults import Faults
from fsd.mount.kernel import protocol
from fsd.mount.kernel.interrupts import Reads
from fsd.mount.kernel.protocol import HANDLE, HEADER_IN, HEADER_OUT, Operation

log = logging.getLogger(__name__)

# Workers that reads leave to everything else.
RESERVED = 4
# Descriptors of the device, which the workers share: the kernel keeps a list and a lock for each.
DEVICES = 8
# The kernel refuses a read into less than max_write and the headers.
BUFFER = protocol.MAX_WRITE + (1 << 16)
_BODY, _READ = HEADER_IN.size, int(Operation.READ)
_ENDED = frozenset({errno.ENODEV, errno.ECONNABORTED})
# ENOENT: the request was interrupted before we took it.
_AGAIN = frozenset({errno.ENOENT, errno.EINTR, errno.EAGAIN})


@dataclass(frozen=True, slots=True)
class Request:
    """`asker` is the thread that waits for it, as far as it can be seen from here, else 0.

    `body` is the worker's own memory: it lasts as long as the request.
    """

    node: int
    asker: int
    body: memoryview


Handler = Callable[[Request], bytes | None]
# Gives what READ's body asks for: in the memory at hand, from its start, or where it lies already.
Reader = Callable[[memoryview, memoryview, Interrupt], memoryview]


class Workers:
    """`clone` makes another descriptor of the session's device, which `run` closes at its end."""

    def __init__(
        self, clone: Callable[[], int], handlers: Mapping[int, Handler], reader: Reader, faults: Faults
    ) -> None:
        self._clone = clone
        self._handlers = handlers
        self._reader = reader
        self._faults = faults
        self._under_way = Reads()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._devices: list[int] = []
        self._idle = 0
        self._reading = 0
        self._put_off: deque[tuple[int, int, int, bytes]] = deque()

    def run(self) -> None:
        """Answer requests until the mount is gone and the last worker is done."""
        with self._lock:
            self._start()
        at = 0
        while at < len(self._threads):  # it may grow meanwhile
            self._threads[at].join()
            at += 1
        for device in self._devices:  # not before: a worker may owe its answer to another's device
            os.close(device)

    def _start(self) -> None:
        """To be called with the lock held. The new worker counts as idle from now on."""
        number = len(self._threads)
        if number < DEVICES:
            self._devices.append(self._clone())
        device = self._devices[number % len(self._devices)]
        worker = threading.Thread(
            target=self._work, args=(device,), name=f"prismfs-fuse-{number}", daemon=True
        )
        worker.start()
        self._threads.append(worker)
        self._idle += 1

    def _work(self, device: int) -> None:
        request = memoryview(bytearray(BUFFER))
        answer = memoryview(mmap.mmap(-1, BLOCK_SIZE))  # whole pages: the kernel copies page by page
        into = (request,)
        while True:
            try:
                size = os.readv(device, into)
            except OSError as error:
                if error.errno in _AGAIN:
                    continue
                if error.errno not in _ENDED:
                    log.error("reading requests: %s", error)
                return
            try:
                self._take(device, request[:size], answer)
            # Everything: a worker that is gone would leave its reader waiting for ever.
            except BaseException as error:
                self._faults.note("answering", error)

    def _take(self, device: int, message: memoryview, answer: memoryview) -> None:
        _, operation, unique, node, _, _, asker, _, _ = HEADER_IN.unpack_from(message)
        body = message[_BODY:]
        if operation == _READ:
            self._read_in_turn(device, unique, asker, body, answer)
            return
        with self._lock:
            self._busy()
        if operation == Operation.INTERRUPT:  # is not answered itself
            self._under_way.interrupted(HANDLE.unpack_from(body)[0])
        else:
            self._handle(device, operation, unique, Request(node, asker, body))
        with self._lock:
            self._idle += 1

    def _busy(self) -> None:
        """A worker took a request; if it was the last idle one, another is started. With the lock held."""
        self._idle -= 1
        if self._idle or len(self._threads) >= THREADS:
            return
        try:
            self._start()
        except (OSError, RuntimeError) as error:  # no descriptors or threads left: those there are go on
            self._faults.note("starting a worker", error)

    def _handle(self, device: int, operation: int, unique: int, request: Request) -> None:
        handler = self._handlers.get(operation)
        body: bytes | None = b""
        code = errno.ENOSYS
        if handler is not None:
            try:
                body = handler(request)
                code = 0
            # Everything: an exception is an errno to one reader, and nothing to the others.
            except BaseException as error:
                code = self._faults.note(_name(operation), error)
        if body is not None:
            self._answer(device, unique, code, body)

    def _read_in_turn(
        self, device: int, unique: int, asker: int, body: memoryview, answer: memoryview
    ) -> None:
        """Read; or, where too many workers do, leave it to the first that is done.

        It is answered to the device that it came from, as only that knows it.
        """
        with self._lock:
            if self._reading >= THREADS - RESERVED:
                self._put_off.append((device, unique, asker, bytes(body)))
                return
            self._reading += 1
            self._busy()
        while True:
            try:
                self._read(device, unique, asker, body, answer)
            except BaseException as error:
                self._faults.note("answering", error)
            with self._lock:
                if not self._put_off:
                    self._reading -= 1
                    self._idle += 1
                    return
                device, unique, asker, kept = self._put_off.popleft()
            body = memoryview(kept)

    def _read(self, device: int, unique: int, asker: int, body: memoryview, answer: memoryview) -> None:
        code, found = 0, answer[:0]
        interrupt = self._under_way.begin(unique, asker)
        try:
            found = self._reader(body, answer, interrupt)
        except BaseException as error:
            code = self._faults.note("read", error)
        try:
            self._answer(device, unique, code, found)
        finally:
            self._under_way.end(unique)

    def _answer(self, device: int, unique: int, code: int, body: bytes | memoryview) -> None:
        try:
            os.writev(device, (HEADER_OUT.pack(HEADER_OUT.size + len(body), -code, unique), body))
        except OSError as error:
            # ENOENT: nobody waits for it any more.
            if error.errno in _ENDED or error.errno == errno.ENOENT:
                return
            with suppress(OSError):
                os.write(device, HEADER_OUT.pack(HEADER_OUT.size, -errno.EIO, unique))
            raise


def _name(operation: int) -> str:
    try:
        return Operation(operation).name.lower()
    except ValueError:
        return f"operation {operation}"
