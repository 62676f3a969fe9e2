"""The reference pages that are made from the code: `python -m docs.generate`, or `make docs`.

Each page is a function without arguments that returns its text, the same on every machine. A page that is
added gets a line in `PAGES`; a test compares what is committed with what these functions make.
"""

from __future__ import annotations

from collections.abc import Callable

from docs.generate import command_line, configuration, formats, manual, models
from fsd.api import reference
from fsd.metrics import document

PAGES: dict[str, Callable[[], str]] = {
    "docs/API.md": reference.page,
    "docs/openapi.json": reference.schema,
    "docs/CLI.md": command_line.text,
    "docs/CONFIGURATION.md": configuration.text,
    "docs/FORMATS.md": formats.text,
    "docs/METRICS.md": document.text,
    "docs/MODELS.md": models.text,
    "docs/prismfs.1": manual.text,
}
