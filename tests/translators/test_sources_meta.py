"""Meta's originals: what no converter is asked about, and everything hostile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny_llama4
from tests.tiny_originals import DIM, HEADS, ORIGINALS, RANKS, Matrix, build, saved
from tests.translators.originals import told, whole
from translators import Plan, open_model, plans
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model
from translators.reading import SourceFiles
from translators.recipes import nbytes, read_bytes, stored
from translators.sources.recognise import recognise

TWO, EIGHT, RANKED = "Llama-2-13b-meta", "Llama-2-70b-meta", "Meta-Llama-3.1-70B-meta"


def content(model: Model, name: str) -> bytes:
    files, recipe = SourceFiles(model.files), stored(model.tensors[name])
    try:
        return bytes(read_bytes(recipe, 0, nbytes(recipe), files))
    finally:
        files.close()


def test_the_tokenizer_may_lie_above(tmp_path: Path) -> None:
    folder = build(ORIGINALS["7B"], tmp_path)
    model = open_model(folder)
    assert model.made["tokenizer.model"] == ORIGINALS["7B"].tokenizer
    assert model.files[-1].shown == str(tmp_path / "tokenizer.model")
    assert model.config["max_position_embeddings"] == 2048
    assert isinstance(plans(model)["model.gguf-f16"], Plan)
    beside = plans(model, "hf-f16")
    assert whole(beside["hf-f16/tokenizer.model"]) == ORIGINALS["7B"].tokenizer
    assert "hf-f16/params.json" not in beside


def test_ranks_are_no_sentencepiece_model_in_hugging_faces_folder(tmp_path: Path) -> None:
    model = open_model(build(ORIGINALS[RANKED], tmp_path))
    names = plans(model, "hf-bf16")
    assert "hf-bf16/tokenizer.json" in names
    assert "hf-bf16/tokenizer.model" not in names
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= plans(model).keys()
    assert model.config["rope_scaling"]["factor"] == 8.0


def test_chats_by_the_name_of_the_directory(tmp_path: Path) -> None:
    ranked = replace(ORIGINALS[RANKED], name="Meta-Llama-3.1-70B-Instruct-meta")
    model = open_model(build(ranked, tmp_path))
    settings = json.loads(model.made["tokenizer_config.json"] or b"")
    assert settings["eos_token"] == "<|eot_id|>"
    assert "<|start_header_id|>" in settings["chat_template"]
    assert model.config["eos_token_id"] == [RANKS + 1, RANKS + 8, RANKS + 9]
    pieces = open_model(build(replace(ORIGINALS[TWO], name="llama-2-13b-chat"), tmp_path))
    assert "[INST]" in json.loads(pieces.made["tokenizer_config.json"] or b"")["chat_template"]
    assert pieces.config["eos_token_id"] == 2


def test_which_llama_it_is(tmp_path: Path) -> None:
    folder = build(ORIGINALS[TWO], tmp_path)
    assert open_model(folder).config["max_position_embeddings"] == 4096
    told(folder, norm_eps=1e-6)
    assert open_model(folder).config["max_position_embeddings"] == 2048
    told(folder, rope_theta=1e6)
    assert open_model(folder).config["max_position_embeddings"] == 16384
    told(folder, rope_theta=None, hidden_dim=256, head_dim=8, sliding_window="4096")
    config = open_model(folder).config
    assert (config["model_type"], config["sliding_window"]) == ("mistral", 4096)


def test_what_lies_there_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = build(ORIGINALS[TWO], tmp_path)
    config = open_model(folder).config | {"max_position_embeddings": 8192}
    (folder / "config.json").write_text(json.dumps(config))
    model = open_model(folder)
    assert model.config["max_position_embeddings"] == 8192
    assert "config.json" not in plans(model)
    assert "tokenizer.json" in plans(model)


def test_more_shards_than_heads_of_keys(tmp_path: Path) -> None:
    once = replace(
        ORIGINALS[EIGHT], name="once", params={**ORIGINALS[EIGHT].params, "n_kv_heads": 4}, shards=1
    )
    again = replace(once, name="once", shards=8, repeated=2)
    pair = [open_model(build(each, tmp_path / str(each.shards))) for each in (once, again)]
    for name in ("k_proj", "v_proj", "q_proj"):
        full = f"model.layers.1.self_attn.{name}.weight"
        assert content(pair[0], full) == content(pair[1], full)


def test_an_output_of_its_own_is_kept(tmp_path: Path) -> None:
    apart = replace(ORIGINALS["Llama-3.2-1B-meta"], tied=False)
    model = open_model(build(apart, tmp_path))
    assert "lm_head.weight" in model.tensors
    assert not model.config["tie_word_embeddings"]


def test_ranges_equal_the_whole(tmp_path: Path) -> None:
    found = plans(open_model(build(ORIGINALS[EIGHT], tmp_path)))
    for name in ("model.safetensors", "model.gguf-bf16"):
        layout = found[name].layout()  # type: ignore[union-attr]
        data = layout.read(0, layout.size)
        places = np.random.default_rng(5).integers(0, layout.size, (60, 2))
        for start, end in (sorted(map(int, pair)) for pair in places):
            assert layout.read(start, end - start) == data[start:end]
        layout.close()


def test_names_tell_originals() -> None:
    shards = ["consolidated.00.pth", "consolidated.01.pth"]
    (found,) = recognise([*shards, "params.json", "tokenizer.model", "checklist.chk"])
    assert (found.format, found.files) == ("meta", tuple(shards))
    assert recognise([*shards, "model.safetensors"])[0].format == "safetensors"
    assert recognise([*shards, "pytorch_model.bin"])[0].format == "pytorch"
    assert recognise([*shards, "rotations.pt"])[0].format == "meta"


Change = Callable[[Path], object]


def _rewritten(shard: int, **tensors: Matrix) -> Change:
    def change(folder: Path) -> None:
        names = {name.replace("__", "."): matrix for name, matrix in tensors.items()}
        (folder / f"consolidated.{shard:02d}.pth").write_bytes(saved(names, "BF16"))

    return change


def _without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def _params(**changes: Any) -> Change:
    return lambda folder: told(folder, **changes)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (_without("params.json"), MalformedSource, "params.json is missing"),
        (_without("consolidated.03.pth"), MissingSource, "consolidated.03.pth is missing"),
        (_without("consolidated.00.pth"), MissingSource, "consolidated.00.pth is missing"),
        (_rewritten(2, tok_embeddings__weight=np.zeros((4, 4))), MalformedSource, "another shard has"),
        (_params(n_layers=3), MissingSource, "missing"),
        (_params(n_layers=1), MalformedSource, "2 layers of weights"),
        (_params(n_layers=10**9), MalformedSource, "no count from 1 to"),
        (_params(n_layers=4000), MissingSource, "missing"),
        (_params(n_layers=True), MalformedSource, "no count"),
        (_params(dim=-1), MalformedSource, "no count"),
        (_params(dim=10**30), MalformedSource, "no count"),
        (_params(dim=128), MalformedSource, "should be there"),
        (_params(n_heads=7), MalformedSource, "go not together"),
        (_params(n_heads=64, n_kv_heads=64), MalformedSource, "go not together"),
        (_params(n_kv_heads=3), MalformedSource, "go not together"),
        (_params(n_kv_heads=2), MalformedSource, "rows are no 2 heads"),
        (_params(norm_eps="small"), MalformedSource, "no positive number"),
        (_params(rope_theta=float("inf")), MalformedSource, "no positive number"),
        (_params(quantization_args={"group_size": 32}), Unsupported, "quantised"),
        (_params(moe_args=3), MalformedSource, "no JSON object"),
        (lambda folder: (folder / "params.json").write_text("[]"), MalformedSource, "no JSON object"),
        (lambda folder: (folder / "tokenizer.model").write_bytes(b"\x0a\xff"), MalformedSource, "."),
        (lambda folder: (folder / "tokenizer.model").write_text("AA== 0\nAA== 7\n"), MalformedSource, "."),
        (lambda folder: (folder / "consolidated.01.pth").write_bytes(b"PK"), TranslationError, "."),
    ],
)
def test_hostile(change: Change, kind: type[TranslationError], reason: str, tmp_path: Path) -> None:
    folder = build(ORIGINALS[EIGHT], tmp_path)
    change(folder)
    with pytest.raises(kind, match=reason) as caught:
        open_model(folder)
    assert len(str(caught.value)) < 1000


def test_shards_that_disagree(tmp_path: Path) -> None:
    small = replace(ORIGINALS[TWO], shards=1, name="one")
    one, two = build(small, tmp_path), build(ORIGINALS[TWO], tmp_path)
    shutil.copy(one / "consolidated.00.pth", two / "consolidated.01.pth")
    with pytest.raises(MalformedSource, match="not BF16 of"):
        open_model(two)
    half = build(replace(ORIGINALS[TWO], dtype="F16"), tmp_path / "half")
    shutil.copy(half / "consolidated.01.pth", two / "consolidated.01.pth")
    with pytest.raises(MalformedSource, match="F16 of shape"):
        open_model(two)


@pytest.mark.parametrize("shards", [2, 4])
def test_llama_4_of_several_shards(shards: int, tmp_path: Path) -> None:
    one, several = (
        open_model(tiny_llama4.build(tmp_path / str(count), count, sees=True)) for count in (1, shards)
    )
    assert one.tensors.keys() == several.tensors.keys()
    for name, tensor in several.tensors.items():
        assert tensor.shape == one.tensors[name].shape
        assert content(several, name) == content(one, name), name
    joined = content(one, "language_model.model.layers.1.feed_forward.experts.gate_up_proj")
    shape = (tiny_llama4.EXPERTS, tiny_llama4.DIM, tiny_llama4.HIDDEN)
    kinds = [f"layers.1.feed_forward.{kind}" for kind in ("moe_w_in_eD_F", "moe_w_swiglu_eD_F")]
    wanted = np.concatenate([tiny_llama4.made(kind, *shape) for kind in kinds], axis=2)
    assert joined == wanted.tobytes()
    assert several.config["text_config"]["rope_scaling"]["factor"] == 16.0
    assert any(name.startswith("mmproj-") for name in plans(several))


def test_llama_4_without_eyes_is_a_model_of_text(tmp_path: Path) -> None:
    model = open_model(tiny_llama4.build(tmp_path))
    assert model.config["architectures"] == ["Llama4ForCausalLM"]
    assert "model.layers.3.feed_forward.router.weight" in model.tensors
    told(tmp_path / "Llama-4-tiny", n_layers=5)
    with pytest.raises(MalformedSource, match="4 layers of weights"):
        open_model(tmp_path / "Llama-4-tiny")
    told(tmp_path / "Llama-4-tiny", n_layers=4, moe_args={"num_experts": 3})
    with pytest.raises(MalformedSource, match="cannot be seen as"):
        open_model(tmp_path / "Llama-4-tiny")


def test_an_unknown_tensor_is_refused_by_name(tmp_path: Path) -> None:
    folder = build(replace(ORIGINALS[TWO], shards=1), tmp_path)
    _rewritten(0, vision_model__conv1__weight=np.zeros((4, 4), np.float32))(folder)
    with pytest.raises(Unsupported) as caught:
        open_model(folder)
    assert "vision_model.conv1.weight" in caught.value.place
    assert DIM // HEADS == 8
