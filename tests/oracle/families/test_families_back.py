"""GGUF -> Hugging Face: the folder that a variant's own GGUF appears as has the checkpoint's tensors again.

Bit for bit, under the names of the family's own checkpoints; and converted once more the folder gives the
same tensors and hyper-parameters. What a GGUF does not hold cannot come back: the lowest bits of norms to
which 1 was added (`_ADDED`), positions that are never looked up (`_UNUSED`), and what is dropped.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import translators
from tests.oracle.families.comparison import whole
from tests.oracle.families.conftest import Planned
from tests.oracle.families.side_files import PRINTS
from tests.oracle.families.variant import Variant, load, variants_by_name
from tests.oracle.gguf_parts import Parts, take_apart
from tests.tiny_models import stored, values
from translators.families import FAMILIES, family_of, family_of_gguf
from translators.families.defaults import completed
from translators.families.to_huggingface import config
from translators.keyvalues import KeyValues, Value, ValueType, scalar, string
from translators.vocab.pretokenizers import NAMES

# Upstream counts a token twice that is in its vocabulary and added: with the folder's tokenizer.json, which
# lists fewer, another row of the embedding is cut off.
_COUNTED_TWICE = {"gemma-3-cropped"}
# Gemma's norms, to which 1 is added in the precision of the file.
_ADDED = (("gemma", "embeddinggemma", "nemotron", "Minitron"), "norm.weight")
# The first positions of RoBERTa and its kin.
_UNUSED = ("position_embeddings.weight", 2)
# Variants that cannot come back, and why.
_SEES = "a model that sees"
_REFUSED = {
    "bge-reranker-tiny": "the pooler, which this classifier needs",
    **dict.fromkeys(("smollm3-yarn-f16", "XVERSE-7B", "pixtral-12b"), "the order of merging is lost"),
    **dict.fromkeys(("granite-4.0-1b", "granite-4.0-attention-moe"), "no Hugging Face"),
    # Whose ids of special tokens are those of a real vocabulary.
    **dict.fromkeys(("Hunyuan-A13B-Instruct", "hunyuan-moe-f32"), "is not the id of one of"),
    **dict.fromkeys(("GLM-4.1V-9B-Thinking", "glm-4.1v-grouped-f16", "GLM-OCR", "GLM-4.5V"), _SEES),
}
# Checkpoints whose names are not those of the family's own: old ones, or within a model that sees.
_RESPELT = (
    "bert-base-uncased", "bloom-560m", "gemma-3-4b-it", "Mistral-Small-3.1-24B-Instruct-2503",
    "Ministral-3-3B-Instruct-2512", "Mistral-Small-4-119B-2603", "t5-small", "Kimi-VL-A3B-Instruct",
    "SmolVLM-256M-Instruct", "SmolVLM2-2.2B-f32", "InternVL3-1B", "InternVL2-26B-f16", "InternVL3_5-1B-HF",
)  # fmt: skip
# Names of the one embedding that a T5 has, of which the first is taken.
_EMBEDDINGS = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# Checkpoints that store fused what the family's own have apart: their bytes are somewhere else.
_FUSED = ("ernie-fused-f16", "gpt-oss-20b")
# What comes back says the same in other words: a multiplier of 0 is none, as 1 is; an end of turns that only
# generation_config.json has.
_REWORDED = {"granite-biased-f16", "Hunyuan-4B-Instruct", "InternVL3-1B"}
_WAYS = {family.arch for family in FAMILIES if family.described is not None}


def _arch(golden: dict[str, Any]) -> str:
    return str(golden["headers"]["own"]["key_values"]["general.architecture"].split("'")[1])


_ALL = [name for name, variant in variants_by_name().items() if _arch(load(variant)) in _WAYS]
# Checkpoints of several precisions come back in one, quantised ones decoded.
_SEVERAL = {name for name, variant in variants_by_name().items() if variant.vectors or variant.dtypes}
_SEVERAL.add("gpt-oss-20b")
# Upstream wants a tokenizer told to add its bos token, and then writes that it does not.
_BOS_NEEDED = "DeepSeek-V3.2-Exp"
BACK = [name for name in _ALL if name not in _REFUSED]


def test_most_variants_come_back() -> None:
    assert len(BACK) >= 90


@dataclass(frozen=True)
class Returned:
    """A variant's own GGUF, as a model, taken apart, and the folder that it appears as."""

    model: translators.Model
    parts: Parts
    folder: Path


@pytest.fixture(scope="module")
def returned(planned: Planned, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Returned]:
    """By variant, each made when it is first asked for."""

    class Made(dict[str, Returned]):
        def __missing__(self, name: str) -> Returned:
            self[name] = write_returned(planned(name), name, tmp_path_factory.mktemp("back"))
            return self[name]

    return Made()


def write_returned(planned: dict[str, Any], name: str, directory: Path) -> Returned:
    """The folder of a variant's own GGUF, written into `directory`."""
    data = whole(planned, f"model.gguf-{load(variants_by_name()[name])['own']}")
    (directory / "source.gguf").write_bytes(data)
    folder = directory / name
    model = translators.open_model(directory / "source.gguf")
    plans = translators.plans(model)
    for target, plan in plans.items():
        if not target.startswith("model.gguf-"):
            assert isinstance(plan, translators.Plan), f"{name}: {target} is refused: {plan}"
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            (folder / target).write_bytes(whole(plans, target))
    return Returned(model, take_apart(data), folder)


def _wanted(model: translators.Model, variant: Variant, inventory: dict[str, Any]) -> dict[str, str]:
    """The names that must be there, by those of the checkpoint."""
    filled = completed(variant.config)
    filled["_embedding"] = min((name for name in inventory if name in _EMBEDDINGS), default="")
    before, after = family_of(variant.config), family_of_gguf(model)
    found = {}
    for name in inventory:
        kept = before.kept(name, filled)
        match = None if kept is None else before.to_gguf(kept)
        # What a classifier of one matrix is called is decided when all names are known.
        if match is None or re.sub(r"^head\.", "cls.output.", match.names[0]) not in model.tensors:
            continue
        found[name] = name
        if variant.name in _RESPELT:
            back = after.to_huggingface(match.names[0])
            assert back is not None, name
            respelt = back.names[0].format(*match.numbers[-1:])
            found[name] = respelt.replace("e_score_correction.bias", "e_score_correction_bias")
    return found


@pytest.mark.parametrize("name", [name for name in BACK if name not in _FUSED])
def test_tensors_come_back_bit_for_bit(returned: dict[str, Returned], name: str) -> None:
    variant = variants_by_name()[name]
    golden = load(variant)
    data = (returned[name].folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    wanted = _wanted(returned[name].model, variant, golden["inventory"])
    assert header.keys() == set(wanted.values())
    for key, back in wanted.items():
        shape = golden["inventory"][key]
        start, end = header[back]["data_offsets"]
        kept = tuple(header[back]["shape"])
        assert kept[1:] == shape[1:], key
        if name.startswith(_ADDED[0]) and key.endswith(_ADDED[1]) and golden["own"] != "bf16":
            continue
        if header[back]["dtype"] != variant.dtype_of(key, shape):
            continue  # of checkpoints of several precisions most tensors come back in one
        ours = stored(values(name, key, shape), header[back]["dtype"])
        theirs = data[8 + length + start : 8 + length + end]
        if key.endswith(_UNUSED[0]) and "pad_token_id" in variant.config and variant.config["pad_token_id"]:
            unused = _UNUSED[1] * len(ours) // shape[0]
            assert not any(theirs[:unused])
            ours, theirs = ours[unused:], theirs[unused:]
        # An embedding may have been cut off behind the tokenizer's tokens.
        assert theirs == ours[: len(theirs)], key


@pytest.mark.parametrize("name", [name for name in BACK if name not in _COUNTED_TWICE | _SEVERAL | _REWORDED])
def test_converted_again_it_is_the_same(returned: dict[str, Returned], name: str) -> None:
    before, after = returned[name].parts, _again(returned[name].folder, name)
    assert {part.name: (part.type, part.shape, part.digest) for part in after.tensors} == {
        part.name: (part.type, part.shape, part.digest) for part in before.tensors
    }
    told, again = _told(before), _told(after)
    assert {key: again.get(key) for key in told} == told
    assert {key for key in again.keys() - told.keys() if not key.startswith("tokenizer.")} == set()


@pytest.mark.parametrize("name", [name for name in BACK if name in _SEVERAL - {_BOS_NEEDED}])
def test_several_precisions_tell_the_same_again(returned: dict[str, Returned], name: str) -> None:
    assert _told(_again(returned[name].folder, name)) == _told(returned[name].parts)


def test_deepseek_v32_is_converted_again_once_it_adds_its_bos(
    returned: dict[str, Returned], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(returned[_BOS_NEEDED].folder, tmp_path / _BOS_NEEDED))
    refused = translators.plans(translators.open_model(folder))["model.gguf-*"]
    assert isinstance(refused, translators.Refusal)
    assert "must add its bos token" in refused.reason
    path = folder / "tokenizer_config.json"
    published = {"add_bos_token": True, "tokenizer_class": "LlamaTokenizerFast"}
    path.write_text(json.dumps(json.loads(path.read_text()) | published))
    key = "tokenizer.ggml.add_bos_token"
    told, again = _told(returned[_BOS_NEEDED].parts), _told(_again(folder, _BOS_NEEDED))
    assert {name for name in told.keys() | again.keys() if told.get(name) != again.get(name)} == {key}


def _again(folder: Path, name: str) -> Parts:
    """The GGUF of the own precision of a folder that came back, taken apart."""
    own = load(variants_by_name()[name])["own"]
    with patch.dict(NAMES, PRINTS):
        return take_apart(whole(translators.plans(translators.open_model(folder)), f"model.gguf-{own}"))


def _told(parts: Parts) -> dict[str, str]:
    """The hyper-parameters, without the architecture before them, and the tokenizer.

    Not the types and scores of a BPE's tokens: the tiny configurations name normal tokens as special ones,
    and as such they come back.
    """
    arch = parts.key_values["general.architecture"].split("'")[1]
    return {
        key.removeprefix(f"{arch}."): value
        for key, value in parts.key_values.items()
        if key.startswith((f"{arch}.", "tokenizer."))
        and ("'t5'" in parts.key_values["tokenizer.ggml.model"] or not key.endswith(("_type", "scores")))
    }


@pytest.mark.parametrize("name", _REFUSED)
def test_what_cannot_come_back_is_refused(planned: Planned, tmp_path: Path, name: str) -> None:
    data = whole(planned(name), f"model.gguf-{load(variants_by_name()[name])['own']}")
    (tmp_path / "source.gguf").write_bytes(data)
    refused = translators.plans(translators.open_model(tmp_path / "source.gguf"))["model.safetensors"]
    assert isinstance(refused, translators.Refusal)
    assert _REFUSED[name] in refused.reason


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("Mistral-Small-4-119B-2603", {"rope.scaling.type": string("linear")}, "other than YaRN"),
        ("DeepSeek-V3-tiny", {"attention.temperature_scale": scalar(ValueType.F32, 0.1)}, "Mistral Large 3"),
        ("DeepSeek-V3-tiny", {"expert_gating_func": scalar(ValueType.U32, 4)}, "scored by function 4"),
        ("DeepSeek-V3-tiny", {"attention.key_length_mla": None}, "before latent vectors"),
        ("GLM-4.7-Flash", {"nextn_predict_layers": scalar(ValueType.U32, 3)}, "more layers than there are"),
        ("GLM-5", {"attention.indexer.types": string("full")}, "not one truth value for each layer"),
        ("GLM-5", {"rope.dimension_count": scalar(ValueType.U32, 8)}, "rotation of a part"),
        (
            "GLM-5",
            {"attention.indexer.types": None, "context_length": scalar(ValueType.U32, 1 << 20)},
            "a GLM-5.2 of before",
        ),
    ],
)
def test_what_latent_attention_cannot_tell_is_refused(
    returned: dict[str, Returned], name: str, changed: dict[str, Value | None], reason: str
) -> None:
    model = returned[name].model
    assert model.key_values is not None
    arch = model.key_values["general.architecture"].decoded
    whole_names = {f"{arch}.{key}": value for key, value in changed.items()}
    told = dict(model.key_values.items()) | whole_names
    key_values = KeyValues((key, value) for key, value in told.items() if value is not None)
    refused = translators.plans(replace(model, key_values=key_values))["model.safetensors"]
    assert isinstance(refused, translators.Refusal)
    assert reason in refused.reason


def test_a_told_scale_of_long_texts_is_kept(returned: dict[str, Returned]) -> None:
    model = returned["Mistral-Small-4-119B-2603"].model
    assert model.key_values is not None
    key_values = model.key_values.copy()
    key_values.set("mistral4.attention.temperature_scale", scalar(ValueType.F32, 0.25))
    assert config(model)["rope_parameters"]["llama_4_scaling_beta"] == 0.1
    assert config(replace(model, key_values=key_values))["rope_parameters"]["llama_4_scaling_beta"] == 0.25
