"""Recipes: how one output tensor is computed, and which source bytes a part of it needs.

A recipe is a small expression over stored tensors. Asked for a range of its elements it pushes the range
down to the extents that these elements come from, so that a read of 128 KiB touches about as much of the
source, never a whole tensor. Every operation is element-wise, row-wise or block-wise, on units counted
from the tensor's first element: a byte does not depend on the range it was asked for in (invariant I2).

    pieces.py      what every operation is asked for; reading any range of bytes
    leaves.py      Stored, Literal, Fill
    movement.py    elements in another order, by runs: what all movements share, and what they cost
    shapes.py      SwapRows, Reshape, Slice, Gather, Expand
    permuting.py   Permute
    strides.py     Strided: a view of a storage
    joining.py     Concat, Stack
    casting.py     Cast: other element types; what stands for a recipe in an identity
    arithmetic.py  Map, Combine
    unpacking.py   Transposed, Unpacked: codes of quantised checkpoints, out of the words they are packed in
    scaling.py     Scaled: codes times their scales
    codebooks.py   Codebook: numbers of a table times the scale of a block
    repacking.py   Repacked: four-bit floats as ggml's blocks
    merging.py     LowRank: a weight with an adapter's update merged into it
    affine.py      Affine, Dequantised: groups of a row as MLX has them
    nbits.py       NBits: blocks of a row as ONNX Runtime has them
    rotary.py      Rotary: cosines and sines of positions
    narrow.py      Narrow: integers of two or four bits
    inflating.py   Inflated: out of a deflated stream
    chunks.py      Chunks: in blocks here and there, perhaps compressed
    varints.py     Varints: numbers of as many bytes as each needs
    sparse.py      Densified: with zeros where a sparse tensor holds nothing
    checksums.py   Sealed: the tail that makes a checksum known beforehand

Recipes are data (msgspec structs), so a layout can cross a process boundary or lie on disk. They are made by
the functions in lower case, which check shapes and leave out what is not needed.
Knows nothing of names, formats or files beyond extents.
"""

from __future__ import annotations

import sys
from typing import get_args

from translators.recipes.affine import Affine, Dequantised
from translators.recipes.arithmetic import Combine, CombineName, Map, MapName, combine, map_
from translators.recipes.casting import Cast, cast, cast_print, fill_bytes, recipe_print
from translators.recipes.checksums import Sealed, sealed
from translators.recipes.chunks import Chunks, chunked
from translators.recipes.codebooks import Codebook, codebook
from translators.recipes.inflating import Inflated, inflated
from translators.recipes.joining import Concat, Stack, concat, pad, stack
from translators.recipes.leaves import Derived, Fill, Literal, Stored, fill, stored
from translators.recipes.merging import LowRank, low_rank
from translators.recipes.narrow import Narrow, narrow
from translators.recipes.nbits import NBits, nbits
from translators.recipes.permuting import Permute, permute, transpose2d
from translators.recipes.pieces import Bytes, Operation, Source, nbytes, piece, read_bytes, stored_bytes
from translators.recipes.repacking import Repacked, repacked
from translators.recipes.rotary import Rotary, rotary
from translators.recipes.scaling import Scaled, scaled
from translators.recipes.shapes import (
    Expand,
    Gather,
    Reshape,
    Slice,
    SwapRows,
    expand,
    gather,
    reshape,
    slice_,
    split,
    swap_rows,
)
from translators.recipes.sparse import Densified, Level, densified
from translators.recipes.strides import Strided, strided
from translators.recipes.unpacking import Transposed, Unpacked, bands, transposed, unpacked
from translators.recipes.varints import Varints, varints

Recipe = (
    Stored
    | Literal
    | Fill
    | SwapRows
    | Reshape
    | Slice
    | Gather
    | Expand
    | Permute
    | Concat
    | Stack
    | Cast
    | Map
    | Combine
    | Transposed
    | Unpacked
    | Scaled
    | Codebook
    | Repacked
    | Strided
    | Affine
    | Dequantised
    | NBits
    | Rotary
    | Inflated
    | Chunks
    | Varints
    | Sealed
    | LowRank
    | Narrow
    | Densified
)

# Operations hold recipes, and only here is it known what a recipe can be: decoding looks the name up there.
for _operation in get_args(Recipe):
    for _struct in _operation.__mro__:
        if _struct.__module__.startswith(__name__):
            vars(sys.modules[_struct.__module__])["Recipe"] = Recipe

__all__ = [
    "Affine",
    "Bytes",
    "Cast",
    "Chunks",
    "Codebook",
    "Combine",
    "CombineName",
    "Concat",
    "Densified",
    "Dequantised",
    "Derived",
    "Expand",
    "Fill",
    "Gather",
    "Inflated",
    "Level",
    "Literal",
    "LowRank",
    "Map",
    "MapName",
    "NBits",
    "Narrow",
    "Operation",
    "Permute",
    "Recipe",
    "Repacked",
    "Reshape",
    "Rotary",
    "Scaled",
    "Sealed",
    "Slice",
    "Source",
    "Stack",
    "Stored",
    "Strided",
    "SwapRows",
    "Transposed",
    "Unpacked",
    "Varints",
    "bands",
    "cast",
    "cast_print",
    "chunked",
    "codebook",
    "combine",
    "concat",
    "densified",
    "expand",
    "fill",
    "fill_bytes",
    "gather",
    "inflated",
    "low_rank",
    "map_",
    "narrow",
    "nbits",
    "nbytes",
    "pad",
    "permute",
    "piece",
    "read_bytes",
    "recipe_print",
    "repacked",
    "reshape",
    "rotary",
    "scaled",
    "sealed",
    "slice_",
    "split",
    "stack",
    "stored",
    "stored_bytes",
    "strided",
    "swap_rows",
    "transpose2d",
    "transposed",
    "unpacked",
    "varints",
]
