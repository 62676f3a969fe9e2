"""What models are called where a program has rules of its own for names.

A name is the model's path under the mount, made of letters, digits and `. _ -`; where two paths would have
the same one, all but the first get a piece of a hash of the path, so that it stays theirs over restarts.
Knows nothing of what a view shows under a name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from fsd.tree.nodes import ModelSource

# For so long (seconds) nobody walks the source again, but for a name that was not there.
_LOOK_AGAIN = 1.0
# What Ollama takes; the hub takes 96.
_LONGEST = 80
_SUFFIX = 6


@dataclass(frozen=True, slots=True)
class Shown:
    """A model, and its path under the mount."""

    path: str
    source: ModelSource

    def mark(self, size: int) -> str:
        """2 * `size` hex digits that stand for the path."""
        return blake2b(self.path.encode("utf-8", "surrogateescape"), digest_size=size).hexdigest()


class Models:
    """Every model, of the last second."""

    def __init__(self, walk: Callable[[], Iterable[tuple[str, ModelSource]]]) -> None:
        self._walk = walk
        self._all: tuple[Shown, ...] = ()
        self._looked = float("-inf")

    def all(self, *, anew: bool = False) -> tuple[Shown, ...]:
        """The models in order; the same object as long as they are the same."""
        if anew or time.monotonic() - self._looked >= _LOOK_AGAIN:
            found = tuple(Shown(path, source) for path, source in self._walk())
            self._looked = time.monotonic()
            if found != self._all:
                self._all = found
        return self._all


class Shelf:
    """Models by the names that `name_of` makes of their paths."""

    def __init__(self, models: Models, name_of: Callable[[str], str]) -> None:
        self._models = models
        self._name_of = name_of
        self._named: tuple[tuple[Shown, ...], dict[str, Shown]] = ((), {})

    def all(self, *, anew: bool = False) -> dict[str, Shown]:
        """Models by name, in order of their paths."""
        models = self._models.all(anew=anew)
        known, names = self._named
        if known is not models:
            names = {}
            for model in models:
                name = self._name_of(model.path)
                if name in names:
                    name = f"{name[: _LONGEST - _SUFFIX - 1]}-{model.mark(_SUFFIX // 2)}"
                names[name] = model
            self._named = models, names
        return names

    def get(self, name: str) -> Shown | None:
        """The model of that name."""
        return self.all().get(name) or self.all(anew=True).get(name)


def plain(text: str) -> str:
    """`text` as a name that every program takes."""
    spaced = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    return re.sub(r"([-.])[-.]+", r"\1", spaced).strip("-.")[:_LONGEST].rstrip("-.") or "model"
