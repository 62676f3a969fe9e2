"""Who may do what over TCP, where every local user and every page in a browser can connect.

A request must be made to our own address by name (Host), so that no foreign name that leads here is obeyed
(DNS rebinding). A change needs the token, and may not come from another site's page (Origin). Over the Unix
socket the file's mode decides instead, and none of this applies.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fsd.api.bounds import refuse
from fsd.api.problems import FOREIGN, NO_CHANGES, NO_TOKEN, Refused
from fsd.errors import BadOption

READING = ("GET", "HEAD", "OPTIONS")
TOKEN_BYTES = 16  # at least; more than anybody tries
_LONGEST = 4096
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="prismfs"', "Connection": "close"}
_CLOSE = {"Connection": "close"}


class Token:
    """The secret in a file, read again whenever the file has changed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises BadOption where the file cannot be used."""
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._secret = b""
        self._current()

    def is_in(self, authorization: str) -> bool:
        """Whether an Authorization header has it; every wrong one takes the same time.

        Raises BadOption where the file cannot be used any more.
        """
        scheme, _, given = authorization.partition(" ")
        digests = [
            hashlib.sha256(text).digest() for text in (given.strip().encode("latin-1"), self._current())
        ]
        right = hmac.compare_digest(*digests)
        return right and scheme.lower() == "bearer"

    def _current(self) -> bytes:
        with self._lock:
            try:
                # Not blocking: what is named may be no file at all.
                with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                    facts = os.fstat(file.fileno())
                    seen = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)
                    if seen != self._seen:
                        self._secret = self._checked(file.read(_LONGEST).strip(), facts)
                        self._seen = seen
            except OSError as error:
                self._seen = ()
                raise self._unfit(error.strerror or "it cannot be read") from error
            except BadOption:
                self._seen = ()
                raise
            return self._secret

    def _checked(self, secret: bytes, facts: os.stat_result) -> bytes:
        if not stat.S_ISREG(facts.st_mode):
            raise self._unfit("it is no file")
        if facts.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise self._unfit("everybody may read or write it", f"chmod 600 {self._path}")
        if facts.st_uid not in (os.geteuid(), 0):
            raise self._unfit("it belongs to another user")
        if len(secret) < TOKEN_BYTES:
            raise self._unfit(f"a token has {TOKEN_BYTES} characters or more")
        return secret

    def _unfit(self, reason: str, remedy: str = "") -> BadOption:
        remedy = remedy or f"make one: (umask 077; openssl rand -hex 32 > {self._path})"
        return BadOption(f"--api-token-file cannot be used: {reason}", path=str(self._path), remedy=remedy)


class Guard:
    """Lets through what may be asked over TCP. `hosts` are the addresses by which we are asked for."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: Token | None) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(str(scope["method"]), Headers(scope=scope))
        except Refused as refusal:
            await refuse(refusal, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        if headers.get("host", "").lower() not in self._hosts:
            raise Refused(FOREIGN, "the Host header is not the address that is listened on", headers=_CLOSE)
        if method in READING:
            return
        origin = headers.get("origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self._hosts:
            raise Refused(FOREIGN, "the request comes from another site's page", headers=_CLOSE)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(FOREIGN, "the request comes from another site's page", headers=_CLOSE)
        if self._token is None:
            raise Refused(NO_CHANGES, "the daemon has no --api-token-file", headers=_CLOSE)
        try:
            right = self._token.is_in(headers.get("authorization", ""))
        except BadOption as error:
            raise Refused(NO_CHANGES, error.reason, headers=_CLOSE) from error
        if not right:
            raise Refused(NO_TOKEN, "there is no token in the request, or a wrong one", headers=_CHALLENGE)


def hosts_of(host: str, port: int) -> frozenset[str]:
    """The Host headers that mean a loopback address: its own, and the usual names."""
    names = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host}
    ports = (f":{port}", "") if port == 80 else (f":{port}",)
    return frozenset(name + suffix for name in names for suffix in ports)
