"""A model of 1.24 B weights, in the shapes of Llama 3.2 1B: a Hugging Face folder of bf16 in two shards.

    folder = build(Path("models"))

Weights are random. The vocabulary has 128,256 tokens, as the original's: SmolLM2's 49,152 real ones, and
pairs of these, each with the merge that makes it, so that parsing and writing it cost what a real one costs.
Knows nothing of what is measured.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.synthetic import fill
from tests.real_weights import smollm2
from tests.tiny_smollm2 import with_smollm2

NAME = "Random-Llama-1.2B"
_VOCABULARY = 128_256
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "max_position_embeddings": 131_072,
    "num_attention_heads": 32,
    "num_hidden_layers": 16,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "bfloat16",
    "vocab_size": _VOCABULARY,
}


def build(models: Path) -> Path:
    """The folder `models`/NAME, 2.5 GB. Raises ConnectionError where SmolLM2 cannot be fetched."""
    pattern = with_smollm2(smollm2())["SmolLM2-Tiny-Instruct"]
    files = dict(pattern.files)
    files["tokenizer.json"] = _grown(json.loads(files["tokenizer.json"]))
    fill(models / NAME, _CONFIG, files, shards=2)
    return models / NAME


def _grown(tokenizer: dict[str, Any]) -> str:
    """The tokenizer with pairs of rare tokens as further ones: no text is cut otherwise than before."""
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    merges: list[Any] = tokenizer["model"]["merges"]
    split = not isinstance(merges[0], str)
    rare = list(vocabulary)[-400:]
    for left, right in product(rare, rare):
        if len(vocabulary) == _VOCABULARY:
            return json.dumps(tokenizer, ensure_ascii=False)
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append([left, right] if split else f"{left} {right}")
    raise AssertionError("too few tokens to pair")
