"""What a lookout says of a look, and how: a line of JSON, as that can carry names which are no text.

Data only, whoever made it: nothing in it is executed. Knows nothing of who says it, or to whom.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from fsd.tree import Changes, ModelSource


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a look. The first one says all that is shown, as if it had just appeared.

    models: those that appeared or changed, as they are now, by path under the mount. folders: the directories
    of the source that are no models, and may have some below; None where they are the same as before.
    admitted: paths in the source of models that may be shown from now on; dropped: of those that may no more.
    pending: models that are not shown yet, by path under the mount, with what each waits for. answers: the
    requests that this look was for.
    """

    changes: Changes
    models: Mapping[str, ModelSource] = field(default_factory=dict)
    folders: tuple[str, ...] | None = None
    admitted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[int, ...] = ()


def line_of(found: Found) -> bytes:
    """The line, with its end."""
    changes = found.changes
    parts = (
        (changes.appeared, changes.changed, changes.vanished, _plain(changes.models)), _plain(found.models),
        found.folders, found.admitted, found.dropped, dict(found.pending), found.answers,
    )  # fmt: skip
    return json.dumps(parts).encode() + b"\n"


def heard(line: bytes) -> Found:
    """What the line says. Raises ValueError for anything but a whole line of `line_of`."""
    (appeared, changed, vanished, before), models, folders, admitted, dropped, pending, answers = json.loads(
        line
    )
    return Found(
        Changes(tuple(appeared), tuple(changed), tuple(vanished), _models(before)), _models(models),
        None if folders is None else tuple(folders), tuple(admitted), tuple(dropped), pending, tuple(answers),
    )  # fmt: skip


def _plain(models: Mapping[str, ModelSource]) -> dict[str, tuple[str, str]]:
    return {path: (model.path, model.name) for path, model in models.items()}


def _models(plain: Mapping[str, tuple[str, str]]) -> dict[str, ModelSource]:
    return {path: ModelSource(*place) for path, place in plain.items()}
