"""Digests that whoever published a model gave with it: what its files ought to be.

    SHA256SUMS         in the model's directory: of source files, and of forms by any of their names
    blobs/<sha256>     a hub cache names what a snapshot links to by its digest
    .cache/huggingface/download/<file>.metadata
                       what huggingface_hub notes of a download to a directory

The latter two hold a sha256 for big files alone (of others it is git's own hash), and are of source files.
All of it comes from strangers: read with bounds, followed nowhere. Knows nothing of how bytes are had.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from fsd.tree import FileNode
from fsd.tree.forms import ALIASES

SUMS = "SHA256SUMS"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"([0-9a-fA-F]{64})(?:  | \*)(.+)")
# Bytes that are looked at.
_SUMS_SIZE, _METADATA_SIZE = 1 << 20, 4096
# huggingface_hub takes a file for the one it noted if it was not changed after that (seconds).
_SLACK = 1.0


def published(file: FileNode) -> tuple[str, str] | None:
    """The sha256 that a file ought to have, and where that is said; None where nothing says it."""
    directory = _directory(file.model.source)
    sums = sums_in(os.path.join(directory, SUMS))
    # A GGUF's second name stands alone where it was published; in our tree it has a directory of its own.
    alone = [name.removeprefix(f"{ALIASES}/") for name in file.names if file.entry is not None]
    for name in (*file.names, *alone):
        if name in sums:
            return sums[name], SUMS
    return _of_download(directory, file.names[0]) if file.entry is None else None


def sums_in(path: str) -> dict[str, str]:
    """The lines of a SHA256SUMS file: digests by name, lower case. Empty where there is none."""
    found: dict[str, str] = {}
    for line in os.fsdecode(_content(path, _SUMS_SIZE)).splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            found.setdefault(match[2].removeprefix("./"), match[1].lower())
    return found


def _of_download(directory: str, name: str) -> tuple[str, str] | None:
    try:
        target = Path(directory, name).readlink()
    except OSError:
        return _of_metadata(directory, name)
    if target.parent.name == "blobs" and _DIGEST.fullmatch(target.name):
        return target.name, "the hub cache"
    return None


def _of_metadata(directory: str, name: str) -> tuple[str, str] | None:
    path = os.path.join(directory, ".cache", "huggingface", "download", f"{name}.metadata")
    lines = os.fsdecode(_content(path, _METADATA_SIZE)).split("\n")
    try:
        _, digest, noted, *_ = lines
        if _DIGEST.fullmatch(digest) and os.stat(os.path.join(directory, name)).st_mtime - _SLACK <= float(
            noted
        ):
            return digest, "huggingface_hub"
    except (ValueError, OSError):
        pass
    return None


def _directory(source: str) -> str:
    return source if Path(source).is_dir() else str(Path(source).parent)


def _content(path: str, limit: int) -> bytes:
    """The first bytes of a regular file; none of anything else. A pipe in its place must hold nobody up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.pread(descriptor, limit, 0)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
