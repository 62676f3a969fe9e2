"""Logs: one line an event, as text, as text with systemd's priorities, or as JSON.

    set_up("info", "auto")
    with bound(request_id="f3a1"):
        log.info("planned", extra={"seconds": 1.5})     # ... INFO planned seconds=1.5 request_id=f3a1

What went wrong by somebody's mistake (an error of `fsd.errors`' table) is told in its line; only a bug brings
a traceback, in lines of its own or in JSON's field. Knows nothing of what is logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from fsd.errors import PrismError
from translators.errors import TranslationError

_EXPECTED = (PrismError, TranslationError, OSError)
# What every record has: the rest is what an event brought along.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# sd-daemon(3): a line that starts with <N> has this priority.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_bound: ContextVar[Mapping[str, object]] = ContextVar("prismfs_log_fields")


@contextlib.contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Add `fields` to whatever is logged in this block, in this context (thread or task)."""
    token = _bound.set({**_bound.get({}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def set_up(level: str, format: str, stream: TextIO | None = None) -> None:
    """Log to `stream` (stderr) from `level` on, in the `format` of `fsd.config`; what was set up before ends.

    auto: text; with priorities instead of times where systemd says that the stream is its journal.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    if format == "json":
        handler.setFormatter(Json())
    elif format == "auto" and _is_journal(stream, os.environ):
        handler.setFormatter(Journal())
    else:
        handler.setFormatter(Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


class Text(logging.Formatter):
    """`2026-03-01 12:00:00,000 INFO event key=value`; a bug's traceback follows."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return "\n".join((f"{self.formatTime(record)} {record.levelname} {_line(record)}", *_trace(record)))


class Journal(logging.Formatter):
    """`<6>event key=value`: the journal knows the time. Each line of a traceback has its priority too."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        mark = f"<{next((number for level, number in _PRIORITIES if record.levelno >= level), 7)}>"
        return "\n".join(mark + line for line in (_line(record), *_trace(record)))


class Json(logging.Formatter):
    """An object on one line: time (UTC), level, logger, event, what the event brought along, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        told |= {name: value for name, value in _fields(record).items() if name not in told}
        if trace := _trace(record):
            told["traceback"] = "\n".join(trace)
        return json.dumps(told, default=str)


def _event(record: logging.LogRecord) -> str:
    """What happened; with it an error that is no bug, unless the message says it already."""
    message = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, _EXPECTED) and str(error) not in message:
        return f"{message}: {error}"
    return message


def _line(record: logging.LogRecord) -> str:
    fields = "".join(f" {name}={_word(value)}" for name, value in _fields(record).items())
    return _printable(_event(record)) + fields


def _fields(record: logging.LogRecord) -> dict[str, object]:
    own = {name: value for name, value in vars(record).items() if name not in _USUAL}
    return own | dict(_bound.get({}))


def _trace(record: logging.LogRecord) -> list[str]:
    """The lines of the traceback of a bug."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or isinstance(error, _EXPECTED):
        return []
    return "".join(traceback.format_exception(error)).rstrip().split("\n")


def _word(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not set(text) & set(' "=')
    return text if plain else json.dumps(text)


def _printable(text: str) -> str:
    """`text` on one line: names of files, which are part of it, may hold anything."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return text if text.isprintable() else "".join(escaped)


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether `stream` is systemd's journal: JOURNAL_STREAM has its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
