"""The model that an adapter was made for: where it lies, told from adapter_config.json and nothing else.

    bases(["/srv/models"]).of(Path("/srv/models/my-adapter"))      # -> /srv/models/Llama-3.2-1B

What a person named comes first. The name in adapter_config.json was written by whoever made the adapter, so
it is never followed out of the places where models are:
  * the directory that the adapter's own lies in, and those of `models`: by a path that stays inside, or as
    the model that has the name, or the last part of it;
  * hub caches: HF_HUB_CACHE (or hub/ in HF_HOME), the one that the adapter lies in, and any among those.
Opens adapter_config.json and references of a hub cache; nothing is fetched. Knows nothing of what a model is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
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
_DOTS = ("", ".", "..")
# A directory of more than so many is not looked through for one that holds the model.
_MOST_FOLDERS = 4096


class _Named(msgspec.Struct, frozen=True):
    """What adapter_config.json says of the base; all else in it is of no use here."""

    base_model_name_or_path: str | None = None
    revision: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


class Bases(msgspec.Struct, frozen=True):
    """Where base models are looked for.

    models: directories of models. named: the base model's directory, by an adapter's (absolute), or by the
    name that adapters have for it. All in bytes, as paths need not be text.
    """

    models: tuple[bytes, ...] = ()
    named: Mapping[bytes, bytes] = {}

    def of(self, adapter: Path) -> Path:
        """The directory of the model that the adapter in the directory `adapter` was made for.

        Raises MalformedSource (no such configuration), MissingSource (the model is in none of the places).
        """
        own = os.path.abspath(adapter)
        told = _told(adapter)
        name = told.base_model_name_or_path or ""
        for key in (os.fsencode(own), os.fsencode(_repository(own)), name.encode("utf-8", "replace")):
            named = self.named.get(key)
            if named:
                return Path(os.fsdecode(named))
        around = tuple(dict.fromkeys((os.path.dirname(own), *map(os.fsdecode, self.models))))  # noqa: PTH120
        for path in _candidates(own, around, name, told.revision or "main"):
            if os.path.isfile(os.path.join(path, "config.json")) and os.path.abspath(path) != own:  # noqa: PTH113
                return Path(path)
        raise self._missing(adapter, around, name)

    def _missing(self, adapter: Path, around: tuple[str, ...], name: str) -> MissingSource:
        path, place = shown(adapter / ADAPTER_CONFIG), "base_model_name_or_path"
        remedy = "name the base model's directory in the table [base] of the configuration"
        if not name:
            return MissingSource("it names no base model", path=path, place=place, remedy=remedy)
        places = ", ".join((*map(_readable, around), f"the hub cache {_readable(_hub_cache())}"))
        return MissingSource(
            f"the base model {name!r:.200} is not in {places:.600}", path=path, place=place,
            remedy=f"put its directory there, or {remedy}",
        )  # fmt: skip


def bases(models: Iterable[str] = (), named: Mapping[str, str] | None = None) -> Bases:
    """`Bases` of paths as they are usually written."""
    return Bases(
        tuple(os.fsencode(os.path.abspath(path)) for path in models),
        {os.fsencode(key): os.fsencode(path) for key, path in (named or {}).items()},
    )


def _told(adapter: Path) -> _Named:
    with StoredFile(adapter / ADAPTER_CONFIG) as file:
        if file.size > CONFIG_LIMIT:
            raise file.malformed(f"{file.size:,} bytes are too many for an adapter's configuration")
        try:
            return _NAMED.decode(file.read(0, file.size))
        except (ValueError, RecursionError) as error:
            raise file.malformed(f"no valid configuration of an adapter: {error}") from error


def _candidates(own: str, around: tuple[str, ...], name: str, revision: str) -> Iterator[str]:
    """Where it may lie, the likeliest first."""
    if not name or "\0" in name:
        return
    # By a path: from the adapter's directory, or from where it was saved.
    for start in (own, *around):
        path = os.path.normpath(os.path.join(start, name))
        if any(path.startswith(directory.rstrip("/") + "/") for directory in around):
            yield path
    last = os.path.basename(name.rstrip("/"))  # noqa: PTH119
    if last in _DOTS:
        return
    for directory in around:
        yield os.path.join(directory, last)
    if _ORGANISED.fullmatch(name) and not any(part in _DOTS for part in name.split("/")):
        for cache in dict.fromkeys((*_cache_around(own), *around, _hub_cache())):
            yield from _in_cache(os.path.join(cache, "models--" + name.replace("/", "--")), revision)
    for directory in around:
        yield from _below(directory, last)


def _below(directory: str, name: str) -> Iterator[str]:
    """The models of this name one directory further down, where there is no doubt which is meant."""
    try:
        with os.scandir(directory) as entries:
            folders = [entry.path for entry, _ in zip(entries, range(_MOST_FOLDERS), strict=False)]
    except OSError:
        return
    found = [path for path in (os.path.join(folder, name) for folder in folders) if os.path.isdir(path)]  # noqa: PTH112
    if len(found) == 1:
        yield found[0]


def _cache_around(own: str) -> Iterator[str]:
    """The hub cache that an adapter lies in, if it does."""
    repository = _repository(own)
    if repository:
        yield os.path.dirname(repository)  # noqa: PTH120


def _repository(own: str) -> str:
    """The folder of a hub cache that an adapter's directory is a snapshot of; "" for any other directory."""
    model, snapshots = os.path.split(os.path.dirname(own))  # noqa: PTH120
    is_cached = snapshots == "snapshots" and os.path.basename(model).startswith("models--")  # noqa: PTH119
    return model if is_cached else ""


def _hub_cache() -> str:
    """The user's hub cache, as huggingface_hub finds it."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    return os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")


def _in_cache(model: str, revision: str) -> Iterator[str]:
    """The snapshot of a revision, which is the name of a commit or of a reference to one."""
    for name in dict.fromkeys((revision, "main")):
        if not _COMMIT.fullmatch(name) or name in _DOTS:
            continue
        try:
            with open(os.path.join(model, "refs", name), encoding="ascii") as file:  # noqa: PTH123
                commit = file.read(100).strip()
        except (OSError, UnicodeDecodeError):
            commit = name
        if _COMMIT.fullmatch(commit) and commit not in _DOTS:
            yield os.path.join(model, "snapshots", commit)


def _readable(path: str) -> str:
    return shown(Path(path))
