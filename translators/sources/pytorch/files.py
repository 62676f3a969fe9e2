"""Where the storages of a torch.save file lie: members of a zip archive, or one after the other.

Zip (since PyTorch 1.6, and TorchScript): <root>/data.pkl and <root>/data/<key>, stored plainly.
Before: five pickles (a magic number, the protocol, the system, the object, the keys), then of each key its
number of elements (int64) and its bytes. Layout: torch/serialization.py, `_legacy_save` (2.13).
Knows nothing of names within a model.
"""

from __future__ import annotations

from typing import Any

from translators.dtypes import DTYPES
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.model import Extent, SourceTensor, Tensor
from translators.ranges import ByteRange
from translators.recipes import Derived, Stored, nbytes, strided
from translators.sources.pytorch.contents import state_dict
from translators.sources.pytorch.pickled import MOST_BYTES, PickledBytes, walked
from translators.sources.pytorch.storages import BUILT, Storage, View, storage_of
from translators.sources.stored_file import StoredFile, clipped
from translators.sources.zip_members import Member, is_zip, member_bytes, zip_members

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_RESAVE = "save them on a little-endian machine"
_NOT_TORCH = "is no file that torch.save wrote"
_TAR, _TAR_AT = b"ustar", 257
# Of all tensors, as views may say that they repeat their storage any number of times.
_MOST_BYTES = 1 << 60


def tensors_of(file: StoredFile, number: int) -> dict[str, SourceTensor]:
    """The tensors by name; `number` is the file's among the model's. Raises MalformedSource, Unsupported."""
    return _zipped(file, number) if is_zip(file) else _legacy(file, number)


def _zipped(file: StoredFile, number: int) -> dict[str, SourceTensor]:
    members = zip_members(file)
    pickle = next((name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")), None)
    if pickle is None:
        raise file.malformed(_NOT_TORCH, "no member is called data.pkl", "name a file with weights")
    root = pickle.removesuffix("data.pkl")
    order = members.get(f"{root}byteorder")
    if order is not None and member_bytes(file, order, 64).strip() != b"little":
        raise Unsupported("weights in big-endian order", path=file.shown, remedy=_RESAVE)
    value = walked(_pickle(file, members[pickle]), storage_of, BUILT)
    return _placed(file, number, state_dict(value), lambda storage: _in_member(file, members, root, storage))


def _pickle(file: StoredFile, member: Member) -> PickledBytes:
    if member.plain:
        return PickledBytes(file.read, member.offset, member.offset + member.length)
    data = member_bytes(file, member, MOST_BYTES)
    return PickledBytes(lambda offset, length: data[offset : offset + length], 0, len(data))


def _in_member(file: StoredFile, members: dict[str, Member], root: str, storage: Storage) -> ByteRange:
    member = members.get(f"{root}data/{storage.key}")
    if member is None:
        raise file.malformed("the storage is missing", f"member {clipped(storage.key)!r} of data/")
    if not member.plain:
        raise Unsupported(
            "the storage is compressed", path=file.shown, place=clipped(member.name),
            remedy="unpack the archive and pack it again without compression (zip -0)",
        )  # fmt: skip
    return ByteRange(member.offset, member.length)


def _legacy(file: StoredFile, number: int) -> dict[str, SourceTensor]:
    if file.size > 512 and file.read(_TAR_AT, len(_TAR)) == _TAR:
        raise Unsupported(
            "a tar archive, as PyTorch wrote before 0.1.10", path=file.shown, place="byte 257",
            remedy="load it with PyTorch and save it again",
        )  # fmt: skip
    stream = PickledBytes(file.read, 0, file.size)
    try:
        magic = walked(stream)
    except TranslationError as error:
        raise file.malformed(_NOT_TORCH, "byte 0", "name a file with weights") from error
    if magic != _MAGIC:
        raise file.malformed(_NOT_TORCH, "byte 0", "name a file with weights")
    if walked(stream) != _PROTOCOL:
        raise Unsupported("another protocol than 1001", path=file.shown)
    system = walked(stream)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise Unsupported("weights in big-endian order", path=file.shown, remedy=_RESAVE)
    storages: dict[str, Storage] = {}

    def noted(key: Any) -> Any:
        storage = storage_of(key)
        if isinstance(storage, Storage):
            storages[storage.key] = storage
        return storage

    value, keys = walked(stream, noted, BUILT), walked(stream)
    places = _in_order(file, keys, storages, stream.tell())
    return _placed(file, number, state_dict(value), lambda storage: _of(file, places, storage))


def _in_order(file: StoredFile, keys: Any, storages: dict[str, Storage], start: int) -> dict[str, ByteRange]:
    if not isinstance(keys, list):
        raise file.malformed("the list of storages is missing", f"byte {start:,}")
    places: dict[str, ByteRange] = {}
    for key in keys:
        storage = storages.get(str(key))
        if storage is None:
            raise file.malformed("a storage that no tensor has", f"byte {start:,}")
        elements = int.from_bytes(file.read(start, 8), "little")
        length = elements * (DTYPES[storage.type].size if storage.type else 1)
        if start + 8 + length > file.size:
            raise file.malformed("the storage ends behind the file", f"storage {clipped(str(key))!r}")
        places[str(key)] = ByteRange(start + 8, length)
        start += 8 + length
    return places


def _of(file: StoredFile, places: dict[str, ByteRange], storage: Storage) -> ByteRange:
    if storage.key not in places:
        raise file.malformed("the storage is missing", f"storage {clipped(storage.key)!r}")
    return places[storage.key]


def _placed(file: StoredFile, number: int, views: dict[str, View], place: Any) -> dict[str, SourceTensor]:
    """The views as tensors, each checked against its storage."""
    tensors: dict[str, SourceTensor] = {}
    total = 0
    for name, view in views.items():
        where: ByteRange = place(view.storage)
        size = view.dtype.size
        start = min(view.storage.start * size, where.length)
        held = (where.length - start) // size
        storage = Stored(Extent(number, where.offset + start, held * size), view.dtype.name, (held,))
        try:
            recipe = strided(storage, view.shape, view.steps, view.offset)
        except MalformedSource as error:
            raise file.malformed(error.reason, f"tensor {clipped(name)!r}") from error
        total += nbytes(recipe)
        if total > _MOST_BYTES:
            raise file.malformed("tensors of more bytes than any disk has", f"tensor {clipped(name)!r}")
        if isinstance(recipe, Stored):
            tensors[name] = Tensor(name, recipe.dtype, recipe.shape, recipe.extent)
        else:
            tensors[name] = Derived(name, recipe)
    return tensors
