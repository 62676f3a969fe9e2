"""The reference of the API, made from its own OpenAPI document: docs/API.md and docs/openapi.json.

`page()` and `schema()` return the files' text; it is the same wherever and whenever it is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from fsd.api.app import application, described
from fsd.api.events import Feed

if TYPE_CHECKING:
    from fsd.control import Control

_HEAD = """\
# The control API

<!-- Made by `make docs` from the OpenAPI document (openapi.json, beside this file). Do not edit. -->

"""
_TRY = """\
    curl --unix-socket /run/prismfs/control.sock http://prismfs/v1/models
    curl --unix-socket /run/prismfs/control.sock http://prismfs/v1/jobs \\
         --json '{"kind": "warm", "paths": ["SmolLM2/model.gguf-q4_k_m"]}'
    curl --unix-socket /run/prismfs/control.sock --no-buffer http://prismfs/v1/events

Without root the socket is `$XDG_RUNTIME_DIR/prismfs/control.sock`; `.prismfs/status.json` in each mount says
where it is.
"""


def document() -> dict[str, Any]:
    """The OpenAPI document. No daemon is needed: the routes are described, not asked."""
    nobody = cast("Control", None)
    return described(application(nobody, Feed(nobody), lambda accept: (b"", "")))


def schema() -> str:
    """The text of docs/openapi.json."""
    return json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def page() -> str:
    """The text of docs/API.md."""
    told = document()
    lines = [told["info"]["description"], "", *_TRY.splitlines(), "", *_contents(told)]
    for tag in told["tags"]:
        lines += ["", f"## {tag['name'].capitalize()}", "", tag["description"]]
        for path, method, operation in _operations(told):
            if tag["name"] in operation["tags"]:
                lines += ["", *_section(path, method, operation)]
    lines += [
        "",
        "## Data",
        "",
        "What the answers and bodies are made of. In an answer every field is there; in a body,",
        "those with a default may be left out.",
    ]
    for name, kind in sorted(told["components"]["schemas"].items()):
        lines += ["", *_fields(name, kind)]
    return _HEAD + "\n".join(lines) + "\n"


def _operations(told: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _contents(told: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| `{method}` | [`{path}`](#{operation['operationId'].replace('_', '-')}) | {operation['summary']} |"
        for path, method, operation in _operations(told)
    ]
    return ["| | path | |", "| --- | --- | --- |", *rows]


def _section(path: str, method: str, operation: Mapping[str, Any]) -> list[str]:
    lines = [f"### {operation['operationId'].replace('_', ' ').capitalize()}", "", f"`{method} {path}`"]
    lines += ["", operation["description"]]
    parameters = operation.get("parameters", [])
    if parameters:
        lines += ["", "| parameter | in | type | |", "| --- | --- | --- | --- |"]
        for parameter in parameters:
            needed = "" if parameter["required"] else " (optional)"
            text = parameter.get("description", parameter["schema"].get("description", ""))
            kind = _type(parameter["schema"])
            lines.append(f"| `{parameter['name']}`{needed} | {parameter['in']} | {kind} | {text} |")
    if "requestBody" in operation:
        lines += ["", f"Body: {_type(operation['requestBody']['content']['application/json']['schema'])}."]
    for status, response in operation["responses"].items():
        (media_type, content), *_ = response["content"].items()
        if int(status) < 300:
            answer = _type(content["schema"])
            lines += ["", f"Answers {status} ({media_type}): {answer}. {response['description']}."]
            for name, header in response.get("headers", {}).items():
                lines.append(
                    f"Header `{name}`: {header['description'][0].lower()}{header['description'][1:]}."
                )
            lines += ["", *_example(content["example"])]
    lines += ["", "| fails with | |", "| --- | --- |"]
    lines += [
        f"| {status} | {response['description']} |"
        for status, response in operation["responses"].items()
        if int(status) >= 400
    ]
    return lines


def _example(example: object) -> list[str]:
    if isinstance(example, str):
        return ["```", *example.strip().splitlines(), "```"]
    return ["```json", *json.dumps(example, indent=2, ensure_ascii=False).splitlines(), "```"]


def _fields(name: str, kind: Mapping[str, Any]) -> list[str]:
    lines = [
        f"### {name}",
        "",
        kind.get("description", ""),
        "",
        "| field | type | default |",
        "| --- | --- | --- |",
    ]
    for field, schema in kind["properties"].items():
        default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
        lines.append(f"| `{field}` | {_type(schema)} | {default} |")
    return lines


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a word, with a link to what is described below."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    extra = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(extra, Mapping):
        return f"map to {_type(extra)}"
    return str(schema.get("type", "any"))
