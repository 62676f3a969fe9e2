"""Densified: values where the levels tell, zeros elsewhere; and lists that tell nothing sensible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.translators.memory import Memory
from translators.errors import MalformedSource
from translators.recipes import Densified, Level, densified, nbytes, read_bytes


def _made(shape: tuple[int, int] = (3, 5), **changes: Any) -> tuple[Densified, Memory]:
    """Rows 0 and 2 of three hold two values each, and one; `changes` are to what is told of them."""
    told: dict[str, Any] = {
        "values": [1, 2, 3], "segments": [0, 2, 2, 3], "indices": [1, 4, 0], "size": 5, "rows": 3,
        "order": (0, 1), "blocks": (), **changes,
    }  # fmt: skip
    memory = Memory()
    levels = (
        Level(told["rows"]),
        Level(
            told["size"], memory.put(np.array(told["segments"], np.uint8)),
            memory.put(np.array(told["indices"], np.int32), "I32"),
        ),
        *told.get("more", ()),
    )  # fmt: skip
    values = memory.put(np.array(told["values"], np.float32))
    return densified(values, levels, told["order"], told["blocks"], shape=shape, source=memory), memory


def test_values_are_where_the_levels_tell() -> None:
    recipe, memory = _made()
    whole = np.zeros((3, 5), np.float32)
    whole[0, 1], whole[0, 4], whole[2, 0] = 1, 2, 3
    data = whole.tobytes()
    assert bytes(read_bytes(recipe, 0, nbytes(recipe), memory)) == data
    for offset, length in ((0, 1), (7, 20), (59, 1), (16, 8)):
        assert bytes(read_bytes(recipe, offset, length, memory)) == data[offset : offset + length]


def test_columns_first_and_blocks() -> None:
    recipe, memory = _made((5, 3), order=(1, 0))
    whole = np.zeros((5, 3), np.float32)
    whole[1, 0], whole[4, 0], whole[0, 2] = 1, 2, 3
    assert bytes(read_bytes(recipe, 0, nbytes(recipe), memory)) == whole.tobytes()
    recipe, memory = _made((3, 10), order=(0, 1, 2), blocks=(1,), more=(Level(2),), values=[1, 2, 3, 4, 5, 6])
    whole = np.zeros((3, 10), np.float32)
    whole[0, 2:4], whole[0, 8:10], whole[2, 0:2] = (1, 2), (3, 4), (5, 6)
    assert bytes(read_bytes(recipe, 0, nbytes(recipe), memory)) == whole.tobytes()


WRONG: dict[str, Callable[[], object]] = {
    "fewer values": lambda: _made(values=[1, 2]),
    "more values": lambda: _made(values=[1, 2, 3, 4]),
    "segments that go back": lambda: _made(segments=[0, 3, 2, 3]),
    "segments beyond": lambda: _made(segments=[0, 2, 2, 4]),
    "too few segments": lambda: _made(segments=[0, 2, 3]),
    "a place beyond": lambda: _made(indices=[1, 5, 0]),
    "a place before": lambda: _made(indices=[1, -1, 0]),
    "a place twice": lambda: _made(indices=[1, 1, 0]),
    "a dimension twice": lambda: _made(order=(0, 0)),
    "a dimension that is not there": lambda: _made(order=(0, 2)),
    "no order": lambda: _made(order=()),
    "blocks first": lambda: _made(order=(0, 2, 1), blocks=(1,), more=(Level(1),)),
    "blocks of no dimension": lambda: _made(order=(0, 1, 2), blocks=(2,), more=(Level(1),)),
    "blocks that do not fit": lambda: _made(order=(0, 1, 2), blocks=(1,), more=(Level(2),)),
    "another shape": lambda: _made((3, 6)),
    "many places": lambda: _made((1 << 20, 5), rows=1 << 20),
    "negative": lambda: _made((-3, -5), rows=-3, size=-5),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(MalformedSource):
        WRONG[name]()


def test_what_cannot_be_kept_is_not_made() -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        _made((3, 1 << 27), size=1 << 27)
