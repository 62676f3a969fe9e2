"""The tables of the families: every name goes there and back; rope scaling; rows that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from translators.dtypes import BF16
from translators.errors import MalformedSource, Unsupported
from translators.families import FAMILIES, family_of
from translators.families.rope import Llama3Scaling, scaling_behind
from translators.families.table import Family
from translators.families.transforms import Place, Rotary, added
from translators.model import Extent
from translators.reading import SourceFiles
from translators.recipes import Literal, Stored, cast, nbytes, read_bytes


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.arch)
def test_every_name_goes_there_and_back(family: Family) -> None:
    seen: set[str] = set()
    for rule, stack in family.single:
        endings = ("",) if rule.ended else (".weight", ".bias")
        for suffix in endings:
            in_layer = "{}" in rule.names[0]  # else a number is that of a member of a stack
            stem = rule.huggingface.replace("{}", "17", 1) if in_layer else rule.huggingface
            name = stem.replace("{}", "3") + suffix
            there = family.to_gguf(name)
            assert there is not None
            assert (there.rule, there.stack) == (rule, stack)
            assert there.layer == (17 if in_layer else 0)
            for gguf_name in there.names:
                back = family.to_huggingface(gguf_name)
                assert back is not None
                if gguf_name not in seen:  # of several ways to store a tensor the first is the way back
                    assert back.names[0].replace("{}", "3") == name
                    assert back.rule == rule
                seen.add(gguf_name)


@pytest.mark.parametrize(
    "name",
    [
        "lm_head",
        "model.layers.x.mlp.up_proj.weight",
        "model.layers.01.mlp.up_proj.weight",
        "",
        ".weight",
        "model.layers.{}.mlp.up_proj.weight",
        "model.layers.1.mlp.up_proj.2.weight",
    ],
)
def test_what_no_rule_names_is_unknown(name: str) -> None:
    assert FAMILIES[0].to_gguf(name) is None
    assert FAMILIES[0].to_gguf(name) is None  # as it is remembered


def test_names_that_differ_in_their_numbers_alone_are_told_apart() -> None:
    for layer in (0, 7, 7, 123456789):
        match = FAMILIES[0].to_gguf(f"model.layers.{layer}.mlp.up_proj.weight")
        assert match is not None
        assert (match.names, match.layer) == ((f"blk.{layer}.ffn_up.weight",), layer)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(Unsupported, match="FooForCausalLM"):
        family_of({"architectures": ["FooForCausalLM"]})
    with pytest.raises(MalformedSource, match="no architecture"):
        family_of({"architectures": []})


def test_rows_that_do_not_divide_among_the_heads() -> None:
    recipe = Stored(Extent(0, 0, 60), "F32", (15, 1))
    with pytest.raises(MalformedSource, match="15 rows"):
        Rotary("num_attention_heads").to_gguf(recipe, Place({"num_attention_heads": 4}, "a"))


def test_llama3_factors() -> None:
    # Llama 3.2's published settings. The ends follow from the definition; the blend was taken from torch.
    scaling = Llama3Scaling(factor=32.0)
    factors = scaling.factors(500000.0, 64)
    assert factors.dtype == np.float32
    assert factors[:14].tolist() == [1.0] * 14
    assert factors[18:].tolist() == [32.0] * 14
    assert np.all(np.diff(factors[14:19]) > 0)
    assert scaling_behind(factors, 500000.0) == scaling
    assert scaling_behind(factors + np.float32(0.5), 500000.0) is None


@pytest.mark.parametrize("factor", [0, -1, "8", float("nan"), float("inf"), True, None])
def test_a_scale_that_is_none(factor: object) -> None:
    with pytest.raises(MalformedSource, match="rope_scaling"):
        Llama3Scaling.of({"rope_type": "llama3", "factor": factor})


def test_other_kinds_of_scaling_are_none_of_its_business() -> None:
    assert Llama3Scaling.of({"rope_type": "linear", "factor": 2.0}) is None
    assert Llama3Scaling.of({}) is None


def test_norms_to_which_1_was_added_come_back_as_far_as_the_sum_holds_them() -> None:
    every = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    norms = every[np.isfinite(every) & (np.abs(every) < 64)]
    added_one, place = added(1.0), Place({}, "norm.weight")
    (there,) = added_one.to_gguf(Literal(norms.tobytes(), "F32", norms.shape), place)
    back = cast(added_one.to_huggingface((there,), place), BF16)
    sources = SourceFiles(())
    sums, halves = (read_bytes(each, 0, nbytes(each), sources).tobytes() for each in (there, back))
    returned = (np.frombuffer(halves, np.uint16).astype(np.uint32) << 16).view(np.float32)
    exact = (np.abs(norms) >= 2.0**-16) | (norms == 0)
    assert np.array_equal(returned[exact], norms[exact])
    assert (returned + np.float32(1)).tobytes() == sums
    assert not np.array_equal(returned, norms)
