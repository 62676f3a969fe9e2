"""The front matter of a model card: the YAML between two lines `---` at the start of README.md.

Read as upstream reads it (gguf-py's metadata.py: a list item `no` is Norwegian, a tab two spaces; without a
second `---` the whole file counts), with PyYAML's safe loader, which makes plain values and runs nothing.
Where upstream gives up on a card, so does this, and says why; beyond that, a card of unreasonable length
and merge keys (`<<`) that multiply are refused.
Knows nothing of what a card's keys mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from translators.sources.stored_file import StoredFile

# Published cards with results of hundreds of benchmarks have half a megabyte of front matter.
FRONT_MATTER_LIMIT = 4_000_000
_MERGED_SOURCES, _MERGED_PAIRS = 16, 10_000
_REMEDY = "correct the front matter of README.md, or remove it"
# What PyYAML lets through for scalars that its constructors cannot read, besides its own errors.
_YAML_ERRORS = (
    yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


def model_card(root: Path) -> dict[str, Any]:
    """The front matter of README.md in `root`; {} where there is none, or where it is no mapping.

    Raises MalformedSource for front matter that is no YAML, MissingSource for a file that cannot be read.
    """
    path = root / "README.md"
    if not path.is_file():
        return {}
    with StoredFile(path) as file:
        data = file.read(0, min(file.size, FRONT_MATTER_LIMIT))
        text = _front_matter(data, file)
        if text is None:
            return {}
        try:
            card = yaml.load(text.replace("- no\n", '- "no"\n').replace("\t", "  "), _Loader)
        except _YAML_ERRORS as error:
            raise file.malformed(*_told(error), remedy=_REMEDY) from error
    return card if isinstance(card, dict) else {}


def _front_matter(data: bytes, file: StoredFile) -> str | None:
    """The text between the marks, every line ended; None where the file does not start with a mark."""
    whole = len(data) == file.size
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        # Text behind the front matter is none of our business, a character cut by the limit least of all.
        text = data[: error.start].decode("utf-8")
        whole = False
    # What was cut off goes on: its last line is not complete, so it is no mark.
    lines = text.splitlines() if whole else f"{text}...".splitlines()[:-1]
    if not lines or lines[0] != "---":
        return None
    if "---" in lines[1:]:
        lines = lines[: lines.index("---", 1)]
    elif not whole:
        limit = f"the front matter is no UTF-8, or longer than {FRONT_MATTER_LIMIT:,} bytes"
        raise file.malformed(limit, remedy=_REMEDY)
    return "\n".join(lines[1:]) + "\n"


def _told(error: Exception) -> tuple[str, str]:
    """The reason and the place (the line of README.md) of a failure of the YAML parser."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a value that YAML's own rules do not allow"
    # Lines count from 0, and the first mark is a line.
    return f"the front matter is no usable YAML: {problem}", f"line {mark.line + 2}" if mark else ""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with a limit on merge keys: each level of them may multiply the one below."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the pairs of merged mappings before the node's own. Raises ConstructorError for too many."""
        before = len(node.value)
        for key, value in node.value:
            many = isinstance(value, yaml.SequenceNode) and len(value.value) > _MERGED_SOURCES
            if many and key.tag == "tag:yaml.org,2002:merge":
                raise _too_much(node)
        super().flatten_mapping(node)
        if len(node.value) > before + _MERGED_PAIRS:
            raise _too_much(node)


def _too_much(node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, "too many merge keys", node.start_mark)
