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

    admitted: paths in the source of models that are shown from now on; dropped: of those that are no more.
    pending: models that are not shown yet, by path under the mount, with what each waits for. answers: the
    requests that this look was for.
    """

    changes: Changes
    admitted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    pending: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[int, ...] = ()


def told(found: Found) -> bytes:
    """The line, with its end."""
    changes = found.changes
    models = {path: (model.path, model.name) for path, model in changes.models.items()}
    parts = (
        (changes.appeared, changes.changed, changes.vanished, models),
        found.admitted, found.dropped, dict(found.pending), found.answers,
    )  # fmt: skip
    return json.dumps(parts).encode() + b"\n"


def heard(line: bytes) -> Found:
    """What the line says. Raises ValueError for anything but a whole line of `told`."""
    (appeared, changed, vanished, models), admitted, dropped, pending, answers = json.loads(line)
    sources = {path: ModelSource(*place) for path, place in models.items()}
    changes = Changes(tuple(appeared), tuple(changed), tuple(vanished), sources)
    return Found(changes, tuple(admitted), tuple(dropped), pending, tuple(answers))
