"""Layouts: exact sizes, any range, the same through their encoded form, bound to their sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translators.dtypes import DTYPES
from translators.errors import BadValues, MalformedSource, SourceChanged
from translators.layout import Layout, LiteralBytes, TensorBytes, Zeros
from translators.model import Extent, FileIdentity
from translators.recipes import Stored, cast

VALUES = np.random.Generator(np.random.PCG64(3)).standard_normal(4096).astype(np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("layout") / "weights"
    path.write_bytes(b"skip" + VALUES.tobytes())
    return path


def layout_over(path: Path) -> Layout:
    stored = Stored(Extent(0, 4, VALUES.nbytes), "F32", VALUES.shape)
    return Layout(
        (FileIdentity.of(path),),
        (
            LiteralBytes(b"a header of odd length"),
            Zeros(10),
            TensorBytes("as it is", stored),
            Zeros(0),
            TensorBytes("quantised", cast(stored, DTYPES["Q4_0"], checked=True)),
            Zeros(14),
        ),
    )


def test_the_size_is_the_sum_and_nothing_was_read(weights: Path) -> None:
    layout = layout_over(weights)
    assert layout.size == 22 + 10 + 16384 + 4096 // 32 * 18 + 14
    assert layout.sources.bytes_read == 0
    assert layout.translated == 2304


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_range(weights: Path, data: st.DataObject) -> None:
    layout = layout_over(weights)
    whole = layout.read(0, layout.size + 5)
    assert len(whole) == layout.size
    offset = data.draw(st.integers(0, layout.size + 3))
    length = data.draw(st.integers(0, layout.size))
    assert layout.read(offset, length) == whole[offset : offset + length]
    layout.close()


def test_encoded_and_back(weights: Path) -> None:
    layout = layout_over(weights)
    other = Layout.decoded(layout.encoded())
    assert other.identity == layout.identity
    assert other.read(0, other.size) == layout.read(0, layout.size)


@pytest.mark.parametrize("damaged", [b"", b"\x93", b"\x93\x01\x90", b"nonsense" * 9])
def test_what_is_no_layout_is_refused(damaged: bytes) -> None:
    with pytest.raises(Exception) as caught:
        Layout.decoded(damaged)
    assert type(caught.value).__name__ in ("DecodeError", "ValidationError", "ValueError")


def test_slices_tell_where_a_source_shows_through(weights: Path) -> None:
    (only,) = layout_over(weights).slices
    assert (only.range.offset, only.range.length, only.file, only.offset) == (32, 16384, 0, 4)


def test_a_range_outside_is_an_error(weights: Path) -> None:
    layout = layout_over(weights)
    with pytest.raises(ValueError, match="outside"):
        layout.read_into(layout.size - 1, memoryview(bytearray(2)))


def test_another_version_of_the_source_is_never_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"skip" + VALUES.tobytes())
    layout = layout_over(path)
    before = layout.read(32, 64)
    path.write_bytes(b"skip" + (VALUES + 1).tobytes())
    with pytest.raises(SourceChanged):
        layout.read(32, 64)
    assert layout.identity != layout_over(path).identity
    assert before == VALUES.tobytes()[:64]


def test_a_layout_planned_beyond_the_end_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"short")
    layout = Layout((FileIdentity.of(path),), (TensorBytes("t", Stored(Extent(0, 0, 64), "F32", (16,))),))
    with pytest.raises(MalformedSource, match="ends after 5 bytes"):
        layout.read(0, 64)


def test_bad_values_name_the_tensor(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[40] = np.inf
    path = tmp_path / "weights"
    path.write_bytes(b"skip" + values.tobytes())
    layout = layout_over(path)
    with pytest.raises(BadValues, match="tensor quantised"):
        layout.read(0, layout.size)
