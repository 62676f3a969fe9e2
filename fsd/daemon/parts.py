"""The parts that all mounts of a daemon share: planner, store, engine. Opened here, closed here.

Knows the options; nothing of FUSE, of trees or of who asks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fsd.children import Start, fresh
from fsd.config import Options, resolve
from fsd.engine import ChunkStore, Engine, MemoryStore
from fsd.errors import StoreRefused
from fsd.planner import Planner
from fsd.store import DiskStore, Tiered
from translators.sources.bases import bases

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What trees are made of. `disk` is the store on disk, where there is one."""

    planner: Planner
    engine: Engine
    disk: DiskStore | None


@contextmanager
def opened(
    options: Options, sources: Sequence[str] = (), *, on_disk: bool = True, start: Start = fresh
) -> Iterator[Parts]:
    """The parts, by `options`; they end with the block. Translated bytes are kept on disk too if `on_disk`.

    `sources` are the directories of models that are served, where adapters have their base models; `start` is
    how planning processes are started.

    The usual store may be another daemon's: then in memory alone. One that was named raises StoreRefused.
    """
    memory = MemoryStore(options.cache_memory)
    disk = _disk(options) if on_disk and not options.no_cache else None
    store: ChunkStore = Tiered(memory, disk) if disk is not None else memory
    planner = Planner(
        options.plan_cache, seconds=options.planner_time, memory=options.planner_memory, start=start,
        imatrix_of=options.imatrix_of, bases=bases(sources, options.bases),
    )  # fmt: skip
    engine = Engine(store, options.workers, read_ahead=options.read_ahead)
    try:
        yield Parts(planner, engine, disk)
    finally:
        engine.close()
        planner.close()
        if disk is not None:
            disk.close()


def _disk(options: Options) -> DiskStore | None:
    try:
        return DiskStore(options.cache_dir, options.cache_size, options.cache_min_free)
    except (OSError, StoreRefused) as error:
        if isinstance(error, StoreRefused) and options.cache_dir != resolve({}, {}).cache_dir:
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        log.warning("%s: translated bytes are kept in memory alone: %s", options.cache_dir, reason)
        return None
