"""Tiny adapters: directories as PEFT saves them, the same bytes on every machine, beside a tiny base model.

    folder = build(ADAPTERS["dora"], directory)      # its base is built beside it

An adapter is described by data: its configuration, and which modules have which factors. Its weights follow
from its name and theirs, as those of tiny models do; factors are larger than they, so that merging changes
nearly every element.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import tiny_models
from tests.oracle.families.variant import load, variants_by_name
from tests.oracle.quantised import folders
from tests.tiny_bases import BASES, BLOCKS, scaled_down
from tests.tiny_models import TinyModel, shapes
from tests.tiny_variants import MODELS

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Of the families' variants: layers that are stored [inputs, outputs]; all experts of a layer in one tensor.
GPT2 = "gpt2-f16-tied"
EXPERTS = "gpt-oss-20b-BF16"
_GPT2 = {"c_attn": (256, 768), "attn.c_proj": (256, 256), "c_fc": (256, 1024), "mlp.c_proj": (1024, 256)}


@dataclass(frozen=True)
class TinyAdapter:
    """An adapter to be built.

    base:    the tiny model that it is for, or variant, or quantised folder.
    experts: parameters that are adapted, from the one that its module declares first.
    swapped: whether their sides count as [outputs, inputs].
    config:  what adapter_config.json says beyond the usual.
    newer:   transformers 5 made it, where experts are one tensor that the base's files hold one by one.
    saved:  tensors that are stored whole, by their names in the base, with their rows if these are others.
    dtype:  of what is stored.
    """

    name: str
    base: str = "Tiny-Llama-3-8B-Instruct-v0.2"
    targets: tuple[str, ...] = LINEAR
    experts: tuple[str, ...] = ()
    swapped: bool = True
    newer: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    saved: Mapping[str, int | None] = field(default_factory=dict)
    dtype: str = "F32"


_ALL = (
    TinyAdapter("plain"),
    TinyAdapter("half-precision", dtype="BF16", config={"r": 16, "lora_alpha": 32}),
    TinyAdapter(
        "rank-stabilised", base="Mistral-7B-Instruct-v0.1", config={"use_rslora": True, "lora_alpha": 4}
    ),
    TinyAdapter(
        "patterns",
        base="Qwen3-0.6B",
        config={
            "rank_pattern": {
                "q_proj": 4,
                "model.layers.1.mlp.down_proj": 24,
                r"^model\.layers\.2.*gate_proj": 3,
            },
            "alpha_pattern": {"k_proj": 3.5, "layers.0.self_attn.v_proj": 40},
        },
    ),
    TinyAdapter("magnitudes", config={"use_dora": True}),
    TinyAdapter(
        "magnitudes-f16", base="Qwen3-8B-Base", config={"use_dora": True, "use_rslora": True, "r": 5}
    ),
    TinyAdapter("single-precision", base="DeepSeek-R1-Distill-Qwen-1.5B"),
    TinyAdapter("embeddings", base="linear-rope-16k", targets=(*LINEAR, "embed_tokens", "lm_head")),
    TinyAdapter("embedding-tied", base="Qwen3-0.6B", targets=("q_proj", "embed_tokens")),
    TinyAdapter(
        "biases", base="Qwen2.5-0.5B-Instruct", targets=("q_proj", "v_proj"), config={"lora_bias": True}
    ),
    TinyAdapter(
        "saved",
        base="Llama-2-13B-yarn-64K",
        targets=("q_proj", "v_proj"),
        config={"modules_to_save": ["embed_tokens", "lm_head", "model.norm"]},
        saved={"model.embed_tokens.weight": None, "lm_head.weight": None, "model.norm.weight": None},
    ),
    TinyAdapter(
        "resized",
        base="linear-rope-16k",
        targets=("q_proj", "embed_tokens"),
        saved={"model.embed_tokens.base_layer.weight": 432, "lm_head.weight": 432},
    ),
    TinyAdapter("columns", base=GPT2, targets=tuple(_GPT2), config={"fan_in_fan_out": True}),
    TinyAdapter(
        "columns-magnitudes",
        base=GPT2,
        targets=tuple(_GPT2),
        config={"fan_in_fan_out": True, "use_dora": True},
    ),
    TinyAdapter(
        "experts",
        base=EXPERTS,
        targets=("q_proj",),
        experts=("gate_up_proj", "down_proj"),
        config={
            "r": 4,
            "lora_dropout": 0.0,
            "peft_version": "0.21.2",
            "target_parameters": ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"],
        },
    ),
    TinyAdapter(
        "experts-straight",
        base=EXPERTS,
        targets=("k_proj",),
        experts=("down_proj",),
        swapped=False,
        dtype="BF16",
        config={
            "lora_dropout": 0.0,
            "peft_version": "0.18.1",
            "use_rslora": True,
            "target_parameters": ["1.mlp.experts.down_proj"],
        },
    ),
    TinyAdapter(
        "experts-one-by-one",
        base="Qwen3-30B-A3B",
        targets=("q_proj",),
        experts=("gate_up_proj", "down_proj"),
        newer=True,
        config={
            "r": 4,
            "lora_dropout": 0.0,
            "peft_version": "0.21.2",
            "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        },
    ),
    TinyAdapter(
        "experts-of-mixtral",
        base="mixtral-f16-shards",
        targets=("v_proj",),
        experts=("gate_up_proj",),
        newer=True,
        dtype="BF16",
        config={
            "r": 3,
            "lora_dropout": 0.0,
            "peft_version": "0.21.2",
            "target_parameters": ["1.mlp.experts.gate_up_proj", "2.mlp.experts.gate_up_proj"],
        },
    ),
    TinyAdapter("on-nf4", base="tiny-nf4", dtype="BF16", config={"r": 16}),
    TinyAdapter("on-nf4-magnitudes", base="tiny-nf4", config={"use_dora": True}),
    TinyAdapter("on-fp4", base="tiny-fp4", targets=("q_proj", "lm_head", "down_proj")),
    TinyAdapter("on-int8", base="tiny-int8"),
    TinyAdapter("on-gptq", base="tiny-gptq-act-order", config={"use_rslora": True}),
    TinyAdapter("on-awq", base="tiny-awq", config={"rank_pattern": {"q_proj": 3}}),
    TinyAdapter("on-mxfp4", base=BLOCKS, targets=("q_proj", "v_proj")),
    TinyAdapter(
        "on-mxfp4-experts",
        base=BLOCKS,
        targets=("o_proj",),
        experts=("gate_up_proj", "down_proj"),
        config={
            "r": 4,
            "lora_dropout": 0.0,
            "peft_version": "0.21.2",
            "target_parameters": ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"],
        },
    ),
)
ADAPTERS = {adapter.name: adapter for adapter in _ALL}


def build(adapter: TinyAdapter, directory: Path) -> Path:
    """Write the adapter's directory and its base's into `directory`; returns the adapter's path."""
    base = build_base(adapter, directory)
    folder = directory / adapter.name
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": f"someone/{base.name}",
        "r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "bias": "none", "init_lora_weights": True,
        "target_modules": list(adapter.targets), "inference_mode": True, **adapter.config,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    write(folder / "adapter_model.safetensors", adapter, dict(factors(adapter, config)))
    return folder


def write(path: Path, adapter: TinyAdapter, tensors: Mapping[str, tuple[int, ...]]) -> None:
    """An adapter's weights: of these names and shapes, from the adapter's name."""
    model = TinyModel(adapter.name, {})
    tiny_models.write_safetensors(
        path, model, {name: (adapter.dtype, shape) for name, shape in tensors.items()}
    )


def build_base(adapter: TinyAdapter, directory: Path) -> Path:
    """The base model's directory."""
    if adapter.base in BASES:
        return folders.build(BASES[adapter.base], directory)
    if adapter.base in MODELS:
        return tiny_models.build(MODELS[adapter.base], directory)
    variant = variants_by_name()[adapter.base]
    folder = variant.build(directory, load(variant)["inventory"])
    return scaled_down(folder) if adapter.base == BLOCKS else folder


def factors(adapter: TinyAdapter, config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The names and shapes of what adapter_model.safetensors holds."""
    prefix = "base_model.model."
    for weight, shape in _weights(adapter):
        module = weight.removesuffix(".weight")
        if not weight.endswith(".weight") or not any(
            module.endswith(f".{target}") or module == target for target in adapter.targets
        ):
            continue
        rank = _rank(module, config)
        outputs, inputs = shape[::-1] if adapter.base == GPT2 else shape
        if module.endswith("embed_tokens"):
            rows = next((rows for name, rows in adapter.saved.items() if "embed" in name and rows), shape[0])
            yield f"{prefix}{module}.lora_embedding_A", (rank, rows)
            yield f"{prefix}{module}.lora_embedding_B", (shape[1], rank)
            continue
        yield f"{prefix}{module}.lora_A.weight", (rank, inputs)
        yield f"{prefix}{module}.lora_B.weight", (outputs, rank)
        if config.get("lora_bias"):
            yield f"{prefix}{module}.lora_B.bias", (outputs,)
        if config.get("use_dora"):
            yield f"{prefix}{module}.lora_magnitude_vector", (outputs,)
    known = dict(_weights(adapter))
    yield from _experts(adapter, known, config)
    for name, rows in adapter.saved.items():
        shape = known[name.replace(".base_layer.", ".")]
        yield prefix + name, (rows or shape[0], *shape[1:])


def _experts(
    adapter: TinyAdapter, known: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of each layer's experts: wrappers in wrappers, the parameter that is declared last outside."""
    for name, shape in known.items():
        module, _, parameter = name.rpartition(".")
        if parameter not in adapter.experts or not any(
            f".{name}".endswith(f".{target}") for target in config["target_parameters"]
        ):
            continue
        inner = ".base_layer" * (len(adapter.experts) - 1 - adapter.experts.index(parameter))
        experts, inputs, outputs = shape if not adapter.swapped else (shape[0], shape[2], shape[1])
        yield f"base_model.model.{module}{inner}.lora_A.weight", (experts * config["r"], inputs)
        yield f"base_model.model.{module}{inner}.lora_B.weight", (outputs, experts * config["r"])


def _weights(adapter: TinyAdapter) -> Iterator[tuple[str, tuple[int, ...]]]:
    if adapter.base in BASES:
        yield from folders.shapes_of(BASES[adapter.base])
        return
    if adapter.base in MODELS:
        yield from shapes(MODELS[adapter.base].config)
        return
    if adapter.base != GPT2:
        inventory = load(variants_by_name()[adapter.base])["inventory"]
        yield from (_unblocked(name, tuple(shape)) for name, shape in inventory.items())
        yield from _joined(inventory) if adapter.newer else ()
        return
    for layer in range(3):
        for name, shape in _GPT2.items():
            whole = name if "." in name else f"{'attn' if name == 'c_attn' else 'mlp'}.{name}"
            yield f"transformer.h.{layer}.{whole}.weight", shape


def _unblocked(name: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Of experts in blocks the weight that they mean: [experts, inputs, outputs]."""
    if not name.endswith("_blocks"):
        return name, shape
    return name.removesuffix("_blocks"), (shape[0], 32 * shape[2], shape[1])


def _joined(inventory: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Of experts one by one the parameters that transformers 5 makes of them."""
    firsts = {name: tuple(shape) for name, shape in inventory.items() if ".experts.0." in name}
    for name, (rows, columns) in firsts.items():
        stem, _, part = name.removesuffix(".weight").rpartition(".experts.0.")
        module = stem.replace("block_sparse_moe", "mlp") + ".experts"
        experts = sum(each.startswith(f"{stem}.experts.") and f".{part}." in each for each in inventory)
        if part in ("gate_proj", "w1"):
            yield f"{module}.gate_up_proj", (experts, 2 * rows, columns)
        elif part in ("down_proj", "w2"):
            yield f"{module}.down_proj", (experts, rows, columns)


def _rank(module: str, config: Mapping[str, Any]) -> int:
    """Written out for the patterns above: what PEFT finds is what the oracle proves."""
    patterns: Mapping[str, int] = config.get("rank_pattern", {})
    if module == "model.layers.2.mlp.gate_proj" and len(patterns) == 3:
        return 3
    return int(next((rank for end, rank in patterns.items() if module.endswith(end)), config["r"]))
