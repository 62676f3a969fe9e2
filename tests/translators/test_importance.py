"""Weighed columns: any range equals that range of the whole, slices never mix, the kernels survive all of it.

That the bytes are upstream's is shown by tests/oracle/test_weighted.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translators.dtypes import DTYPES, F32
from translators.errors import BadValues
from translators.importance import Importance
from translators.model import Extent
from translators.quants import LARGEST_COLUMN, convert, is_weighted, needs_rows
from translators.recipes import Cast, Stored, SwapRows, nbytes, read_bytes

Floats = npt.NDArray[np.float32]

EXPERTS, ROWS, COLUMNS = 3, 6, 768
SHAPE = (EXPERTS, ROWS, COLUMNS)
# One type for each way to look at columns; the grids of the others take seconds to make.
KINDS = ["Q4_0", "Q5_1", "IQ4_NL", "Q3_K", "Q4_K", "Q6_K", "IQ4_XS", "IQ3_S"]


class Files:
    """Two files in memory: weights, and a matrix."""

    def __init__(self, *files: bytes) -> None:
        self.files = files
        self.read_of_matrix = 0

    def read(self, file: int, offset: int, length: int) -> bytearray:
        """The bytes asked for, which must exist."""
        assert offset + length <= len(self.files[file])
        self.read_of_matrix += length if file else 0
        return bytearray(self.files[file][offset : offset + length])


def random(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


VALUES = random(1).standard_normal(SHAPE).astype(np.float32)
SUMS = (random(2).random((EXPERTS, COLUMNS)) * np.ldexp(1.0, random(3).integers(-9, 9, COLUMNS))).astype(
    "<f4"
)
COUNTS = (3, 0, 700)
FILES = Files(VALUES.tobytes(), b"head" + SUMS.tobytes())


def recipe(kind: str, shape: tuple[int, ...] = SHAPE, counts: tuple[int, ...] = COUNTS) -> Cast:
    columns = shape[-1] * (shape[0] if len(shape) > 2 else 1)
    importance = Importance(Extent(1, 4, 4 * columns), counts)
    return Cast(Stored(Extent(0, 0, VALUES.nbytes), "F32", shape), kind, True, importance)


def weights(expert: int) -> Floats:
    """The columns' weights, by upstream's rule."""
    count = np.float32(COUNTS[expert])
    return SUMS[expert] / count if count else np.ones(COLUMNS, np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_each_expert_has_its_own_columns(kind: str) -> None:
    whole = read_bytes(recipe(kind), 0, nbytes(recipe(kind)), FILES)
    expected = [
        convert(
            F32,
            DTYPES[kind],
            VALUES[expert].view(np.uint8).ravel(),
            first=0,
            checked=True,
            columns=weights(expert),
        )
        for expert in range(EXPERTS)
    ]
    assert whole.tobytes() == np.concatenate(expected).tobytes()
    unweighted = Cast(recipe(kind).of, kind, True)
    assert whole.tobytes() != read_bytes(unweighted, 0, nbytes(unweighted), FILES).tobytes()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_range_is_that_range_of_the_whole(kind: str, data: st.DataObject) -> None:
    total = nbytes(recipe(kind))
    whole = read_bytes(recipe(kind), 0, total, FILES).tobytes()
    offset = data.draw(st.integers(0, total))
    length = data.draw(st.integers(0, total - offset))
    assert read_bytes(recipe(kind), offset, length, FILES).tobytes() == whole[offset : offset + length]


@pytest.mark.parametrize("kind", ["Q5_0", "Q5_K"])
def test_rows_that_move_keep_their_columns(kind: str) -> None:
    flat = recipe(kind, (EXPERTS * ROWS, COLUMNS), (5,))
    moved = Cast(SwapRows(flat.of, 1, 2, 9), kind, True, flat.importance)
    whole = read_bytes(flat, 0, nbytes(flat), FILES).reshape(EXPERTS * ROWS, -1)
    order = np.arange(EXPERTS * ROWS).reshape(2, 9).T.ravel()
    row = DTYPES[kind].nbytes(COLUMNS)
    assert read_bytes(moved, 4 * row + 7, row, FILES).tobytes() == whole[order].tobytes()[4 * row + 7 :][:row]


def test_a_quantised_source_is_weighed_as_well() -> None:
    first = Cast(recipe("Q4_0").of, "Q8_0")
    again = Cast(first, "Q5_1", True, recipe("Q5_1").importance)
    whole = read_bytes(again, 0, nbytes(again), FILES).tobytes()
    assert read_bytes(again, 1000, 900, FILES).tobytes() == whole[1000:1900]


def test_a_row_is_the_unit_only_where_it_must_be() -> None:
    assert [kind for kind in DTYPES if needs_rows(DTYPES[kind])] == ["Q4_0", "Q4_1", "Q5_0", "Q5_1"]
    assert recipe("Q4_1").unit == COLUMNS
    assert recipe("Q4_K").unit == 256
    assert Cast(recipe("Q4_1").of, "Q4_1").unit == 32
    assert not any(is_weighted(DTYPES[kind]) for kind in ("Q8_0", "F16", "MXFP4", "TQ1_0", "Q2_0"))


def test_only_the_columns_of_a_range_are_read() -> None:
    files = Files(*FILES.files)
    read_bytes(recipe("Q6_K"), 0, 1, files)
    assert files.read_of_matrix == 4 * 256


def test_an_error_names_the_element_of_the_tensor() -> None:
    bad = VALUES.copy()
    bad[2, 4, 300] = np.inf
    files = Files(bad.tobytes(), FILES.files[1])
    with pytest.raises(BadValues) as caught:
        read_bytes(recipe("Q4_0"), 0, nbytes(recipe("Q4_0")), files)
    assert caught.value.place == f"element {(2 * ROWS + 4) * COLUMNS + 300}"


def test_counts_need_not_be_one_a_slice() -> None:
    importance = Importance(Extent(1, 4, SUMS.nbytes), (2,))
    assert importance.read(COLUMNS, 9, FILES).tobytes() == (SUMS[1, :9] / np.float32(2)).tobytes()
    parts = Importance(Extent(1, 4, SUMS.nbytes), (2, 0, 4, 1, 0, 8))
    half = COLUMNS // 2
    read = parts.read(half - 2, 4, FILES)
    assert read.tolist() == [*(SUMS[0, half - 2 : half] / 2).tolist(), 1.0, 1.0]


@pytest.mark.parametrize("kind", ["IQ3_S", "IQ4_NL", "Q4_K", "Q2_K", "Q5_0"])
def test_the_extremes_end_no_process(kind: str) -> None:
    # Without a bound of the weights the search for grid points ends the process where its sums overflow.
    for values in (2.0**33, 2.0**-149, 0.0):
        for column in (LARGEST_COLUMN, 2.0**-149, 0.0):
            mixed = np.where(np.arange(512) % 7, values, -1.0).astype(np.float32)
            columns = np.where(np.arange(256) % 5, column, 1.0).astype(np.float32)
            made = convert(F32, DTYPES[kind], mixed.view(np.uint8), first=0, checked=False, columns=columns)
            assert made.size == DTYPES[kind].nbytes(512)
