"""Tiny quantised checkpoints: a few matrices quantised in each way, the same bytes on every machine.

    folder = write(CASES["gptq-4-act-order"], directory)

Codes and scales follow from the names of the tensors, so they are random and cover every code; nothing was
ever quantised to get them. The reference libraries made the digests in tests/translators/golden_quantised
from these folders, so nothing here may change without that folder's `regenerate.py`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.tiny_models import stored

Bytes = npt.NDArray[np.uint8]

_SCALE = "weight_scale_inv"
_EXPERTS = "model.layers.0.mlp.experts"


@dataclass(frozen=True)
class Part:
    """A stored tensor."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Case:
    """A checkpoint: its `quantization_config`, its tensors by name, and what else config.json says."""

    name: str
    settings: Mapping[str, Any]
    parts: Mapping[str, Part]
    config: Mapping[str, Any] = field(default_factory=dict)


def random_bytes(name: str, count: int) -> Bytes:
    """Bytes that follow from a name."""
    seed = int.from_bytes(sha256(name.encode()).digest()[:8], "little")
    return np.random.PCG64(seed).random_raw(-(-count // 8)).astype("<u8").view(np.uint8)[:count]


def codes(name: str, dtype: str, *shape: int) -> Part:
    """Codes of every kind, in integers of any type."""
    width = {"U8": 1, "I8": 1, "I32": 4}[dtype]
    return Part(dtype, shape, random_bytes(name, prod(shape) * width).tobytes())


def eight_bit(name: str, *shape: int, dtype: str = "F8_E4M3") -> Part:
    """Floats of eight bits; what is NaN or infinite becomes zero."""
    made = random_bytes(name, prod(shape)).copy()
    made[(made & 0x7F) >= (0x7F if dtype == "F8_E4M3" else 0x7C)] = 0
    return Part(dtype, shape, made.tobytes())


def positive(name: str, dtype: str, *shape: int, around: float = 2.0**-8) -> Part:
    """Numbers from half of to about `around`, a power of two."""
    raw = random_bytes(name, 4 * prod(shape)).view("<u4") >> 8
    numbers = ((raw.astype(np.float64) + (1 << 24)) * (around / (1 << 25))).astype(np.float32)
    return Part(dtype, shape, stored(numbers, dtype))


def integers(dtype: str, values: npt.ArrayLike) -> Part:
    """Given integers."""
    array = np.asarray(values, {"I32": "<i4", "I64": "<i8"}[dtype])
    return Part(dtype, array.shape, array.tobytes())


def text(value: object) -> Part:
    """JSON as a tensor of bytes."""
    data = json.dumps(value).encode()
    return Part("U8", (len(data),), data)


def write(case: Case, directory: Path) -> Path:
    """Write the checkpoint's folder into `directory` and return its path."""
    folder = directory / case.name
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], **case.config, "quantization_config": case.settings}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save(folder / "model.safetensors", case.parts)
    return folder


def save(path: Path, parts: Mapping[str, Part]) -> None:
    """Write a safetensors file: the length of a JSON header, the header, and the tensors' bytes."""
    header, offset = {}, 0
    for name, part in parts.items():
        end = offset + len(part.data)
        header[name] = {"dtype": part.dtype, "shape": list(part.shape), "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"".join(part.data for part in parts.values()))


def _fp8(name: str, weight: Part, scale: Part, end: str, **settings: object) -> Case:
    parts = {"norm.weight": positive(f"{name}/norm", "BF16", 96, around=1.0), "a.weight": weight}
    parts[f"a.{end}"] = scale
    return Case(name, {"quant_method": "fp8", **settings}, parts)


def _compressed(name: str, form: str, weights: Mapping[str, Any], parts: Mapping[str, Part]) -> Case:
    kind = "float" if form.startswith("float") else "int"
    weights = {"type": kind, "num_bits": 8, "symmetric": True, **weights}
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    settings = {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}}
    return Case(name, settings, {f"a.{end}": part for end, part in parts.items()})


def _packed(name: str, rows: int, columns: int, bits: int, group: int, *, zero: bool = False) -> Case:
    each = 32 // bits
    groups = columns // group if group > 0 else 1
    parts = {
        "weight_packed": codes(f"{name}/w", "I32", rows, -(-columns // each)),
        "weight_scale": positive(f"{name}/s", "BF16", rows, groups),
        "weight_shape": integers("I64", [rows, columns]),
    }
    if zero:
        parts["weight_zero_point"] = codes(f"{name}/z", "I32", -(-rows // each), groups)
    strategy = {"strategy": "group", "group_size": group} if group > 0 else {"strategy": "channel"}
    return _compressed(name, "pack-quantized", {"num_bits": bits, "symmetric": not zero, **strategy}, parts)


def _gptq(
    name: str, inputs: int, outputs: int, bits: int, group: int, *, index: str = "plain", **settings: object
) -> Case:
    groups = inputs // group
    parts = {
        "a.bias": positive(f"{name}/b", "F16", outputs),
        "a.qweight": codes(f"{name}/w", "I32", inputs * bits // 32, outputs),
        "a.qzeros": codes(f"{name}/z", "I32", groups, outputs * bits // 32),
        "a.scales": positive(f"{name}/s", "F16", groups, outputs),
        "b.weight": positive(f"{name}/o", "F16", 16, 8),
    }
    number = np.arange(inputs) // group
    if index == "act-order":
        number = number[np.argsort(random_bytes(f"{name}/g", 8 * inputs).view("<u8"))]
    if index != "none":
        parts["a.g_idx"] = integers("I32", number)
    return Case(name, {"quant_method": "gptq", "bits": bits, "group_size": group, **settings}, parts)


def _awq(name: str, inputs: int, outputs: int, group: int, scales: str = "F16") -> Case:
    groups = inputs // group if group > 0 else 1
    parts = {
        "a.qweight": codes(f"{name}/w", "I32", inputs, outputs // 8),
        "a.qzeros": codes(f"{name}/z", "I32", groups, outputs // 8),
        "a.scales": positive(f"{name}/s", scales, groups, outputs),
    }
    return Case(name, {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm"}, parts)


def _bitsandbytes(
    name: str, kind: str, shape: tuple[int, int], dtype: str, block: int = 64, *, double: bool = True
) -> Case:
    elements = prod(shape)
    blocks = -(-elements // block)
    state: dict[str, Any] = {"quant_type": kind, "blocksize": block, "dtype": dtype, "shape": list(shape)}
    parts = {"a.weight": codes(f"{name}/w", "U8", -(-elements // 2), 1)}
    if double:
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.0123456789}
        parts["a.weight.absmax"] = codes(f"{name}/s", "U8", blocks)
        parts["a.weight.nested_absmax"] = positive(f"{name}/n", "F32", -(-blocks // 256))
        numbers = (np.arange(256) - 127.5) / 128
        parts["a.weight.nested_quant_map"] = Part("F32", (256,), numbers.astype("<f4").tobytes())
    else:
        parts["a.weight.absmax"] = positive(f"{name}/s", "F32", blocks)
    parts["a.weight.quant_map"] = Part("F32", (16,), bytes(64))
    parts[f"a.weight.quant_state.bitsandbytes__{kind}"] = text(state)
    return Case(name, {"quant_method": "bitsandbytes", "load_in_4bit": True}, parts)


def _nvfp4(name: str, experts: int = 0, *, scale: float = 2.0**-10, algorithm: str = "NVFP4") -> Case:
    parts: dict[str, Part] = {"z.weight": positive(f"{name}/z", "BF16", 32, 64)}
    stems = ["a"] + [f"model.layers.1.mlp.experts.{n}.up_proj" for n in range(experts)]
    for stem in stems:
        parts[f"{stem}.weight"] = codes(f"{name}/{stem}/w", "U8", 24, 64)
        parts[f"{stem}.weight_scale"] = eight_bit(f"{name}/{stem}/s", 24, 8)
        one = Part("F32", (), np.float32(1.0).tobytes())
        factor = positive(f"{name}/{stem}/2", "F32", around=scale)
        parts[f"{stem}.weight_scale_2"] = one if scale == 1.0 else factor
        parts[f"{stem}.input_scale"] = one
    settings = {"quant_method": "modelopt", "quant_algo": algorithm}
    return Case(name, settings, parts, {"num_local_experts": experts} if experts else {})


def _nvfp4_compressed(name: str) -> Case:
    parts = {
        "a.weight_packed": codes(f"{name}/w", "U8", 40, 96),
        "a.weight_scale": eight_bit(f"{name}/s", 40, 12),
        "a.weight_global_scale": positive(f"{name}/g", "F32", 1, around=2.0**9),
        "a.input_global_scale": positive(f"{name}/i", "F32", 1, around=2.0**7),
        "b.weight": positive(f"{name}/o", "BF16", 16, 8),
    }
    group = {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 16}}
    settings = {
        "quant_method": "compressed-tensors",
        "format": "nvfp4-pack-quantized",
        "config_groups": {"group_0": group},
    }
    return Case(name, settings, parts)


def _all() -> list[Case]:
    block = {"weight_block_size": [128, 128]}
    three = positive("s", "F32", 3, 2, 3)
    return [
        _fp8("fp8-block", eight_bit("b", 200, 300), positive("s", "F32", 2, 3), _SCALE, **block),
        _fp8("fp8-block-bf16", eight_bit("f", 256, 384), positive("s", "BF16", 2, 3), _SCALE, **block),
        _fp8("fp8-experts", eight_bit("e", 3, 130, 260), three, _SCALE, **block),
        _fp8("fp8-tensor", eight_bit("t", 70, 90), positive("s", "F32"), _SCALE),
        _fp8("fp8-mistral", eight_bit("m", 70, 90), positive("s", "BF16"), "qscale_weight"),
        Case(
            "fp8-fbgemm", {"quant_method": "fbgemm_fp8"},
            {
                "a.weight": eight_bit("g", 50, 60),
                "a.weight_scale": positive("gs", "F32", 50, 1),
                "a.input_scale_ub": positive("gu", "F32", 1),
            },
        ),
        Case(
            "fp8-modelopt", {"quant_method": "modelopt", "quant_algo": "FP8"},
            {
                "a.weight": eight_bit("o", 50, 60, dtype="F8_E5M2"),
                "a.weight_scale": positive("os", "F32", 50),
                "a.input_scale": positive("oi", "F32"),
                "b.k_scale": positive("ok", "F32"),
                "b.weight": eight_bit("p", 20, 10),
                "b.weight_scale": positive("ps", "F32", 1),
            },
        ),
        _compressed("ct-float-channel", "float-quantized", {"strategy": "channel"},
                    {"weight": eight_bit("c", 40, 72), "weight_scale": positive("cs", "BF16", 40, 1)}),
        _compressed("ct-float-block", "float-quantized", {"strategy": "block", "block_structure": [128, 128]},
                    {"weight": eight_bit("d", 256, 384), "weight_scale": positive("ds", "F32", 2, 3)}),
        _compressed("ct-float-tensor", "float-quantized", {"strategy": "tensor"},
                    {"weight": eight_bit("t", 40, 72), "weight_scale": positive("ts", "BF16", 1),
                     "input_scale": positive("ti", "BF16", 1)}),
        _compressed("ct-int-channel", "int-quantized", {"strategy": "channel"},
                    {"weight": codes("i", "I8", 40, 72), "weight_scale": positive("is", "BF16", 40, 1)}),
        _compressed("ct-int-group", "int-quantized", {"strategy": "group", "group_size": 24},
                    {"weight": codes("j", "I8", 40, 72), "weight_scale": positive("js", "BF16", 40, 3)}),
        _compressed("ct-int-zero", "int-quantized", {"strategy": "channel", "symmetric": False},
                    {"weight": codes("k", "I8", 40, 72), "weight_scale": positive("ks", "BF16", 40, 1),
                     "weight_zero_point": codes("kz", "I8", 40, 1)}),
        _packed("ct-packed-4", 48, 96, 4, 32),
        _packed("ct-packed-4-zero", 44, 96, 4, 32, zero=True),
        _packed("ct-packed-8", 20, 64, 8, 16),
        _packed("ct-packed-4-channel", 20, 53, 4, -1),
        _packed("ct-packed-2-channel-zero", 36, 40, 2, -1, zero=True),
        _gptq("gptq-4", 128, 64, 4, 32),
        _gptq("gptq-4-act-order", 256, 72, 4, 32, index="act-order", desc_act=True),
        _gptq("gptq-8", 64, 32, 8, 16),
        _gptq("gptq-2", 64, 48, 2, 16, index="act-order"),
        _gptq("gptq-3", 128, 96, 3, 32, index="act-order"),
        _gptq("gptq-v2", 64, 32, 4, 64, checkpoint_format="gptq_v2"),
        _gptq("gptq-without-index", 64, 32, 4, 32, index="none"),
        _awq("awq", 96, 64, 32),
        _awq("awq-bf16", 96, 64, 32, "BF16"),
        _awq("awq-one-group", 40, 16, -1),
        _bitsandbytes("bnb-nf4", "nf4", (48, 96), "bfloat16"),
        _bitsandbytes("bnb-nf4-single", "nf4", (48, 96), "float16", double=False),
        _bitsandbytes("bnb-nf4-blocks", "nf4", (700, 96), "float32", 128),
        _bitsandbytes("bnb-fp4", "fp4", (30, 34), "float16"),
        _bitsandbytes("bnb-nf4-odd", "nf4", (31, 33), "float16"),
        Case(
            "bnb-int8", {"quant_method": "bitsandbytes", "load_in_8bit": True},
            {
                "a.SCB": positive("8s", "F32", 24, around=0.5),
                "a.weight": codes("8w", "I8", 24, 40),
                "a.weight_format": Part("U8", (), b"\0"),
            },
        ),
        Case(
            "bitnet", {"quant_method": "bitnet"},
            {"a.weight": codes("bw", "U8", 12, 40), "a.weight_scale": positive("bs", "BF16", 1, around=1.0)},
        ),
        Case(
            "mxfp4", {"quant_method": "mxfp4"},
            {
                f"{_EXPERTS}.down_proj_blocks": codes("xd", "U8", 2, 6, 3, 16),
                f"{_EXPERTS}.down_proj_scales": codes("xs", "U8", 2, 6, 3),
                f"{_EXPERTS}.gate_up_proj_bias": positive("xb", "BF16", 2, 8),
                f"{_EXPERTS}.gate_up_proj_blocks": codes("xg", "U8", 2, 8, 2, 16),
                f"{_EXPERTS}.gate_up_proj_scales": codes("xu", "U8", 2, 8, 2),
                "z.weight": positive("xo", "BF16", 16, 8),
            },
        ),
        _nvfp4("nvfp4"),
        _nvfp4("nvfp4-trivial", scale=1.0, algorithm="W4A16_NVFP4"),
        _nvfp4("nvfp4-experts", experts=3),
        _nvfp4_compressed("nvfp4-compressed"),
    ]  # fmt: skip


CASES = {case.name: case for case in _all()}
