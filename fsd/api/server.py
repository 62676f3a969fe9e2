"""The thread that serves the API: one event loop, a uvicorn server for each listener.

It is there before the mounts are, and ends within seconds, whoever still listens to events. Signals are the
daemon's: a server that runs outside the main thread takes none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

import uvicorn
from anyio import to_thread
from starlette.types import ASGIApp

from fsd.api import page, sockets
from fsd.api.app import application
from fsd.api.bounds import Bounded, Identified
from fsd.api.events import Feed
from fsd.api.guard import Guard, Token, hosts_of
from fsd.api.offers import Exposition, Offered
from fsd.config import Options

if TYPE_CHECKING:
    from fsd.control import Control

log = logging.getLogger(__name__)

WORKERS = 8  # threads that wait for Control; planning may take minutes, so there are some to spare
START_SECONDS = 30.0
GRACE_SECONDS = 1
END_SECONDS = 3.0


@contextlib.contextmanager
def served(control: Control, options: Options, exposition: Exposition) -> Iterator[Offered]:
    """As `fsd.api.serving` has it."""
    with contextlib.ExitStack() as stack:
        unix = stack.enter_context(sockets.unix(options))
        tcp = stack.enter_context(sockets.tcp(options.api_listen))
        if unix is None and tcp is None:
            yield Offered(None, None)
            return
        token = Token(options.api_token_file) if tcp is not None and options.api_token_file else None
        feed = Feed(control)
        app = Bounded(application(control, feed, exposition, [page.router(control)]))
        servers: list[_Server] = []
        offered = Offered(unix.path if unix else None, tcp.address if tcp else None)
        if unix is not None:
            servers.append(_Server(Identified(app), unix.socket))
        if tcp is not None:
            guarded = Guard(app, hosts_of(tcp.host, tcp.port), token)
            servers.append(_Server(Identified(guarded), tcp.socket))
        stack.enter_context(_running(servers, feed))
        log.info("the API is at %s", offered)
        yield offered


class _Server(uvicorn.Server):
    """A uvicorn server of `app` on a socket that listens already; told to end by `should_exit`."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        settings = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", interface="asgi3", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, backlog=sockets.BACKLOG,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )  # fmt: skip
        super().__init__(settings)
        self._listener = listener

    async def run_here(self) -> None:
        """Serve in the running event loop, until told to end."""
        await self.serve(sockets=[self._listener])


@contextlib.contextmanager
def _running(servers: Sequence[_Server], feed: Feed) -> Iterator[None]:
    """The thread with the event loop of `servers`: it serves when the block begins, and ends with it."""
    # What uvicorn says of its start and end is said by us, once; its warnings stay.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    started: Future[None] = Future()
    thread = threading.Thread(target=_serve, args=(servers, started), name="prismfs-api", daemon=True)
    thread.start()
    started.result(START_SECONDS)
    try:
        yield
    finally:
        feed.close()
        for server in servers:
            server.should_exit = True
        thread.join(END_SECONDS)
        if thread.is_alive():
            log.info("a request still waits for its answer; leaving it")


def _serve(servers: Sequence[_Server], started: Future[None]) -> None:
    async def both() -> None:
        to_thread.current_default_thread_limiter().total_tokens = WORKERS
        serving = asyncio.gather(*(server.run_here() for server in servers))
        while not serving.done() and not all(server.started for server in servers):
            await asyncio.sleep(0.005)
        if not serving.done():
            started.set_result(None)
        await serving

    try:
        asyncio.run(both())
    except BaseException as error:
        if started.done():
            log.exception("the API has ended")
        else:
            started.set_exception(error)
