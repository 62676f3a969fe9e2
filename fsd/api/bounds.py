"""What holds for every request, of both listeners: an id, a bounded body, an answer whatever happens.

Plain ASGI, around the application: a body is taken whole, or refused as soon as it is too long, before
anything is made of it. Knows nothing of what is asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fsd.api.problems import TOO_LONG, Refused, unexpected
from fsd.logs import bound

log = logging.getLogger(__name__)

BODY_BYTES = 64 << 10
LINGER_BYTES = 16 << 20  # of a refused request: read, and thrown away
LINGER_SECONDS = 5.0
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def refuse(refusal: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with `refusal` at once, and end the answer when the request has ended, within bounds.

    A connection that is closed while bytes of it lie unread is reset, and a reset takes back from the other
    side what it has not read yet: the answer.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
        else:
            await send(message)

    await refusal.response()(scope, receive, sending)
    with suppress(TimeoutError):
        await asyncio.wait_for(_drained(receive), LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drained(receive: Receive) -> None:
    left, more = LINGER_BYTES, True
    while more and left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        more = message.get("more_body", False)  # not in a message of the other side's going away


class Identified:
    """Each request has an id: its own X-Request-Id where that is a plain word, else a new one.

    The id is in the answer, and in what is logged meanwhile. An error that nobody
    turned into an answer becomes one here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = Headers(scope=scope).get("x-request-id", "")
        name = own if _ID.fullmatch(own) else secrets.token_hex(8)
        began, status, whole = time.monotonic(), 0, False

        async def sending(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = name
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")  # most answers are of this moment
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        with bound(request_id=name):
            try:
                await self._app(scope, receive, sending)
            except Exception as error:
                if not status:
                    log.exception("%s %s failed", scope["method"], scope["path"])
                    await unexpected(error)(scope, receive, sending)
                elif not whole:  # the server breaks the connection off: half an answer must look like one
                    raise
            finally:
                told = {"status": status, "seconds": round(time.monotonic() - began, 6)}
                log.debug("%s %s", scope["method"], scope["path"], extra=told)


class Bounded:
    """No body is longer than `limit` bytes, whatever the request says of its length."""

    def __init__(self, app: ASGIApp, limit: int = BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        try:
            body = await self._whole(scope, receive)
        except Refused as refusal:
            await refuse(refusal, scope, receive, send)
            return
        given = False

        async def receiving() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, receiving, send)

    async def _whole(self, scope: Scope, receive: Receive) -> bytes:
        declared = Headers(scope=scope).get("content-length", "0")
        body, more = b"", not (declared.isdecimal() and int(declared) > self._limit)
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False) and len(body) <= self._limit
        if len(body) > self._limit or int(declared) > self._limit:
            # What is still to come is made nothing of: the connection cannot be used again.
            raise Refused(TOO_LONG, f"it may have {self._limit} bytes", headers={"Connection": "close"})
        return body
