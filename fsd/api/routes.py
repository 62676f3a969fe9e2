"""/v1, but for jobs: what can be asked of a daemon, and what it can be told to do at once.

Each method is one call of `Control`, which the application runs in a worker thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query

from fsd.api import examples
from fsd.api.asked import AnyPath, ClearRequest, ModelName, Mountpoint, PathRequest
from fsd.api.operations import Operation
from fsd.control.reports import (
    CacheReport,
    FileReport,
    ModelFiles,
    ModelReport,
    MountReport,
    OptionReport,
    RescanReport,
    StatusReport,
)
from fsd.errors import (
    Ambiguous,
    Interrupted,
    IsADirectory,
    NoStore,
    NoSuchEntry,
    NotADirectory,
    Pinned,
    PlanningCrash,
    PlanningMemory,
    PlanningTimeout,
    PlanRefused,
    StaleHandle,
    StoreRefused,
)
from translators.errors import BadValues, MalformedSource, MissingSource, SourceChanged, Unsupported

if TYPE_CHECKING:
    from fsd.control import Control

# What naming something under a mount can end with, and planning it.
NAMING = (
    *(NoSuchEntry, Ambiguous, NotADirectory, IsADirectory, StaleHandle),
    *(FileNotFoundError, PermissionError, OSError),
)
PLANNING = (
    *(PlanRefused, PlanningTimeout, PlanningMemory, PlanningCrash, Interrupted, MemoryError),
    *(MalformedSource, MissingSource, BadValues, Unsupported, SourceChanged),
)
KEEPING = (NoStore, StoreRefused, OSError)


class Asking:
    """What changes nothing."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def get_status(self) -> StatusReport:
        """The daemon at a glance: its version, its mounts, its counters."""
        return self._control.status()

    def list_mounts(self) -> list[MountReport]:
        """Every mount of the daemon."""
        return self._control.mounts()

    def list_models(self, mountpoint: Annotated[Mountpoint | None, Query()] = None) -> list[ModelReport]:
        """Every model, of all mounts or of one. The sources are walked; no model is planned for it."""
        return self._control.models(mountpoint)

    def list_files(
        self,
        name: Annotated[ModelName, Path()],
        mountpoint: Annotated[Mountpoint | None, Query()] = None,
        all: Annotated[bool, Query(description="Forms that can be opened, but are not listed, too")] = False,
    ) -> ModelFiles:
        """A model's files: sizes, what is kept of them, what they equal, what reading them would cost.

        The model is planned for it, which can take seconds. Forms that it cannot have come with the reason.
        """
        return self._control.files(name, mountpoint, all)

    def get_file(self, path: Annotated[AnyPath, Query()]) -> FileReport:
        """One file, by its path."""
        return self._control.file(path)

    def get_cache(self) -> CacheReport:
        """What is kept of translated bytes, and by what limits."""
        return self._control.cache()

    def list_options(self) -> list[OptionReport]:
        """Every option in force, and what set it."""
        return self._control.options()

    def operations(self) -> tuple[Operation, ...]:
        """All of these."""
        model = (*NAMING, *PLANNING)
        several = Operation("GET", "/v1/models", self.list_models, [examples.MODEL], NAMING, checked=True)
        files = Operation(
            "GET", "/v1/models/{name:path}/files", self.list_files, examples.FILES, model, checked=True
        )
        return (
            Operation("GET", "/v1/status", self.get_status, examples.STATUS),
            Operation("GET", "/v1/mounts", self.list_mounts, [examples.MOUNT]),
            several,
            files,
            Operation("GET", "/v1/files", self.get_file, examples.FILE, model, checked=True),
            Operation("GET", "/v1/cache", self.get_cache, examples.CACHE, KEEPING),
            Operation("GET", "/v1/config", self.list_options, [examples.OPTION]),
        )


class Telling:
    """What changes something, at once."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def pin(self, asked: PathRequest) -> list[FileReport]:
        """Keep what is translated of a file for as long as it is pinned, whatever the store's limit wants."""
        return self._control.pin(asked.path, True)

    def unpin(self, asked: PathRequest) -> list[FileReport]:
        """Let the store drop a file's translated bytes again when it needs their room."""
        return self._control.pin(asked.path, False)

    def evict(self, asked: PathRequest) -> list[FileReport]:
        """Drop a file's translated bytes now. It stays listed, and is translated again when it is read."""
        return self._control.evict(asked.path)

    def clear_cache(self, asked: ClearRequest) -> CacheReport:
        """Drop all translated bytes that are not pinned; with `pinned`, those too."""
        return self._control.cache_clear(asked.pinned)

    def rescan(self) -> RescanReport:
        """Look at the sources now: models that came, changed or went."""
        return self._control.rescan()

    def operations(self) -> tuple[Operation, ...]:
        """All of these."""
        named = (*NAMING, *PLANNING, *KEEPING)
        files = [examples.FILE]
        return (
            Operation("POST", "/v1/pin", self.pin, files, named, body=True),
            Operation("POST", "/v1/unpin", self.unpin, files, named, body=True),
            Operation("POST", "/v1/evict", self.evict, files, (*named, Pinned), body=True),
            Operation("POST", "/v1/cache/clear", self.clear_cache, examples.CACHE, KEEPING, body=True),
            Operation("POST", "/v1/rescan", self.rescan, examples.RESCAN, (OSError, PermissionError)),
        )


def router(control: Control) -> APIRouter:
    """The routes, which ask `control`."""
    routes = APIRouter()
    for tag, operations in (
        ("asking", Asking(control).operations()),
        ("telling", Telling(control).operations()),
    ):
        for operation in operations:
            operation.add_to(routes, tag)
    return routes
