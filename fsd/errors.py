"""One tree of errors, and one table: errno, HTTP status, exit code, hint (design invariant I8).

    PrismError                  something that was asked of the daemon cannot be done
    ├── NoSuchEntry             no such name
    ├── NotADirectory           a file where a directory was expected
    ├── IsADirectory            a directory where a file was expected
    ├── ReadOnly                nothing under the mount can be changed
    ├── StaleHandle             the inode or handle belongs to an earlier version, or was closed
    ├── Interrupted             nobody waits for the read any more
    ├── BadOption               a flag, variable or key that cannot be understood
    ├── StoreRefused            the store's directory is another process's, version's or program's
    ├── Ambiguous               several things have this name
    ├── Pinned                  what is pinned is not evicted
    ├── NoStore                 nothing is kept on disk, so that nothing there can be pinned or evicted
    ├── ExportRefused           the daemon does not write there
    ├── Different               bytes are not what they should be
    ├── Busy                    there is too much to do already
    ├── PlanRefused             a form that would not be right, with its reason
    └── PlanningFailed          planning was stopped
        ├── PlanningTimeout     it took longer than its limit of time
        ├── PlanningMemory      it wanted more than its limit of memory
        └── PlanningCrash       the worker process died, or hit a bug

The errors of `translators.errors` stand in the same table. Every fault leaves the program through it, so
that a reader, a log line, the API and `prismfs ls` say the same thing. Knows nothing of who asks.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from translators.errors import (
    BadValues,
    MalformedSource,
    MissingSource,
    SourceChanged,
    TranslationError,
    Unsupported,
)


class PrismError(Exception):
    """Something that was asked of the daemon cannot be done.

    The fields are those of `translators.errors.TranslationError`, so that both read alike:
    reason (one sentence without a full stop), path (the file concerned), place (where in it), remedy.
    """

    def __init__(self, reason: str, *, path: str = "", place: str = "", remedy: str = "") -> None:
        super().__init__(reason, path, place, remedy)
        self.reason = reason
        self.path = path
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.path, self.place) if part)
        text = f"{where}: {self.reason}" if where else self.reason
        return f"{text} ({self.remedy})" if self.remedy else text


class NoSuchEntry(PrismError):
    """There is nothing of this name."""


class NotADirectory(PrismError):
    """A file where a directory was expected."""


class IsADirectory(PrismError):
    """A directory where a file was expected."""


class ReadOnly(PrismError):
    """Nothing under the mount can be changed."""


class StaleHandle(PrismError):
    """The inode or handle belongs to an earlier version of its source, or was closed."""


class Interrupted(PrismError):
    """Nobody waits for the read any more."""


class BadOption(PrismError):
    """A flag, variable or key of a configuration file that cannot be understood."""


class StoreRefused(PrismError):
    """The directory of the store belongs to another process, another version or another program."""


class Ambiguous(PrismError):
    """Several things have this name."""


class Pinned(PrismError):
    """What is pinned is not evicted."""


class NoStore(PrismError):
    """Nothing is kept on disk."""


class ExportRefused(PrismError):
    """The daemon does not write there."""


class Different(PrismError):
    """Bytes are not what they should be."""


class Busy(PrismError):
    """There is too much to do already."""


class PlanRefused(PrismError):
    """The model cannot appear in this form, or the form would not be right."""


class PlanningFailed(PrismError):
    """Planning was stopped before it came to a result."""


class PlanningTimeout(PlanningFailed):
    """Planning took longer than its limit of time."""


class PlanningMemory(PlanningFailed):
    """Planning wanted more than its limit of memory."""


class PlanningCrash(PlanningFailed):
    """The worker process died, or hit a bug."""


@dataclass(frozen=True, slots=True)
class Fault:
    """How one class of errors leaves the program: to a reader, over HTTP, from the command line, in words."""

    errno: int
    status: int
    exit_code: int
    hint: str


# Exit codes: 1 anything else, 2 usage, 3 no such name, 4 cannot be made, 5 bad source, 6 changed, 7 planning.
FAULTS: dict[type[BaseException], Fault] = {
    NoSuchEntry: Fault(errno.ENOENT, 404, 3, "`prismfs ls` shows what there is"),
    NotADirectory: Fault(errno.ENOTDIR, 404, 3, "`prismfs ls` shows what there is"),
    IsADirectory: Fault(errno.EISDIR, 400, 3, "name a file inside it"),
    ReadOnly: Fault(errno.EROFS, 405, 1, "change the source directory instead, or copy the file first"),
    StaleHandle: Fault(errno.ESTALE, 410, 6, "open the file again to read its new version"),
    Interrupted: Fault(errno.EINTR, 503, 1, "try again"),
    BadOption: Fault(errno.EINVAL, 400, 2, "`prismfs mount --help` lists the options"),
    StoreRefused: Fault(errno.EBUSY, 409, 1, "give each daemon its own --cache-dir, or --no-cache"),
    Ambiguous: Fault(errno.EINVAL, 409, 2, "say which mount is meant, or name the absolute path"),
    Pinned: Fault(errno.EBUSY, 409, 1, "`prismfs unpin` it first"),
    NoStore: Fault(errno.EOPNOTSUPP, 409, 1, "mount without --no-cache, and with a --cache-dir of its own"),
    ExportRefused: Fault(errno.EACCES, 403, 1, "mount with --export-dir, and name a path below it"),
    Different: Fault(
        errno.EIO, 422, 5, "`prismfs verify` says where; fetch what is wrong in the source again"
    ),
    Busy: Fault(errno.EAGAIN, 503, 1, "wait for jobs to end, or cancel some"),
    PlanRefused: Fault(errno.ENOENT, 422, 4, "`prismfs ls` says why, and which forms there are"),
    PlanningTimeout: Fault(errno.EIO, 504, 7, "raise --planner-time if the model is to be trusted"),
    PlanningMemory: Fault(errno.EIO, 507, 7, "raise --planner-memory if the model is to be trusted"),
    PlanningCrash: Fault(errno.EIO, 500, 7, "the daemon's log has the traceback; please report it"),
    PlanningFailed: Fault(errno.EIO, 500, 7, "the daemon's log has more"),
    PrismError: Fault(errno.EIO, 500, 1, "the daemon's log has more"),
    SourceChanged: Fault(errno.ESTALE, 409, 6, "open the file again to read its new version"),
    MalformedSource: Fault(errno.EIO, 422, 5, "fetch the file again"),
    MissingSource: Fault(errno.EIO, 422, 5, "check that the download is complete and readable"),
    BadValues: Fault(errno.EIO, 422, 5, "choose a type that holds such values, as bf16"),
    Unsupported: Fault(errno.ENOENT, 422, 4, "`prismfs ls` says why, and which forms there are"),
    TranslationError: Fault(errno.EIO, 422, 5, "`prismfs ls` says more"),
    FileNotFoundError: Fault(errno.ENOENT, 404, 3, "check the path"),
    PermissionError: Fault(errno.EACCES, 403, 1, "check who may read the file"),
    OSError: Fault(errno.EIO, 500, 1, "check the disk"),
    MemoryError: Fault(errno.ENOMEM, 507, 1, "lower --cache-memory or --workers"),
    BaseException: Fault(errno.EIO, 500, 1, "this is a bug: please report it with the daemon's log"),
}


def fault_of(error: BaseException) -> Fault:
    """The table's row for `error`: that of its nearest listed class."""
    return next(FAULTS[kind] for kind in type(error).__mro__ if kind in FAULTS)


def errno_of(error: BaseException) -> int:
    """What a reader of the mount gets; an OSError keeps its own."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    return fault_of(error).errno


def status_of(error: BaseException) -> int:
    """The HTTP status."""
    return fault_of(error).status


def exit_code_of(error: BaseException) -> int:
    """The exit code of a verb that ended with `error`."""
    return fault_of(error).exit_code


def hint_of(error: BaseException) -> str:
    """What a person can do: the error's own remedy where it has one, else the table's."""
    own = getattr(error, "remedy", "")
    return own if isinstance(own, str) and own else fault_of(error).hint
