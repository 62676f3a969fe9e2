"""GGUFs in splits: upstream's bytes, the sizes and numbers that can be had, and the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from tests.oracle.goldens import REAL
from tests.oracle.splits import ASKED, GOLDEN, TINY
from tests.tiny_models import build
from tests.translators.handmade import gguf, info, shard, string, u32
from translators import Plan, open_model, plans
from translators.errors import Unsupported
from translators.model import Model
from translators.plan import Refusal

GOLDENS = json.loads(GOLDEN.read_text())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return open_model(build(TINY, tmp_path_factory.mktemp("splits")))


def contents(model: Model, folder: str) -> list[bytes]:
    found = plans(model, folder)
    layouts = [plan.layout() for plan in found.values() if isinstance(plan, Plan)]
    assert [plan.size for plan in found.values() if isinstance(plan, Plan)] == [each.size for each in layouts]
    return [layout.read(0, layout.size) for layout in layouts]


def digests(files: Sequence[bytes]) -> list[list[object]]:
    return [[len(data), sha256(data).hexdigest()] for data in files]


@pytest.mark.parametrize("asked", ASKED[TINY.name], ids=str)
def test_splits_are_upstreams(tiny: Model, asked: tuple[str, int]) -> None:
    kind, megabytes = asked
    assert (
        digests(contents(tiny, f"gguf-{kind}-by-{megabytes}m")) == GOLDENS[TINY.name][f"{kind} {megabytes}"]
    )


@pytest.mark.parametrize("asked", ASKED[REAL], ids=str)
def test_splits_of_real_weights_are_upstreams(
    smollm2_gguf: Path, tmp_path: Path, asked: tuple[str, int]
) -> None:
    (tmp_path / smollm2_gguf.name).symlink_to(smollm2_gguf)
    kind, megabytes = asked
    made = contents(open_model(tmp_path), f"gguf-{kind}-by-{megabytes}m")
    assert digests(made) == GOLDENS[REAL][f"{kind} {megabytes}"]


def test_names_and_what_is_said_of_them(tiny: Model) -> None:
    found = plans(tiny, "gguf-q8_0-by-2m")
    assert list(found) == [f"gguf-q8_0-by-2m/Split-7M-Q8_0-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    second = list(found.values())[1]
    assert isinstance(second, Plan)
    assert second.describe.startswith(
        "split 2 of 3 of model.gguf-q8_0, as llama-gguf-split --split-max-size 2M"
    )
    assert "llama-gguf-split --split-max-size 2M" in second.equals


def test_a_number_stands_for_the_smallest_size_that_gives_it(tiny: Model) -> None:
    kind = "bf16"
    numbers: dict[int, int] = {}
    for megabytes in range(12, 0, -1):
        numbers[len(plans(tiny, f"gguf-{kind}-by-{megabytes}m"))] = megabytes
    assert min(numbers) == 1
    for number in range(1, 14):
        if number in numbers:
            found = contents(tiny, f"gguf-{kind}-of-{number}")
            assert found == contents(tiny, f"gguf-{kind}-by-{numbers[number]}m")
            continue
        with pytest.raises(Unsupported, match=f"no size in whole megabytes gives {number} splits") as caught:
            plans(tiny, f"gguf-{kind}-of-{number}")
        assert {int(word) for word in caught.value.remedy.split() if word.isdigit()} <= numbers.keys()


@pytest.mark.parametrize("folder", ["gguf-q9_9-by-1m", "gguf-bf16-of-0"])
def test_what_there_is_not(tiny: Model, folder: str) -> None:
    with pytest.raises(Unsupported):
        plans(tiny, folder)


@pytest.mark.parametrize(
    "folder", ["gguf-bf16", "gguf-bf16-by-1g", "gguf--of-2", "gguf-bf16-of-123456", "gguf"]
)
def test_names_that_mean_no_splits(tiny: Model, folder: str) -> None:
    assert plans(tiny, folder) == {}


def test_a_first_tensor_that_is_larger_than_the_size_is_refused_as_upstream_does(tmp_path: Path) -> None:
    size = 300_000
    data = gguf(
        [string("general.architecture", "llama"), u32("general.file_type", 0)],
        [info("a", [size], 0, 0), info("b", [size], 0, 4 * size)], bytes(8 * size),
    )  # fmt: skip
    (tmp_path / "m.gguf").write_bytes(data)
    model = open_model(tmp_path)
    with pytest.raises(Unsupported, match="first tensor is larger") as caught:
        plans(model, "gguf-f32-by-1m")
    assert caught.value.remedy.startswith("2M")
    assert len(plans(model, "gguf-f32-by-2m")) == 2


def test_splits_are_a_source_that_gives_the_whole_file(tiny: Model, tmp_path: Path) -> None:
    plan = plans(tiny)["model.gguf-q4_k_m"]
    assert isinstance(plan, Plan)
    for number, data in enumerate(contents(tiny, "gguf-q4_k_m-of-3"), 1):
        (tmp_path / f"m-{number:05d}-of-00003.gguf").write_bytes(data)
    merged = plans(open_model(tmp_path))["model.gguf-q4_k_m"]
    assert isinstance(merged, Plan)
    whole, again = plan.layout(), merged.layout()
    assert again.read(0, again.size) == whole.read(0, whole.size)


def test_alignment_is_that_of_upstreams_output(tmp_path: Path) -> None:
    """Upstream copies the key and aligns to 32, which nothing could read: here the key says what is so."""
    data = gguf(
        [string("general.architecture", "llama"), u32("general.alignment", 64), u32("general.file_type", 0)],
        [info("a", [8], 0, 0), info("b", [8], 0, 64)], bytes(96), alignment=64,
    )  # fmt: skip
    (tmp_path / "m.gguf").write_bytes(data)
    (split,) = contents(open_model(tmp_path), "gguf-f32-of-1")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "m-00001-of-00001.gguf").write_bytes(split)
    model = open_model(tmp_path / "again")
    assert model.key_values is not None
    assert model.key_values.get("general.alignment") == 32
    assert [(name, tensor.shape) for name, tensor in model.tensors.items()] == [("a", (8,)), ("b", (8,))]


def test_a_model_without_ggufs_has_no_splits_either(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NobodyKnows"]}')
    (tmp_path / "model.safetensors").write_bytes(shard({"a": bytes(8)}))
    model = open_model(tmp_path)
    assert isinstance(plans(model)["model.gguf-*"], Refusal)
    with pytest.raises(Unsupported):
        plans(model, "gguf-q8_0-of-2")
