"""Which of the models that were seen are shown: those that have settled.

    settling = Settling(settle=1.0)
    changes = settling.take(found, now, covers=..., held_up=...)
    settling.admits(path)

A new model is pending until it was seen unchanged for `settle` seconds and nothing holds it up. One that is
shown stays so while its files change. Files that had settled once, and come back or come under another name
as they were, need not settle again. Another revision of a shown model takes its place when it has settled.
A disk that gives errors tells of no change.
Knows a clock only as a number that is given to it, and no disk but for whether a path is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fsd.tree import Changes, ModelSource
from fsd.watch.census import Seen

# What a model waits for that lacks nothing.
SETTLING = "it was changed just now"
_PRINTS_KEPT = 1 << 16


@dataclass(slots=True)
class _Pending:
    """`since` when it has been seen like this. `reason` is "" where it only has to settle."""

    seen: Seen
    since: float
    reason: str = ""


class Settling:
    """To be fed by one thread; `admits` may be asked by many."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._listed: dict[str, Seen] = {}
        self._pending: dict[str, _Pending] = {}
        self._prints: dict[int | None, None] = {}
        # Paths in the source; those of models that lost their weights for the moment as well.
        self._admitted: dict[str, None] = {}

    def admits(self, path: str) -> bool:
        """Whether the model at this path of the source is shown."""
        return path in self._admitted

    @property
    def pending(self) -> dict[str, str]:
        """The models that are not shown yet, by path under the mount, with what they wait for."""
        return {path: each.reason or SETTLING for path, each in list(self._pending.items())}

    def due(self, now: float) -> float | None:
        """In how many seconds another look may find something settled; None if nothing is pending."""
        waits = [each.since + self._settle - now for each in list(self._pending.values()) if not each.reason]
        return max(0.0, min(*waits, self._settle / 4)) if waits else None

    @property
    def unsettled(self) -> list[str]:
        """The models that need nothing but time."""
        return [path for path, pending in list(self._pending.items()) if not pending.reason]

    @property
    def sources(self) -> list[str]:
        """Where the models that are shown are in the source; see `admits`."""
        return list(self._admitted)

    @property
    def listed(self) -> dict[str, ModelSource]:
        """The models that are shown, by path under the mount."""
        return {path: seen.model for path, seen in self._listed.items()}

    def begin(self, found: Mapping[str, Seen], before: Mapping[str, Seen], now: float) -> None:
        """What is there at the start is shown, but for what has changed since `before`."""
        for path, seen in found.items():
            if seen.print is None or before.get(path) == seen:
                self._list(path, seen)
            else:
                self._pending[path] = _Pending(seen, now)

    def take(
        self, found: Mapping[str, Seen], now: float, *, covers: Callable[[str], bool],
        held_up: Callable[[Seen], str],
    ) -> Changes:  # fmt: skip
        """What a look found, of the paths that it `covers`. `held_up`: what a settled model waits for."""
        appeared: list[str] = []
        changed: list[str] = []
        vanished: list[str] = []
        models: dict[str, ModelSource] = {}
        for path, seen in found.items():
            before = self._listed.get(path)
            if before is not None and before.model == seen.model:
                if seen.print not in (None, before.print):
                    changed.append(path)
                    models[path] = seen.model
                    self._list(path, seen)
                self._pending.pop(path, None)
            elif self._has_settled(path, seen, now, held_up):
                (changed if before is not None else appeared).append(path)
                models[path] = before.model if before is not None else seen.model
                self._list(path, seen)
        gone = [path for path in self._listed if covers(path) and path not in found]
        for path in filter(lambda path: _is_told(self._listed[path].model.path), gone):
            vanished.append(path)
            models[path] = self._listed.pop(path).model
        for path in [path for path in self._pending if covers(path) and path not in found]:
            del self._pending[path]
        if vanished or changed:
            self._forget()
        return Changes(tuple(appeared), tuple(changed), tuple(vanished), models)

    def _has_settled(self, path: str, seen: Seen, now: float, held_up: Callable[[Seen], str]) -> bool:
        if seen.print is None:
            return False
        if seen.print in self._prints or self.admits(seen.model.path):
            return True
        pending = self._pending.get(path)
        if pending is None or pending.seen != seen:
            self._pending[path] = _Pending(seen, now)
            return False
        if now - pending.since < self._settle:
            return False
        pending.reason = held_up(seen)
        return not pending.reason

    def _list(self, path: str, seen: Seen) -> None:
        self._pending.pop(path, None)
        self._listed[path] = seen
        self._admitted[seen.model.path] = None
        if len(self._prints) >= _PRINTS_KEPT:
            self._prints.clear()
        self._prints[seen.print] = None

    def _forget(self) -> None:
        """Nobody is admitted for what is gone. A path that cannot be asked, as on a broken disk, stays."""
        listed = {seen.model.path for seen in self._listed.values()}
        self._admitted = dict.fromkeys(
            path for path in self._admitted if path in listed or not _is_gone(path)
        )


def _is_told(path: str) -> bool:
    """Whether the disk says what is at a path, if only that there is nothing: an error is no absence."""
    try:
        if os.path.isdir(path):  # noqa: PTH112
            with os.scandir(path):
                return True
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
