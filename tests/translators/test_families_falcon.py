"""Falcon: rows by groups of heads, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.translators.memory import Memory
from translators.families.falcon import FALCON
from translators.families.transforms import Place
from translators.recipes import nbytes, read_bytes


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_rows_are_sorted_and_grouped_again(groups: int) -> None:
    place = Place({"num_attention_heads": 4, "num_kv_heads": groups, "new_decoder_architecture": True}, "a")
    match = FALCON.to_gguf("transformer.h.3.self_attention.query_key_value.weight")
    assert match is not None
    memory, size = Memory(), 5  # rows of a head
    stored = np.arange((4 + 2 * groups) * size * 3, dtype=np.float32).reshape(-1, 3)
    of = memory.put(stored)
    (there,) = match.rule.transform.to_gguf(of, place)
    heads = stored.reshape(groups, -1, size, 3)
    wanted = np.concatenate([part.reshape(-1, 3) for part in (heads[:, :-2], heads[:, -2], heads[:, -1])])
    back = match.rule.transform.to_huggingface((there,), place)
    for recipe, values in ((there, wanted), (back, stored)):
        assert recipe.shape == stored.shape
        assert read_bytes(recipe, 0, nbytes(recipe), memory).tobytes() == values.tobytes()
