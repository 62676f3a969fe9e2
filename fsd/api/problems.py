"""Every fault as a problem document (RFC 9457), by the table of `fsd.errors`.

`type`, `title`, `status` and `detail` are the RFC's; `kind` is the error's class in `fsd.errors` (or a
`Refused` of this layer), `path` and `place` say where, `hint` what can be done. What a bug is about is told
to the log alone.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from fsd.errors import FAULTS, PrismError, fault_of, hint_of, status_of
from translators.errors import TranslationError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:prismfs:problem:"
NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """A fault (RFC 9457). `kind` names it for programs, `detail` for people; `hint` is what can be done.

    type: `kind` as a URI. title: what this kind of fault is. path: the file concerned, place: where in it.
    """

    type: str
    title: str
    status: int
    detail: str
    kind: str
    path: str
    place: str
    hint: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault of a request itself, which no part below this layer knows."""

    name: str
    status: int
    title: str
    hint: str


INVALID = Kind("InvalidRequest", 422, "The request is not as the reference has it", "see /openapi.json")
NO_ROUTE = Kind("NoSuchRoute", 404, "There is nothing at this path of the API", "see /openapi.json")
NO_METHOD = Kind(
    "NoSuchMethod", 405, "This path knows no such method", "the Allow header lists those it knows"
)
TOO_LONG = Kind("BodyTooLong", 413, "The request's body is too long", "name fewer paths in one request")
NO_TOKEN = Kind(
    "TokenRequired", 401, "A change over TCP needs the token", "send Authorization: Bearer <token>"
)
NO_CHANGES = Kind(
    "ChangesRefused", 403, "Changes over TCP are not allowed", "use the socket, or set --api-token-file"
)
FOREIGN = Kind(
    "ForeignOrigin", 403, "The request was made for, or by, another site", "use the address itself"
)
NOT_READY = Kind("NotReady", 503, "A mount does not answer", "try again; else the daemon's log has more")
OTHER = Kind("BadRequest", 400, "The request cannot be understood", "see /openapi.json")
_BUILT_IN: dict[type[BaseException], str] = {
    FileNotFoundError: "A file is not there",
    PermissionError: "The daemon may not do this",
    OSError: "The operating system refused something",
    MemoryError: "The daemon has too little memory",
    BaseException: "The daemon has a bug",
}
_ROUTING = {404: NO_ROUTE, 405: NO_METHOD}


class Refused(Exception):
    """A request that is refused by this layer, before anybody below is asked."""

    def __init__(self, kind: Kind, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind.name, detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The refusal, as it is sent."""
        kind = self.kind
        return _response(_document(kind, self.detail), self.headers)


def document_of(error: BaseException) -> ProblemDocument:
    """What is told of `error`: an unlisted class counts as its nearest listed one."""
    listed = next(kind for kind in type(error).__mro__ if kind in FAULTS)
    if isinstance(error, PrismError | TranslationError):
        detail, path, place = error.reason, error.path, error.place
    elif isinstance(error, OSError):
        detail, path, place = error.strerror or "the system refused it", str(error.filename or ""), ""
    else:
        detail, path, place = "the daemon failed over this request", "", ""
    return _document(
        Kind(_name(listed), status_of(error), _title(listed), hint_of(error)), detail, path, place
    )


def statuses(*kinds: type[BaseException]) -> dict[int, list[str]]:
    """HTTP status -> what these errors are, in words, for the reference."""
    found: dict[int, list[str]] = {}
    for kind in kinds:
        found.setdefault(FAULTS[kind].status, []).append(f"`{_name(kind)}`: {_title(kind)}")
    return found


def handle(app: FastAPI) -> None:
    """Have every error of `app`, its framework's own too, answered with a problem document."""

    async def told(request: Request, error: Exception) -> JSONResponse:
        if fault_of(error) is FAULTS[BaseException]:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _response(document_of(error), {})

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return error.response()

    async def framework(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        kind, headers = _ROUTING.get(error.status_code, OTHER), dict(error.headers or {})
        if kind is NO_METHOD:
            headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return Refused(kind, str(error.detail), headers=headers).response()

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return Refused(INVALID, "; ".join(map(_complaint, error.errors()))).response()

    for kind in (PrismError, TranslationError, OSError, MemoryError, Exception):
        app.add_exception_handler(kind, told)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, invalid)


def _methods(app: FastAPI, request: Request) -> set[str]:
    """What the request's path knows: a path may have several routes, each with a method of its own."""
    return {
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in app.routes)
    }


def unexpected(error: BaseException) -> JSONResponse:
    """The answer to a request over which a bug was hit."""
    return _response(document_of(error), {})


def _document(kind: Kind, detail: str, path: str = "", place: str = "") -> ProblemDocument:
    return ProblemDocument(
        type=TYPE_PREFIX + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.name).lower(),
        title=kind.title,
        status=kind.status,
        detail=_text(detail),
        kind=kind.name,
        path=_text(path),
        place=_text(place),
        hint=_text(kind.hint),
    )


def _response(document: ProblemDocument, headers: Mapping[str, str]) -> JSONResponse:
    content = {name: getattr(document, name) for name in ProblemDocument.__dataclass_fields__}
    return JSONResponse(content, document.status, {**NO_STORE, **headers}, MEDIA_TYPE)


def _name(kind: type[BaseException]) -> str:
    return "InternalError" if kind is BaseException else kind.__name__


def _title(kind: type[BaseException]) -> str:
    """The first sentence of what the class says about itself; the built-in ones say too little."""
    return _BUILT_IN.get(kind) or (inspect.getdoc(kind) or "").partition("\n")[0].partition(". ")[0].rstrip(
        "."
    )


def _complaint(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}"


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
