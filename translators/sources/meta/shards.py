"""consolidated.NN.pth: the shards of a model that ran on several devices, and one tensor out of all of them.

    shards = read_shards(root, ("consolidated.00.pth", "consolidated.01.pth"))
    shards.joined("output.weight", axis=0)

Each shard holds every name: its own rows or columns of a matrix, or the same vector as all others. Nothing is
read but the archives' tables and pickles; a joined tensor is a recipe that reads each part where it lies.
Knows nothing of what the names mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from translators.errors import MalformedSource, MissingSource
from translators.model import FileIdentity
from translators.recipes import Recipe, Stored, concat, stored
from translators.sources.pytorch.files import tensors_of
from translators.sources.stored_file import StoredFile, malformed, shown

_FETCH = "fetch the model again, with all its files"
# What was trained apart differs everywhere: so many bytes at each of three places are compared.
_COMPARED = 1 << 16
_NUMBER = re.compile(r"consolidated\.([0-9]{2})\.pth")


@dataclass(frozen=True)
class Shards:
    """The tensors of each shard by name, all shards having the same names; and the files."""

    root: Path
    names: tuple[str, ...]
    files: tuple[FileIdentity, ...]
    tensors: tuple[dict[str, Recipe], ...]

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self.tensors)

    def parts(self, name: str) -> list[Recipe]:
        """A tensor's part in each shard. Raises MalformedSource where they differ, or one is missing."""
        parts = [tensors[name] for tensors in self.tensors if name in tensors]
        if len(parts) != self.count:
            raise malformed(self.root, "the tensor is missing", f"tensor {name!r}", _FETCH)
        first = parts[0]
        for file, part in zip(self.names, parts, strict=True):
            if part.shape != first.shape or part.dtype is not first.dtype:
                reason = f"{part.dtype.name} of shape {part.shape}, not {first.dtype.name} of {first.shape}"
                raise malformed(
                    self.root / file, f"{reason} as in {self.names[0]}", f"tensor {name!r}", _FETCH
                )
        return parts

    def joined(self, name: str, axis: int | None) -> Recipe:
        """A tensor whose parts lie one behind another along `axis`; None: every shard has the whole.

        Raises MalformedSource.
        """
        parts = self.parts(name)
        return parts[0] if axis is None else self.concat(parts, axis, name)

    def concat(self, parts: Sequence[Recipe], axis: int, name: str) -> Recipe:
        """Parts of the tensor `name` one behind another. Raises MalformedSource."""
        try:
            return concat(parts, axis)
        except MalformedSource as error:
            raise malformed(self.root, error.reason, f"tensor {name!r}", _FETCH) from error

    def alike(self, one: Recipe, other: Recipe) -> bool:
        """Whether two tensors are the same, as told by type, shape and some of their bytes."""
        if not isinstance(one, Stored) or not isinstance(other, Stored):
            return False
        if (one.shape, one.type) != (other.shape, other.type):
            return False
        count = min(one.extent.length, _COMPARED)
        last = one.extent.length - count
        return all(
            self._bytes(one, at, count) == self._bytes(other, at, count) for at in {0, last // 2, last}
        )

    def _bytes(self, stored: Stored, at: int, count: int) -> bytes:
        with StoredFile(self.root / self.names[stored.extent.file]) as file:
            return file.read(stored.extent.offset + at, count)

    def misfit(self, name: str, reason: str) -> MalformedSource:
        """The error for a tensor that is not what it should be."""
        return malformed(
            self.root, reason, f"tensor {name!r}", "check params.json, and that all shards are of one model"
        )


def read_shards(root: Path, files: Sequence[str]) -> Shards:
    """The shards of a directory, in the order of their numbers. Raises MissingSource, MalformedSource."""
    names = sorted(files)
    _check_numbers(root, names)
    identities: list[FileIdentity] = []
    tensors: list[dict[str, Recipe]] = []
    for number, name in enumerate(names):
        with StoredFile(root / name) as file:
            found = tensors_of(file, number)
            identities.append(file.identity)
        tensors.append({key: stored(tensor) for key, tensor in found.items()})
        for odd in sorted(tensors[-1].keys() ^ tensors[0].keys())[:1]:
            where = name if odd in tensors[0] else names[0]
            raise malformed(
                root / where, "a tensor that another shard has is missing", f"tensor {odd!r}", _FETCH
            )
    if not tensors[0]:
        raise malformed(root / names[0], "there is no tensor in it", remedy=_FETCH)
    return Shards(root, tuple(names), tuple(identities), tuple(tensors))


def _check_numbers(root: Path, names: Iterable[str]) -> None:
    numbers = [int(found[1]) for found in map(_NUMBER.fullmatch, names) if found]
    absent = next((number for number, held in enumerate(numbers) if number != held), None)
    if absent is not None:
        reason = f"consolidated.{absent:02d}.pth is missing, {len(numbers)} shards are here"
        raise MissingSource(reason, path=shown(root), remedy=_FETCH)
