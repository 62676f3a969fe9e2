"""The page's routes: the page itself, rendered from a template that escapes all it is given, and its assets.

The Content-Security-Policy allows what we serve ourselves and nothing else: no inline script or style, no
frame around the page. A name of a model is text of a stranger: it is escaped here, and kept from being more
than text there.
"""

from __future__ import annotations

import time
from importlib import resources
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from fsd.api.page.view import OVER, Views
from fsd.figures import duration, human, share

if TYPE_CHECKING:
    from fsd.control.control import Control

ASSETS = {
    "prismfs.css": "text/css; charset=utf-8",
    "prismfs.js": "text/javascript; charset=utf-8",
    "prismfs.svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
QUERY_LENGTH = 200
REFUSALS_SHOWN = 4  # a model of an unknown architecture has as many; more are folded up: those of rare types


def router(control: Control) -> APIRouter:
    """The routes of the page, which asks `control`. They are no part of the API's description."""
    routes = APIRouter(include_in_schema=False)
    views = Views(control)
    template = _environment().get_template("page.html")
    assets = {name: resources.files(__package__).joinpath(name).read_bytes() for name in ASSETS}

    @routes.get("/", response_class=HTMLResponse)
    def shown(
        request: Request,
        q: Annotated[str, Query(max_length=QUERY_LENGTH)] = "",
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    ) -> HTMLResponse:
        view = views.view(q.strip(), page)
        # Over the socket the file's mode says who may change things; over TCP a token does.
        text = template.render(view=view, needs_token=request.client is not None, now=time.time(), over=OVER)
        return HTMLResponse(text, headers=HEADERS | {"Cache-Control": "no-store"})

    @routes.get("/page/{name}")
    def asset(name: str) -> Response:
        if name not in ASSETS:
            return Response(status_code=404)
        # Small, and another version's with the next daemon: asked for each time.
        headers = HEADERS | {"Cache-Control": "no-cache"}
        return Response(assets[name], media_type=ASSETS[name], headers=headers)

    return routes


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(human=human, duration=duration, visible=_visible)
    environment.globals.update(share=share, REFUSALS_SHOWN=REFUSALS_SHOWN)
    return environment


def _visible(text: str) -> str:
    """Text with escapes for what cannot be seen: a name may hold control and bidirectional characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
