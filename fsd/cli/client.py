"""The running daemon, as the verbs speak to it: the control API over its Unix socket.

    with connected(path=Path("/mnt/models/X")) as daemon:
        report = daemon.get("/v1/status")

Which daemon: the one that --socket names; else the one that serves the mount above the path, as its
status.json tells; else PRISMFS_API_SOCKET, the usual socket, and the socket of the one mount there is.
A problem document becomes the error that it was in the daemon, so that a verb ends with the same words and
the same exit code as if it had done the work itself. Knows nothing of what is asked.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from fsd.api.offers import usual_socket
from fsd.cli.mounts import mount_above, own_mounts, socket_of
from fsd.errors import FAULTS, PrismError
from fsd.mount.points import MountError
from translators.errors import TranslationError

VARIABLE = "PRISMFS_API_SOCKET"
# Planning a model that nobody has looked at takes as long as its limit allows.
ANSWER_SECONDS = 150.0
CONNECT_SECONDS = 5.0
FAULTS_BY_NAME = {kind.__name__: kind for kind in FAULTS}


class NoDaemon(PrismError):
    """No daemon answers where one was looked for."""


class Client:
    """A connection to one daemon. Every method raises NoDaemon, or the error that the daemon told."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        # Nothing is encrypted on a socket of this machine: reading all certificates would only take time.
        transport = httpx.HTTPTransport(uds=str(socket), verify=False)
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        # Neither is a proxy of the environment for it.
        self._http = httpx.Client(
            transport=transport, base_url="http://localhost", timeout=timeout, trust_env=False
        )

    def get(self, route: str, **query: str) -> Any:
        """What the route answers."""
        return self._asked("GET", route, params=query)

    def post(self, route: str, **fields: object) -> Any:
        """Have something done; `fields` are the body."""
        # Bytes of a name that are not UTF-8 travel as escapes.
        body = json.dumps(fields).encode("ascii")
        return self._asked("POST", route, content=body, headers={"Content-Type": "application/json"})

    def delete(self, route: str) -> Any:
        """Call something off."""
        return self._asked("DELETE", route)

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def _asked(self, method: str, route: str, **rest: Any) -> Any:
        try:
            answer = self._http.request(method, route, **rest)
        except httpx.TimeoutException as error:
            remedy = "its log says what it is at; `prismfs jobs` lists its work"
            raise NoDaemon(
                "the daemon does not answer in time", path=str(self.socket), remedy=remedy
            ) from error
        except httpx.HTTPError as error:
            raise no_daemon(self.socket) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _error(answer)


def add_socket(parser: argparse.ArgumentParser, **rest: Any) -> None:
    """The flag that says which daemon is meant."""
    about = f"the daemon's socket [{VARIABLE}] (default: that of the mount, or the usual one)"
    parser.add_argument("--socket", metavar="SOCKET", help=about, **rest)


@contextmanager
def connected(socket: str | None = None, path: Path | None = None) -> Iterator[Client]:
    """The daemon at `socket`, or of the mount that `path` is in, or the usual one; closed with the block.

    Raises NoDaemon where there is none, MountError where `path` is in no mount.
    """
    client = Client(found(socket, path))
    try:
        yield client
    finally:
        client.close()


def found(socket: str | None = None, path: Path | None = None) -> Path:
    """The socket of the daemon that is meant. Raises NoDaemon, MountError, OSError."""
    if socket:
        return Path(socket).absolute()
    if path is not None:
        mount = mount_above(path.absolute())
        if mount is None:
            remedy = "name a path in a mount of prismfs; `prismfs status` lists them"
            raise MountError("this is not in a mount of prismfs", path=str(path), remedy=remedy)
        told = socket_of(mount)
        if told is None:
            remedy = "start it without --api-socket none"
            raise NoDaemon("the daemon of this mount has no API", path=str(mount), remedy=remedy)
        return told
    named = os.environ.get(VARIABLE, "")
    usual = usual_socket()
    if named not in ("", "auto", "none"):
        return Path(named).absolute()
    if usual is not None and usual.exists():
        return usual
    served = set(_of_mounts())
    if len(served) == 1:
        return served.pop()
    if served:
        remedy = f"name one: --socket {min(served)}"
        raise NoDaemon(f"there are {len(served)} daemons", remedy=remedy)
    raise no_daemon(usual)


def sockets() -> list[Path]:
    """Every socket at which a daemon may listen: the named one, the usual one, those of all mounts."""
    try:
        first = [found()]
    except NoDaemon:
        first = []
    return list(dict.fromkeys([*first, *_of_mounts()]))


def no_daemon(socket: Path | None) -> NoDaemon:
    """That nobody listens at `socket`."""
    remedy = "start one with `prismfs mount SOURCE MOUNTPOINT`, or name another with --socket"
    return NoDaemon("no daemon answers", path=str(socket or ""), remedy=remedy)


def error_of(kind: str, reason: str, path: str = "", place: str = "", hint: str = "") -> Exception:
    """The error that a daemon told of by its class's name; a PrismError where it is none of the table."""
    known = FAULTS_BY_NAME.get(kind, PrismError)
    if issubclass(known, OSError):
        return known(FAULTS[known].errno, reason, path or None)
    if issubclass(known, PrismError | TranslationError):
        return known(reason, path=path, place=place, remedy=hint)
    return PrismError(reason, path=path, place=place, remedy=hint)


def _of_mounts() -> list[Path]:
    return [told for mount in own_mounts() if (told := socket_of(mount)) is not None]


def _error(answer: httpx.Response) -> Exception:
    try:
        told = answer.json()
        return error_of(
            str(told["kind"]),
            str(told["detail"]),
            told.get("path", ""),
            told.get("place", ""),
            told.get("hint", ""),
        )
    except (ValueError, KeyError, TypeError):
        return PrismError(f"the daemon answered {answer.status_code} {answer.reason_phrase}")
