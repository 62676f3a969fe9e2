"""The model that an adapter was made for: where it lies, told from adapter_config.json and nothing else.

    base_of(Path("models/my-adapter"))      # -> models/Llama-3.2-1B

The name in that file was written by whoever made the adapter: it is never followed out of these places.
  * the directory that the adapter's own lies in, and what is below it: by a relative or absolute path that
    stays inside, or as the neighbour that has the name's last part;
  * the hub cache (HF_HUB_CACHE, or hub/ in HF_HOME), and the one that the adapter itself lies in.
What a person names (`open_model(..., base=)`) goes before all of it.
Opens adapter_config.json alone. Knows nothing of what is in a model.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from translators.errors import MissingSource
from translators.sources.recognise import ADAPTER_CONFIG
from translators.sources.stored_file import StoredFile, shown

# Whoever asks before every look-up reads no more than this; real ones have about a kilobyte.
CONFIG_LIMIT = 1_000_000
# Names on the hub, and revisions: letters, digits, and what else may be between them.
_ORGANISED = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[\w.-]+", re.ASCII)


class _Named(msgspec.Struct, frozen=True):
    """What adapter_config.json says of the base; all else in it is of no use here."""

    base_model_name_or_path: str | None = None
    revision: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def base_of(adapter: Path) -> Path:
    """The directory of the model that the adapter in the directory `adapter` was made for.

    Raises MalformedSource (no such configuration), MissingSource (the model is in none of the places).
    """
    with StoredFile(adapter / ADAPTER_CONFIG) as file:
        if file.size > CONFIG_LIMIT:
            raise file.malformed(f"{file.size:,} bytes are too many for an adapter's configuration")
        try:
            told = _NAMED.decode(file.read(0, file.size))
        except (ValueError, RecursionError) as error:
            raise file.malformed(f"no valid configuration of an adapter: {error}") from error
    name = told.base_model_name_or_path or ""
    own = os.path.abspath(adapter)
    for path in _candidates(own, name, told.revision or "main"):
        if os.path.isfile(os.path.join(path, "config.json")) and os.path.abspath(path) != own:  # noqa: PTH113
            return Path(path)
    said = f"the base model {name!r:.200} is not here" if name else "it names no base model"
    remedy = "put the base model's directory beside the adapter's, or fetch it into the hub cache"
    raise MissingSource(
        said, path=shown(adapter / ADAPTER_CONFIG), place="base_model_name_or_path", remedy=remedy
    )


def _candidates(own: str, name: str, revision: str) -> Iterator[str]:
    """Where it may lie, the likeliest first."""
    if not name or "\0" in name:
        return
    around = os.path.dirname(own)
    path = os.path.normpath(os.path.join(own, name))
    beside = os.path.normpath(os.path.join(around, name))
    for each in (path, beside):
        if each.startswith(around.rstrip("/") + "/"):
            yield each
    last = os.path.basename(name.rstrip("/"))
    if last not in ("", ".", ".."):
        yield os.path.join(around, last)
    if _ORGANISED.fullmatch(name) and not any(set(part) <= {"."} for part in name.split("/")):
        for cache in _caches(own):
            yield from _in_cache(os.path.join(cache, "models--" + name.replace("/", "--")), revision)


def _caches(own: str) -> Iterator[str]:
    """The hub caches: that of the adapter, if it lies in one, and the user's."""
    model, snapshots, _ = own.rsplit("/", 2)
    if snapshots == "snapshots" and os.path.basename(model).startswith("models--"):
        yield os.path.dirname(model)
    home = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
    yield os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")


def _in_cache(model: str, revision: str) -> Iterator[str]:
    """The snapshot of a revision, which is the name of a commit or of a reference to one."""
    for name in dict.fromkeys((revision, "main")):
        if not _COMMIT.fullmatch(name) or set(name) <= {"."}:
            continue
        try:
            with open(os.path.join(model, "refs", name), encoding="ascii") as file:  # noqa: PTH123
                commit = file.read(100).strip()
        except (OSError, UnicodeDecodeError):
            commit = name
        if _COMMIT.fullmatch(commit) and not set(commit) <= {"."}:
            yield os.path.join(model, "snapshots", commit)
