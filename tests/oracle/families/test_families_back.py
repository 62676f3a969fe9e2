"""GGUF -> Hugging Face: the folder that a variant's own GGUF appears as has the checkpoint's tensors again.

Bit for bit, under the same names, for BF16 and F32; and converted once more the folder gives the same
tensors and hyper-parameters. Gemma's norms, to which 1 was added, come back bit for bit from BF16 alone: in
F32 the sum has lost bits, in F16 more of them.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from unittest.mock import patch

import pytest

import translators
from tests.oracle.families.comparison import whole
from tests.oracle.families.conftest import Planned
from tests.oracle.families.side_files import BYTE_LEVEL_NAME, BYTE_LEVEL_PRINTS
from tests.oracle.families.variant import load, variants_by_name
from tests.oracle.gguf_parts import Parts, take_apart
from tests.tiny_models import stored, values
from translators.families.to_huggingface import has_way_back
from translators.vocab.pretokenizers import NAMES

# Upstream counts a token twice that is in its vocabulary and added: with the folder's tokenizer.json, which
# lists fewer, another row of the embedding is cut off.
_COUNTED_TWICE = "gemma-3-cropped"
_BACK = [
    name
    for name, variant in variants_by_name().items()
    if (golden := load(variant))["own"] != "f16" and not variant.changed
    for arch in [golden["headers"]["own"]["key_values"]["general.architecture"].split("'")[1]]
    if has_way_back(arch) and not {"text_config", "llm_config"} & variant.config.keys()
]


def test_there_are_such_variants() -> None:
    assert len(_BACK) >= 10


@pytest.fixture(scope="module")
def returned(planned: Planned, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Parts, Path]]:
    """By variant: its own GGUF, and the folder that this appears as."""
    found = {}
    for name in _BACK:
        golden = load(variants_by_name()[name])
        data = whole(planned(name), f"model.gguf-{golden['own']}")
        directory = tmp_path_factory.mktemp("back")
        (directory / "source.gguf").write_bytes(data)
        folder = directory / name
        folder.mkdir()
        plans = translators.plans(translators.open_model(directory / "source.gguf"))
        for target, plan in plans.items():
            if not target.startswith("model.gguf-"):
                assert isinstance(plan, translators.Plan), f"{name}: {target} is refused: {plan}"
                (folder / target).write_bytes(whole(plans, target))
        found[name] = take_apart(data), folder
    return found


@pytest.mark.parametrize("name", _BACK)
def test_tensors_come_back_bit_for_bit(returned: dict[str, tuple[Parts, Path]], name: str) -> None:
    golden = load(variants_by_name()[name])
    data = (returned[name][1] / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    wanted = {key for key in golden["inventory"] if not key.endswith("lm_head.weight") or key in header}
    assert header.keys() == wanted
    for key, shape in golden["inventory"].items():
        if key not in header:
            continue
        start, end = header[key]["data_offsets"]
        kept = tuple(header[key]["shape"])
        assert kept[1:] == shape[1:], key
        if "gemma" in name and key.endswith("norm.weight") and golden["own"] == "f32":
            continue
        ours = stored(values(name, key, shape), golden["own"].upper())
        # An embedding may have been cut off behind the tokenizer's tokens.
        assert data[8 + length + start : 8 + length + end] == ours[: end - start], key


@pytest.mark.parametrize("name", [name for name in _BACK if name != _COUNTED_TWICE])
def test_converted_again_it_is_the_same(returned: dict[str, tuple[Parts, Path]], name: str) -> None:
    before, folder = returned[name]
    own = load(variants_by_name()[name])["own"]
    with patch.dict(NAMES, dict.fromkeys(BYTE_LEVEL_PRINTS, BYTE_LEVEL_NAME)):
        plans = translators.plans(translators.open_model(folder))
    after = take_apart(whole(plans, f"model.gguf-{own}"))
    assert [(part.name, part.type, part.shape, part.digest) for part in after.tensors] == [
        (part.name, part.type, part.shape, part.digest) for part in before.tensors
    ]
    arch = before.key_values["general.architecture"].split("'")[1]
    told = {key: value for key, value in after.key_values.items() if key.startswith(f"{arch}.")}
    assert told == {key: value for key, value in before.key_values.items() if key.startswith(f"{arch}.")}
