"""Our own quantisers: the bytes of libggml's, several times as fast. See docs/KERNELS.md.

A shared library in C (the .c and .h files here, built by setup.py) has each kernel in three builds: for any
processor, AVX2 and AVX-512. The best that the processor has is used, or the one that PRISMFS_KERNELS names;
`ggml` names none, and none is also what is left where the library was not built. Callers then use libggml.
A name that is none of these is an error, at the first use; a build that this machine lacks is not.
Calls let go of the GIL, and any number of them may run at once.
Knows nothing of which values are worth checking, nor of error texts.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from translators.dtypes import DType
from translators.errors import Unsupported

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

VARIABLE = "PRISMFS_KERNELS"
GGML = "ggml"
# As dispatch.c numbers them, from the slowest to the fastest.
BUILDS = ("portable", "avx2", "avx512")
# A run's own memory, which callers may place: bytes, at a multiple of 64.
WORK_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Bad:
    """The first element that upstream refuses: in the source, or in the block that begins with it."""

    element: int
    in_result: bool


class _Run(ctypes.Structure):
    """`run` of run.h."""

    _fields_ = (
        ("type", ctypes.c_int32),
        ("source", ctypes.c_int32),
        ("check_result", ctypes.c_int32),
        ("rows", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("source_data", ctypes.c_void_p),
        ("result_data", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
    )


def in_use() -> str:
    """The build that quantises here: one of `builds()`, or "ggml" where libggml does all of it.

    Raises Unsupported if PRISMFS_KERNELS names neither a build nor "ggml".
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", GGML, *BUILDS):
        remedy = f"set it to {', '.join(BUILDS)} or {GGML}, or not at all: the fastest is used then"
        raise Unsupported(f"{VARIABLE} is {wanted!r}, which names no kernels", remedy=remedy)
    return _chosen(wanted) if _library() else GGML


def builds() -> tuple[str, ...]:
    """The builds that this machine can run, the fastest last; none where the library was not built."""
    library = _library()
    found = library.prismfs_kernels_builds() if library else 0
    return tuple(name for bit, name in enumerate(BUILDS) if found >> bit & 1)


def makes(source: DType, target: DType, *, weighted: bool = False, build: str | None = None) -> bool:
    """True if `quantise` makes `target` from `source`, `weighted` with column weights."""
    name = in_use() if build is None else build
    library = _library()
    if library is None or name == GGML or source.gguf is None or target.gguf is None:
        return False
    return bool(library.prismfs_kernels_knows(BUILDS.index(name), target.gguf, source.gguf, weighted))


def quantise(
    source: DType,
    target: DType,
    raw: Bytes,
    out: Bytes,
    *,
    check_result: bool,
    columns: Floats | None = None,
    build: str | None = None,
    work: int = 0,
) -> Bad | None:
    """Write the values of `raw` to `out` as `target`; None, or what upstream refuses, and `out` is not whole.

    A NaN or infinity in the source is always refused, one in a scale of the result if `check_result`.
    `columns` are the weights of a row's columns, and `raw` then holds whole rows of that length; without them
    it holds whole blocks. Both arrays must be contiguous; `makes` must have said yes. `build` is for tests,
    `work` the address of WORK_BYTES for who wants to place them.
    """
    count = raw.size // source.size
    assert raw.size == source.nbytes(count) and out.size == target.nbytes(count)
    assert raw.flags.c_contiguous and out.flags.c_contiguous and out.flags.writeable
    length = count
    if columns is not None:
        length = columns.size
        assert columns.flags.c_contiguous and length and count % length == 0 and length % target.block == 0
    if not count:
        return None
    run = _Run(
        target.gguf, source.gguf, check_result, count // length, length,
        raw.ctypes.data, out.ctypes.data, None if columns is None else columns.ctypes.data,
    )  # fmt: skip
    library = _library()
    assert library is not None
    in_result = ctypes.c_int32()
    number = BUILDS.index(in_use() if build is None else build)
    bad = library.prismfs_kernels_quantise(number, ctypes.byref(run), ctypes.byref(in_result), work or None)
    assert bad >= -1, "no such kernel"
    return None if bad < 0 else Bad(bad, bool(in_result.value))


def reads(source: DType, *, build: str | None = None) -> bool:
    """True if `dequantise` reads `source`; libggml reads all types, and most of them as fast."""
    name = in_use() if build is None else build
    library = _library()
    if library is None or name == GGML or source.gguf is None:
        return False
    return bool(library.prismfs_kernels_reads(BUILDS.index(name), source.gguf))


def dequantise(source: DType, raw: Bytes, out: Floats, *, build: str | None = None) -> None:
    """Write the values of `raw`, whole blocks of `source`, to `out`. `reads` must have said yes."""
    assert raw.size == source.nbytes(out.size)
    assert raw.flags.c_contiguous and out.flags.c_contiguous and out.flags.writeable
    number = BUILDS.index(in_use() if build is None else build)
    library = _library()
    assert library is not None
    done = library.prismfs_kernels_read(
        number, source.gguf, raw.ctypes.data, raw.size // source.size, out.ctypes.data
    )
    assert done, "no such kernel"


def multiplies(build: str | None = None) -> bool:
    """True if `product` can be had."""
    return _library() is not None and (in_use() if build is None else build) != GGML


def product(left: Floats, right: Floats, scale: float, out: Floats, *, build: str | None = None) -> None:
    """Write `left` [rows, rank] @ `right` [rank, columns] * `scale` to `out`; all contiguous.

    Each element is a chain of fused multiply-adds from zero, in the order of the ranks. `multiplies` must
    have said yes.
    """
    rows, rank = left.shape
    columns = right.shape[1]
    assert right.shape[0] == rank and out.shape == (rows, columns)
    assert left.flags.c_contiguous and right.flags.c_contiguous
    assert out.flags.c_contiguous and out.flags.writeable
    number = BUILDS.index(in_use() if build is None else build)
    library = _library()
    assert library is not None
    done = library.prismfs_kernels_product(
        number, left.ctypes.data, right.ctypes.data, rows, rank, columns, scale, out.ctypes.data
    )
    assert done, "no such kernel"


@cache
def _chosen(wanted: str) -> str:
    """The build that the variable names; the fastest where it names none, or one that cannot run here."""
    return wanted if wanted in (GGML, *builds()) else builds()[-1]


@cache
def _library() -> ctypes.CDLL | None:
    spec = find_spec("translators.quants.kernels._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:  # built for another platform
        return None
    library.prismfs_kernels_builds.argtypes = ()
    library.prismfs_kernels_builds.restype = ctypes.c_int32
    library.prismfs_kernels_knows.argtypes = (ctypes.c_int32,) * 4
    library.prismfs_kernels_knows.restype = ctypes.c_int32
    library.prismfs_kernels_reads.argtypes = (ctypes.c_int32,) * 2
    library.prismfs_kernels_reads.restype = ctypes.c_int32
    library.prismfs_kernels_read.argtypes = (
        ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p,
    )  # fmt: skip
    library.prismfs_kernels_read.restype = ctypes.c_int32
    library.prismfs_kernels_product.argtypes = (
        ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_float, ctypes.c_void_p,
    )  # fmt: skip
    library.prismfs_kernels_product.restype = ctypes.c_int32
    library.prismfs_kernels_quantise.argtypes = (
        ctypes.c_int32, ctypes.POINTER(_Run), ctypes.POINTER(ctypes.c_int32), ctypes.c_void_p,
    )  # fmt: skip
    library.prismfs_kernels_quantise.restype = ctypes.c_int64
    return library
