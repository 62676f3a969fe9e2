"""GPTQ and AWQ: packed integers of a matrix that is stored with its inputs as rows.

    GPTQ   qweight [inputs / 8, outputs]   qzeros [groups, outputs / 8]   scales [groups, outputs]
           (of 3 bits: 32 codes in each three words)
           and g_idx [inputs], the group that each input belongs to: in any order after act-order
    AWQ    qweight [inputs, outputs / 8], the codes of a word in another order; qzeros and scales as above

A value is (code - zero) * scale; in GPTQ's first format what is stored is the zero less one. Upstream
computes GPTQ's in F32; it has no AWQ, whose library gives F16, or what the scales are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.quantised.configuration import number, unsupported
from translators.quantised.logical import Workings, fitting
from translators.recipes import (
    Recipe,
    Stored,
    Transposed,
    cast,
    scaled,
    transpose2d,
    transposed,
    unpacked,
)

# Where in a word each of its eight codes lies, in the order of outputs.
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
# A row of the result is a column of what is stored, and must be had as a whole.
_LONGEST = 1 << 22


def gptq(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights at the end, in the stead of packed ones."""
    bits = number(settings, "bits")
    if bits not in (2, 3, 4, 8):
        raise unsupported(f"GPTQ with {bits} bits", "bits")
    form = settings.get("checkpoint_format", "gptq")
    if form not in ("gptq", "gptq_v2"):
        raise unsupported(f"GPTQ stored as {form!r:.40}", "checkpoint_format")
    for name in workings.names(".qweight"):
        base = name.removesuffix(".qweight")
        packed, zeros, scales = (workings.take(f"{base}.{part}") for part in ("qweight", "qzeros", "scales"))
        groups = workings.take_if(f"{base}.g_idx")
        with fitting(f"{base}.weight"):
            codes = unpacked(transposed(_words(packed)), bits, axis=1)
            zero: Recipe
            if bits == 3:
                zero = transpose2d(unpacked(_words(zeros), bits, axis=1))
            else:
                zero = unpacked(transposed(_words(zeros)), bits, axis=0)
            scale = _scales(scales)
            block: tuple[int, ...] = ()
            if groups is None:
                block = (1, _group(settings, codes.shape[1], scale.shape[1]))
            recipe = scaled(codes, scale, block, zero=zero, shift=int(form == "gptq"), groups=groups)
        workings.put_last(f"{base}.weight", recipe)


def awq(workings: Workings, settings: Mapping[str, Any]) -> None:
    """Put weights at the end, in the stead of packed ones."""
    if number(settings, "bits", "w_bit") != 4:
        raise unsupported(f"AWQ with {settings.get('bits')} bits", "bits")
    form = settings.get("version", "gemm")
    if not isinstance(form, str) or form.lower() != "gemm":
        raise unsupported(f"AWQ stored for {form!r:.40}", "version")
    for name in workings.names(".qweight"):
        base = name.removesuffix(".qweight")
        packed, zeros, scales = (workings.take(f"{base}.{part}") for part in ("qweight", "qzeros", "scales"))
        with fitting(f"{base}.weight"):
            codes = unpacked(transposed(_words(packed)), 4, axis=0, order=_AWQ_ORDER)
            zero = unpacked(transposed(_words(zeros)), 4, axis=0, order=_AWQ_ORDER)
            scale = _scales(scales)
            group = _group(settings, codes.shape[1], scale.shape[1])
            recipe = scaled(codes, scale, (1, group), zero=zero)
        workings.put_last(f"{base}.weight", cast(recipe, scales.dtype))


def _words(of: Stored) -> Stored:
    if of.dtype.name != "I32" or len(of.shape) != 2:
        raise ValueError(f"{of.dtype.name} of shape {list(of.shape)} is no matrix of words")
    if of.shape[0] > _LONGEST:
        raise ValueError(f"{of.shape[0]:,} rows are too many for a matrix that is stored transposed")
    return of


def _scales(of: Stored) -> Transposed:
    if not of.dtype.is_float:
        raise ValueError(f"scales are of {of.dtype.name}")
    return transposed(of)


def _group(settings: Mapping[str, Any], inputs: int, groups: int) -> int:
    """How many inputs share a scale: as many as the shapes say, which the configuration must not deny."""
    told = number(settings, "group_size", "q_group_size", default=-1)
    group = inputs if told <= 0 else told
    if -(-inputs // group) != groups:
        raise ValueError(f"{groups} groups of {group} are not {inputs} inputs")
    return group
