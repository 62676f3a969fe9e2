"""What a model appears as, told to a person: names, sizes, and reasons.

Text is Unicode throughout (stray bytes of a name are escaped), ready to be printed or sent as JSON.
Knows nothing of how it was found out, or how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsd.planner import Failure, FolderEntry, RefusedEntry


@dataclass(frozen=True, slots=True)
class ModelNode:
    """A model under the mount: its path there, its inode number, and where it is in the source."""

    path: str
    ino: int
    source: str


@dataclass(frozen=True, slots=True)
class EntryReport:
    """A file of a model: `listed` says whether a directory shows it; it can be opened all the same."""

    name: str
    size: int
    describe: str
    listed: bool


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model: its path under the mount, its source, its files, the forms it lacks, or why it has none.

    folders: directories of formats, whose files are planned when somebody looks into them.
    A directory of the source that is not shown, as it holds no model, is reported with an error alone.
    """

    name: str
    source: str
    entries: tuple[EntryReport, ...] = ()
    refusals: tuple[RefusedEntry, ...] = ()
    error: Failure | None = None
    folders: tuple[FolderEntry, ...] = ()
