"""The process that looks at a source: takes a census again and again, and says what came of it.

    python -P -m fsd.watch.lookout SOURCE SETTLE POLL EVENTS BASES EXCLUDED...

A process of its own, as a look at a thousand models is half a second of Python, which would stand in the way
of reads; of the lowest priority, and with a rest after every half millisecond of work, as looks can wait and
readers cannot. A look is taken every `poll` seconds, and soon after an event, of what the event is about.
Looks take a small share of a processor at most, so that a source of many thousand models is looked at less
often.
Takes requests on stdin, says what it found on stdout (`found.py`), and ends when stdin does. Knows neither
tree nor adapter.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection

import msgspec

from fsd.planner.messages import shown
from fsd.tree import Changes
from fsd.tree.hub import blobs_of, repository
from fsd.tree.places import Places
from fsd.watch.census import Census, Seen
from fsd.watch.complete import missing
from fsd.watch.events import Events
from fsd.watch.found import Found, line_of
from fsd.watch.settling import Settling
from translators.sources.bases import Bases

log = logging.getLogger(__name__)

# Two looks this far apart tell what is being written at the start.
_FIRST_SECONDS = 0.1
# Several events soon after each other are one look.
_GATHER_SECONDS = 0.1
# A look at everything waits so many times as long as it takes; a look at a part, fewer.
_ALL_SHARE, _PART_SHARE = 40, 2
# Work, and the rest after it: a reader that comes meanwhile may have to wait for the one, and be put behind
# another thread for it.
_WORK_SECONDS, _REST_SECONDS = 0.0005, 0.0015
_NICE = 19

_LONG = 3600.0
_REMEMBERED = 1 << 14


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


class Lookout:
    """Of one source; `say` is called with what each look finds that is worth saying."""

    def __init__(
        self, places: Places, say: Callable[[Found], None], *, settle: float, poll: float, events: bool,
        bases: Bases,
    ) -> None:  # fmt: skip
        self._source = places.source
        self._places = places
        self._say = say
        self._poll = poll
        self._census = Census(places, self._rest, bases)
        self._settling = Settling(settle)
        self._events = Events(self._happened) if events else None
        self._missing: dict[int | None, str] = {}
        self._admitted: set[str] = set()
        self._pending: dict[str, str] = {}
        self._folders: set[str] = set()
        self._outside: set[str] = set()
        self._rests = False
        self._working = time.monotonic()
        self._pace = _Pace()
        self._condition = threading.Condition()
        self._names: set[str] = set()
        self._everything = False
        self._asked: list[int] = []

    def begin(self) -> None:
        """Look for the first time, and say all that is shown. No rests: nobody reads before this is said."""
        found = self._census.take()
        newest = max((seen.changed_ns for seen in found.values()), default=0)
        again = found
        if 0 <= time.time_ns() - newest < 1e9:
            time.sleep(_FIRST_SECONDS)
            again = self._census.take()
        self._settling.begin(again, found, time.monotonic())
        listed = self._settling.listed
        self._tell(Changes(appeared=tuple(listed), models=listed), always=True)
        self._rests = True

    def run(self) -> None:
        """Look again and again; does not return."""
        self._follow()
        while True:
            try:
                self._step()
            except OSError as error:
                # A watch that ended would leave the kernel with what it has, for ever.
                log.warning("looking at %s: %s", shown(self._source), error)
                time.sleep(1)

    def ask(self, number: int) -> None:
        """Have everything looked at now; what is then said answers this number. For any thread."""
        with self._condition:
            self._asked.append(number)
            self._condition.notify_all()

    def _happened(self, path: str) -> None:
        """An event: what it is about has to be looked at. A copied model is a dozen of them."""
        inside = path.startswith(self._source + "/")
        below = path[len(self._source) + 1 :] if inside else os.path.relpath(path, self._source)
        first, _, rest = below.partition("/")
        if first in self._names and rest:
            return
        with self._condition:
            found = repository("", first)
            if first in (".", "..") or not (rest or self._is_directory(first)):
                self._everything = True
            self._names.update({first, found.org or found.name} if found else {first})
            self._condition.notify_all()

    def _is_directory(self, name: str) -> bool:
        return os.path.isdir(os.path.join(self._source, name))  # noqa: PTH112

    def _step(self) -> None:
        """Wait for what is due next, and do it."""
        with self._condition:
            waits = self._waits()
            if not self._asked and min(waits) > 0:
                self._condition.wait(min(waits))
            all_due, part_due = (wait <= 0 for wait in self._waits())
            asked, self._asked = self._asked, []
            names: set[str] | None = set()
            if all_due or part_due or asked:
                names = None if all_due or asked or self._everything else self._names
                self._names, self._everything = set(), False
        if names is None:
            self._pace.all(lambda: self._look(None, asked))
            self._follow()
        elif part_due:
            names |= {path.partition("/")[0] for path in self._settling.unsettled}
            self._pace.part(lambda: self._look(names, asked))

    def _waits(self) -> tuple[float, float]:
        """In how many seconds everything, and a part, is to be looked at. The lock is held."""
        now = time.monotonic()
        part, due = _LONG, self._settling.due(self._pace.last_part)
        if self._names or self._everything:
            part = 0.0
        elif due is not None:
            part = self._pace.last_part + due - now
        return self._pace.next_all(self._poll) - now, max(part, self._pace.next_part() - now)

    def _look(self, only: Collection[str] | None, asked: Collection[int]) -> None:
        if only is not None:
            only = {*only, *self._census.adapters}
        found = self._census.take(only)
        changes = self._settling.take(
            found,
            time.monotonic(),
            covers=lambda path: only is None or path.partition("/")[0] in only,
            held_up=self._held_up,
        )
        self._tell(changes, asked)

    def _tell(self, changes: Changes, asked: Collection[int] = (), *, always: bool = False) -> None:
        """Say what a look came to, if anybody has to know."""
        pending, folders = self._settling.pending, self._census.folders
        others = always or folders != self._folders
        if not (changes or asked or others or pending != self._pending):
            return
        listed = self._settling.listed
        admitted = set(self._settling.sources) if changes or always else self._admitted
        self._say(
            Found(
                changes,
                models={path: listed[path] for path in (*changes.appeared, *changes.changed)},
                folders=tuple(folders) if others else None,
                admitted=tuple(admitted - self._admitted),
                dropped=tuple(self._admitted - admitted),
                pending=pending,
                answers=tuple(asked),
            )
        )
        self._admitted, self._pending, self._folders = admitted, pending, set(folders)

    def _held_up(self, seen: Seen) -> str:
        """What a model lacks, looked for once in each of its states."""
        reason = self._missing.get(seen.print)
        if reason is None:
            if len(self._missing) >= _REMEMBERED:
                self._missing.clear()
            self._rest()
            reason = self._missing[seen.print] = missing(self._places, seen.model)
        return reason

    def _follow(self) -> None:
        """Have events of the source, and of directories outside it that links in it lead to."""
        if self._events is None:
            return
        if not os.path.isdir(self._source):  # noqa: PTH112
            self._events.follow(os.path.dirname(self._source), recursive=False)  # noqa: PTH120
            return
        self._events.follow(self._source)
        inside = os.path.realpath(self._source) + "/"
        for path in self._settling.sources:
            if path not in self._outside:
                self._outside.add(path)
                for directory in {os.path.realpath(path), os.path.realpath(blobs_of(path) or path)}:
                    if os.path.isdir(directory) and not directory.startswith(inside):  # noqa: PTH112
                        self._events.follow(directory, recursive=False)

    def _rest(self) -> None:
        if self._rests and time.monotonic() - self._working > _WORK_SECONDS:
            time.sleep(_REST_SECONDS)
            self._working = time.monotonic()


def main(arguments: list[str]) -> None:
    """Look until stdin ends: the daemon has ended then, or wants no more of this."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one for a whole service is for the daemon
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        os.nice(_NICE)
    source, settle, poll, events, bases, *excluded = arguments
    replies = os.dup(1)
    os.dup2(2, 1)

    def say(found: Found) -> None:
        data = memoryview(line_of(found))
        with contextlib.suppress(ConnectionError):
            while data:
                data = data[os.write(replies, data) :]

    places = Places(source, excluded)
    lookout = Lookout(
        places, say, settle=float(settle), poll=float(poll), events=events == "events",
        bases=msgspec.msgpack.decode(bytes.fromhex(bases), type=Bases),
    )  # fmt: skip
    threading.Thread(target=_listen, args=(lookout,), daemon=True).start()
    lookout.begin()
    lookout.run()


def _listen(lookout: Lookout) -> None:
    """A line for each request: its number."""
    with contextlib.suppress(OSError), os.fdopen(0, "rb", closefd=False) as requests:
        for line in requests:
            lookout.ask(int(line))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
