"""What a small read of a recipe asks of the source: about as many bytes, in not too many reads."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import msgspec
import numpy as np
import pytest

from tests.translators.memory import Memory
from translators.dtypes import BF16, F32
from translators.ranges import ElementRange
from translators.recipes import (
    Bytes,
    Recipe,
    Source,
    Stored,
    SwapRows,
    cast,
    combine,
    concat,
    expand,
    gather,
    map_,
    nbytes,
    pad,
    permute,
    read_bytes,
    reshape,
    slice_,
    stack,
    transpose2d,
)

ROWS, COLUMNS, READ = 768, 1536, 128 << 10


def recipes() -> tuple[Memory, dict[str, Recipe]]:
    """Recipes as families make them, of matrices of 2.25 MiB, each by name."""
    source = Memory()
    random = np.random.Generator(np.random.PCG64(5))
    bits = random.integers(0, 1 << 16, (6, ROWS, COLUMNS), np.uint16)
    matrices = [source.put(matrix, "BF16", matrix.shape) for matrix in bits]
    cube = source.put(bits, "BF16", bits.shape)
    first, vector = matrices[0], source.put(random.standard_normal(COLUMNS).astype(np.float32))
    heads = reshape(first, (12, 64, COLUMNS))
    shuffled = tuple(random.permutation(COLUMNS // 64).tolist())
    by_heads = reshape(first, (ROWS, COLUMNS // 64, 64))
    return source, {
        "swapped": SwapRows(first, 12, 2, 32),
        "stacked": stack(matrices),
        "joined rows": concat(matrices),
        "joined columns": concat(matrices, -1),
        "rows": gather(first, 0, tuple(random.permutation(ROWS).tolist())),
        "every other row": slice_(first, 0, 1, ROWS, 2),
        "every other column": slice_(first, 1, 0, COLUMNS, 2),
        "columns": slice_(first, 1, 700, 900),
        "a few columns": slice_(first, 1, 700, 712),
        "columns of heads": gather(by_heads, 1, shuffled),
        "part of heads": reshape(slice_(heads, 1, 0, 48), (-1, COLUMNS)),
        "transposed": transpose2d(first),
        "transposed experts": transpose2d(cube),
        "transposed and halved": slice_(transpose2d(cube), 1, COLUMNS // 2, COLUMNS),
        "transposed, every other": slice_(transpose2d(cube), 1, 1, COLUMNS, 2),
        "transposed heads": permute(heads, (0, 2, 1)),
        "padded": pad(first, 0, 0, 40),
        "expanded": expand(vector, (200, COLUMNS)),
        "shifted": map_(first, "add", 1.0),
        "scaled": combine("multiply", first, vector),
        "widened": cast(SwapRows(first, 12, 2, 32), F32),
        "swapped and back": cast(cast(SwapRows(first, 12, 2, 32), F32), BF16),
    }


SOURCE, RECIPES = recipes()


@pytest.mark.parametrize("name", RECIPES)
def test_a_small_read_touches_about_as_much(name: str) -> None:
    recipe = RECIPES[name]
    total = nbytes(recipe)
    whole = read_bytes(recipe, 0, total, SOURCE).tobytes()
    random = np.random.Generator(np.random.PCG64(11))
    ratios, reads = [], []
    for _ in range(12):
        offset = int(random.integers(0, max(1, total - READ)))
        length = min(READ, total - offset)
        SOURCE.asked.clear()
        assert read_bytes(recipe, offset, length, SOURCE).tobytes() == whole[offset : offset + length]
        ratios.append(SOURCE.bytes_asked / length)
        reads.append(len(SOURCE.asked))
    assert median(ratios) <= 2.5
    assert max(ratios) <= 3
    # Of a transposed matrix a run of each row is wanted; of nothing else more than runs of rows are.
    assert max(reads) <= (4 * ROWS if "transposed" in name else ROWS + 8)


@pytest.mark.parametrize("name", RECIPES)
def test_all_of_it_touches_all_of_it_once(name: str) -> None:
    recipe = RECIPES[name]
    SOURCE.asked.clear()
    read_bytes(recipe, 0, nbytes(recipe), SOURCE)
    assert SOURCE.bytes_asked <= 2.2 * recipe.source_bytes
    parts = sorted(SOURCE.asked)
    assert all(start + length <= following for (start, length), (following, _) in pairwise(parts))


class Strips(msgspec.Struct, frozen=True, array_like=True):
    """An operation that is dear in small ranges: it yields 64 rows together, and notes which."""

    of: Stored
    made: list[int]

    dtype = property(lambda self: self.of.dtype)
    shape = property(lambda self: self.of.shape)
    source_bytes = property(lambda self: self.of.source_bytes)
    unit = property(lambda self: 64 * self.of.shape[1])

    def read(self, elements: ElementRange, source: Source) -> Bytes:
        assert elements.first % self.unit == 0
        assert elements.end % self.unit == 0
        self.made.extend(range(elements.first // self.unit, elements.end // self.unit))
        return self.of.read(elements, source)


def test_what_comes_in_strips_is_computed_once_a_strip() -> None:
    source = Memory()
    values = np.arange(512 * 96, dtype=np.uint16).reshape(512, 96)
    strips = Strips(source.put(values, "BF16", values.shape), [])
    of: Recipe = strips  # type: ignore[assignment]
    for recipe, row, expected, made in (
        (SwapRows(of, 4, 2, 64), 0, values[[0, 64, 1, 65]], [0, 1]),
        (SwapRows(of, 4, 2, 64), 126, values[[63, 127, 128, 192]], [0, 1, 2, 3]),
        (gather(of, 0, (500, 3, 501, 130, 2, 5)), 1, values[[3, 501, 130, 2]], [0, 2, 7]),
        (concat((of, of)), 510, values[[510, 511, 0, 1]], [0, 7]),
        (cast(of, F32), 63, values[[63, 64]], [0, 1]),
    ):
        strips.made.clear()
        width = recipe.dtype.nbytes(96)
        raw = read_bytes(recipe, row * width, len(expected) * width, source)
        same = raw.view(np.uint16) if recipe.dtype is BF16 else (raw.view(np.uint32) >> 16).astype(np.uint16)
        assert same.tobytes() == expected.tobytes()
        assert sorted(strips.made) == made
