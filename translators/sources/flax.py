"""Flax's checkpoints: what flax.serialization wrote, in one file or in transformers' shards with an index.

    model = flax.read(Path("bert"), ["flax_model.msgpack"], "bert")

The tree's arrays are the tensors, their bytes read where they lie. Names are the keys on the way to an array,
joined by "/" as flax.traverse_util and transformers' index have them; arrays in chunks are joined. They
are in the order of the file. What the tree holds besides arrays (a step, an epoch) is left out.
What config.json beside it describes are PyTorch's tensors: `renamed` knows what those are called, of models
of transformers' kinds.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from translators.dtypes import DTYPES
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.model import Extent, Model, SourceTensor, Tensor
from translators.recipes import Derived, Recipe, Stored, concat, reshape
from translators.sources.indexed import joined
from translators.sources.msgpack_tree import Array, Tree, tree_of
from translators.sources.recognise import MSGPACK
from translators.sources.renamed import FLAX, renamed
from translators.sources.stored_file import StoredFile, clipped

CHUNKED = "__msgpack_chunked_array__"
# NumPy's names of types, with those of ml_dtypes.
TYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
_FETCH_MODEL = "fetch the model again, with all its files"


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The checkpoint that `files` of the directory `root` make.

    Raises MalformedSource, MissingSource, or Unsupported (a type of no number).
    """
    model = joined(root, files, MSGPACK, _tensors, name=name, kind="flax", configured=False)
    return renamed(model, FLAX)


def _tensors(file: StoredFile, number: int) -> dict[str, SourceTensor]:
    return {each.name: each for each in _arrays(tree_of(file), number)}


def _arrays(tree: Tree, number: int) -> Iterator[SourceTensor]:
    names: set[str] = set()
    for name, leaf in _leaves(tree, ""):
        place = f"tensor {clipped(name)!r}"
        if name in names:
            raise MalformedSource("two tensors of one name", place=place)
        names.add(name)
        try:
            recipe = _joined(leaf, number) if isinstance(leaf, dict) else _stored(leaf, number)
        except TranslationError as error:
            error.place = place
            raise
        if isinstance(recipe, Stored):
            yield Tensor(name, recipe.dtype, recipe.shape, recipe.extent)
        else:
            yield Derived(name, recipe)


def _leaves(tree: Tree, prefix: str) -> Iterator[tuple[str, Array | Tree]]:
    """Arrays by their names, chunked ones as the trees that they are."""
    if CHUNKED in tree:
        yield prefix, tree
        return
    for key, value in tree.items():
        name = f"{prefix}/{key}" if prefix else key
        if isinstance(value, Array):
            yield name, value
        elif isinstance(value, dict):
            yield from _leaves(value, name)


def _stored(array: Array, number: int) -> Stored:
    """An array where it lies. Raises MalformedSource, Unsupported."""
    if array.type not in TYPES:
        raise Unsupported(f"an array of type {clipped(array.type)!r}", remedy="save numbers alone")
    dtype = DTYPES[TYPES[array.type]]
    if dtype.nbytes(prod(array.shape)) != array.length:
        raise MalformedSource(
            f"{array.length:,} bytes are no {dtype.name} of shape {clipped(str(list(array.shape)))}"
        )
    return Stored(Extent(number, array.offset, array.length), dtype.name, array.shape)


def _joined(tree: Tree, number: int) -> Recipe:
    """An array in chunks, which are flat. Raises MalformedSource, Unsupported."""
    shape, chunks = _in_order(tree, "shape"), _in_order(tree, "chunks")
    parts = [_stored(chunk, number) for chunk in chunks if isinstance(chunk, Array)]
    sizes = tuple(size for size in shape if type(size) is int and 0 <= size < 1 << 62)
    if len(parts) != len(chunks) or len(sizes) != len(shape) or not parts:
        raise MalformedSource("an array in chunks without shape or chunks")
    if {len(part.shape) for part in parts} != {1} or len({part.type for part in parts}) != 1:
        raise MalformedSource("chunks that are not flat, or of several types")
    if sum(part.shape[0] for part in parts) != prod(sizes):
        raise MalformedSource(f"chunks that do not make shape {clipped(str(list(sizes)))}")
    return reshape(concat(parts), sizes)


def _in_order(tree: Tree, key: str) -> list[object]:
    """The values of a tuple, which flax writes as a map of its indices."""
    values = tree.get(key)
    if not isinstance(values, dict) or not all(str(number) in values for number in range(len(values))):
        raise MalformedSource(f"an array in chunks whose {key} is no tuple")
    return [values[str(number)] for number in range(len(values))]
