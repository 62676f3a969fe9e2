"""What an operator is told of a running daemon: plain data, the same for the API, the page and the verbs.

Sizes are bytes, times are seconds; text is Unicode throughout (stray bytes of a name are escaped).
Knows nothing of how it is found out, or how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault as everybody is told of it: `kind` is its class in `fsd.errors`, `hint` what can be done."""

    kind: str
    reason: str
    path: str = ""
    place: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class MountReport:
    """A mount: `serving` once it answers. `models` counts those that are known so far."""

    mountpoint: str
    source: str
    adapter: str
    serving: bool
    models: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a file in full is estimated to take from here on: what is cached costs nothing.

    cpu_seconds: of one processor; None where the speed of its translation has not been measured yet.
    source_bytes: to be read from the source. cache_bytes: to be written to the store.
    """

    cpu_seconds: float | None
    source_bytes: int
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class FileReport:
    """A file of a model. `name` is its path in the model's directory, `path` the absolute one in the mount.

    kind: "source" for a file that is shown as it is. translated: any of its bytes is computed.
    equals: what it is byte for byte equal to, in words that follow "equal to"; "" for nothing of upstream's.
    sha256: of all of it, once that is known. note: what else there is to say of what was just done with it.
    """

    name: str
    path: str
    kind: Literal["source", "virtual"]
    describe: str
    size: int
    cached: int
    listed: bool
    translated: bool
    pinned: bool
    sha256: str | None
    sources: tuple[str, ...]
    equals: str
    cost: Cost
    note: str = ""


@dataclass(frozen=True, slots=True)
class RefusalReport:
    """A form that a model does not have, and why."""

    name: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A model: its path in the mount (`name`), and where it comes from.

    state: "unplanned" until somebody asked for its forms; "refused" has `problem` set. files: how many are
    listed. cached: bytes kept of all its forms.
    """

    name: str
    mountpoint: str
    source: str
    state: Literal["ready", "unplanned", "refused"]
    files: int
    cached: int
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model with all of its files, and the forms that it lacks."""

    model: ModelReport
    files: tuple[FileReport, ...]
    refusals: tuple[RefusalReport, ...]


JobKind = Literal["warm", "verify", "export"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class JobReport:
    """Long work. `done` and `total` are bytes; `rate` is bytes a second, lately; `eta` is seconds.

    paths: what it is about. current: the file at hand. created, started, ended: Unix times. results: one
    line of plain data for each file that is done, as the kind of job has it (see `fsd.control.jobs`).
    version: grows with every change, for who waits for the next.
    """

    id: str
    kind: JobKind
    state: JobState
    paths: tuple[str, ...]
    created: float
    done: int = 0
    total: int = 0
    rate: float = 0.0
    eta: float | None = None
    current: str = ""
    started: float | None = None
    ended: float | None = None
    problem: Problem | None = None
    results: tuple[dict[str, object], ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file of which bytes are kept: `identity` names its layout, `label` is what people call it."""

    identity: str
    label: str
    bytes: int
    pinned: bool
    complete: bool


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What is kept, by what limits. directory: None where nothing is kept on disk. figures: the counters."""

    directory: str | None
    bytes: int
    limit: int
    files: tuple[CachedFile, ...]
    figures: dict[str, int]


@dataclass(frozen=True, slots=True)
class RescanReport:
    """What a look at the sources found: names of models, as under the mount."""

    appeared: tuple[str, ...]
    changed: tuple[str, ...]
    vanished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OptionReport:
    """An option in force. `origin` is "default", or the flag, variable or file that set it."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The daemon at a glance. Counters by name, as docs/METRICS.md has them."""

    version: str
    pid: int
    started: float
    uptime: float
    ready: bool
    kernels: str
    mounts: tuple[MountReport, ...]
    engine: dict[str, int | float]
    store: dict[str, int]
    jobs_running: int
