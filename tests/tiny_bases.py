"""Quantised models that adapters are for: those that upstream's converter knows, and those that it does not.

    folder = build(BASES["tiny-nf4"], directory)      # `build` of tests.oracle.quantised.folders

As that: nothing may change here without `make lora-check ARGS=--regenerate`.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from tests.oracle.families.side_files import config, pieces
from tests.oracle.quantised.folders import FOLDERS, Folder, Method, Parts
from tests.tiny_quantised import Part, codes, positive, text

_LLAMA = config("LlamaForCausalLM", "llama")
# Scales of blocks of 64; of these, scales of blocks of 256.
_BLOCK, _OUTER = 64, 256


def _four_bits(kind: str, dtype: str, *, double: bool) -> Method:
    """As transformers saves the layers of bitsandbytes; `double`: scales are quantised themselves."""

    def made(name: str, rows: int, columns: int) -> Parts:
        blocks = rows * columns // _BLOCK
        state = {"quant_type": kind, "blocksize": _BLOCK, "dtype": dtype, "shape": [rows, columns]}
        parts = {
            "weight": codes(f"{name}/w", "U8", rows * columns // 2, 1),
            "weight.quant_map": positive(f"{name}/m", "F32", 16),
        }
        if double:
            numbers = (np.arange(256) - 127.5) / 128
            state |= {"nested_blocksize": _OUTER, "nested_dtype": "float32", "nested_offset": 2.0**-6}
            parts["weight.absmax"] = codes(f"{name}/s", "U8", blocks)
            parts["weight.nested_absmax"] = positive(f"{name}/n", "F32", -(-blocks // _OUTER))
            parts["weight.nested_quant_map"] = Part("F32", (256,), numbers.astype("<f4").tobytes())
        else:
            parts["weight.absmax"] = positive(f"{name}/s", "F32", blocks, around=2.0**-5)
        parts[f"weight.quant_state.bitsandbytes__{kind}"] = text(state)
        return parts

    return made


def _eight_bits(name: str, rows: int, columns: int) -> Parts:
    """LLM.int8."""
    return {
        "SCB": positive(f"{name}/s", "F32", rows, around=2.0**-4),
        "weight": codes(f"{name}/w", "I8", rows, columns),
        "weight_format": Part("U8", (), b"\0"),
    }


def _awq(name: str, rows: int, columns: int) -> Parts:
    return {
        "qweight": codes(f"{name}/w", "I32", columns, rows // 8),
        "qzeros": codes(f"{name}/z", "I32", columns // 32, rows // 8),
        "scales": positive(f"{name}/s", "F16", columns // 32, rows),
    }


def _bitsandbytes(kind: str, *, double: bool) -> dict[str, object]:
    return {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False,
        "bnb_4bit_quant_type": kind, "bnb_4bit_use_double_quant": double,
        "bnb_4bit_compute_dtype": "bfloat16",
    }  # fmt: skip


_NF4, _FP4 = _bitsandbytes("nf4", double=True), _bitsandbytes("fp4", double=False)
_INT8 = {"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": True}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
_ALL = (
    Folder("tiny-nf4", _LLAMA, pieces(), _NF4, _four_bits("nf4", "bfloat16", double=True)),
    Folder("tiny-fp4", _LLAMA, pieces(), _FP4, _four_bits("fp4", "float32", double=False), dtype="F16"),
    Folder("tiny-int8", _LLAMA, pieces(), _INT8, _eight_bits, dtype="F16"),
    Folder("tiny-awq", _LLAMA, pieces(), _AWQ, _awq, dtype="F16"),
)
BASES = {**FOLDERS, **{folder.name: folder for folder in _ALL}}

# gpt-oss as published, one of the families' variants: its experts are blocks.
BLOCKS = "gpt-oss-20b"


def scaled_down(folder: Path) -> Path:
    """The variant `BLOCKS`, whose scales are powers of two of any size, with weights of a model's size."""
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", raw)
    for name, told in json.loads(raw[8 : 8 + length]).items():
        if name.endswith("_scales"):
            first, end = (8 + length + offset for offset in told["data_offsets"])
            raw[first:end] = (np.frombuffer(raw[first:end], np.uint8) % 8 + 116).tobytes()
    path.write_bytes(raw)
    return folder
