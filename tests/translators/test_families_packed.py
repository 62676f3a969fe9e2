"""Query, key and value that are stored together: taken apart as upstream's arithmetic says, and put back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from translators.errors import MalformedSource
from translators.families import bloom, internlm
from translators.families.table import Family, Rule
from translators.families.transforms import Place
from translators.reading import SourceFiles
from translators.recipes import Literal, Recipe, nbytes, read_bytes

_CONFIG = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32}
Array = npt.NDArray[np.float32]


def _values(recipe: Recipe) -> Array:
    sources = SourceFiles(())
    try:
        return read_bytes(recipe, 0, nbytes(recipe), sources).view(np.float32).reshape(recipe.shape)
    finally:
        sources.close()


def _pairwise(rows: Array, heads: int) -> Array:
    """Upstream's permute."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _rule(family: Family, name: str) -> Rule:
    return next(rule for rule, _ in family.single if rule.huggingface.endswith(name))


def _taken_apart(family: Family, name: str, whole: Array) -> list[Array]:
    """The parts, which must also give the whole again."""
    rule, place = _rule(family, name), Place(_CONFIG, name)
    parts = rule.transform.to_gguf(Literal(whole.tobytes(), "F32", whole.shape), place)
    assert np.array_equal(_values(rule.transform.to_huggingface(parts, place)), whole)
    return [_values(part) for part in parts]


def test_baichuan_packs_thirds() -> None:
    whole = np.arange(96 * 32, dtype=np.float32).reshape(96, 32)
    query, key, value = np.split(whole, 3)
    found = _taken_apart(internlm.BAICHUAN, "W_pack", whole)
    for ours, theirs in zip(found, (_pairwise(query, 4), _pairwise(key, 4), value), strict=True):
        assert np.array_equal(ours, theirs)


def test_internlm2_packs_groups() -> None:
    whole = np.arange(64 * 32, dtype=np.float32).reshape(64, 32)
    groups = whole.reshape(2, 4, 8, 32)
    query, key, value = (
        groups[:, :2].reshape(-1, 32),
        groups[:, 2].reshape(-1, 32),
        groups[:, 3].reshape(-1, 32),
    )
    found = _taken_apart(internlm.INTERNLM2, "wqkv", whole)
    for ours, theirs in zip(found, (_pairwise(query, 4), _pairwise(key, 2), value), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("shape", [(96, 32), (96,)])
def test_bloom_packs_heads(shape: tuple[int, ...]) -> None:
    whole = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    (found,) = _taken_apart(bloom.BLOOM, "query_key_value", whole)
    heads = whole.reshape(4, 3, 8, *shape[1:])
    assert np.array_equal(found, np.concatenate([heads[:, at].reshape(-1, *shape[1:]) for at in range(3)]))


@pytest.mark.parametrize(
    ("family", "name"),
    [(internlm.BAICHUAN, "W_pack"), (internlm.INTERNLM2, "wqkv"), (bloom.BLOOM, "query_key_value")],
)
@pytest.mark.parametrize("shape", [(7, 32), (0, 32), ()])
def test_rows_that_cannot_be_divided(family: Family, name: str, shape: tuple[int, ...]) -> None:
    recipe = Literal(bytes(4 * int(np.prod(shape))), "F32", shape)
    with pytest.raises(MalformedSource):
        _rule(family, name).transform.to_gguf(recipe, Place(_CONFIG, name))
