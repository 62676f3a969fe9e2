"""Tiny language models whose linear layers are quantised in each way: whole folders for upstream's converter.

    folder = build(FOLDERS["tiny-gptq-act-order"], directory)

The tensors are those of an ordinary tiny model (`tests.tiny_models`); each matrix of a layer is replaced by
what a method of quantisation stores in its stead, with codes that follow from its name. Nothing may change
here without `python -m tests.oracle.quantised.regenerate`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.oracle.families.side_files import byte_level, config, pieces
from tests.tiny_models import shapes, stored, values
from tests.tiny_quantised import Part, codes, eight_bit, integers, positive, random_bytes, save

Parts = dict[str, Part]
# What a matrix of this name, rows and columns is stored as: the parts by the end of their names.
Method = Callable[[str, int, int], Parts]


@dataclass(frozen=True)
class Folder:
    """A quantised checkpoint. dtype: of what is not quantised. plain: parts of names that are left alone."""

    name: str
    config: Mapping[str, Any]
    files: Mapping[str, str | bytes]
    settings: Mapping[str, Any]
    method: Method
    dtype: str = "BF16"
    plain: tuple[str, ...] = ()
    types: tuple[str, ...] = ("q8_0", "q4_k_m")
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def golden(self) -> Path:
        """Where upstream's digests lie."""
        return Path(__file__).resolve().parent / "golden" / f"{self.name}.json"


def build(folder: Folder, directory: Path) -> Path:
    """Write the folder into `directory` and return its path."""
    path = directory / folder.name
    path.mkdir(parents=True, exist_ok=True)
    whole = {**folder.config, "quantization_config": folder.settings}
    (path / "config.json").write_text(json.dumps(whole, indent=2) + "\n")
    for name, content in {**folder.files, **folder.more}.items():
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    parts: Parts = {}
    for name, shape in shapes_of(folder):
        if ".layers." in name and len(shape) == 2 and not any(part in name for part in folder.plain):
            stem = name.removesuffix(".weight")
            made = folder.method(f"{folder.name}/{stem}", *shape)
            parts |= {f"{stem}.{end}": part for end, part in made.items()}
        else:
            parts[name] = Part(folder.dtype, shape, stored(values(folder.name, name, shape), folder.dtype))
    save(path / "model.safetensors", parts)
    return path


def shapes_of(folder: Folder) -> list[tuple[str, tuple[int, ...]]]:
    """The tensors of the model, before any is quantised; a mixture's have every expert's matrices instead of
    one of each kind.
    """
    config, made = folder.config, []
    experts = config.get("num_experts", 0)
    for name, shape in shapes({**config, "model_type": config["model_type"].removesuffix("_moe")}):
        stem, found, end = name.partition(".mlp.")
        if not experts or not found:
            made.append((name, shape))
            continue
        made += [(f"{stem}.mlp.experts.{number}.{end}", shape) for number in range(experts)]
        if end.startswith("gate"):
            made.append((f"{stem}.mlp.gate.weight", (experts, config["hidden_size"])))
    return made


def _blocks(name: str, rows: int, columns: int) -> Parts:
    scale = positive(f"{name}/s", "F32", -(-rows // 128), -(-columns // 128))
    return {"weight": eight_bit(f"{name}/w", rows, columns), "weight_scale_inv": scale}


def _whole(name: str, rows: int, columns: int) -> Parts:
    """One scale; the activations' is of no use to anybody here."""
    return {
        "activation_scale": positive(f"{name}/a", "F32"),
        "weight": eight_bit(f"{name}/w", rows, columns),
        "weight_scale_inv": positive(f"{name}/s", "F32"),
    }


def _modelopt(name: str, rows: int, columns: int) -> Parts:
    scales = {"input_scale": positive(f"{name}/a", "F32"), "weight_scale": positive(f"{name}/s", "F32")}
    return {"weight": eight_bit(f"{name}/w", rows, columns), **scales}


def _channel(name: str, rows: int, columns: int) -> Parts:
    scale = positive(f"{name}/s", "BF16", rows, 1)
    return {"weight": eight_bit(f"{name}/w", rows, columns), "weight_scale": scale}


def _integer(name: str, rows: int, columns: int) -> Parts:
    scale = positive(f"{name}/s", "BF16", rows, 1)
    return {"weight": codes(f"{name}/w", "I8", rows, columns), "weight_scale": scale}


def _packed(name: str, rows: int, columns: int) -> Parts:
    return {
        "weight_packed": codes(f"{name}/w", "I32", rows, columns // 8),
        "weight_scale": positive(f"{name}/s", "BF16", rows, columns // 32),
        "weight_shape": integers("I64", [rows, columns]),
    }


def _packed_zero(name: str, rows: int, columns: int) -> Parts:
    zero = codes(f"{name}/z", "I32", rows // 8, columns // 32)
    return {**_packed(name, rows, columns), "weight_zero_point": zero}


def _gptq(bits: int, group: int, *, act_order: bool) -> Method:
    def made(name: str, rows: int, columns: int) -> Parts:
        number = np.arange(columns) // group
        if act_order:
            number = number[np.argsort(random_bytes(f"{name}/g", 8 * columns).view("<u8"))]
        return {
            "g_idx": integers("I32", number),
            "qweight": codes(f"{name}/w", "I32", columns * bits // 32, rows),
            "qzeros": codes(f"{name}/z", "I32", columns // group, rows * bits // 32),
            "scales": positive(f"{name}/s", "F16", columns // group, rows),
        }

    return made


def _bitnet(name: str, rows: int, columns: int) -> Parts:
    scale = positive(f"{name}/s", "BF16", 1, around=1.0)
    return {"weight": codes(f"{name}/w", "U8", rows // 4, columns), "weight_scale": scale}


def _nvfp4(name: str, rows: int, columns: int) -> Parts:
    """Every other matrix has factors of 1, which leave no trace."""
    one = Part("F32", (), np.float32(1.0).tobytes())
    odd = bool(random_bytes(name, 1)[0] & 1)
    return {
        "input_scale": one if odd else positive(f"{name}/i", "F32"),
        "weight": codes(f"{name}/w", "U8", rows, columns // 2),
        "weight_scale": eight_bit(f"{name}/s", rows, columns // 16),
        "weight_scale_2": one if odd else positive(f"{name}/2", "F32"),
    }


def _nvfp4_compressed(name: str, rows: int, columns: int) -> Parts:
    return {
        "input_global_scale": positive(f"{name}/i", "F32", 1, around=2.0**9),
        "weight_global_scale": positive(f"{name}/g", "F32", 1, around=2.0**9),
        "weight_packed": codes(f"{name}/w", "U8", rows, columns // 2),
        "weight_scale": eight_bit(f"{name}/s", rows, columns // 16),
    }


def _ct(form: str, **weights: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "int", **weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}}


_LLAMA = config("LlamaForCausalLM", "llama")
_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_LLAMA3 = config("LlamaForCausalLM", "llama", rope_scaling={**_ROPE, "original_max_position_embeddings": 512})
_QWEN2 = config("Qwen2ForCausalLM", "qwen2", num_hidden_layers=12)
_QWEN3 = config("Qwen3ForCausalLM", "qwen3", head_dim=64)
_QWEN3_MOE = config(
    "Qwen3MoeForCausalLM", "qwen3_moe", head_dim=64, num_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=256,
)  # fmt: skip
_FLOAT = {"type": "float", "strategy": "channel"}
_GROUPS = {"num_bits": 4, "strategy": "group", "group_size": 32}
_MODELOPT = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
_MIXED = {
    "model.layers.0.self_attn": {"quant_algo": "W4A16_NVFP4"},
    "model.layers.1": {"quant_algo": "NVFP4"},
}


def _all() -> tuple[Folder, ...]:
    fp8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}
    llama, qwen = pieces(), byte_level()
    return (
        Folder("tiny-fp8-blocks", _LLAMA, llama, fp8, _blocks),
        Folder("tiny-fp8-blocks-moe", _QWEN3_MOE, qwen, fp8, _blocks, plain=("mlp.gate.",)),
        Folder("tiny-fp8-tensor", _QWEN3, qwen, {"quant_method": "fp8"}, _whole, types=()),
        Folder("tiny-fp8-modelopt", _LLAMA3, llama, {"quant_method": "modelopt"}, _modelopt, types=()),
        Folder("tiny-ct-fp8", _LLAMA, llama, _ct("float-quantized", **_FLOAT), _channel),
        Folder("tiny-ct-int8", _QWEN2, qwen, _ct("int-quantized", strategy="channel"), _integer, types=()),
        Folder("tiny-ct-int4", _LLAMA, llama, _ct("pack-quantized", **_GROUPS), _packed),
        Folder("tiny-ct-int4-zero", _QWEN3, qwen, _ct("pack-quantized", **_GROUPS), _packed_zero, types=()),
        Folder("tiny-gptq-act-order", _LLAMA3, llama, gptq, _gptq(4, 32, act_order=True), dtype="F16"),
        Folder(
            "tiny-gptq-8", _QWEN2, qwen, {"quant_method": "gptq", "bits": 8, "group_size": 64},
            _gptq(8, 64, act_order=False), dtype="F16", types=(),
        ),
        Folder(
            "tiny-gptq-v2", _LLAMA, llama, {**gptq, "checkpoint_format": "gptq_v2"},
            _gptq(4, 32, act_order=False), dtype="F16", types=(),
        ),
        Folder("tiny-bitnet", _LLAMA, llama, {"quant_method": "bitnet"}, _bitnet),
        Folder("tiny-nvfp4", _LLAMA3, llama, _MODELOPT, _nvfp4),
        Folder("tiny-nvfp4-moe", _QWEN3_MOE, qwen, _MODELOPT, _nvfp4, plain=("mlp.gate.",), types=()),
        Folder(
            "tiny-nvfp4-mixed", _LLAMA, llama,
            {**_MODELOPT, "quant_algo": "MIXED_PRECISION", "quantized_layers": _MIXED},
            _nvfp4, types=(),
        ),
        Folder(
            "tiny-nvfp4-told-beside", _LLAMA, llama, {}, _nvfp4, types=(),
            more={"hf_quant_config.json": json.dumps(
                {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
            )},
        ),
        Folder("tiny-nvfp4-ct", _QWEN3, qwen, _ct("nvfp4-pack-quantized"), _nvfp4_compressed, types=()),
    )  # fmt: skip


FOLDERS = {folder.name: folder for folder in _all()}
