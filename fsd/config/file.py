"""A configuration file: TOML, an option's name as key, and tables: a `[[mount]]` each, `[imatrix]`, `[base]`.

What TOML writes as a number, a truth value or a list of words is taken where it means the same as the text.
Knows the shape of a file; which options there are, and what they can be, it is not told.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fsd.errors import BadOption

_MOUNT_KEYS = ("source", "mountpoint")


@dataclass(frozen=True, slots=True)
class WantedMount:
    """A `[[mount]]` of a file: absolute paths, about which nothing was found out yet."""

    source: Path
    mountpoint: Path


@dataclass(frozen=True, slots=True)
class File:
    """A configuration file that was read: what its keys are set to, as TOML has it, and its tables.

    imatrices: the importance matrices of models, by the models' own absolute paths.
    bases: directories of base models, by an adapter's absolute path or by the name that adapters have for it.
    """

    path: Path
    text: str
    values: Mapping[str, object]
    mounts: tuple[WantedMount, ...]
    imatrices: Mapping[str, str]
    bases: Mapping[str, str]

    def place(self, key: str) -> str:
        """Where `key` is set, for a person: the line and the key."""
        return _place(self.text, key)

    def located(self, text: str) -> str:
        """A path that the file names: relative to the file's own directory."""
        return str(_located(self.path, text))


def read(path: str | Path) -> File:
    """Read a file. Raises BadOption, with file, line and key, for whatever is wrong with it."""
    place = Path(path).expanduser().absolute()
    try:
        text = place.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise BadOption(
            f"the configuration cannot be read: {error.strerror}", path=str(place), remedy="check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise BadOption(
            f"this is not UTF-8: {error.reason}", path=str(place), remedy="save it as UTF-8"
        ) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        remedy = 'a line is as `cache_size = "50G"`'
        raise BadOption(f"this is not TOML: {error}", path=str(place), remedy=remedy) from None
    mounts = values.pop("mount", [])
    if not isinstance(mounts, list) or not all(isinstance(mount, dict) for mount in mounts):
        raise BadOption(
            "mounts are tables",
            path=str(place),
            place=_place(text, "mount"),
            remedy="write [[mount]] above each",
        )
    wanted = tuple(_mount(place, number, mount) for number, mount in enumerate(mounts, 1))
    imatrices = _imatrices(place, text, values.pop("imatrix", {}))
    bases = _bases(place, text, values.pop("base", {}))
    return File(place, text, values, wanted, imatrices, bases)


def _imatrices(file: Path, text: str, table: object) -> Mapping[str, str]:
    remedy = 'write [imatrix], and below it "/srv/models/Model" = "/srv/matrices/Model.gguf"'
    if not isinstance(table, dict):
        reason = "importance matrices are a table"
        raise BadOption(reason, path=str(file), place=_place(text, "imatrix"), remedy=remedy)
    found = {}
    for model, matrix in table.items():
        if not isinstance(matrix, str) or not matrix or not model:
            reason = f"the matrix of {model!r} must be a path"
            raise BadOption(reason, path=str(file), place=_place(text, model), remedy=remedy)
        found[os.path.abspath(_located(file, model))] = os.path.abspath(_located(file, matrix))
    return found


def _bases(file: Path, text: str, table: object) -> Mapping[str, str]:
    remedy = (
        'write [base], and below it "/srv/models/adapter" = "/srv/models/Model", or "org/Model" = "/srv/..."'
    )
    if not isinstance(table, dict):
        reason = "base models are a table"
        raise BadOption(reason, path=str(file), place=_place(text, "base"), remedy=remedy)
    found = {}
    for key, base in table.items():
        if not isinstance(base, str) or not base or not key:
            reason = f"the base model of {key!r} must be a path"
            raise BadOption(reason, path=str(file), place=_place(text, key), remedy=remedy)
        located = os.path.abspath(_located(file, base))
        # A name as it is; what begins as a path does is an adapter's directory.
        if key.startswith(("/", "./", "../", "~")):
            key = os.path.abspath(_located(file, key))
        found[key] = located
    return found


def _mount(file: Path, number: int, table: Mapping[str, object]) -> WantedMount:
    place = f"mount {number}"
    for key in table:
        if key not in _MOUNT_KEYS:
            reason = f"{key!r} is no key of a mount"
            remedy = f"a mount has {' and '.join(_MOUNT_KEYS)}; options stand above the first [[mount]]"
            raise BadOption(reason, path=str(file), place=place, remedy=remedy)
    paths = []
    for key in _MOUNT_KEYS:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            remedy = 'write it as source = "/srv/models"'
            raise BadOption(f"{key} must be a path", path=str(file), place=place, remedy=remedy)
        paths.append(_located(file, value))
    return WantedMount(*paths)


def _located(file: Path, text: str) -> Path:
    return file.parent / Path(text).expanduser()


def _place(text: str, key: str) -> str:
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=\].]", line):
            return f"line {number}, {key}"
    return key
