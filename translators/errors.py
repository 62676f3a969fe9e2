"""What can go wrong in a translation, told so that a person can act on it.

    TranslationError            something about a model cannot be made right
    ├── MalformedSource         a file does not hold what its format says (truncated, lying, hostile)
    ├── MissingSource           a file that the model needs is not there or cannot be read
    ├── SourceChanged           a file is no longer the one that was planned from
    ├── BadValues               NaN or infinity where the target cannot hold them
    └── Unsupported             well formed, but nothing here translates it

Every error names the file, the place in it and a remedy, as far as each applies.
Knows nothing of errno, HTTP or exit codes: that table is `fsd.errors`.
"""

from __future__ import annotations


class TranslationError(Exception):
    """A model, or one form of it, cannot be made right.

    reason: what is wrong, one sentence without a full stop.
    path:   the file concerned, as shown to a person.
    place:  where in the file (a tensor, a key, an offset).
    remedy: what a person can do about it.
    """

    def __init__(self, reason: str, *, path: str = "", place: str = "", remedy: str = "") -> None:
        super().__init__(reason, path, place, remedy)
        self.reason = reason
        self.path = path
        self.place = place
        self.remedy = remedy

    @property
    def stated(self) -> str:
        """Where and what, without the remedy."""
        where = ", ".join(part for part in (self.path, self.place) if part)
        return f"{where}: {self.reason}" if where else self.reason

    def __str__(self) -> str:
        return f"{self.stated} ({self.remedy})" if self.remedy else self.stated

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.reason, self.path, self.place, self.remedy))


class MalformedSource(TranslationError):
    """A file does not hold what its format says."""


class MissingSource(TranslationError):
    """A file that the model needs is not there, or cannot be read."""


class SourceChanged(TranslationError):
    """A source file is no longer the one that the layout was planned from."""


class BadValues(TranslationError):
    """The source holds NaN or infinity where the target cannot."""


class Unsupported(TranslationError):
    """The source is well formed, but this program has no way to translate it."""


def _rebuild(
    kind: type[TranslationError], reason: str, path: str, place: str, remedy: str
) -> TranslationError:
    return kind(reason, path=path, place=place, remedy=remedy)
