"""Tiny models with SmolLM2's real vocabulary: a byte-level BPE is known by a hash of real ones.

    models = with_smollm2(gguf)      # by directory name; tokenizer files are rebuilt from the GGUF's arrays

The rebuilding is gguf-py's reading and a few lines here, independent of `translators`, so that both can be
compared. The pre-tokenizer (digits one by one, then GPT-2's pattern) is that of the published tokenizer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gguf import GGUFReader

from tests.tiny_models import TinyModel

NAMES = (
    "SmolLM2-Tiny-Instruct", "Qwen2-7B-base-v1", "Llama-3.1-tiny", "Qwen3-Reranker-0.6B", "Qwen3-Reranker-8B",
)  # fmt: skip
_TYPES = ("f32", "bf16", "q8_0", "q4_k_m")
_CONTROL, _USER_DEFINED = 3, 4


def with_smollm2(source: Path) -> dict[str, TinyModel]:
    """The models, with the vocabulary of the GGUF at `source`."""
    fields = GGUFReader(source).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    template: str = fields["tokenizer.chat_template"].contents()
    added = [number for number, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)]

    def tokenizer(post_processor: dict[str, Any] | None, split: bool) -> str:
        pairs: list[Any] = [merge.split(" ") for merge in merges] if split else merges
        content = {
            "version": "1.0",
            "added_tokens": [_added(number, tokens[number]) for number in added],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Digits", "individual_digits": True},
                    _byte_level(prefix=False),
                ],
            },
            "post_processor": post_processor,
            "decoder": _byte_level(prefix=True),
            "model": {
                "type": "BPE",
                "vocab": {token: number for number, token in enumerate(tokens)},
                "merges": pairs,
            },
        }
        return json.dumps(content, ensure_ascii=False)

    settings = {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|im_end|>",
    }
    models = (
        # As SmolLM2 itself: 49152 tokens, for which upstream says that no BOS is added.
        TinyModel(
            NAMES[0],
            _config("llama", len(tokens), tie_word_embeddings=True),
            files={
                "tokenizer.json": tokenizer(None, split=False),
                "tokenizer_config.json": json.dumps({**settings, "chat_template": template}),
            },
            types=_TYPES,
        ),
        # More rows than tokens, merges as pairs, a ByteLevel post-processor, the template in its own file.
        TinyModel(
            NAMES[1],
            _config("qwen2", len(tokens) + 8, tie_word_embeddings=True),
            dtype="F16",
            files={
                "tokenizer.json": tokenizer(_byte_level(prefix=True), split=True),
                "tokenizer_config.json": json.dumps({**settings, "add_prefix_space": False}),
                "chat_template.jinja": template,
            },
            types=_TYPES,
        ),
        # Special ids from config.json alone, a prefix space, and a fast tokenizer without a class of its own.
        TinyModel(
            NAMES[2],
            _config("llama", len(tokens) + 1, tie_word_embeddings=True, pad_token_id=0),
            dtype="F32",
            files={
                "tokenizer.json": tokenizer(None, split=True),
                "tokenizer_config.json": json.dumps(
                    {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": False}
                ),
            },
            types=("f32", "q4_0"),
        ),
        # Of a reranker's head (tied and not) only two rows are left.
        *(
            TinyModel(
                name,
                _config("qwen3", len(tokens), head_dim=32, tie_word_embeddings=name == NAMES[3]),
                files={
                    "tokenizer.json": tokenizer(None, split=False),
                    "tokenizer_config.json": json.dumps({**settings, "chat_template": template}),
                },
                types=("bf16", "q8_0"),
            )
            for name in NAMES[3:]
        ),
    )
    return {model.name: model for model in models}


def _config(kind: str, vocab: int, **changes: Any) -> dict[str, Any]:
    return {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "hidden_size": 32,
        "intermediate_size": 64,
        "max_position_embeddings": 8192,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "vocab_size": vocab,
        **changes,
    }


def _added(number: int, text: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": text, **flags, "special": True}


def _byte_level(*, prefix: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}
