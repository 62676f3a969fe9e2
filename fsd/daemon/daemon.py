"""The daemon: its parts, its mounts, and whatever else runs while they are served.

`serve` returns when every mount is gone. What it is composed of is all here; what each part does is not.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from importlib.metadata import version

from fsd import metrics
from fsd.api import serving
from fsd.children import Stem
from fsd.config import Options
from fsd.control import Control, Mounted, Place
from fsd.daemon import ending, notify, parts
from fsd.daemon.parts import Parts
from fsd.engine import Engine
from fsd.memory import here_for_ever, keep_freed
from fsd.mount import adapters, lifecycle
from fsd.mount.lifecycle import Served
from fsd.tree import Changes, Tree
from fsd.watch import watching
from translators.quants import kernels

log = logging.getLogger(__name__)


def serve(options: Options, places: Sequence[Place], on_ready: Callable[[], None]) -> int:
    """Mount all of `places` and serve them; `on_ready` is called once they answer. Returns the exit code.

    For the main thread of a process that does nothing else: it takes the signals, and may end the process.
    """
    service = notify.Service.taken(os.environ)  # before any child is started
    stem = Stem(("fsd.planner.worker", "fsd.watch.lookout"))
    keep_freed()
    name, reason = adapters.chosen(options.fuse)
    log.info("prismfs %s; adapter: %s%s", version("prismfs"), name, f" ({reason})" if reason else "")
    with ExitStack() as stack:
        stack.enter_context(closing(stem))
        shared = stack.enter_context(
            parts.opened(options, [str(place.source) for place in places], start=stem.start)
        )
        shared.planner.start()  # a mount is mostly listed soon
        if shared.disk is not None:
            log.info(
                "translated bytes are kept in %s, at most %d bytes", options.cache_dir, shared.disk.limit
            )
        mounted = [_mounted(place, places, name, options, shared) for place in places]
        mounted = [stack.enter_context(_watched(mount, options, stem)) for mount in mounted]
        control = stack.enter_context(closing(Control(mounted, shared, options)))
        figures = _figures(name, shared, mounted, control)
        told = stack.enter_context(
            notify.telling(service, [place.mountpoint for place in places], lambda: metrics.sentence(figures))
        )
        registry = metrics.registry(figures)
        offered = stack.enter_context(
            serving(control, options, lambda accept: metrics.exposition(registry, accept))
        )
        for mount in mounted:
            mount.tree.tell("api", offered.told)

        def ready() -> None:
            told.mounted()
            on_ready()

        def stop() -> None:
            told.stopping()
            ending.in_time()

        here_for_ever()
        # Root's mounts are for everybody, as any other file system that root mounts.
        others = options.allow_other or os.geteuid() == 0
        ended = lifecycle.run(
            [Served(mount.adapter, mount.place.mountpoint, others) for mount in mounted],
            ready,
            on_stop=stop,
            on_cut_off=shared.engine.stop,
        )
    log.info("unmounted")
    if not ended:
        log.warning("a read is still computed; leaving it")
        logging.shutdown()
        os._exit(0)
    return 0


def _figures(
    adapter_name: str, shared: Parts, mounted: Sequence[Mounted], control: Control
) -> metrics.Sources:
    mounts = [_metered(mount) for mount in mounted]
    build = {"version": version("prismfs"), "adapter": adapter_name, "kernels": kernels.in_use()}
    return metrics.Sources(
        engine=shared.engine, planner=shared.planner, mounts=mounts, build=build,
        by_type=lambda: _translated(shared.engine),
        changes=_noted(mounted).counts,
        jobs=lambda: [(job.kind, job.state) for job in control.jobs.list()],
    )  # fmt: skip


def _noted(mounted: Sequence[Mounted]) -> metrics.Noted:
    noted = metrics.Noted()

    def heard(changes: Changes) -> None:
        noted.note(
            appeared=len(changes.appeared), changed=len(changes.changed), vanished=len(changes.vanished)
        )

    for mount in mounted:
        if mount.watch is not None:
            mount.watch.listen(heard)
    return noted


def _translated(engine: Engine) -> dict[str, metrics.Translated]:
    measured = engine.counters().by_target
    return {target: metrics.Translated(seconds, count) for target, (count, seconds) in measured.items()}


def _metered(mount: Mounted) -> metrics.Mount:
    return metrics.Mount(mount.place.mountpoint, mount.adapter, lambda: mount.tree.models_known)


def _mounted(
    place: Place, places: Sequence[Place], adapter_name: str, options: Options, shared: Parts
) -> Mounted:
    log.info("%s is served at %s", place.source, place.mountpoint)
    # No mount of ours is looked into: who asks itself waits for itself.
    excluded = tuple(str(other.mountpoint) for other in places)
    tree = Tree(
        str(place.source), shared.planner, shared.engine, types=options.types,
        split_size=options.split_size, excluded=excluded,
    )  # fmt: skip
    adapter = adapters.made(adapter_name, tree)
    tree.tell("adapter", lambda: {"name": adapter_name} | adapter.counters())
    return Mounted(place, tree, adapter)


@contextmanager
def _watched(mount: Mounted, options: Options, stem: Stem) -> Iterator[Mounted]:
    """The mount, with its source watched while the block runs."""
    with watching(
        mount.tree, mount.adapter, settle=options.settle, poll=options.poll, start=stem.start
    ) as watch:
        yield replace(mount, watch=watch)
