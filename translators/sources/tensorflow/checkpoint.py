"""TensorFlow's checkpoints: `NAME.index` and `NAME.data-0000i-of-0000N`, of TensorFlow 1 or 2.

    model = checkpoint.read(Path("bert"), ["bert_model.ckpt.index", ...], "bert")

Names are the checkpoint's keys, as tf.train.load_checkpoint has them: `bert/embeddings/word_embeddings` of
TensorFlow 1, `encoder/kernel/.ATTRIBUTES/VARIABLE_VALUE` of 2; sorted, as they lie in the index. All tensors
of numbers are there, an optimiser's too; what is no number (the graph of objects) is left out. A variable
that was partitioned is joined out of its slices.
What config.json beside it describes are PyTorch's tensors: `renamed` knows what those of Google's BERT are
called.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Extent, FileIdentity, Model, SourceTensor, Tensor
from translators.recipes import Derived, Recipe, Stored, concat
from translators.sources.renamed import renamed_bert
from translators.sources.side_files import side_files
from translators.sources.stored_file import StoredFile, clipped, identity_of, malformed, shown
from translators.sources.tensorflow.entries import (
    ALL,
    Bundle,
    Entry,
    Slice,
    bundle_of,
    is_slice,
    key_of_slice,
    name_of,
)  # fmt: skip
from translators.sources.tensorflow.types import dtype_of

INDEX = ".index"
_FETCH_MODEL = "fetch the model again, with all its files"


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The checkpoint whose index is among `files` of the directory `root`.

    Raises MalformedSource, MissingSource, or Unsupported (big-endian, a type that nothing else has).
    """
    index = next((file for file in files if file.endswith(INDEX)), None)
    if index is None:
        reason = "is a checkpoint's data without its index"
        raise MissingSource(reason, path=shown(root / files[0]), remedy=_FETCH_MODEL)
    model = model_of(root, root / index, name, "tensorflow")
    if not model.tensors:
        raise malformed(
            root / index, "there is no tensor of numbers in it", remedy="name a file with weights"
        )
    return renamed_bert(model)


def model_of(root: Path, index: Path, name: str, kind: str) -> Model:
    """The model of format `kind` in `root` whose weights are the checkpoint with this index.

    It may have none: TensorFlow 2 writes the variables of a model that has no variables too.
    """
    with StoredFile(index) as file:
        bundle = bundle_of(file)
        data = _Data(index, bundle)
        tensors: dict[str, SourceTensor] = {}
        for tensor in _tensors(bundle, data):
            if tensor.name in tensors:
                raise file.malformed("two tensors of one name", f"tensor {clipped(tensor.name)!r}")
            tensors[tensor.name] = tensor
        identities = (*data.files, file.identity)
    return Model(
        root=root,
        name=name,
        format=kind,
        files=(*identities, *side_files(root)),
        weights=len(data.files),
        tensors=tensors,
    )


class _Data:
    """The files of data beside an index, found as they are needed."""

    def __init__(self, index: Path, bundle: Bundle) -> None:
        self._index, self._shards = index, bundle.shards
        self._numbers: dict[int, int] = {}
        self.files: list[FileIdentity] = []

    def extent(self, entry: Entry) -> Extent:
        """Where an entry's bytes are. Raises MalformedSource, MissingSource."""
        if entry.shard not in self._numbers:
            if entry.shard >= self._shards:
                raise MalformedSource(f"file of data {entry.shard:,}, where there are {self._shards:,}")
            stem = self._index.name.removesuffix(INDEX)
            path = self._index.with_name(f"{stem}.data-{entry.shard:05d}-of-{self._shards:05d}")
            self.files.append(identity_of(path))
            self._numbers[entry.shard] = len(self.files) - 1
        number = self._numbers[entry.shard]
        file = self.files[number]
        if entry.offset + entry.size > file.size:
            raise MalformedSource(
                f"the file ends after {file.size:,} bytes, {entry.offset + entry.size:,} are needed",
                path=file.shown, remedy=_FETCH_MODEL,
            )  # fmt: skip
        return Extent(number, entry.offset, entry.size)

    def stored(self, entry: Entry) -> Stored | None:
        """The tensor of an entry, None for one of no numbers."""
        dtype = dtype_of(entry.type)
        if dtype is None:
            return None
        if dtype.nbytes(prod(entry.shape)) != entry.size:
            raise MalformedSource(
                f"{entry.size:,} bytes are no {dtype.name} of shape {clipped(str(list(entry.shape)))}"
            )
        return Stored(self.extent(entry), dtype.name, entry.shape)

    def wrong(self, error: TranslationError, key: bytes) -> TranslationError:
        """The error, with its place."""
        error.path = error.path or shown(self._index)
        error.place = f"tensor {clipped(name_of(key))!r}"
        return error


def _tensors(bundle: Bundle, data: _Data) -> Iterator[SourceTensor]:
    for key, entry in bundle.entries.items():
        if is_slice(key):
            continue
        try:
            recipe = _joined(bundle, data, key, entry) if entry.slices else data.stored(entry)
        except TranslationError as error:
            raise data.wrong(error, key) from error
        if isinstance(recipe, Stored):
            yield Tensor(name_of(key), recipe.dtype, recipe.shape, recipe.extent)
        elif recipe is not None:
            yield Derived(name_of(key), recipe)


def _joined(bundle: Bundle, data: _Data, key: bytes, entry: Entry) -> Recipe | None:
    """A partitioned variable: its slices make a grid."""
    dtype = dtype_of(entry.type)
    if dtype is None:
        return None
    parts: dict[Slice, Recipe] = {}
    for place in entry.slices:
        whole = _whole(place, entry.shape)
        part = bundle.entries.get(key_of_slice(key, place))
        stored = None if part is None or part.slices else data.stored(part)
        if stored is None:
            raise MalformedSource(f"a slice is missing: {whole}", remedy=_FETCH_MODEL)
        if stored.type != dtype.name or stored.shape != tuple(count for _, count in whole):
            raise MalformedSource(f"a slice of another type or shape: {whole}")
        parts[whole] = stored
    return _grid(parts, entry.shape)


def _whole(place: Slice, shape: tuple[int, ...]) -> Slice:
    """A slice with the counts that it leaves out. Raises MalformedSource for one beyond the shape."""
    if len(place) != len(shape):
        raise MalformedSource(f"a slice along {len(place)} of {len(shape)} axes")
    sized = zip(place, shape, strict=True)
    whole = tuple((first, size if count == ALL else count) for (first, count), size in sized)
    if any(first + count > size for (first, count), size in zip(whole, shape, strict=True)):
        raise MalformedSource(f"a slice beyond shape {clipped(str(list(shape)))}")
    return whole


def _grid(parts: dict[Slice, Recipe], shape: tuple[int, ...], axis: int = 0) -> Recipe:
    """The parts joined along `axis` and those behind it; along the ones before they are alike."""
    if axis == len(shape):
        # Only one part has this place: slices are keys.
        return next(iter(parts.values()))
    spans: dict[tuple[int, int], dict[Slice, Recipe]] = {}
    for place in sorted(parts):
        spans.setdefault(place[axis], {})[place] = parts[place]
    end = 0
    for first, count in spans:
        if first != end or (not count and len(spans) > 1):
            break
        end = first + count
    else:
        if end == shape[axis]:
            return concat([_grid(those, shape, axis + 1) for those in spans.values()], axis)
    raise Unsupported(f"slices that are no grid along axis {axis}", remedy="save it without partitions")
