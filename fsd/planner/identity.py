"""Which version of a model is there: the identities of the files that may decide what it appears as.

Told by stat alone, so that it can be asked before every look-up. A plan made for one version is found
again by its key after a restart, and by no other version, path or code.
Knows nothing of what is in the files.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

import translators
from translators.layout import BYTES_VERSION
from translators.model import FileIdentity, patiently
from translators.sources.matrices import is_imatrix
from translators.sources.recognise import INSIDE, is_weights, set_of

_UNSEEN = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})


def identities(path: str, imatrix: str | None = None) -> tuple[FileIdentity, ...]:
    """The files of the model at `path`, a directory or a weight file, sorted by name; then its `imatrix`.

    Of a directory: every regular file in it and in those inside it that count (`INSIDE`). Of a weight file:
    its set, and what lies beside it other than weights (an importance matrix is none). Files that are not to
    be seen are left out. Raises OSError where a disk does not tell: that is no other version.
    """
    named = tuple(_seen([imatrix])) if imatrix else ()
    if os.path.isdir(path):  # noqa: PTH112  (asked before every look-up)
        return (*_regular(path), *named)
    folder, own = os.path.split(path)
    names = {os.fsdecode(file.path.rpartition(b"/")[2]): file for file in _regular(folder)}
    members = {own}
    if is_weights(own):
        members |= set(set_of(own, names).files)
    beside = (
        file for name, file in names.items() if name in members or not is_weights(name) or is_imatrix(name)
    )
    return (*beside, *named)


def key_of(path: str, files: tuple[FileIdentity, ...], provider: str, imatrix: str | None = None) -> str:
    """A name for plans of this version of the model, by this code: 64 hex digits."""
    parts = (BYTES_VERSION, code(), provider, os.fsencode(path), files, os.fsencode(imatrix or ""))
    return blake2b(msgspec.msgpack.encode(parts), digest_size=32).hexdigest()


@cache
def code() -> str:
    """A digest of the code that plans and tells plans: a plan of other code is not taken for one of this."""
    digest = blake2b(digest_size=16)
    for root in (Path(translators.__file__).parent, Path(__file__).parent):
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _regular(folder: str) -> Iterator[FileIdentity]:
    for directory in (folder, *(os.path.join(folder, name) for name in INSIDE)):
        try:
            with os.scandir(directory) as entries:
                paths = sorted(entry.path for entry in entries)
        except OSError as error:
            _prove_unseen(error)
            continue
        yield from _seen(paths)


def _seen(paths: Iterable[str]) -> Iterator[FileIdentity]:
    """Those of the files that are regular ones, and to be seen."""
    for path in paths:
        try:
            status = patiently(os.stat, path)
        except OSError as error:
            _prove_unseen(error)
            continue
        if stat.S_ISREG(status.st_mode):
            yield FileIdentity.from_stat(os.fsencode(path), status)


def _prove_unseen(error: OSError) -> None:
    """Raise EIO for an error that does not say that there is nothing: what is there would be left out."""
    if error.errno not in _UNSEEN:
        raise OSError(errno.EIO, error.strerror, error.filename) from error
