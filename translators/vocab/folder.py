"""The tokenizer's files of one model directory, each read and parsed at most once.

Promises that whatever a file holds, what comes back is of the asked kind or an error of `translators.errors`:
sizes are checked before reading, text must be UTF-8, JSON must be an object. Text comes with line ends as
Python's text mode gives them, because that is how upstream reads it.
Knows nothing of what the files mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from translators.errors import MalformedSource, MissingSource

T = TypeVar("T")

_MAX_BYTES = 256 << 20  # the largest tokenizer.json in use has 33 MB


class Folder:
    """A directory with tokenizer files. Every method that reads raises MissingSource or MalformedSource."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects: dict[str, dict[str, Any]] = {}
        self._data: dict[str, bytes] = {}
        self._made: dict[Callable[[Folder], Any], Any] = {}

    def has(self, name: str) -> bool:
        """Whether there is a file `name`."""
        return (self.root / name).is_file()

    def shown(self, name: str) -> str:
        """The path of `name` as a person can read it."""
        return str(self.root / name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    def data(self, name: str) -> bytes:
        """The bytes of `name`."""
        if name not in self._data:
            try:
                size = (self.root / name).stat().st_size
                if size > _MAX_BYTES:
                    raise self.malformed(name, f"{size:,} bytes are too many for a tokenizer's file")
                self._data[name] = (self.root / name).read_bytes()
            except OSError as error:
                raise MissingSource(
                    f"cannot be read: {error.strerror}", path=self.shown(name), remedy="fetch the file again"
                ) from error
        return self._data[name]

    def text(self, name: str) -> str:
        """The text of `name`, with every line end as one newline."""
        try:
            text = self.data(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.malformed(name, "is not UTF-8 text", f"byte {error.start:,}") from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object that `name` holds; an empty one where there is no such file."""
        if name not in self._objects:
            self._objects[name] = self._parsed(name) if self.has(name) else {}
        return self._objects[name]

    def _parsed(self, name: str) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(self.data(name))
        except (ValueError, RecursionError):
            # It is faster and stricter (no NaN, no half of a surrogate pair); Python's has the last word.
            value = self._patiently_parsed(name)
        if not isinstance(value, dict):
            raise self.malformed(name, "does not hold a JSON object")
        return value

    def _patiently_parsed(self, name: str) -> Any:
        text = self.text(name)
        try:
            return json.loads(text)
        except RecursionError as error:
            raise self.malformed(name, "is nested too deeply") from error
        except ValueError as error:
            raise self.malformed(name, f"is not JSON: {error}") from error

    def once(self, make: Callable[[Folder], T]) -> T:
        """What `make` makes of the directory, made once."""
        if make not in self._made:
            self._made[make] = make(self)
        found: T = self._made[make]
        return found

    def malformed(self, name: str, reason: str, place: str = "") -> MalformedSource:
        """The error that says that `name` is not what it should be."""
        return MalformedSource(reason, path=self.shown(name), place=place, remedy="fetch the file again")
