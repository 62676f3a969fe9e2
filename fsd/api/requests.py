"""The id of the request at hand, for whatever is logged meanwhile."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
