"""What the daemon and its planning processes tell each other, and what is kept on disk: data only.

A message is a frame: its length (8 bytes, little-endian), then msgpack. No pickle, no code, no file
descriptors: whatever a hostile model makes of a planning process, this is all that it can say.
Knows nothing of processes, caches or trees.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from fsd import errors
from translators import errors as translation
from translators.model import FileIdentity
from translators.sources.bases import Bases

_LENGTH = struct.Struct("<Q")
# Which errors may come out of a planning process; anything else that goes wrong there is a PlanningCrash.
_KINDS: dict[str, Callable[..., Exception]] = {
    kind.__name__: kind
    for kind in (
        translation.TranslationError,
        translation.MalformedSource,
        translation.MissingSource,
        translation.SourceChanged,
        translation.BadValues,
        translation.Unsupported,
        errors.NoSuchEntry,
        errors.PlanRefused,
        errors.PlanningTimeout,
        errors.PlanningMemory,
        errors.PlanningCrash,
    )
}


class Entry(msgspec.Struct, frozen=True):
    """A form that a model has: its file name, its exact size, and in a few words what it is.

    identity: that of its layout, by which the store knows its bytes without the layout at hand.
    own: it holds the source's values in their own precision.
    translated: any of its bytes is computed, rather than read from the source as it is; `computed` is how
    many. source_bytes: what is read of the source for all of it. equals: what it is byte for byte equal to.
    """

    name: str
    size: int
    identity: str
    describe: str
    own: bool = False
    translated: bool = True
    computed: int = 0
    source_bytes: int = 0
    equals: str = ""

    @property
    def kept(self) -> int:
        """About how many of its bytes a store keeps once all were read: see `fsd.engine.opened`."""
        return self.size if 2 * self.computed >= self.size else self.computed


class RefusedEntry(msgspec.Struct, frozen=True):
    """A form that a model does not have, and why."""

    name: str
    reason: str
    remedy: str


class FolderEntry(msgspec.Struct, frozen=True):
    """A directory that a model has, whose files are planned when somebody looks into it."""

    name: str
    describe: str
    listed: bool = True


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """An error as data; `error()` makes it one again. The fields are those of its class."""

    kind: str
    reason: str
    path: str = ""
    place: str = ""
    remedy: str = ""

    @staticmethod
    def of(error: translation.TranslationError | errors.PrismError) -> Failure:
        """`error` as data. Text that is not Unicode (a name with stray bytes) is escaped."""
        parts = (error.reason, error.path, error.place, error.remedy)
        return Failure(type(error).__name__, *(shown(part) for part in parts))

    def error(self) -> Exception:
        """The error, typed as it was."""
        kind = _KINDS.get(self.kind, errors.PlanningCrash)
        return kind(self.reason, path=self.path, place=self.place, remedy=self.remedy)


class Listing(msgspec.Struct, frozen=True, tag="listing"):
    """What a model can appear as, in the order of a listing; or what one of its directories holds.

    files: every source file that decided it. error: why the model as a whole has no form, if it has none.
    folders: directories with a listing of their own.
    """

    entries: tuple[Entry, ...] = ()
    refusals: tuple[RefusedEntry, ...] = ()
    files: tuple[FileIdentity, ...] = ()
    error: Failure | None = None
    folders: tuple[FolderEntry, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """A planning process has started and takes requests."""


class EncodedLayout(msgspec.Struct, frozen=True, tag="layout"):
    """A layout as `Layout.encoded` gives it."""

    data: bytes


class Request(msgspec.Struct, frozen=True):
    """Plan the model at `path`: its listing, that of its `folder`, or the layout of one form by `name`.

    `version` names the source's state; plans that a process has kept are good for the same one only.
    `imatrix` is the path of the model's importance matrix, where it is not to be looked for; `bases` says
    where the models are that adapters are for.
    """

    path: bytes
    version: str
    name: str | None = None
    imatrix: bytes | None = None
    folder: str = ""
    bases: Bases | None = None


Reply = Ready | Listing | EncodedLayout | Failure

_ENCODER = msgspec.msgpack.Encoder()
REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
LISTINGS: msgspec.msgpack.Decoder[Listing] = msgspec.msgpack.Decoder(Listing)


def encoded(message: Request | Reply) -> bytes:
    """A message as msgpack."""
    return _ENCODER.encode(message)


def frame(message: Request | Reply) -> bytes:
    """A message as it goes through a pipe."""
    data = encoded(message)
    return _LENGTH.pack(len(data)) + data


def unframed(read: Callable[[int], bytes]) -> bytes:
    """The msgpack of the next frame, from a function that reads up to so many bytes. Raises EOFError."""
    (length,) = _LENGTH.unpack(_exactly(read, _LENGTH.size))
    return _exactly(read, length)


def shown(text: str) -> str:
    """`text` with whatever is not Unicode escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    pieces = []
    while length:
        piece = read(min(length, 1 << 20))
        if not piece:
            raise EOFError
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
