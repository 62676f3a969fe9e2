"""The application: all routes over one `Control`, every fault as a problem document, the OpenAPI document.

FastAPI's own documentation pages are left out: they load scripts from elsewhere, and the page needs none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic import TypeAdapter

from fsd.api import events, jobs, probes, routes
from fsd.api.events import Feed
from fsd.api.offers import Exposition
from fsd.api.problems import ProblemDocument, handle

if TYPE_CHECKING:
    from fsd.control import Control

VERSION = "1"
SUMMARY = "Steer a running prismfs daemon"
DESCRIPTION = """\
One model in, every format out: this is how a running daemon is asked about its models, and told what to do.

It listens on a Unix socket, which the owner of the daemon may use (and a group, with `--api-group`), and with
`--api-listen` on a loopback address. Over TCP, whatever changes something needs `Authorization: Bearer` with
the token of `--api-token-file`, and the Host header must be the address itself. Sizes are bytes, times are
seconds or Unix times. Every failure is a problem document (RFC 9457): `kind` is for programs, `detail` and
`hint` for people. Every answer carries an `X-Request-Id`, the request's own if it had one, which the daemon's
log has too. A body may have 64 KiB."""
TAGS = {
    "probes": "For machines: alive, ready, metrics.",
    "asking": "What there is. Nothing is changed.",
    "telling": "What is done at once.",
    "jobs": "What takes longer, and how it goes on.",
}


def application(
    control: Control,
    feed: Feed,
    exposition: Exposition,
    pages: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application over `control`; `pages` are for people, and no part of the OpenAPI document."""
    app = FastAPI(
        title="prismfs", summary=SUMMARY, description=DESCRIPTION, version=VERSION,
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )  # fmt: skip
    app.include_router(probes.router(control, exposition))
    app.include_router(routes.router(control))
    app.include_router(jobs.router(control))
    app.include_router(events.router(feed))
    for page in pages:
        app.include_router(page)
    handle(app)
    _describe(app)
    return app


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    told = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description,
        routes=app.routes, tags=app.openapi_tags,
    )  # fmt: skip
    components = told.setdefault("components", {})
    problem = TypeAdapter(ProblemDocument).json_schema(mode="serialization")
    components.setdefault("schemas", {})["ProblemDocument"] = problem
    token = {"type": "http", "scheme": "bearer", "description": "Over TCP, for changes; not over the socket."}
    components["securitySchemes"] = {"token": token}
    for methods in told["paths"].values():
        for method, operation in methods.items():
            if method != "get":
                operation["security"] = [{}, {"token": []}]
    return told


def _describe(app: FastAPI) -> None:
    text = json.dumps(described(app), ensure_ascii=False).encode()
    tag = f'W/"{hashlib.sha256(text).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(text, headers=headers, media_type="application/json")
