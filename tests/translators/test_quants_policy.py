"""`choose` and the key-values' edits against what llama-quantize itself decided.

The golden files come from upstream's quantiser (golden_quants/regenerate.py); nothing of this project was
used to make them.
"""

from __future__ import annotations

import json
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from translators.dtypes import DTYPES
from translators.errors import Unsupported
from translators.keyvalues import KeyValues, Value, ValueType, array, scalar, string
from translators.quants.carried import carried_key_values, numbered
from translators.quants.filetypes import FILE_TYPES, FileType, file_type
from translators.quants.policy import QuantTensor, choose

GOLDEN = Path(__file__).parent / "golden_quants"
POLICY: dict[str, dict[str, Any]] = json.loads((GOLDEN / "policy.json").read_text())
KEY_VALUES: dict[str, Any] = json.loads((GOLDEN / "key_values.json").read_text())


def key_values(listed: list[tuple[str, int, str]]) -> KeyValues:
    return KeyValues((key, Value(ValueType(kind), bytes.fromhex(raw))) for key, kind, raw in listed)


def tensors(golden: dict[str, Any]) -> list[QuantTensor]:
    return [QuantTensor(name, tuple(shape), DTYPES[kind]) for name, shape, kind in golden["tensors"]]


def expanded(runs: str) -> list[str]:
    """'Q4_K*2 Q6_K' as three types."""
    pairs = (run.partition("*") for run in runs.split())
    return list(chain.from_iterable(repeat(kind, int(count or 1)) for kind, _, count in pairs))


@pytest.mark.parametrize("model", POLICY)
@pytest.mark.parametrize("results", ["plain", "weighted"])
def test_types_and_order_are_upstreams(model: str, results: str) -> None:
    golden = POLICY[model]
    given = tensors(golden)
    imatrix = None
    if results == "weighted":
        imatrix = frozenset(tensor.name for tensor in given) - set(golden["missing"])
    for name, expected in golden[results].items():
        try:
            chosen = choose(given, FILE_TYPES[name], key_values(golden["key_values"]), imatrix=imatrix)
        except Unsupported as error:
            assert expected is None, f"{name}: {error}"
            continue
        assert expected is not None, f"{name}: upstream refuses"
        assert [tensor for tensor, _ in chosen] == [given[place] for place in golden["order"]]
        assert [dtype.name for _, dtype in chosen] == expanded(expected), name


def test_order_in_the_source_does_not_matter() -> None:
    golden = POLICY["odd names f16"]
    given, keys = tensors(golden), key_values(golden["key_values"])
    assert choose(given[::-1], FILE_TYPES["q4_k_m"], keys) == choose(given, FILE_TYPES["q4_k_m"], keys)


@pytest.mark.parametrize("name", FILE_TYPES)
def test_every_file_type_was_asked(name: str) -> None:
    assert all(name in POLICY[model]["plain"] for model in POLICY if POLICY[model]["order"] is not None)


def test_refusals_say_why_and_where() -> None:
    golden = POLICY["llama gqa f32"]
    given, keys = tensors(golden), key_values(golden["key_values"])
    with pytest.raises(Unsupported, match="importance matrix") as caught:
        choose(given, FILE_TYPES["iq2_xs"], keys)
    assert caught.value.place == "tensor blk.0.attn_k.weight"
    short = [QuantTensor("blk.0.attn_q.weight", (4, 96), DTYPES["F16"])]
    with pytest.raises(Unsupported, match="rows of 96 elements"):
        choose(short, FILE_TYPES["q1_0"], keys)
    keys.string("general.architecture", "brandnew")
    with pytest.raises(Unsupported, match="brandnew"):
        choose(given, FILE_TYPES["q8_0"], keys)


def test_a_projector_has_no_heads_to_ask_for() -> None:
    keys = KeyValues([("general.architecture", string("clip"))])
    values = [QuantTensor("v.blk.0.attn_v.weight", (4, 256), DTYPES["F16"])]
    assert choose(values, FILE_TYPES["q8_0"], keys)[0][1].name == "Q8_0"
    with pytest.raises(Unsupported, match="attention heads"):
        choose(values, FILE_TYPES["q2_k"], keys)


@pytest.mark.parametrize(
    ("arch", "name", "expected"),
    [
        ("glm5-next", "blk.0.attn_q_a.weight", "Q8_0"),
        ("glm5-next", "blk.0.nextn.eh_proj.weight", "Q8_0"),
        ("glm5-next", "blk.0.indexer.proj.weight", "F16"),
        ("glm5-next", "blk.0.attn_k_b.weight", "F16"),
        ("llama", "blk.0.attn_q_a.weight", "Q4_K"),
        ("llama", "blk.0.attn_k_b.weight", "Q4_K"),
    ],
)
def test_exceptions_of_one_architecture(arch: str, name: str, expected: str) -> None:
    # Read from upstream's source: its loader wants more of a glm5-next than a tiny model has.
    keys = KeyValues([("general.architecture", string(arch)), (f"{arch}.block_count", u32(4))])
    chosen = choose([QuantTensor(name, (4, 256), DTYPES["F16"])], FILE_TYPES["q4_k_s"], keys)
    assert chosen[0][1].name == expected


def u32(value: int) -> Value:
    return scalar(ValueType.U32, value)


@pytest.mark.parametrize("name", KEY_VALUES["made"])
def test_key_values_are_upstreams(name: str) -> None:
    edited = numbered(carried_key_values(key_values(KEY_VALUES["given"])), FILE_TYPES[name])
    expected = key_values(KEY_VALUES["made"][name])
    assert list(edited.items()) == list(expected.items())
    assert edited.encoded() == expected.encoded()


def test_alignment_is_what_the_file_has() -> None:
    keys = KeyValues([("general.alignment", u32(64)), ("last", u32(1))])
    edited = numbered(carried_key_values(keys), FILE_TYPES["q8_0"])
    assert list(edited) == ["general.alignment", "last", "general.quantization_version", "general.file_type"]
    assert edited.get("general.alignment") == 32
    assert keys.get("general.alignment") == 64


def test_nested_arrays_are_refused() -> None:
    nested = Value(ValueType.ARRAY, bytes([9, 0, 0, 0]) + bytes(8))
    with pytest.raises(Unsupported, match="arrays of arrays"):
        numbered(carried_key_values(KeyValues([("nested", nested)])), FILE_TYPES["q8_0"])


def test_plain_arrays_of_strings_are_not_encoded_again() -> None:
    words = array(ValueType.STRING, ["a", "b"])
    assert numbered(carried_key_values(KeyValues([("w", words)])), FILE_TYPES["f16"])["w"] is words


def test_file_types_have_names_and_numbers_of_their_own() -> None:
    assert len({kind.number for kind in FILE_TYPES.values()}) == len(FILE_TYPES) == 35
    assert all(name == kind.name == name.lower() for name, kind in FILE_TYPES.items())


@pytest.mark.parametrize(
    ("asked", "found"),
    [("Q4_K_M", "q4_k_m"), ("q4_k", "q4_k_m"), ("Q3_K", "q3_k_m"), ("q5_K", "q5_k_m"), ("iq2_S", "iq2_s")],
)
def test_file_types_are_found_in_any_case(asked: str, found: str) -> None:
    assert file_type(asked) is FILE_TYPES[found]


def test_unknown_file_types_are_none() -> None:
    assert file_type("q4_k_x") is None
    assert isinstance(file_type("q6_k"), FileType)
