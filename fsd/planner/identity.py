"""Which version of a model is there: the identities of the files that may decide what it appears as.

Told by stat alone, so that it can be asked before every look-up. A plan made for one version is found
again by its key after a restart, and by no other version, path or code.
Knows nothing of what is in the files.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

import translators
from translators.errors import TranslationError
from translators.layout import BYTES_VERSION
from translators.model import FileIdentity, patiently
from translators.sources.bases import Bases
from translators.sources.matrices import is_imatrix
from translators.sources.recognise import ADAPTER_CONFIG, INSIDE, is_weights, set_of

_UNSEEN = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})
_INSIDE = tuple(map(os.fsencode, INSIDE))
_BASES = Bases()
_reading_code = threading.Lock()


def identities(path: str, imatrix: str | None = None, bases: Bases = _BASES) -> tuple[FileIdentity, ...]:
    """The files of the model at `path`, a directory or a weight file, sorted by name; then its `imatrix`.

    Of a directory: every regular file in it and in those inside it that count (`INSIDE`); of an adapter's,
    those of its base model as well, wherever `bases` has it now. Of a weight file: its set, and what lies
    beside it other than weights (an importance matrix is none). Files that are not to be seen are left out.
    Raises OSError where a disk does not tell: that is no other version.
    """
    named = tuple(_seen([os.fsencode(imatrix)])) if imatrix else ()
    source = os.fsencode(path)
    try:
        inside = _paths(source)
    except OSError as error:
        if os.path.isdir(source):  # noqa: PTH112  (asked before every look-up)
            _prove_unseen(error)
            return named
    else:
        return (*_regular(source, inside), *_of_base(source, inside, bases), *named)
    folder, own = os.path.split(path)
    names = {os.fsdecode(file.path.rpartition(b"/")[2]): file for file in _folder(os.fsencode(folder))}
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


def elsewhere(files: Iterable[FileIdentity], found: Collection[FileIdentity]) -> tuple[FileIdentity, ...]:
    """Those of the files that a plan was made from of which `found`, its model's `identities`, say nothing.

    External data of ONNX in a directory of their own, modules of sentence-transformers, a SavedModel's
    variables: which there are only the model's files tell. For most models none.
    """
    told = set(found)
    return tuple(file for file in files if file not in told)


def hold(files: Iterable[FileIdentity]) -> bool:
    """Whether every file still is what it was; one that was not to be seen was noted with zeros.

    Raises OSError where a disk does not tell.
    """
    return all(next(_seen((file.path,)), FileIdentity(file.path, 0, 0, 0)) == file for file in files)


def code() -> str:
    """A digest of the code that plans and tells plans: a plan of other code is not taken for one of this.

    Found out once, by whoever asks first; others wait for it.
    """
    with _reading_code:
        return _code()


@cache
def _code() -> str:
    digest = blake2b(digest_size=16)
    for root in (translators.__file__, __file__):
        top = os.path.dirname(root)  # noqa: PTH120  (as all here: pathlib's takes several times as long)
        found = (
            os.path.join(folder, name)
            for folder, _, names in os.walk(top)
            for name in names
            if name.endswith(".py")
        )
        for path in sorted(found):
            digest.update(os.fsencode(os.path.relpath(path, top)) + b"\0")
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                digest.update(file.read())
    return digest.hexdigest()


def _folder(folder: bytes) -> Iterator[FileIdentity]:
    try:
        paths = _paths(folder)
    except OSError as error:
        _prove_unseen(error)
    else:
        yield from _regular(folder, paths)


def _regular(folder: bytes, paths: list[bytes]) -> Iterator[FileIdentity]:
    """The files at the paths in a folder, then those in the directories inside it that count."""
    yield from _seen(paths)
    # There are file systems to which names of either case are the same.
    there = {path.lower() for path in paths}
    for directory in (os.path.join(folder, name) for name in _INSIDE):
        if directory.lower() not in there:
            continue
        try:
            inside = _paths(directory)
        except OSError as error:
            _prove_unseen(error)
        else:
            yield from _seen(inside)


def _of_base(folder: bytes, inside: list[bytes], bases: Bases) -> Iterator[FileIdentity]:
    """The files of the model that the adapter in a folder is for; none where there is no adapter, or base."""
    if os.path.join(folder, os.fsencode(ADAPTER_CONFIG)) not in inside:
        return
    try:
        base = bases.of(Path(os.fsdecode(folder)))
    except TranslationError:
        return  # told by whoever plans
    yield from _folder(os.fsencode(base))


def _paths(folder: bytes) -> list[bytes]:
    """What is in a folder, sorted."""
    return sorted([os.path.join(folder, name) for name in os.listdir(folder)])  # noqa: PTH208


def _seen(paths: Iterable[bytes]) -> Iterator[FileIdentity]:
    """Those of the files that are regular ones, and to be seen."""
    for path in paths:
        try:
            status = _stat(path)
        except OSError as error:
            _prove_unseen(error)
            continue
        if stat.S_ISREG(status.st_mode):
            yield FileIdentity.from_stat(path, status)


def _stat(path: bytes) -> os.stat_result:
    try:
        return os.stat(path)
    except BlockingIOError:
        return patiently(os.stat, path)


def _prove_unseen(error: OSError) -> None:
    """Raise EIO for an error that does not say that there is nothing: what is there would be left out."""
    if error.errno not in _UNSEEN:
        raise OSError(errno.EIO, error.strerror, error.filename) from error
