"""LoRA adapters: merged as the formula says, whatever range is asked for; and what is refused, and why."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import translators
from fsd.planner.identity import identities
from tests.oracle.lora.comparing import digest
from tests.tiny_adapters import ADAPTERS, TinyAdapter, build, write
from tests.tiny_models import TinyModel, write_safetensors
from translators.dtypes import F32
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.model import Model
from translators.quants import kernels
from translators.reading import SourceFiles
from translators.recipes import cast, merging, nbytes, read_bytes, stored
from translators.sources.bases import Bases, bases

Floats = npt.NDArray[np.float32]
PLAIN = ADAPTERS["plain"]
PREFIX = "base_model.model."
Q, NOWHERE = "model.layers.0.self_attn.q_proj", "model.layers.99.self_attn.q_proj"
GOLDEN = json.loads((Path(__file__).parents[1] / "oracle/lora/golden.json").read_text())


Made = Callable[[TinyAdapter, Path], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Builds an adapter, and its base beside it, as `build` does: once, for all tests to have a copy."""
    kept = tmp_path_factory.mktemp("built")

    def copied(adapter: TinyAdapter, directory: Path) -> Path:
        if not (kept / adapter.name).exists():
            build(adapter, kept / adapter.name)
        shutil.copytree(kept / adapter.name, directory, dirs_exist_ok=True)
        return directory / adapter.name

    return copied


def numbers(model: Model, name: str) -> Floats:
    """A tensor's values."""
    recipe = cast(stored(model.tensors[name]), F32)
    sources = SourceFiles(model.files)
    try:
        return read_bytes(recipe, 0, nbytes(recipe), sources).view(np.float32).reshape(recipe.shape)
    finally:
        sources.close()


def configured(folder: Path, **changes: Any) -> Path:
    """The adapter with another configuration."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def factors_of(folder: Path) -> Model:
    """The adapter's file, as a file of tensors."""
    copy = folder.parent / f"{folder.name}-alone"
    copy.mkdir(exist_ok=True)
    shutil.copy(folder / "adapter_model.safetensors", copy / "model.safetensors")
    return translators.open_model(copy)


@pytest.mark.parametrize("name", ["plain", "magnitudes", "rank-stabilised", "half-precision", "patterns"])
def test_a_merged_weight_is_what_the_formula_says(name: str, tmp_path: Path, made: Made) -> None:
    adapter = ADAPTERS[name]
    folder = made(adapter, tmp_path)
    merged, base = translators.open_model(folder), translators.open_model(tmp_path / adapter.base)
    own = factors_of(folder)
    scales = {
        "plain": 16 / 8, "magnitudes": 16 / 8, "rank-stabilised": 4 / 8**0.5, "half-precision": 32 / 16,
        "patterns": 16 / 4,
    }  # fmt: skip
    module = "model.layers.1.self_attn.q_proj"
    a, b = (numbers(own, f"{PREFIX}{module}.lora_{part}.weight") for part in "AB")
    expected = numbers(base, f"{module}.weight") + (b @ a) * np.float32(scales[name])
    if name == "magnitudes":
        norm = np.linalg.norm(expected, axis=1)
        expected *= (numbers(own, f"{PREFIX}{module}.lora_magnitude_vector") / norm)[:, None]
    made = numbers(merged, f"{module}.weight")
    # Half a unit in the last place of the type that it was rounded to, and the product's own error.
    unit = 2.0**-8 if base.tensors[f"{module}.weight"].dtype.name == "BF16" else 2.0**-11
    assert np.all(np.abs(made - expected) <= unit * np.abs(expected) + 1e-7)
    assert np.mean(made != numbers(base, f"{module}.weight")) > 0.9


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_merge_is_peft_s_and_any_range_has_its_bytes(name: str, tmp_path: Path, made: Made) -> None:
    model = translators.open_model(made(ADAPTERS[name], tmp_path))
    golden = GOLDEN[name]
    assert (
        digest(model, [each for each in sorted(model.tensors) if each not in golden["near"]])
        == golden["equal"]
    )
    for each, told in golden["near"].items():
        assert digest(model, [each]) == told["ours"]
        assert told["units"] <= 1 and told["different"] < model.tensors[each].elements / 1000
    plan = translators.plans(model)["model.safetensors"]
    assert isinstance(plan, translators.Plan)
    layout = plan.layout()
    whole = layout.read(0, layout.size)
    choose = random.Random(name)
    for _ in range(25):
        start = choose.randrange(layout.size)
        length = choose.choice((1, 7, 4096, 131072))
        assert layout.read(start, length) == whole[start : start + length], (start, length)
    layout.close()


def test_saved_modules_replace_the_base_s_and_untouched_tensors_are_the_base_s(
    tmp_path: Path, made: Made
) -> None:
    folder = made(ADAPTERS["saved"], tmp_path)
    merged, own = translators.open_model(folder), factors_of(folder)
    base = translators.open_model(tmp_path / ADAPTERS["saved"].base)
    for name in ("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"):
        # Stored in F32, and rounded to the base's type.
        assert np.allclose(numbers(merged, name), numbers(own, PREFIX + name), rtol=2.0**-8)
    untouched = "model.layers.0.mlp.up_proj.weight"
    assert merged.tensors[untouched] is not None
    assert np.array_equal(numbers(merged, untouched), numbers(base, untouched))


def test_a_resized_vocabulary_is_the_configuration_s_too(tmp_path: Path, made: Made) -> None:
    merged = translators.open_model(made(ADAPTERS["resized"], tmp_path))
    assert merged.config["vocab_size"] == 432
    assert merged.tensors["model.embed_tokens.weight"].shape[0] == 432
    assert merged.tensors["lm_head.weight"].shape[0] == 432


def test_the_adapter_s_own_tokenizer_comes_first(tmp_path: Path, made: Made) -> None:
    folder = made(PLAIN, tmp_path)
    assert translators.open_model(folder).tokenizer is None
    shutil.copy(tmp_path / PLAIN.base / "tokenizer.model", folder / "tokenizer.model")
    model = translators.open_model(folder)
    assert model.tokenizer == folder
    assert any(file.path.endswith(b"plain/tokenizer.model") for file in model.files)


def test_an_adapter_is_listed_in_every_format_and_by_itself(tmp_path: Path, made: Made) -> None:
    plans = translators.plans(translators.open_model(made(PLAIN, tmp_path)))
    for name in (
        "model.safetensors",
        "model.gguf-bf16",
        "model.gguf-q4_k_m",
        "adapter.gguf-f16",
        "adapter.gguf-f32",
    ):
        assert isinstance(plans[name], translators.Plan), name
    plans = translators.plans(translators.open_model(made(ADAPTERS["magnitudes"], tmp_path)))
    refusal = plans["adapter.gguf-f16"]
    assert isinstance(refusal, translators.Refusal)
    assert "magnitudes" in refusal.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("peft_type", "LOHA"), ("alora_invocation_tokens", [1, 2]), ("layer_replication", [[0, 2], [1, 2]]),
        ("trainable_token_indices", [3]),
        ("use_qalora", True), ("init_lora_weights", "pissa_niter_4"), ("init_lora_weights", "olora"),
        ("a_key_of_tomorrow", 1), ("rank_pattern", {"(a+)+b": 4}),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_exactly_is_refused_by_name(
    key: str, value: object, tmp_path: Path, made: Made
) -> None:
    folder = configured(made(PLAIN, tmp_path), **{key: value})
    with pytest.raises(Unsupported) as caught:
        translators.open_model(folder)
    assert caught.value.place == key


@pytest.mark.parametrize("rank", [10**9, 0, -1, 10**30, "8", True])
def test_a_rank_that_lies_is_told(rank: object, tmp_path: Path, made: Made) -> None:
    folder = configured(made(PLAIN, tmp_path), r=rank)
    with pytest.raises(MalformedSource):
        translators.open_model(folder)


@pytest.mark.parametrize(
    "tensors",
    [
        {"model.layers.0.self_attn.q_proj.lora_A.weight": (8, 256)},
        {f"{Q}.lora_A.weight": (8, 256), f"{Q}.lora_B.weight": (256, 7)},
        {f"{Q}.lora_A.weight": (8, 255), f"{Q}.lora_B.weight": (256, 8)},
        {f"{Q}.lora_A.weight": (8, 0), f"{Q}.lora_B.weight": (256, 8)},
        {f"{NOWHERE}.lora_A.weight": (8, 256), f"{NOWHERE}.lora_B.weight": (256, 8)},
        {"model.norm.weight": (257,)},
        {"model.layers.0.self_attn.q_proj.weight": (300, 256)},
        {"nobody.knows.weight": (1,)},
        {"model.layers.0.self_attn.q_proj.lora_C.weight": (8, 256)},
    ],
)  # fmt: skip
def test_factors_that_do_not_fit_are_told(
    tensors: dict[str, tuple[int, ...]], tmp_path: Path, made: Made
) -> None:
    folder = made(PLAIN, tmp_path)
    write(
        folder / "adapter_model.safetensors", PLAIN, {PREFIX + name: shape for name, shape in tensors.items()}
    )
    with pytest.raises(TranslationError) as caught:
        translators.open_model(folder)
    assert caught.value.path


def placed(made: Made, tmp_path: Path, name: str) -> Path:
    """An adapter in a directory of models, whose base is outside of it."""
    folder = made(TinyAdapter("adapter"), tmp_path / "models")
    shutil.move(tmp_path / "models" / PLAIN.base, tmp_path / "outside")
    return configured(folder, base_model_name_or_path=name)


@pytest.mark.parametrize(
    "name", ["../../outside", "../x/../../outside", "{}/outside", "..", ".", "", "a\0b", "../.."]
)
def test_a_base_is_never_looked_for_elsewhere(
    name: str, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = placed(made, tmp_path, name.format(tmp_path))
    with pytest.raises(MissingSource) as caught:
        translators.open_model(folder)
    assert caught.value.place == "base_model_name_or_path" and "[base]" in (caught.value.remedy or "")
    # Where a person names it, it is taken.
    assert translators.open_model(folder, base=tmp_path / "outside").format == "peft"


@pytest.mark.parametrize(
    "name", ["../base", "someone/base", "/home/someone/models/base", "base", "{}/models/base"]
)
def test_a_base_is_found_beside_the_adapter(name: str, tmp_path: Path, made: Made) -> None:
    folder = placed(made, tmp_path, name.format(tmp_path))
    shutil.move(tmp_path / "outside", tmp_path / "models" / "base")
    assert translators.open_model(folder).name == "adapter"


def test_a_base_is_found_in_the_hub_cache(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = placed(made, tmp_path, "someone/model")
    kept = tmp_path / "cache" / "models--someone--model"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc123")
    shutil.move(tmp_path / "outside", kept / "snapshots" / "abc123")
    assert translators.open_model(folder).tensors


def test_adapters_of_adapters_are_refused(tmp_path: Path, made: Made) -> None:
    folder = made(PLAIN, tmp_path)
    shutil.copytree(folder, tmp_path / "other")
    (folder / "config.json").write_text("{}")
    with pytest.raises(Unsupported, match="adapter itself"):
        translators.open_model(configured(tmp_path / "other", base_model_name_or_path="../plain"))


def test_a_plan_is_of_the_base_s_version_too(tmp_path: Path, made: Made) -> None:
    folder = made(PLAIN, tmp_path)
    weights = tmp_path / PLAIN.base / "model.safetensors"
    before = identities(str(folder))
    assert any(file.path == os.fsencode(weights) for file in before)
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 1)
    assert identities(str(folder)) != before


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("base", "someone/base"), ("someone/base", "someone/base"), ("others/base", "someone/base"),
        ("models--someone--base/snapshots/abc", "someone/base"), ("base", "../../base"),
    ],
)  # fmt: skip
def test_a_base_is_found_among_the_mounted_models(
    place: str, name: str, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = placed(made, tmp_path, name)
    mounted = tmp_path / "mounted"
    (mounted / place).parent.mkdir(parents=True)
    shutil.move(tmp_path / "outside", mounted / place)
    if "snapshots" in place:
        (mounted / "models--someone--base" / "refs").mkdir()
        (mounted / "models--someone--base" / "refs" / "main").write_text("abc\n")
    if name.startswith(".."):
        shutil.move(folder, mounted / "adapters" / "adapter")
        folder = mounted / "adapters" / "adapter"
    with pytest.raises(MissingSource) as caught:
        translators.open_model(folder)
    assert str(tmp_path / "cache") in caught.value.reason
    assert bases([str(mounted)]).of(folder) == mounted / place
    assert translators.open_model(folder, base=bases([str(mounted)])).root == mounted / place


def test_of_two_models_of_the_name_none_is_taken(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = placed(made, tmp_path, "someone/base")
    for owner in ("one", "two"):
        shutil.copytree(tmp_path / "outside", tmp_path / "models" / owner / "base")
    with pytest.raises(MissingSource):
        translators.open_model(folder)


@pytest.mark.parametrize("key", ["someone/base", "{}/models/adapter"])
def test_a_base_is_named(key: str, tmp_path: Path, made: Made) -> None:
    folder = placed(made, tmp_path, "someone/base")
    named = bases(named={key.format(tmp_path): str(tmp_path / "outside")})
    assert translators.open_model(folder, base=named).root == tmp_path / "outside"
    before = identities(str(folder), bases=named)
    assert {file.path for file in before} > {file.path for file in identities(str(folder), bases=Bases())}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "2 adapters for 1 parameters"),
        ({"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.other"]}, "in which order"),
        ({"target_parameters": "x"}, "no list of names"),
        ({"rank_pattern": {"mlp.experts.down_proj": 5}}, "experts of rank 5"),
    ],
)
def test_adapters_of_parameters_that_do_not_fit(
    changes: dict[str, Any], message: str, tmp_path: Path, made: Made
) -> None:
    folder = configured(made(ADAPTERS["experts"], tmp_path), **changes)
    with pytest.raises(TranslationError, match=message):
        translators.open_model(folder)


@pytest.mark.parametrize(
    ("lost", "instead", "message"),
    [
        ("model.layers.1.mlp.experts.2.up_proj.weight", None, "for 2 experts"),
        ("model.layers.0.mlp.experts.0.gate_proj.weight", None, "nor one for each expert"),
        ("model.layers.0.mlp.experts.3.up_proj.weight", (256, 128), "cannot be joined"),
    ],
)
def test_experts_one_by_one_that_are_not_all_there(
    lost: str, instead: tuple[int, ...] | None, message: str, tmp_path: Path, made: Made
) -> None:
    adapter = ADAPTERS["experts-one-by-one"]
    folder = made(adapter, tmp_path)
    base = translators.open_model(tmp_path / adapter.base)
    tensors = {name: (tensor.dtype.name, tensor.shape) for name, tensor in base.tensors.items()}
    del tensors[lost]
    if instead is not None:
        tensors[lost] = "BF16", instead
    write_safetensors(base.root / "model.safetensors", TinyModel("", {}), tensors)
    with pytest.raises(TranslationError, match=message):
        translators.open_model(folder)


@pytest.mark.parametrize("version", ["0.18.1", "0.21.0"])
def test_square_experts_say_nothing_of_their_sides(version: str, tmp_path: Path, made: Made) -> None:
    square = TinyAdapter(
        f"square-{version}", base="gpt-oss-20b-BF16", targets=("q_proj",), experts=("down_proj",),
        config={"target_parameters": ["mlp.experts.down_proj"], "peft_version": version},
    )  # fmt: skip
    folder = made(square, tmp_path)
    if version == "0.18.1":
        assert translators.open_model(folder).tensors
        return
    with pytest.raises(Unsupported, match="square"):
        translators.open_model(folder)


def test_products_of_all_builds_are_numpy_s_chain_of_fused_multiply_adds() -> None:
    random = np.random.default_rng(5)
    for rows, rank, columns in ((1, 1, 1), (3, 7, 130), (6, 16, 96), (2, 200, 33)):
        left = random.standard_normal((rows, rank), np.float32)
        right = random.standard_normal((rank, columns), np.float32) * np.float32(1e-3)
        expected = np.zeros((rows, columns), np.float32)
        for each in range(rank):
            expected[:] = merging._fused(left[:, each, None], right[each], expected)
        expected *= np.float32(0.3)
        for build_ in kernels.builds():
            made = np.empty_like(expected)
            kernels.product(left, right, 0.3, made, build=build_)
            assert np.array_equal(made.view(np.uint32), expected.view(np.uint32)), (
                build_,
                rows,
                rank,
                columns,
            )


def test_a_sum_is_rounded_once() -> None:
    one = np.float32(1)
    # Just above the middle between two neighbours by less than float64 can tell: rounded twice, it is even.
    left, right = np.float32(1 + 2.0**-23), np.float32(2.0**-24)
    tiny = merging._fused(np.array([left]), np.array([right]), np.array([one]))
    assert tiny[0] == np.float32(1 + 2.0**-23)
    exact = merging._fused(np.array([one]), right, np.array([one]))
    assert exact[0] == one
    with np.errstate(invalid="ignore"):
        huge = merging._fused(np.array([np.float32(3e38)]), np.float32(10), np.array([np.float32(np.inf)]))
    assert np.isinf(huge[0])


def test_magnitudes_of_an_embedding_are_refused(tmp_path: Path, made: Made) -> None:
    folder = configured(made(ADAPTERS["embedding-tied"], tmp_path), use_dora=True)
    tensors = {
        "model.embed_tokens.lora_embedding_A": (8, 416),
        "model.embed_tokens.lora_embedding_B": (256, 8),
        "model.embed_tokens.lora_magnitude_vector": (256,),
    }
    write(
        folder / "adapter_model.safetensors", PLAIN, {PREFIX + name: shape for name, shape in tensors.items()}
    )
    with pytest.raises(Unsupported, match="of an embedding"):
        translators.open_model(folder)


def test_a_folder_of_the_merged_model_has_the_merged_weights(tmp_path: Path, made: Made) -> None:
    model = translators.open_model(made(ADAPTERS["half-precision"], tmp_path))
    plans = translators.plans(model, "hf-bf16")
    weights = next(plan for name, plan in plans.items() if name.endswith(".safetensors"))
    whole = translators.plans(model)["model.safetensors"]
    assert isinstance(weights, translators.Plan) and isinstance(whole, translators.Plan)
    assert "hf-bf16/config.json" in plans
    ours, merged = weights.layout(), whole.layout()
    assert ours.read(0, ours.size) == merged.read(0, merged.size)


def test_an_adapter_of_a_tied_embedding_does_not_stand_alone(tmp_path: Path, made: Made) -> None:
    tied = translators.plans(translators.open_model(made(ADAPTERS["embedding-tied"], tmp_path)))
    refusal = tied["adapter.gguf-f16"]
    assert isinstance(refusal, translators.Refusal) and "aborts" in refusal.reason
    own = translators.plans(translators.open_model(made(ADAPTERS["embeddings"], tmp_path)))
    assert isinstance(own["adapter.gguf-f16"], translators.Plan)
