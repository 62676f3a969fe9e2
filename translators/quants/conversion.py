"""Conversion: the same values in another element type, by way of float32.

Any run of whole blocks can be converted alone, and gives the bytes that it has in the whole tensor: a
block depends on its own elements only; where an importance matrix weighs the columns, also on their weights,
and for some types (`needs_rows`) on all of its row. Memory is bounded: values pass through a scratch of
float32 of at most 1 MiB or a row, however much is asked for. Safe for many threads at once.
Knows nothing of tensors' names or shapes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from translators.dtypes import F16, F32, DType
from translators.errors import BadValues, Unsupported
from translators.quants import floats, ggml, kernels
from translators.quants.validity import first_bad

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Elements converted at once: a multiple of every block, and small enough to stay in a core's own cache.
_SLICE = 1 << 18
_NAN = "a value is NaN or infinite"
_REMEDY = "get the model again, or ask for another type: llama-quantize refuses these weights too"


def can_decode(dtype: DType) -> bool:
    """True if `convert` takes `dtype` as its source."""
    return floats.decodes(dtype) or ggml.decodes(dtype)


def can_encode(dtype: DType) -> bool:
    """True if `convert` makes `dtype`, for some types (`needs_imatrix`) only with an importance matrix."""
    return dtype is F32 or ggml.encodes(dtype)


def needs_imatrix(dtype: DType) -> bool:
    """True if the kernel of `dtype` cannot work without an importance matrix."""
    return dtype.name in ggml.NEEDS_IMATRIX


def is_weighted(dtype: DType) -> bool:
    """True if an importance matrix makes a difference to `dtype`."""
    return dtype.name in ggml.WEIGHTED


def needs_rows(dtype: DType) -> bool:
    """True if, with an importance matrix, only whole rows can be converted alone."""
    return dtype.name in ggml.ROWWISE


def convert(
    source: DType,
    target: DType,
    raw: Bytes,
    *,
    first: int,
    checked: bool,
    columns: Floats | None = None,
    out: Bytes | None = None,
) -> Bytes:
    """The elements of `raw`, whole blocks of `source`, as whole blocks of `target`.

    `columns` are weights of columns, from 0 to `LARGEST_COLUMN`, for a type that `is_weighted`: `raw` then
    holds whole rows of that many elements (if not `needs_rows`, runs of whole blocks of a row count as rows).
    `first` is the index in its tensor of the first element, for errors. `checked` refuses what
    llama-quantize refuses: NaN and infinity in plain floats and in the scales of blocks, in the source
    and in the result. Plain numbers round to nearest even; unchecked, NaN and infinity stay what they are.
    What is computed is written to `out`, if there is one: as long, and aligned for the widest word.

    Raises BadValues (`checked` only; its place is the element's index), Unsupported (no kernel for a
    type), ValueError (no whole number of blocks).
    """
    if raw.size % source.size:
        raise ValueError(f"{raw.size} bytes are no whole number of {source.name} blocks of {source.size}")
    count = raw.size // source.size * source.block
    made_bytes = target.nbytes(count)
    raw = _settled(raw)
    if source is target:
        if checked:
            _check(source, raw, first)
        return raw
    _refuse_unknown(source, target, weighted=columns is not None)
    result = np.empty(made_bytes, np.uint8) if out is None else out
    if kernels.makes(source, target, weighted=columns is not None) and _convert_by_kernel(
        source, target, raw, result, first=first, checked=checked, columns=columns
    ):
        return result
    step = _SLICE if columns is None else max(_SLICE // columns.size, 1) * columns.size
    scratch = np.empty(0 if F32 in (source, target) else min(count, step), np.float32)
    for start in range(0, count, step):
        end = min(start + step, count)
        piece = raw[source.nbytes(start) : source.nbytes(end)]
        made = result[target.nbytes(start) : target.nbytes(end)]
        if checked:
            _check(source, piece, first + start)
        values = _decode(source, piece, made.view(np.float32) if target is F32 else scratch[: end - start])
        _encode(target, values, made, first + start, columns, checked=checked)
        if checked:
            _check(target, made, first + start)
    return result


def _convert_by_kernel(
    source: DType,
    target: DType,
    raw: Bytes,
    result: Bytes,
    *,
    first: int,
    checked: bool,
    columns: Floats | None,
) -> bool:
    """Fill `result` by one of our own kernels, in one go. False: not `checked`, and numbers that are none."""
    bad = kernels.quantise(source, target, raw, result, check_result=checked, columns=columns)
    if bad is not None and checked:
        raise _refusal(target if bad.in_result else source, first + bad.element)
    return bad is None


def _decode(source: DType, piece: Bytes, values: Floats) -> Floats:
    """The values of `piece`: in `values`, or where they already are float32."""
    if source is F32:
        return piece.view(np.float32)
    if kernels.reads(source):
        kernels.dequantise(source, piece, values)
    elif ggml.decodes(source):
        ggml.dequantise(source, piece, values)
    else:
        floats.to_float32(source, piece, values)
    return values


def _encode(
    target: DType, values: Floats, made: Bytes, first: int, columns: Floats | None, *, checked: bool
) -> None:
    """Write `values` to `made` as `target`. Raises BadValues for what the kernel does not survive."""
    if target is F32:
        return
    _check_magnitude(target, values, first)
    ggml.quantise(target, values, made, columns)
    if target is F16 and not checked:  # else a NaN is refused below, whatever it looks like
        # ggml has one NaN, upstream's converter (NumPy) keeps the payload. They agree on everything else.
        nan = np.isnan(values)
        if nan.any():
            made.view(np.float16)[nan] = values[nan].astype(np.float16)


def _check(dtype: DType, raw: Bytes, first: int) -> None:
    """Raise BadValues if upstream would refuse `raw`, which starts at element `first` of its tensor."""
    step = dtype.nbytes(_SLICE)
    for at in range(0, raw.size, step):
        bad = first_bad(dtype, raw[at : at + step])
        if bad is not None:
            raise _refusal(dtype, first + at // dtype.size * dtype.block + bad)


def _refusal(dtype: DType, element: int) -> BadValues:
    where = f"block of {dtype.block} from element" if dtype.block > 1 else "element"
    return BadValues(f"{_NAN} in {dtype.name}", place=f"{where} {element}", remedy=_REMEDY)


def _check_magnitude(target: DType, values: Floats, first: int) -> None:
    """Keep from a kernel what it does not survive; upstream's tool does not survive it either."""
    largest = ggml.LARGEST.get(target.name)
    if largest is None:
        return
    # Written so that NaN counts as too large.
    bad = ~(np.abs(values) <= largest)
    if bad.any():
        place = f"element {first + int(bad.argmax())}"
        raise BadValues(f"a value is too large for {target.name}", place=place, remedy=_REMEDY)


def _refuse_unknown(source: DType, target: DType, *, weighted: bool) -> None:
    if not can_decode(source):
        raise Unsupported(f"the values of type {source.name} cannot be decoded")
    if needs_imatrix(target) and not weighted:
        raise Unsupported(f"{target.name} cannot be made without an importance matrix")
    if not can_encode(target):
        raise Unsupported(f"values cannot be stored as {target.name}")


def _settled(raw: Bytes) -> Bytes:
    """`raw` as the kernels want it: contiguous, and aligned for the widest word in a block."""
    if raw.flags.c_contiguous and raw.ctypes.data % 8 == 0:
        return raw
    return raw.copy()
