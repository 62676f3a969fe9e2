"""An operation of the API, with all that the reference tells of it: what it answers, how it can fail.

What an operation can fail with is derived: from the errors that its call of `Control` raises, from the table
of `fsd.errors`, and from what every request of its form is checked for. So the reference and the answers
cannot part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic_core import to_jsonable_python

from fsd.api.problems import (
    FOREIGN,
    INVALID,
    MEDIA_TYPE,
    NO_CHANGES,
    NO_TOKEN,
    OTHER,
    TOO_LONG,
    Kind,
    statuses,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """`endpoint` answers `method` on `path`; its name is the operation's id, its docstring the description.

    raises: errors of the table, refuses: kinds of this layer. example: what it answers, as an instance of its
    return type. checked: it has parameters or a body, that can be wrong. headers: of the answer.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    example: object
    raises: Sequence[type[BaseException]] = ()
    refuses: Sequence[Kind] = ()
    status: int = 200
    answer: str = "What was asked for"
    checked: bool = False
    body: bool = False
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def add_to(self, routes: APIRouter, tag: str) -> None:
        """Have `routes` answer it."""
        options: dict[str, Any] = {}
        if self.media_type != "application/json":
            options["response_model"] = None
            options["response_class"] = type("Answer", (Response,), {"media_type": self.media_type})
        routes.add_api_route(
            self.path,
            self.endpoint,
            methods=[self.method],
            status_code=self.status,
            operation_id=self.endpoint.__name__,
            summary=self.endpoint.__name__.replace("_", " ").capitalize(),
            tags=[tag],
            responses={self.status: self._success(), **self._failures()},
            **options,
        )

    def _success(self) -> dict[str, Any]:
        content = {"example": plain(self.example)}
        told: dict[str, Any] = {"description": self.answer, "content": {self.media_type: content}}
        if self.headers:
            told["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in self.headers.items()
            }
        return told

    def _failures(self) -> dict[int | str, dict[str, Any]]:
        kinds = [*self.refuses, FOREIGN]
        kinds += [NO_TOKEN, NO_CHANGES] if self.method != "GET" else []
        kinds += [TOO_LONG] if self.method != "GET" else []
        kinds += [OTHER] if self.body else []
        kinds += [INVALID] if self.checked or self.body else []
        texts = statuses(*self.raises, BaseException)
        for kind in kinds:
            texts.setdefault(kind.status, []).append(f"`{kind.name}`: {kind.title}")
        return {
            status: {
                "description": "; ".join(sorted(lines)) + ".",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            }
            for status, lines in sorted(texts.items())
        }


def plain(value: object) -> Any:
    """`value`, a dataclass or of dataclasses, as JSON has it."""
    return to_jsonable_python(value)
