"""The kernels: libggml's quantisers and dequantisers, reached through ctypes.

The library is `libggml-base`, as the package libggml-python carries it: built without instruction-set
flags, so its bytes are those of upstream's x86-64 build. ctypes lets go of the GIL during a call, and
every function used here may run in many threads at once: the grids of the IQ types are made on first
use, under a lock of the library's own. Block sizes are compared with ours before a type is first used,
so that a library that disagrees can never write past a buffer.
Knows nothing of slices, checks or error places; arrays must be contiguous, aligned and of the right size.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from translators.dtypes import DType
from translators.errors import Unsupported

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Types that upstream makes with an importance matrix only. For some of them `ggml_quantize_chunk` ends the
# process without one, for others it does on numbers that a hostile file can hold.
NEEDS_IMATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"})
# Types whose search is led by an importance matrix where there is one; the others take no notice of it.
WEIGHTED = NEEDS_IMATRIX | {
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ3_S", "IQ4_NL", "IQ4_XS",
}  # fmt: skip
# Of these, the types whose search looks at a whole row then; without a matrix no type's does.
ROWWISE = frozenset({"Q4_0", "Q4_1", "Q5_0", "Q5_1"})
# The search for grid points ends the process when its sums overflow (seen for IQ3_S from about 1e12 on).
# Far below that, beyond some 3e7, a block's fp16 scale is infinite: no valid file holds such weights.
# Columns' weights of at most LARGEST_COLUMN keep the sums, of 256 terms up to 17 * weight * value^2, finite.
LARGEST = dict.fromkeys(NEEDS_IMATRIX | {"IQ3_S"}, 2.0**33)
LARGEST_COLUMN = 2.0**48
# Types of intermediate results: upstream quantises to them only inside a matrix product.
_NO_ENCODER = frozenset({"Q8_1", "Q8_K"})
# Made by libggml-python 0.20 with other bytes than by upstream's b11434, whose search sums in another order.
_OTHER_BYTES = frozenset({"IQ1_M"})
_NO_DECODER = _NO_ENCODER  # the library has no function there, and calling none would end the process
_REMEDY = "install libggml-python again: pip install --force-reinstall libggml-python"


class _Traits(ctypes.Structure):
    """`struct ggml_type_traits` of ggml.h, as far as it is read here and in its order."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleave", ctypes.c_int64),
        ("size", ctypes.c_size_t),
        ("quantised", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


def decodes(dtype: DType) -> bool:
    """True for the types that `dequantise` takes: F16, BF16 and ggml's block types."""
    return (dtype.is_quantised or dtype.name in ("F16", "BF16")) and dtype.name not in _NO_DECODER


def encodes(dtype: DType) -> bool:
    """True for the types that `quantise` can make, be it with an importance matrix only."""
    return (dtype.is_quantised or dtype.name in ("F16", "BF16")) and dtype.name not in (
        _NO_ENCODER | _OTHER_BYTES
    )


def dequantise(dtype: DType, raw: Bytes, out: Floats) -> None:
    """Write the values of `raw`, whole blocks of `dtype`, to `out`: exactly one float an element."""
    assert raw.size == dtype.nbytes(out.size)
    _traits(dtype).to_float(raw.ctypes.data, out.ctypes.data, out.size)


def quantise(dtype: DType, values: Floats, out: Bytes, columns: Floats | None = None) -> None:
    """Write `values`, which fill whole blocks, to `out` as `dtype`.

    `columns` are the weights of a row's columns, and `values` then holds whole rows of that length. Where
    `LARGEST` has a bound for `dtype`, the values must be within it, and none NaN; the columns are at least 0
    and at most LARGEST_COLUMN.
    """
    assert out.size == dtype.nbytes(values.size) and (columns is not None or dtype.name not in NEEDS_IMATRIX)
    _traits(dtype)
    # One row, whatever the tensor's rows are: without an importance matrix nothing reaches beyond a block.
    row = values.size if columns is None else columns.size
    assert not values.size or values.size % row == row % dtype.block == 0
    _library().ggml_quantize_chunk(
        dtype.gguf, values.ctypes.data, out.ctypes.data, 0, values.size // row if row else 0, row,
        None if columns is None else columns.ctypes.data,
    )  # fmt: skip


@cache
def _traits(dtype: DType) -> _Traits:
    traits = _library().ggml_get_type_traits(dtype.gguf).contents
    if (traits.block, traits.size) != (dtype.block, dtype.size):
        raise Unsupported(f"libggml stores {dtype.name} otherwise than this program", remedy=_REMEDY)
    assert isinstance(traits, _Traits)
    return traits


@cache
def _library() -> ctypes.CDLL:
    # Found, not imported: importing the package would run code that is of no use here.
    spec = find_spec("libggml")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    found = [path for root in roots for path in sorted(root.glob("lib*/libggml-base.*"))]
    if not found:
        raise Unsupported(
            "libggml-python, which holds the quantisation kernels, is not installed", remedy=_REMEDY
        )
    try:
        library = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise Unsupported(f"the quantisation kernels cannot be loaded: {error}", remedy=_REMEDY) from error
    library.ggml_get_type_traits.argtypes = (ctypes.c_int,)
    library.ggml_get_type_traits.restype = ctypes.POINTER(_Traits)
    library.ggml_quantize_chunk.argtypes = (
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_void_p,
    )  # fmt: skip
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library
