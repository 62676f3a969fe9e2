"""Variants in the widths of real models, for what reads of 128 KiB cost; their weights are holes in a file.

    python -m tests.oracle.families.large      # asks transformers for the tensors that large/ has not

One variant of each family whose class transformers has, all widths of its configuration eight times as large.
Every weight is zero: only which bytes are read is of interest. Knows nothing of how that is counted.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from tests.oracle.families.regenerate import Failed, Upstream, inventory_of
from tests.oracle.families.variant import GOLDEN, Inventory, Variant, variants_by_name

LARGE = GOLDEN.parent / "large"
_TIMES = 8
_WIDTHS = {
    "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "moe_intermediate_size",
    "shared_expert_intermediate_size", "shared_intermediate_size", "n_embd", "n_inner", "n_head", "d_model",
    "d_ff", "num_heads", "kv_lora_rank", "q_lora_rank", "ffn_hidden_size", "intermediate_size_mlp",
    "mamba_n_heads", "num_attention_groups", "linear_num_value_heads", "linear_num_key_heads", "n_heads",
    "time_step_rank", "mamba_d_ssm",
}  # fmt: skip
_SIZES = {"BF16": 2, "F16": 2, "F32": 4}


def chosen() -> dict[str, Variant]:
    """The variants that there are such shapes of, widened."""
    return {name: widened(each) for name, each in variants_by_name().items() if path_of(name).is_file()}


def path_of(name: str) -> Path:
    """Where the inventory of a widened variant lies."""
    return LARGE / f"{name}.json"


def widened(variant: Variant) -> Variant:
    """The variant with larger widths."""
    return replace(variant, config=_widened(variant.config))


def _widened(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {
        key: value * _TIMES if key in _WIDTHS and isinstance(value, int) else _widened(value)
        for key, value in config.items()
    }


def build(variant: Variant, directory: Path) -> Path:
    """Write a widened variant's folder into `directory` and return its path."""
    inventory: Inventory = {
        name: tuple(shape) for name, shape in json.loads(path_of(variant.name).read_text()).items()
    }
    folder = variant.build(directory, {})
    header: dict[str, Any] = {}
    end = 0
    for name, shape in inventory.items():
        dtype = variant.dtype_of(name, shape)
        start, end = end, end + _SIZES[dtype] * prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return folder


def main() -> int:
    """Ask for the tensors of one variant of each family, the first that transformers can widen."""
    found = {variant.family for variant in chosen().values()}
    LARGE.mkdir(exist_ok=True)
    with Upstream() as upstream:
        for variant in variants_by_name().values():
            if variant.family in found or variant.inventory is not None:
                continue
            try:
                with tempfile.TemporaryDirectory() as directory:
                    inventory = inventory_of(widened(variant), Path(directory), upstream)
            except Failed as failure:
                print(failure, file=sys.stderr)
                continue
            lines = ",\n".join(
                f" {json.dumps(name)}: {json.dumps(shape)}" for name, shape in inventory.items()
            )
            path_of(variant.name).write_text(f"{{\n{lines}\n}}\n")
            found.add(variant.family)
            print(variant.family, variant.name, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
