"""Logits of Meta's own code for its originals of Llama 4, against transformers' for folders made of them.

    $PRISMFS_ORACLE/meta/env/bin/python reference.py '[[ORIGINAL, FOLDER], ...]'

Meta's code runs on several devices by fairscale, of which one process needs next to nothing: plain layers
stand for it. One of them joins the shards, by Meta's own code. A line for each pair: the largest difference
and the largest logit; then what transformers missed or did not know of the folder. Imports nothing of this
project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

TOKENS = [[1, 7, 300, 11, 42, 5, 99, 200, 3, 17, 8, 450, 23, 64, 77, 310, 2, 9, 120, 33]]


class _Linear(nn.Linear):
    def __init__(self, rows: int, columns: int, bias: bool = False, **_: Any) -> None:
        super().__init__(rows, columns, bias=bias)


class _Embedding(nn.Embedding):
    def __init__(self, count: int, width: int, **_: Any) -> None:
        super().__init__(count, width)


def stand_in() -> None:
    """What fairscale would be in one process."""
    names = {
        "initialize": {"get_model_parallel_world_size": lambda: 1, "get_model_parallel_rank": lambda: 0},
        "layers": {
            "ColumnParallelLinear": _Linear, "RowParallelLinear": _Linear,
            "VocabParallelEmbedding": _Embedding,
        },
        "mappings": {"reduce_from_model_parallel_region": lambda x: x},
    }  # fmt: skip
    for name in ("fairscale", "fairscale.nn", "fairscale.nn.model_parallel"):
        sys.modules[name] = ModuleType(name)
    for name, members in names.items():
        module = ModuleType(f"fairscale.nn.model_parallel.{name}")
        vars(module).update(members)
        sys.modules[module.__name__] = module
        setattr(sys.modules["fairscale.nn.model_parallel"], name, module)
    torch.Tensor.cuda = lambda self, *_, **__: self


def of_meta(original: Path) -> torch.Tensor:
    """The logits by Meta's code."""
    from llama_models.checkpoint import convert_moe_weights, reshard_mp  # noqa: PLC0415
    from llama_models.llama4.args import ModelArgs  # noqa: PLC0415
    from llama_models.llama4.datatypes import TransformerInput  # noqa: PLC0415
    from llama_models.llama4.model import Transformer  # noqa: PLC0415

    told = json.loads((original / "params.json").read_text())
    told.pop("vision_args", None)
    args = ModelArgs(**told, max_batch_size=1, max_seq_len=64)
    shards = [torch.load(path, map_location="cpu") for path in sorted(original.glob("consolidated.*.pth"))]
    shards = [{name: each[name] for name in each if not name.startswith("vision")} for each in shards]
    shards = [convert_moe_weights(each, args.moe_args.num_experts) for each in shards]
    model = Transformer(args)
    model.load_state_dict(reshard_mp(shards, 1, 0) if len(shards) > 1 else shards[0], strict=True)
    return model(TransformerInput(torch.tensor(TOKENS), 0)).logits


def of_transformers(folder: Path) -> tuple[torch.Tensor, dict[str, list[str]]]:
    """The logits by transformers, and what it says of the folder's names."""
    import transformers  # noqa: PLC0415

    config = transformers.AutoConfig.from_pretrained(folder)
    kind = getattr(transformers, config.architectures[0])
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    model, told = kind.from_pretrained(folder, output_loading_info=True, **options)
    with torch.inference_mode():
        logits = model(torch.tensor(TOKENS)).logits
    return logits, {key: sorted(told[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}


def main(pairs: list[list[str]]) -> None:
    """Compare each."""
    stand_in()
    for original, folder in pairs:
        theirs = of_meta(Path(original))
        ours, told = of_transformers(Path(folder))
        worst = (theirs - ours).abs().max().item()
        print(
            "ANSWER", json.dumps({"worst": worst, "largest": theirs.abs().max().item(), **told}), flush=True
        )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
