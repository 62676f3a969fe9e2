"""Recipes: any range equals the same range of the whole, and touches only what it needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translators.dtypes import BF16, DTYPES, F16, F32
from translators.errors import BadValues
from translators.model import Extent, FileIdentity
from translators.reading import SourceFiles
from translators.recipes import Cast, Literal, Recipe, Stored, SwapRows, cast, gather, nbytes, read_bytes

ROWS, COLUMNS = 48, 256


class Memory:
    """A source of one file that lies in memory and notes what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def read(self, file: int, offset: int, length: int) -> bytearray:
        """The bytes asked for, which must exist."""
        assert file == 0
        assert offset + length <= len(self.data)
        self.asked.append((offset, length))
        return bytearray(self.data[offset : offset + length])


def floats(seed: int = 7) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((ROWS, COLUMNS)).astype(np.float32)


def in_file(values: np.ndarray, name: str) -> tuple[Memory, Stored]:
    """The values as a file with a few bytes before them, and their recipe."""
    raw = values.tobytes()
    return Memory(b"header.." + raw), Stored(Extent(0, 8, len(raw)), name, values.shape)


def every_recipe(values: np.ndarray) -> list[tuple[Memory, Recipe]]:
    half = values.astype(np.float16)
    source, as_half = in_file(half, "F16")
    source32, as_single = in_file(values, "F32")
    swapped = SwapRows(as_half, 4, 2, 6)
    return [
        (source, as_half),
        (source, swapped),
        (source, cast(swapped, F32)),
        (source, cast(as_half, BF16)),
        (source, cast(cast(swapped, F32), DTYPES["Q8_0"])),
        (source32, cast(as_single, DTYPES["Q4_K"])),
        (source32, SwapRows(cast(as_single, DTYPES["Q6_K"]), 3, 8, 2)),
        (source32, cast(cast(as_single, DTYPES["Q4_0"]), BF16)),
        (source32, cast(gather(as_single, 0, (40, 0, 7)), DTYPES["Q5_0"])),
        (source32, Literal(values.tobytes(), "F32", values.shape)),
    ]


@pytest.mark.parametrize("number", range(10))
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_range_is_that_range_of_the_whole(number: int, data: st.DataObject) -> None:
    source, recipe = every_recipe(floats())[number]
    total = nbytes(recipe)
    whole = read_bytes(recipe, 0, total, source).tobytes()
    assert len(whole) == total
    offset = data.draw(st.integers(0, total))
    length = data.draw(st.integers(0, total - offset))
    assert read_bytes(recipe, offset, length, source).tobytes() == whole[offset : offset + length]


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 5))
def test_swapped_rows_are_numpys(groups: int, outer: int, inner: int, columns: int) -> None:
    values = np.arange(groups * outer * inner * columns, dtype=np.float32).reshape(-1, columns)
    source, recipe = in_file(values, "F32")
    expected = values.reshape(groups, outer, inner, columns).swapaxes(1, 2).reshape(values.shape)
    swapped = SwapRows(recipe, groups, outer, inner)
    assert read_bytes(swapped, 0, nbytes(swapped), source).tobytes() == expected.tobytes()
    back = SwapRows(swapped, groups, inner, outer)
    assert read_bytes(back, 0, nbytes(back), source).tobytes() == values.tobytes()


def test_a_vector_is_swapped_as_rows_of_one() -> None:
    bias = np.arange(24, dtype=np.float32)
    source, recipe = in_file(bias, "F32")
    swapped = SwapRows(recipe, 2, 2, 6)
    expected = bias.reshape(2, 2, 6).swapaxes(1, 2).reshape(-1)
    assert read_bytes(swapped, 0, 96, source).tobytes() == expected.tobytes()


def test_a_read_touches_only_the_rows_it_needs() -> None:
    source, stored = in_file(floats().astype(np.float16), "F16")
    recipe = cast(cast(SwapRows(stored, 4, 2, 6), F32), DTYPES["Q8_0"])
    row = DTYPES["Q8_0"].nbytes(COLUMNS)
    read_bytes(recipe, 13 * row, row, source)
    # Row 13 is row 1 of the second head's pairs: one source row of 512 bytes.
    assert sum(length for _, length in source.asked) == COLUMNS * 2


def test_neighbouring_rows_are_read_together() -> None:
    source, stored = in_file(floats().astype(np.float16), "F16")
    recipe = SwapRows(stored, 4, 2, 6)
    read_bytes(recipe, 0, nbytes(recipe), source)
    assert len(source.asked) == 1


def test_a_cast_to_the_same_type_is_no_cast() -> None:
    _, stored = in_file(floats(), "F32")
    assert cast(stored, F32) is stored
    assert isinstance(cast(stored, F16), Cast)


def test_what_is_not_finite_is_refused_when_quantising() -> None:
    values = floats()
    values[3, 17] = np.nan
    source, stored = in_file(values, "F32")
    recipe = cast(stored, DTYPES["Q4_0"], checked=True)
    row = DTYPES["Q4_0"].nbytes(COLUMNS)
    with pytest.raises(BadValues) as caught:
        read_bytes(recipe, 3 * row, row, source)
    assert str(3 * COLUMNS + 17).replace(",", "") in caught.value.place.replace(",", "")
    assert read_bytes(recipe, 0, 3 * row, source).size == 3 * row


def test_a_source_file_serves_as_a_source(tmp_path: Path) -> None:
    values = floats()
    path = tmp_path / "weights"
    path.write_bytes(values.tobytes())
    files = SourceFiles((FileIdentity.of(path),))
    stored = Stored(Extent(0, 0, values.nbytes), "F32", values.shape)
    assert read_bytes(stored, 4, 400, files).tobytes() == values.tobytes()[4:404]
    assert files.bytes_read == 400
    files.close()
