"""`convert` against upstream's quantiser, gguf-py's NumPy kernels, and itself in other cuts."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf import quants as gguf_quants
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.golden_quants import data
from translators.dtypes import BF16, DTYPES, F16, F32, DType
from translators.errors import BadValues, Unsupported
from translators.quants import can_decode, can_encode, conversion, convert, ggml, needs_imatrix

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden_quants" / "bytes.json").read_text())
VALUES = np.concatenate([data.numbers(1, 256 * 96), data.edges()])
ENCODED = [kind for kind in data.ENCODED if kind not in ("F32", "F16", "BF16")]
QUANTISED = [kind for kind in data.TYPES if DTYPES[kind].is_quantised]


def raw(content: bytes) -> Bytes:
    return np.frombuffer(content, np.uint8)


def made(source: str, target: str, content: Bytes, *, checked: bool = True) -> Bytes:
    return convert(DTYPES[source], DTYPES[target], content, first=0, checked=checked)


def digest(content: Bytes) -> str:
    return hashlib.sha256(content.tobytes()).hexdigest()


# Upstream's own bytes


@pytest.mark.parametrize("pair", GOLDEN["encoded"])
def test_encoding_is_llama_quantizes(pair: str) -> None:
    source, target = pair.split()
    content = raw(data.stored(VALUES, source))
    assert digest(made(source, target, content)) == GOLDEN["encoded"][pair]


@pytest.mark.parametrize("kind", GOLDEN["decoded"])
def test_decoding_is_llama_quantizes(kind: str) -> None:
    seed, count, expected = GOLDEN["decoded"][kind]
    content = raw(data.blocks(kind, seed, count))
    assert digest(made(kind, "F32", content)) == expected
    for target in ("Q4_0", "Q5_K"):
        assert digest(made(kind, target, content)) == GOLDEN["requantised"][f"{kind} {target}"]


@pytest.mark.parametrize("reason", GOLDEN["refused"])
@pytest.mark.parametrize("target", data.ENCODED[1:])
def test_what_llama_quantize_refuses_is_refused(reason: str, target: str) -> None:
    content = data.worst(reason)
    too_large = target == "IQ3_S" and np.nanmax(np.abs(content)) > 1e10
    if target in GOLDEN["refused"][reason] or too_large:
        with pytest.raises(BadValues) as caught:
            convert(F32, DTYPES[target], content.view(np.uint8), first=1024, checked=True)
        assert caught.value.place.endswith("element 1280")
    else:
        made("F32", target, content.view(np.uint8))


# gguf-py's kernels, which are NumPy


@pytest.mark.parametrize(
    "target", ["BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4"]
)
def test_encoding_is_gguf_pys(target: str) -> None:
    # A block of nothing but -0.0 is the one where gguf-py differs from ggml, in Q4_0 and Q5_0.
    values = np.where(VALUES == 0, np.float32(0), VALUES)
    with np.errstate(all="ignore"):
        expected = gguf_quants.quantize(values.reshape(-1, 256), gguf.GGMLQuantizationType[target])
    assert np.array_equal(made("F32", target, values.view(np.uint8)), expected.view(np.uint8).reshape(-1))


@pytest.mark.parametrize("kind", [kind for kind in QUANTISED if kind not in ("Q1_0", "Q2_0")])
def test_decoding_is_gguf_pys(kind: str) -> None:
    content = raw(data.blocks(kind, 7, 64))
    expected = gguf_quants.dequantize(content.reshape(4, -1), gguf.GGMLQuantizationType[kind])
    assert np.array_equal(made(kind, "F32", content).view(np.float32), expected.reshape(-1))


@pytest.mark.parametrize(("kind", "bits"), [("Q1_0", 1), ("Q2_0", 2)])
def test_decoding_of_the_youngest_types(kind: str, bits: int) -> None:
    # gguf-py has neither: a scale, then codes, lowest bits first; -1 and 1, or -1 to 2.
    content = raw(data.blocks(kind, 7, 64))
    packed = content.reshape(-1, 18)
    scales = np.ascontiguousarray(packed[:, :2]).view(np.float16).astype(np.float32)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (packed[:, 2:, None] >> shifts & (2**bits - 1)).reshape(64, -1).astype(np.float32)
    expected = scales * (2 * codes - 1 if bits == 1 else codes - 1)
    assert np.array_equal(made(kind, "F32", content).view(np.float32), expected.reshape(-1))


# Plain numbers, against NumPy and against the formats' definitions

ANY_BITS = np.random.PCG64(3).random_raw(1 << 18).astype(np.uint32)


def test_bf16_rounds_to_even_and_quiets_nan() -> None:
    wide = ANY_BITS.astype(np.uint64)
    rounded = (wide + 0x7FFF + (wide >> 16 & 1)) >> 16
    nan = np.isnan(ANY_BITS.view(np.float32))
    expected = np.where(nan, wide >> 16 | 64, rounded).astype(np.uint16)
    found = convert(F32, BF16, ANY_BITS.view(np.uint8), first=0, checked=False).view(np.uint16)
    assert np.array_equal(found, expected)


def test_f16_is_numpys() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    wide = made("F16", "F32", halves.view(np.uint8), checked=False).view(np.float32)
    number = ~np.isnan(wide)
    assert np.array_equal(wide, halves.view(np.float16).astype(np.float32), equal_nan=True)
    back = made("F32", "F16", wide.view(np.uint8), checked=False).view(np.uint16)
    assert np.array_equal(back[number], halves[number])
    values = ANY_BITS.view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16)
    assert np.array_equal(made("F32", "F16", values.view(np.uint8), checked=False), expected.view(np.uint8))


def test_bf16_widens_exactly() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    wide = made("BF16", "F32", halves.view(np.uint8), checked=False).view(np.uint32)
    assert np.array_equal(wide, halves.astype(np.uint32) << 16)


def test_halves_convert_by_way_of_float32() -> None:
    found = made("BF16", "F16", raw(data.stored(VALUES, "BF16")))
    expected = (VALUES.view(np.uint32) & 0xFFFF0000).view(np.float32).astype(np.float16)
    assert np.array_equal(found.view(np.float16), expected)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("F64", np.array([1.0, 1 + 2**-24, 1 + 3 * 2**-24, 1e-300, -2.5, 3.4028235e38])),
        ("I8", np.array([-128, 127], np.int8)),
        ("I16", np.array([-32768, 5], np.int16)),
        ("I32", np.array([2**24 + 1, 2**24 + 3, -(2**31)], np.int32)),
        ("I64", np.array([2**62 + 1, -(2**53) - 1], np.int64)),
        ("U8", np.array([0, 255], np.uint8)),
        ("U16", np.array([65535], np.uint16)),
        ("U32", np.array([2**32 - 1, 2**24 + 1], np.uint32)),
        ("U64", np.array([2**64 - 1, 1], np.uint64)),
        ("BOOL", np.array([True, False])),
    ],
)
def test_other_numbers_round_to_even(kind: str, values: npt.NDArray[Any]) -> None:
    # Fractions are exact; the nearest float32 is found by asking its neighbours.
    found = made(kind, "F32", values.view(np.uint8)).view(np.float32)
    for number, rounded in zip(values.tolist(), found, strict=True):
        with np.errstate(over="ignore"):
            neighbours = [np.nextafter(rounded, np.float32(way)) for way in (-np.inf, np.inf)]
        errors = [abs(_exact(number) - _exact(near)) for near in neighbours if np.isfinite(near)]
        own = abs(_exact(number) - _exact(rounded))
        assert all(own <= error for error in errors)
        if own in errors:
            assert rounded.view(np.uint32) % 2 == 0


def _exact(number: float | np.float32) -> Any:
    return Fraction(float(number)) if isinstance(number, float | np.floating) else Fraction(number)


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("F8_E4M3", {0x00: 0.0, 0x01: 2.0**-9, 0x07: 7 * 2.0**-9, 0x08: 2.0**-6, 0x38: 1.0, 0x7E: 448.0,
                     0x7F: np.nan, 0xFF: np.nan, 0xB8: -1.0, 0x80: -0.0}),
        ("F8_E5M2", {0x01: 2.0**-16, 0x04: 2.0**-14, 0x3C: 1.0, 0x7B: 57344.0, 0x7C: np.inf, 0xFC: -np.inf,
                     0x7D: np.nan, 0x80: -0.0}),
        ("F8_E4M3FNUZ", {0x01: 2.0**-10, 0x40: 1.0, 0x7F: 240.0, 0xFF: -240.0, 0x80: np.nan}),
        ("F8_E5M2FNUZ", {0x01: 2.0**-17, 0x40: 1.0, 0x7F: 57344.0, 0x80: np.nan}),
        ("F8_E8M0", {0x00: 2.0**-127, 0x7F: 1.0, 0x80: 2.0, 0xFE: 2.0**127, 0xFF: np.nan}),
    ],
)  # fmt: skip
def test_eight_bit_floats(kind: str, known: dict[int, float]) -> None:
    table = made(kind, "F32", np.arange(256, dtype=np.uint8), checked=False).view(np.float32)
    for code, value in known.items():
        expected = np.float32(value)
        assert np.array_equal(table[code], expected, equal_nan=True)
        assert np.isnan(value) or np.signbit(table[code]) == np.signbit(expected)
    if kind != "F8_E8M0":
        positive = table[:0x80][np.isfinite(table[:0x80])]
        assert (np.diff(positive) > 0).all()
        assert np.array_equal(table[0x81:], -table[1:0x80], equal_nan=True)
    if kind == "F8_E5M2":
        halves = (np.arange(256, dtype=np.uint16) << 8).view(np.float16)
        assert np.array_equal(table, halves.astype(np.float32), equal_nan=True)


# Any cut gives the same bytes


@settings(deadline=None, max_examples=8)
@given(cuts=st.lists(st.integers(1, VALUES.size - 1), max_size=6), source=st.sampled_from(["F32", "BF16"]))
@pytest.mark.parametrize("target", ENCODED)
def test_blocks_do_not_depend_on_the_range(target: str, cuts: list[int], source: str) -> None:
    dtype, kind = DTYPES[target], DTYPES[source]
    content = raw(data.stored(VALUES, source))
    edges = sorted({0, VALUES.size, *(cut - cut % dtype.block for cut in cuts)})
    parts = [
        convert(kind, dtype, content[kind.nbytes(a) : kind.nbytes(b)], first=a, checked=True)
        for a, b in pairwise(edges)
    ]
    assert digest(np.concatenate(parts)) == GOLDEN["encoded"][f"{source} {target}"]


@pytest.mark.parametrize("target", ENCODED)
def test_every_block_alone(target: str) -> None:
    dtype = DTYPES[target]
    values = VALUES[-18 * 256 :]
    whole = made("F32", target, values.view(np.uint8))
    order = np.random.default_rng(0).permutation(values.size // dtype.block)
    for block in order:
        piece = np.ascontiguousarray(values[block * dtype.block : (block + 1) * dtype.block])
        own = whole[block * dtype.size : (block + 1) * dtype.size]
        assert np.array_equal(made("F32", target, piece.view(np.uint8)), own)


@pytest.mark.parametrize("target", ["F32", "F16", "BF16", "Q4_0", "Q8_0"])
def test_slices_do_not_show(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = raw(data.stored(VALUES, "BF16"))
    whole = made("BF16", target, content)
    monkeypatch.setattr(conversion, "_SLICE", 1024)
    assert np.array_equal(made("BF16", target, content), whole)
    bad = content.copy()
    bad.view(np.uint16)[5000] = 0x7F80
    with pytest.raises(BadValues, match="element 12000"):
        convert(BF16, DTYPES[target], bad, first=7000, checked=True)


def test_any_alignment_and_stride() -> None:
    plain = made("F32", "Q4_K", VALUES.view(np.uint8))
    shifted = np.frombuffer(b"x" + VALUES.tobytes(), np.uint8)[1:]
    assert np.array_equal(made("F32", "Q4_K", shifted), plain)
    wide = np.zeros(2 * VALUES.nbytes, np.uint8)
    wide[::2] = VALUES.view(np.uint8)
    assert np.array_equal(made("F32", "Q4_K", wide[::2]), plain)


def test_sources_are_left_alone() -> None:
    for source in ("F32", "F16", "BF16"):
        content = raw(data.stored(VALUES, source))
        assert not content.flags.writeable
        for target in ("F32", "F16", "BF16", "Q4_0"):
            made(source, target, content)
        assert content.tobytes() == data.stored(VALUES, source)


# Refusals


@pytest.mark.parametrize("kind", [kind for kind in QUANTISED if kind != "NVFP4"])
def test_bad_scales_of_a_source_are_refused(kind: str) -> None:
    dtype = DTYPES[kind]
    content = np.frombuffer(bytearray(data.blocks(kind, 5, 24)), np.uint8)
    made(kind, "F32", content)
    block = content[9 * dtype.size : 10 * dtype.size]
    if kind == "MXFP4":
        block[0] = 0xFF
    elif kind == "IQ1_M":
        block[48:56] = [0x00, 0x10, 0x00, 0x20, 0x00, 0xC0, 0x00, 0x70]
    else:
        block[data.TYPES[kind][3][-1] :][:2] = [0x00, 0xFC]
    with pytest.raises(BadValues, match=f"element {9 * dtype.block}: "):
        made(kind, "F32", content)
    made(kind, "F32", content, checked=False)
    with pytest.raises(BadValues):
        made(kind, kind, content)


def test_errors_say_what_to_do() -> None:
    content = np.array([1.0, np.nan], np.float32).view(np.uint8)
    with pytest.raises(BadValues) as caught:
        convert(F32, F16, content, first=10, checked=True)
    assert caught.value.place == "element 11"
    assert caught.value.remedy


@pytest.mark.parametrize("target", ["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"])
def test_types_that_need_an_importance_matrix(target: str) -> None:
    assert needs_imatrix(DTYPES[target])
    with pytest.raises(Unsupported, match="importance matrix"):
        made("F32", target, VALUES.view(np.uint8))


@pytest.mark.parametrize(
    ("source", "target"),
    [("F32", "Q8_1"), ("F32", "Q8_K"), ("Q8_K", "F32"), ("F4", "F32"), ("C64", "F32"), ("F32", "I8")],
)
def test_types_without_a_kernel(source: str, target: str) -> None:
    with pytest.raises(Unsupported):
        made(source, target, np.zeros(DTYPES[source].nbytes(256), np.uint8))


def test_parts_of_blocks_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="Q8_0"):
        made("Q8_0", "F32", np.zeros(35, np.uint8))
    with pytest.raises(ValueError, match="Q4_K"):
        made("F32", "Q4_K", np.zeros(4 * 128, np.uint8))


def test_numbers_that_ggml_does_not_survive_are_refused() -> None:
    # Its search asserts that a grid point was found, and ends the process: so even unchecked.
    for value in (1e30, np.inf, np.nan):
        values = np.zeros(512, np.float32)
        values[300] = value
        with pytest.raises(BadValues, match="element 300"):
            made("F32", "IQ3_S", values.view(np.uint8), checked=False)


def test_what_can_be_done() -> None:
    both = {"F32", "F16", "BF16", *QUANTISED}
    # Of IQ1_M the library makes other bytes than upstream's b11434.
    assert {kind for kind, dtype in DTYPES.items() if can_encode(dtype)} == both - {"IQ1_M"}
    plain = {kind for kind in DTYPES if kind[0] in "IUB" and not kind.startswith("IQ")} | {"F64"}
    eight = {kind for kind in DTYPES if kind.startswith("F8")}
    assert {kind for kind, dtype in DTYPES.items() if can_decode(dtype)} == both | plain | eight
    # A type without a function in the library must never be asked for: the call would end the process.
    blocks = [dtype for dtype in DTYPES.values() if dtype.is_quantised]
    assert [bool(ggml._traits(dtype).to_float) for dtype in blocks] == [
        ggml.decodes(dtype) for dtype in blocks
    ]


def test_nothing_makes_nothing() -> None:
    empty = np.zeros(0, np.uint8)
    for target in (F32, F16, DTYPES["Q4_K"]):
        assert convert(BF16, target, empty, first=0, checked=True).size == 0


def test_threads_do_not_disturb_each_other() -> None:
    def work(target: DType) -> Bytes:
        return convert(F32, target, VALUES.view(np.uint8), first=0, checked=True)

    targets = [DTYPES[kind] for kind in ("Q4_K", "IQ3_S", "Q8_0", "Q6_K") for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        for target, result in zip(targets, pool.map(work, targets), strict=True):
            assert digest(result) == GOLDEN["encoded"][f"F32 {target.name}"]
