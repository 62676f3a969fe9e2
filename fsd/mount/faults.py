"""Faults of a mount: any exception becomes one errno and, once, one log line.

The log names what a person must know; that a name is not there, that the mount is read-only or that a reader
was killed is an answer and no fault. An exception that is none of ours is a bug: EIO to the reader, and a
traceback in the log. The errno comes from `fsd.errors` alone. Knows no binding.
"""

from __future__ import annotations

import errno
import logging
import os

from fsd.errors import PrismError, errno_of
from fsd.mount.observed import Observed
from translators.errors import TranslationError

log = logging.getLogger(__name__)

_EVERYDAY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENODATA, errno.EROFS, errno.EINTR})
_OURS = (OSError, TranslationError, PrismError)


class Answer(OSError):
    """An errno that is an ordinary answer to the kernel, not a fault."""

    def __init__(self, code: int) -> None:
        super().__init__(code, os.strerror(code))


class Faults:
    """Logs each fault once, however often a reader tries again; `observed` counts every one."""

    REMEMBERED = 1024

    def __init__(self, observed: Observed | None = None) -> None:
        self._observed = observed or Observed()
        self._seen: dict[tuple[str, str], None] = {}

    def note(self, operation: str, error: BaseException) -> int:
        """Log `error` if it is a fault and new; returns the errno to answer with."""
        code = errno_of(error)
        expected = isinstance(error, _OURS)
        key = (operation, str(error))
        if isinstance(error, Answer) or (expected and code in _EVERYDAY):
            return code
        name = errno.errorcode.get(code, str(code))
        self._observed.failed(name)
        if key in self._seen:
            return code
        if len(self._seen) >= self.REMEMBERED:
            self._seen.clear()
        self._seen[key] = None
        trace = None if expected else error
        log.error("%s: %s: %s", operation, name, str(error) or type(error).__name__, exc_info=trace)
        return code
