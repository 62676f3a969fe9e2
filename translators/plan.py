"""Plans: what a model can appear as, and why it cannot.

    plans = translators.plans(model)     # name -> Plan or Refusal, in the order of a listing (`Plans`)
    plan.size                            # exact
    plan.layout()                        # the bytes, planned

A plan knows its size without holding its bytes; its layout is made when asked for. A form that would not
be right is a `Refusal` with its reason (invariant I9), never a file that fails when it is read.
Knows nothing of any one format: the modules of `targets/` make plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from translators.layout import Layout


@dataclass(frozen=True, slots=True)
class Told:
    """A layout's size and identity; how many of its bytes are computed, and read for all of it, in bytes."""

    size: int
    identity: str
    translated: int
    source_bytes: int


@dataclass(frozen=True)
class Plan:
    """A form that a model has. `name` is its file name; `describe` says in a few words what it is.

    own: it holds the source's values as they are, in the source's own precision.
    brief: what is told of the layout, where that is sooner found than the layout made.
    equals: what it is byte for byte equal to, in words that follow "equal to"; "" for nothing of upstream's.
    """

    name: str
    describe: str
    make: Callable[[], Layout]
    own: bool = False
    equals: str = ""
    brief: Callable[[], Told] | None = None

    def layout(self) -> Layout:
        """The exact bytes, planned; each call makes a layout of its own."""
        return self.make()

    @property
    def size(self) -> int:
        """The exact size in bytes."""
        return self.told.size

    @cached_property
    def told(self) -> Told:
        """What is kept of the layout where its bytes are not wanted."""
        if self.brief is not None:
            return self.brief()
        layout = self.make()
        return Told(layout.size, layout.identity, layout.translated, layout.source_bytes)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A form that a model does not have, and why."""

    name: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A form of which it takes some work to say whether the model has it."""

    name: str
    decide: Callable[[], Plan | Refusal]


class Plans(Mapping[str, Plan | Refusal]):
    """What a model can appear as, by file name and in the order of a listing.

    What is undecided is decided when it is asked for: who opens one file waits for that one alone.
    """

    def __init__(self, found: Iterable[Plan | Refusal | Undecided]) -> None:
        self._found = {form.name: form for form in found}

    def __getitem__(self, name: str) -> Plan | Refusal:
        form = self._found[name]
        if isinstance(form, Undecided):
            form = self._found[name] = form.decide()
        return form

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory that a model has. `listed`: people are told of it; any can be opened."""

    name: str
    describe: str
    listed: bool = True
