"""Who is told of what the lookout found: the tree, the adapter, and whoever listens.

A thread waits for the lookout's word, and applies it in little time: what is shown, what the tree has kept of
it, what the kernel is to forget. It tells whom it tells without a lock held, and never looks at the source
itself: one that does not answer keeps the lookout alone waiting. A lookout that ended, for whatever reason,
is replaced; everything then counts as changed. Knows nothing of what a kernel keeps.
"""

from __future__ import annotations

import itertools
import logging
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress

import msgspec

from fsd.children import Child, Start, fresh
from fsd.mount.adapters import Adapter
from fsd.planner.messages import shown
from fsd.tree import Changes, Folder, ModelSource, Tree
from fsd.watch.found import Found, heard
from fsd.watch.settling import SETTLING

log = logging.getLogger(__name__)

# How often what is cached is compared with what was told of it.
_FRESH_SECONDS = 1.0
# A lookout that ends at once is not started again at once.
_AGAIN_SECONDS = 2.0
_PIECE = 1 << 16

Listener = Callable[[Changes], None]


class Watch:
    """Of one tree and the adapter that serves it. `events`: False leaves it to polling.

    changes: how many models have appeared, changed or vanished so far.
    """

    def __init__(
        self, tree: Tree, adapter: Adapter, *, settle: float, poll: float, events: bool = True,
        start: Start = fresh,
    ) -> None:  # fmt: skip
        self.changes = 0
        self._tree = tree
        self._adapter = adapter
        self._start_child = start
        looking = "events" if events else "looks"
        bases = msgspec.msgpack.encode(tree.bases).hex()
        self._arguments = (tree.source, str(settle), str(poll), looking, bases, *tree.excluded)
        self._listeners: list[Listener] = []
        self._models: dict[str, ModelSource] = {}
        self._admitted: dict[str, None] = {}
        # What each directory of the source is, by its path: the tree asks here.
        self._places: dict[str, Folder | ModelSource] = {}
        self._folders: set[str] = set()
        self._pending: Mapping[str, str] = {}
        self._numbers = itertools.count(1)
        self._asked: dict[int, Future[Changes]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._lookout: _Lookout = _Nobody()
        self._thread = threading.Thread(target=self._run, name="prismfs-watch", daemon=True)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called with all changes from now on, by the thread that found them."""
        self._listeners.append(listener)

    @property
    def pending(self) -> dict[str, str]:
        """Models that are not shown yet, by path under the mount, with what each waits for."""
        return dict(self._pending)

    def start(self) -> None:
        """Have the source looked at for the first time, and on. To be called before the tree is served.

        Raises OSError where no process can be started.
        """
        try:
            found = self._begin()
        except EOFError:
            raise OSError("the process that looks at the source does not start") from None
        self._take_over(found)
        self._tree.watched(self._admitted.__contains__, self._places)
        self._adapter.watched()
        self._thread.start()

    def close(self) -> None:
        """Look no more. What waits for a source that does not answer is left to it."""
        with self._lock:
            self._closed = True
            self._lookout.stop()
            asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.set_result(Changes())
        self._thread.join(2)

    def rescan(self) -> Changes:
        """Look at everything now; what has changed since the last look. What is new has to settle first."""
        number, answer = next(self._numbers), Future[Changes]()
        with self._lock:
            if self._closed:
                return Changes()
            self._asked[number] = answer
            self._lookout.ask(number)
        return answer.result()

    def _run(self) -> None:
        while not self._closed:
            try:
                self._follow()
            except Exception:
                # A watch that ended would leave the kernel with what it has, for ever.
                log.exception("following %s", shown(self._tree.source))
            if not self._closed:
                log.warning("%s: who looks at it has ended, and is replaced", shown(self._tree.source))
                time.sleep(_AGAIN_SECONDS)
                self._replace()
        self._lookout.close()

    def _follow(self) -> None:
        """Apply what the lookout says, until it ends."""
        refreshed = time.monotonic()
        with suppress(EOFError):
            while True:
                line = self._lookout.line(refreshed + _FRESH_SECONDS)
                if line is not None:
                    self._apply(heard(line))
                if time.monotonic() >= refreshed + _FRESH_SECONDS:
                    refreshed = time.monotonic()
                    self._adapter.refresh(self._tree.grown())

    def _begin(self) -> Found:
        """Start a lookout; what it finds at first. Raises OSError, EOFError."""
        lookout = _Lookout(self._start_child("fsd.watch.lookout", self._arguments))
        with self._lock:
            self._lookout = lookout
            if self._closed:
                lookout.stop()
        return heard(lookout.line(None) or b"")

    def _replace(self) -> None:
        """Start another lookout. It knows nothing of what the last one said: all may be others by now."""
        self._lookout.close()
        try:
            found = self._begin()
        except (OSError, EOFError, ValueError):
            return
        now, before = found.models, self._models
        changes = Changes(
            appeared=tuple(now.keys() - before.keys()),
            changed=tuple(now.keys() & before.keys()),
            vanished=tuple(before.keys() - now.keys()),
            models={**now, **before},
        )
        with self._lock:
            answers = tuple(self._asked)
        self._take_over(found)
        self._apply(Found(changes, models=now, pending=found.pending, answers=answers))

    def _take_over(self, found: Found) -> None:
        """What a new lookout says first takes the place of all that is known."""
        self._learn(found)
        places = {model.path for model in found.models.values()}.union(self._folders)
        for known, wanted in (
            (self._models, found.models), (self._admitted, set(found.admitted)), (self._places, places)
        ):  # fmt: skip
            for path in known.keys() - wanted:
                del known[path]

    def _learn(self, found: Found) -> None:
        """What is still there is there at each moment: requests ask meanwhile."""
        changes = found.changes
        gone = {self._models[path] for path in (*changes.vanished, *changes.changed) if path in self._models}
        if found.folders is not None:
            gone_folders, self._folders = self._folders - {*found.folders}, set(found.folders)
            self._places.update((path, Folder(path)) for path in self._folders)
            for path in gone_folders:
                self._places.pop(path, None)
        self._admitted.update(dict.fromkeys(found.admitted))
        for path in found.dropped:
            self._admitted.pop(path, None)
        self._places.update((model.path, model) for model in found.models.values())
        for path in {model.path for model in gone - {*found.models.values()}} - self._folders:
            self._places.pop(path, None)
        self._models.update(found.models)
        for path in changes.vanished:
            self._models.pop(path, None)
        self._note(found.pending)

    def _apply(self, found: Found) -> None:
        """What is shown is so before anybody is told."""
        changes = found.changes
        self._learn(found)
        if changes:
            self.changes += changes.count
            self._adapter.forget(self._tree.news(changes))
            _say(changes)
            for listener in self._listeners:
                listener(changes)
        for number in found.answers:
            with self._lock:
                answer = self._asked.pop(number, None)
            if answer is not None:
                answer.set_result(changes)

    def _note(self, pending: Mapping[str, str]) -> None:
        for path, reason in pending.items():
            if reason != SETTLING and self._pending.get(path) != reason:
                log.info("%s: not shown yet: %s", shown(path), reason)
        self._pending = pending


class _Lookout:
    """The process that looks, and the lines that it says."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._said = bytearray()
        self.stop, self.close = child.stop, child.close

    def ask(self, number: int) -> None:
        """Have everything looked at now. One that has ended cannot be asked: its successor answers."""
        with suppress(OSError):
            self._child.connection.sendall(b"%d\n" % number)

    def line(self, until: float | None) -> bytes | None:
        """The next line; None at that time by the monotonic clock. Raises EOFError."""
        poll = select.poll()  # not select(): a daemon may have more than 1024 descriptors
        poll.register(self._child.connection, select.POLLIN)
        searched = 0
        while (end := self._said.find(b"\n", searched)) < 0:
            searched = len(self._said)
            if not poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000):
                return None
            try:
                piece = self._child.connection.recv(_PIECE)
            except ConnectionError:
                raise EOFError from None
            if not piece:
                raise EOFError
            self._said += piece
        line = bytes(self._said[:end])
        del self._said[: end + 1]
        return line


class _Nobody(_Lookout):
    """Before the first one."""

    def __init__(self) -> None:
        self.stop = self.close = lambda: None


def _say(changes: Changes) -> None:
    for word, paths in (
        ("new", changes.appeared), ("changed", changes.changed), ("gone", changes.vanished),
    ):  # fmt: skip
        if len(paths) > 8:
            log.info("%s: %d models, among them %s", word, len(paths), shown(paths[0]))
        else:
            for path in paths:
                log.info("%s: %s", word, shown(path))


@contextmanager
def watching(
    tree: Tree, adapter: Adapter, *, settle: float, poll: float, events: bool = True, start: Start = fresh
) -> Iterator[Watch]:
    """A watch that has begun, and ends with the block. `start` is how its process is started."""
    watch = Watch(tree, adapter, settle=settle, poll=poll, events=events, start=start)
    watch.start()
    try:
        yield watch
    finally:
        watch.close()
