"""The control API: `fsd.control` over HTTP, on a Unix socket and, when asked, on a loopback address.

app.py       the application: routes, problems, OpenAPI     routes.py    /v1: what can be asked and done
problems.py  every fault as a problem document (RFC 9457)   jobs.py      /v1/jobs: long work
examples.py  what the reference shows                       events.py    /v1/events: server-sent events
probes.py    /healthz, /readyz, /metrics                    page/        the page for a person
bounds.py    bodies of bounded length; request ids          guard.py     who may do what over TCP
sockets.py   the two listeners                              server.py    the thread that serves them
reference.py docs/API.md and docs/openapi.json              offers.py    where a daemon listens

Nothing here decides anything about models: each route is one call of `Control`, in a worker thread.
FastAPI takes half a second to import; so only a daemon that serves the API imports it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from fsd.api.offers import Exposition, Offered
from fsd.config import Options

if TYPE_CHECKING:
    from fsd.control import Control

__all__ = ["Exposition", "Offered", "serving"]


def serving(control: Control, options: Options, exposition: Exposition) -> AbstractContextManager[Offered]:
    """Serve the API, by `options`, until the block ends; gives where. `exposition` is that of /metrics.

    It answers at once, whether or not the mounts do. Signals are left alone. Raises BadOption where an
    option, or what it names, cannot be used; the usual socket is left out instead, with a warning.
    """
    if options.api_socket == "none" and not options.api_listen:
        return nullcontext(Offered(None, None))
    from fsd.api.server import served  # noqa: PLC0415

    return served(control, options, exposition)
