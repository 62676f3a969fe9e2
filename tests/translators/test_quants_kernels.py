"""Our quantisers against libggml's: not one byte differs, whatever the type, source, weights and build.

`make kernels-check` does the same with more numbers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.translators import kernel_cases as cases
from tests.translators.golden_quants import data
from translators.dtypes import DTYPES, F32
from translators.errors import BadValues, Unsupported
from translators.quants import convert, ggml, kernels

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden_quants" / "bytes.json").read_text())
BUILDS = kernels.builds()
BLOCKS = [target for target in cases.TYPES if DTYPES[target].is_quantised]

pytestmark = pytest.mark.skipif(
    not BUILDS and shutil.which("cc") is None and shutil.which("gcc") is None,
    reason="the kernels are not built, and there is no C compiler",
)


@cache
def rows() -> Floats:
    """A fifth of a million random weights at three scales, and all edge cases."""
    random = [cases.random_rows(seed, 67_000, scale) for seed, scale in enumerate((1e-4, 0.02, 30.0))]
    return np.concatenate([*random, cases.edges()])


@cache
def stored(source: str) -> Bytes:
    return cases.stored(rows(), source)


@cache
def expected(target: str, source: str, kind: str) -> Bytes:
    values = cases.widened(stored(source), source)
    return cases.reference(target, values, None if kind == "unweighted" else columns(kind))


@cache
def columns(kind: str) -> Floats:
    return cases.columns(7, cases.ROW, kind)


def test_the_kernels_are_built() -> None:
    # Every other test here has one case a build: without builds there would be none to fail.
    assert BUILDS, "the kernels are not built: make kernels"
    assert BUILDS[0] == "portable"
    flags = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
    assert ("avx2" in BUILDS) == ("avx2" in flags)
    assert ("avx512" in BUILDS) == ({"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(flags))


@pytest.mark.parametrize("source", cases.SOURCES)
@pytest.mark.parametrize("target", cases.TYPES)
@pytest.mark.parametrize("build", BUILDS)
def test_bytes_are_libggmls(build: str, target: str, source: str) -> None:
    found = cases.ours(target, stored(source), source, build)
    assert not cases.differing(DTYPES[target], found, expected(target, source, "unweighted")).size


@pytest.mark.parametrize("source", cases.SOURCES)
@pytest.mark.parametrize("target", cases.WEIGHTED)
@pytest.mark.parametrize("build", BUILDS)
def test_bytes_with_column_weights_are_libggmls(build: str, target: str, source: str) -> None:
    found = cases.ours(target, stored(source), source, build, columns("usual"))
    assert not cases.differing(DTYPES[target], found, expected(target, source, "usual")).size


@pytest.mark.parametrize("kind", cases.COLUMNS[1:])
@pytest.mark.parametrize("target", cases.WEIGHTED)
@pytest.mark.parametrize("build", BUILDS)
def test_odd_column_weights(build: str, target: str, kind: str) -> None:
    values = np.concatenate([cases.random_rows(3, 8_000, 0.02), cases.edges()])
    raw = cases.stored(values, "F32")
    wanted = cases.reference(target, values.reshape(-1), columns(kind))
    found = cases.ours(target, raw, "F32", build, columns(kind))
    assert not cases.differing(DTYPES[target], found, wanted).size


@pytest.mark.parametrize("length", [32, 32 * 11, 32 * 300])
@pytest.mark.parametrize("target", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4"])
@pytest.mark.parametrize("build", BUILDS)
def test_rows_of_any_length(build: str, target: str, length: int) -> None:
    values = cases.random_rows(11, length * 5, 1.0).reshape(-1)[: length * 5]
    weights = cases.columns(2, length)
    found = cases.ours(target, values.view(np.uint8), "F32", build, weights)
    assert np.array_equal(found, cases.reference(target, values, weights))


@pytest.mark.parametrize("target", [t for t in cases.TYPES if t != "F32"])
@pytest.mark.parametrize("build", BUILDS)
def test_bytes_are_llama_quantizes(build: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.VARIABLE, build)
    values = np.concatenate([data.numbers(1, 256 * 96), data.edges()])
    for source in cases.SOURCES:
        pair = f"{source} {target}"
        if pair in GOLDEN["encoded"]:
            raw = np.frombuffer(data.stored(values, source), np.uint8)
            made = convert(DTYPES[source], DTYPES[target], raw, first=0, checked=True)
            assert hashlib.sha256(made.tobytes()).hexdigest() == GOLDEN["encoded"][pair]


@pytest.mark.parametrize("target", BLOCKS)
@pytest.mark.parametrize("build", BUILDS)
def test_any_cut_and_alignment(build: str, target: str) -> None:
    kind = DTYPES[target]
    values = rows().reshape(-1)[-256 * 40 :]
    whole = cases.ours(target, values.view(np.uint8), "F32", build)
    for first, count in ((0, 1), (3, 2), (1, 16), (7, 33)):
        shifted = np.empty(count * kind.block * 4 + 1, np.uint8)[1:]
        shifted[:] = values[first * kind.block :][: count * kind.block].view(np.uint8)
        assert np.array_equal(
            cases.ours(target, shifted, "F32", build), whole[first * kind.size :][: count * kind.size]
        )


@pytest.mark.parametrize("target", cases.TYPES)
@pytest.mark.parametrize("build", BUILDS)
def test_nothing_else_is_written_and_sources_are_left_alone(build: str, target: str) -> None:
    kind = DTYPES[target]
    values = cases.random_rows(4, 256 * 21, 1.0).reshape(-1)[: 256 * 21]
    before = values.copy()
    room = np.full(kind.nbytes(values.size) + 256, 0xA5, np.uint8)
    made = room[128:-128]
    assert not kernels.quantise(F32, kind, values.view(np.uint8), made, check_result=True, build=build)
    assert np.array_equal(values, before)
    assert (room[:128] == 0xA5).all() and (room[-128:] == 0xA5).all()


# What upstream refuses


@pytest.mark.parametrize("source", cases.SOURCES)
@pytest.mark.parametrize("target", cases.TYPES)
@pytest.mark.parametrize("build", BUILDS)
def test_numbers_that_are_none_are_found(build: str, target: str, source: str) -> None:
    kind = DTYPES[target]
    raw = cases.stored(cases.random_rows(1, 256 * 60, 1.0), source).copy()
    made = np.empty(kind.nbytes(raw.size // DTYPES[source].size), np.uint8)
    for at, value in ((9_000, np.nan), (8_191, -np.inf), (0, np.inf)):
        bits = cases.stored_bits(value, source)
        raw.view(bits.dtype)[at] = bits[0]
        bad = kernels.quantise(DTYPES[source], kind, raw, made, check_result=False, build=build)
        assert bad == kernels.Bad(at, in_result=False)


@pytest.mark.parametrize("build", BUILDS)
def test_scales_that_are_none_are_found(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.VARIABLE, build)
    for reason in GOLDEN["refused"]:
        content = data.worst(reason).view(np.uint8)
        for target in (t for t in cases.TYPES if t != "F32"):
            if target in GOLDEN["refused"][reason]:
                with pytest.raises(BadValues, match="element 256: "):
                    convert(F32, DTYPES[target], content, first=0, checked=True)
            else:
                convert(F32, DTYPES[target], content, first=0, checked=True)


@pytest.mark.parametrize("build", BUILDS)
def test_the_place_is_the_first_block_that_is_bad(build: str) -> None:
    values = np.zeros(256 * 50, np.float32)
    for target in BLOCKS:
        kind = DTYPES[target]
        # Halves end at 65 504; the one exponent that MXFP4 has no power for is what these wrap around to.
        values[256 * 41 + 7] = 2e-38 if target == "MXFP4" else 1e12
        values[256 * 33 + 9] = -values[256 * 41 + 7]
        made = np.empty(kind.nbytes(values.size), np.uint8)
        bad = kernels.quantise(F32, kind, values.view(np.uint8), made, check_result=True, build=build)
        place = (256 * 33 + 9) // kind.block * kind.block
        assert bad == kernels.Bad(place, in_result=True), target


@pytest.mark.parametrize("target", ["F16", "BF16", "Q4_K", "Q8_0"])
def test_unchecked_numbers_that_are_none_are_left_to_libggml(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = cases.random_rows(1, 2048, 1.0).reshape(-1)
    values[1000], values[1001] = np.nan, np.inf
    made = []
    for build in (kernels.GGML, *BUILDS):
        monkeypatch.setenv(kernels.VARIABLE, build)
        made.append(convert(F32, DTYPES[target], values.view(np.uint8), first=0, checked=False))
    assert all(np.array_equal(one, made[0]) for one in made)


# The way back


@pytest.mark.parametrize("build", BUILDS)
def test_numbers_of_blocks_are_libggmls(build: str) -> None:
    """Of any bytes at all: scales that are none as well, whose NaN libggml makes with the same sign."""
    rng = np.random.default_rng(6)
    read = [kind for kind in DTYPES.values() if kernels.reads(kind, build=build)]
    assert [kind.name for kind in read] == ["Q6_K"]
    for kind in read:
        for blocks in (1, 7, 300):
            raw = rng.integers(0, 256, blocks * kind.size + 1, np.uint8)[1:]  # at an odd address
            wanted, found = np.empty((2, blocks * kind.block), np.float32)
            ggml.dequantise(kind, raw.copy(), wanted)
            kernels.dequantise(kind, raw, found, build=build)
            assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))
    assert not kernels.reads(DTYPES["Q6_K"], build=kernels.GGML)


# The choice of a build


def test_the_fastest_is_used_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    assert kernels.in_use() == BUILDS[-1]
    for name in (*BUILDS, kernels.GGML):
        monkeypatch.setenv(kernels.VARIABLE, name)
        assert kernels.in_use() == name
    # None, or one that this machine lacks: the same bytes are made another way.
    for name in ("", *(each for each in kernels.BUILDS if each not in BUILDS)):
        monkeypatch.setenv(kernels.VARIABLE, name)
        assert kernels.in_use() == BUILDS[-1]


@pytest.mark.parametrize("built", [True, False])
def test_a_name_that_is_none_is_refused_with_the_choices(
    built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not built:
        monkeypatch.setattr(kernels, "_library", lambda: None)
    monkeypatch.setenv(kernels.VARIABLE, "sse9")
    with pytest.raises(Unsupported, match=r"PRISMFS_KERNELS is 'sse9'.*portable, avx2, avx512 or ggml"):
        convert(F32, DTYPES["Q4_K"], stored("F32"), first=0, checked=True)


def test_without_kernels_libggml_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = convert(F32, DTYPES["Q4_K"], stored("F32"), first=0, checked=False)
    monkeypatch.setattr(kernels, "_library", lambda: None)
    assert kernels.in_use() == kernels.GGML and not kernels.builds()
    assert not kernels.makes(F32, DTYPES["Q4_K"])
    assert np.array_equal(convert(F32, DTYPES["Q4_K"], stored("F32"), first=0, checked=False), wanted)


def test_what_has_a_kernel() -> None:
    for build in BUILDS:
        made = {name for name, kind in DTYPES.items() if kernels.makes(F32, kind, build=build)}
        assert made == set(cases.TYPES)
        weighted = {name for name in made if kernels.makes(F32, DTYPES[name], weighted=True, build=build)}
        assert weighted == made
        assert not kernels.makes(DTYPES["Q8_0"], DTYPES["Q4_K"], build=build)
        assert not kernels.makes(DTYPES["F64"], DTYPES["Q4_K"], build=build)
    assert not kernels.makes(F32, DTYPES["Q4_K"], build=kernels.GGML)


def test_threads_do_not_disturb_each_other() -> None:
    def work(target: str) -> bool:
        found = cases.ours(target, stored("F32"), "F32", BUILDS[-1])
        return np.array_equal(found, expected(target, "F32", "unweighted"))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, BLOCKS * 3))


@pytest.mark.parametrize("build", BUILDS)
def test_the_workspace_may_lie_anywhere(build: str) -> None:
    room = np.empty(kernels.WORK_BYTES + 8192, np.uint8)
    raw = stored("BF16")[: 2 * 256 * 24]
    wanted = cases.ours("Q5_K", raw, "BF16", build)
    for offset in (64, 192, 4032):
        at = -(-room.ctypes.data // 64) * 64 + offset
        made = np.zeros_like(wanted)
        kernels.quantise(DTYPES["BF16"], DTYPES["Q5_K"], raw, made, check_result=False, build=build, work=at)
        assert np.array_equal(made, wanted)
