"""The thread that looks at a source, and tells who has to know.

A look is taken every `poll` seconds, and soon after an event, of what the event is about. Looks take a small
share of a processor at most, so that a source of many thousand models is looked at less often.
The tree is asked only by this thread whether a model has settled; whom it tells (the adapter, listeners) it
tells without a lock held. It is never in a request's way: a source that does not answer keeps this thread
alone waiting. Knows nothing of what a kernel keeps.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from fsd.mount.adapters import Adapter
from fsd.planner.messages import shown
from fsd.tree import Changes, Tree
from fsd.tree.hub import blobs_of, repository
from fsd.tree.places import Places
from fsd.watch.census import Census, Seen
from fsd.watch.complete import missing
from fsd.watch.events import Events
from fsd.watch.settling import Settling

log = logging.getLogger(__name__)

# Two looks this far apart tell what is being written at the start.
_FIRST_SECONDS = 0.1
# Several events soon after each other are one look.
_GATHER_SECONDS = 0.1
# A look at everything waits so many times as long as it takes; a look at a part, fewer.
_ALL_SHARE, _PART_SHARE = 40, 4
# How often what is cached is compared with what was told of it.
_FRESH_SECONDS = 1.0
# A look leaves the processor to readers after every so many models.
_BREATH, _BREATH_SECONDS = 4, 0.0005

_LONG = 3600.0
_REMEMBERED = 1 << 14

Listener = Callable[[Changes], None]


class _Pace:
    """When looks were, and how long they took: that tells when the next ones may be."""

    def __init__(self) -> None:
        self.last_part = self._last_all = time.monotonic()
        self._took_part = self._took_all = 0.0

    def next_all(self, poll: float) -> float:
        """When everything is looked at again, by the monotonic clock."""
        return self._last_all + max(poll, _ALL_SHARE * self._took_all)

    def next_part(self) -> float:
        """When a part may be looked at again."""
        return self.last_part + max(_GATHER_SECONDS, _PART_SHARE * self._took_part)

    def all(self, look: Callable[[], object]) -> None:
        """Take a look at everything."""
        self.part(look)
        self._last_all, self._took_all = self.last_part, self._took_part

    def part(self, look: Callable[[], object]) -> None:
        """Take a look at a part."""
        begun = time.monotonic()
        look()
        self.last_part = time.monotonic()
        self._took_part = self.last_part - begun


class Watch:
    """Of one tree and the adapter that serves it. `events`: False leaves it to polling.

    changes: how many models have appeared, changed or vanished so far.
    """

    def __init__(
        self, tree: Tree, adapter: Adapter, *, settle: float, poll: float, events: bool = True
    ) -> None:
        self.changes = 0
        self._tree = tree
        self._adapter = adapter
        self._poll = poll
        self._places = Places(tree.source, tree.places.excluded)
        self._census = Census(self._places, self._breathe)
        self._settling = Settling(settle)
        self._events = Events(self._happened) if events else None
        self._listeners: list[Listener] = []
        self._missing: dict[int | None, str] = {}
        self._told: dict[str, str] = {}
        self._seen = 0
        self._outside: set[str] = set()
        self._pace = _Pace()
        self._fresh = time.monotonic()
        self._condition = threading.Condition()
        self._looking = threading.Lock()
        self._names: set[str] = set()
        self._everything = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="prismfs-watch", daemon=True)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called with all changes from now on, by the thread that found them."""
        self._listeners.append(listener)

    @property
    def pending(self) -> dict[str, str]:
        """Models that are not shown yet, by path under the mount, with what each waits for."""
        return self._settling.pending

    def start(self) -> None:
        """Look for the first time, and go on. To be called before the tree is served."""
        found = self._census.take()
        newest = max((seen.changed_ns for seen in found.values()), default=0)
        again = found
        if 0 <= time.time_ns() - newest < 1e9:
            time.sleep(_FIRST_SECONDS)
            again = self._census.take()
        self._settling.begin(again, found, time.monotonic())
        self._tree.places.admits = self._settling.admits
        self._adapter.watched()
        self._thread.start()

    def close(self) -> None:
        """Look no more. What waits for a source that does not answer is left to it."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._events is not None:
            self._events.close()
        self._thread.join(2)

    def rescan(self) -> Changes:
        """Look at everything now; what has changed since the last look. What is new has to settle first."""
        return self._look(None)

    def _happened(self, path: str) -> None:
        """An event: what it is about has to be looked at."""
        below = os.path.relpath(path, self._tree.source)
        first, _, rest = below.partition("/")
        with self._condition:
            found = repository("", first)
            if first in (".", "..") or not (rest or self._is_directory(first)):
                self._everything = True
            self._names.update({first, found.org or found.name} if found else {first})
            self._condition.notify_all()

    def _is_directory(self, name: str) -> bool:
        return os.path.isdir(os.path.join(self._tree.source, name))  # noqa: PTH112

    def _run(self) -> None:
        self._follow()
        while not self._closed:
            try:
                self._step()
            except Exception:
                # A watch that ended would leave the kernel with what it has, for ever.
                log.exception("looking at %s", shown(self._tree.source))
                time.sleep(_FRESH_SECONDS)

    def _step(self) -> None:
        """Wait for what is due next, and do it."""
        with self._condition:
            waits = self._waits()
            if not self._closed and min(waits) > 0:
                self._condition.wait(min(waits))
            if self._closed:
                return
            all_due, part_due, fresh_due = (wait <= 0 for wait in self._waits())
            names: set[str] | None = set()
            if all_due or part_due:
                names = None if all_due or self._everything else self._names
                self._names, self._everything = set(), False
        if names is None:
            self._pace.all(lambda: self._look(None))
            self._follow()
        elif part_due:
            names |= {path.partition("/")[0] for path in self._settling.unsettled}
            self._pace.part(lambda: self._look(names))
        if fresh_due:
            self._fresh = time.monotonic()
            self._adapter.refresh(self._tree.grown())

    def _waits(self) -> tuple[float, float, float]:
        """In how many seconds everything, a part, and what is cached is to be looked at. The lock is held."""
        now = time.monotonic()
        part, due = _LONG, self._settling.due(self._pace.last_part)
        if self._names or self._everything:
            part = 0.0
        elif due is not None:
            part = self._pace.last_part + due - now
        return (
            self._pace.next_all(self._poll) - now,
            max(part, self._pace.next_part() - now),
            self._fresh + _FRESH_SECONDS - now,
        )

    def _look(self, only: Collection[str] | None) -> Changes:
        with self._looking:
            found = self._census.take(only)
            changes = self._settling.take(
                found,
                time.monotonic(),
                covers=lambda path: only is None or path.partition("/")[0] in only,
                held_up=self._held_up,
            )
            if changes:
                self.changes += changes.count
                self._adapter.forget(self._tree.news(changes))
        if changes:
            self._say(changes)
            for listener in self._listeners:
                listener(changes)
        return changes

    def _held_up(self, seen: Seen) -> str:
        """What a model lacks, looked for once in each of its states."""
        reason = self._missing.get(seen.print)
        if reason is None:
            if len(self._missing) >= _REMEMBERED:
                self._missing.clear()
            self._breathe()
            reason = self._missing[seen.print] = missing(self._places, seen.model)
            if reason:
                log.info("%s: not shown yet: %s", shown(seen.model.path), reason)
        return reason

    def _say(self, changes: Changes) -> None:
        for word, paths in (
            ("new", changes.appeared), ("changed", changes.changed), ("gone", changes.vanished),
        ):  # fmt: skip
            if len(paths) > 8:
                log.info("%s: %d models, among them %s", word, len(paths), shown(paths[0]))
            else:
                for path in paths:
                    log.info("%s: %s", word, shown(path))

    def _follow(self) -> None:
        """Have events of the source, and of directories outside it that links in it lead to."""
        if self._events is None:
            return
        source = self._tree.source
        if not os.path.isdir(source):  # noqa: PTH112
            self._events.follow(os.path.dirname(source), recursive=False)  # noqa: PTH120
            return
        self._events.follow(source)
        inside = os.path.realpath(source) + "/"
        for path in self._settling.sources:
            if path not in self._outside:
                self._outside.add(path)
                for directory in {os.path.realpath(path), os.path.realpath(blobs_of(path) or path)}:
                    if os.path.isdir(directory) and not directory.startswith(inside):  # noqa: PTH112
                        self._events.follow(directory, recursive=False)

    def _breathe(self) -> None:
        self._seen += 1
        if self._seen % _BREATH == 0:
            time.sleep(_BREATH_SECONDS)


@contextmanager
def watching(
    tree: Tree, adapter: Adapter, *, settle: float, poll: float, events: bool = True
) -> Iterator[Watch]:
    """A watch that has begun, and ends with the block."""
    watch = Watch(tree, adapter, settle=settle, poll=poll, events=events)
    watch.start()
    try:
        yield watch
    finally:
        watch.close()
