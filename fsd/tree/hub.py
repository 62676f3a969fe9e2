"""A Hugging Face hub cache, as huggingface_hub lays it out: which repositories, which revision.

    models--<org>--<name>/refs/main                 the commit that a download of `main` led to
    models--<org>--<name>/snapshots/<commit>/       the files, as symbolic links into blobs/
    models--<name>/...                              the few old repositories without an organisation

Datasets and spaces are no models. Knows nothing of what a snapshot holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_KINDS = ("models--", "datasets--", "spaces--")
_REVISION_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Repository:
    """A model repository, from its directory's name; `org` may be ""."""

    directory: str
    org: str
    name: str


def is_repository(name: str) -> bool:
    """Whether a directory is called like a cached repository of any kind."""
    return name.startswith(_KINDS)


def repository(cache: str, name: str) -> Repository | None:
    """The model repository in the directory `name` of a cache, or None."""
    kind, *parts = name.split("--")
    if kind != "models" or not parts or not all(parts):
        return None
    org, own = (parts[0], "--".join(parts[1:])) if len(parts) > 1 else ("", parts[0])
    return Repository(os.path.join(cache, name), org, own)


def repositories(cache: str, directories: Iterable[str]) -> Iterator[Repository]:
    """The model repositories among the directories of a cache."""
    for name in directories:
        found = repository(cache, name)
        if found is not None:
            yield found


def snapshots(directory: str) -> list[str]:
    """The snapshots of a repository, that of refs/main first, then the newest."""
    below = os.path.join(directory, "snapshots")
    try:
        with Path(directory, "refs", "main").open("rb") as file:
            revision = os.fsdecode(file.read(_REVISION_LENGTH).strip())
    except OSError:
        revision = ""
    if revision and not revision.startswith(".") and "/" not in revision and "\0" not in revision:
        main = os.path.join(below, revision)
    else:
        main = ""
    try:
        with os.scandir(below) as entries:
            dated = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted((path for _, path in sorted(dated, reverse=True)), key=lambda path: path != main)


def blobs_of(path: str) -> str:
    """Where the files lie that the snapshot `path` links to; "" for another directory."""
    return str(Path(path).parent.parent / "blobs") if name_of_snapshot(path) else ""


def name_of_snapshot(path: str) -> str:
    """The name of the model whose snapshot `path` is; "" for another directory."""
    directory, _, snapshots = path.rpartition("/")[0].rpartition("/")
    found = repository("", directory.rpartition("/")[2]) if snapshots == "snapshots" else None
    return found.name if found else ""
