"""genai_config.json: what onnxruntime-genai has to know of a decoder beside its graph.

Tokens and sampling are those of generation_config.json, else of config.json, else transformers' own
defaults, as onnxruntime-genai's model builder takes them. Keys and values lie in one buffer of `max_length`
positions; more than the usual number can be asked for, up to the model's context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.targets.onnx.decoder import PAST, PRESENT
from translators.targets.onnx.settings import Decoder

# Positions that a buffer is made for where nobody says how many: of a long context it would fill the memory.
USUAL_LENGTH = 4096
_SEARCH: dict[str, Any] = {
    "diversity_penalty": 0.0, "do_sample": False, "early_stopping": True, "length_penalty": 1.0,
    "no_repeat_ngram_size": 0, "num_beams": 1, "num_return_sequences": 1, "repetition_penalty": 1.0,
    "temperature": 1.0, "top_k": 50, "top_p": 1.0,
}  # fmt: skip
# What a generation configuration may change of it.
_GIVEN = ("do_sample", "repetition_penalty", "temperature", "top_k", "top_p")


def genai_config(
    settings: Decoder, config: Mapping[str, Any], generation: Mapping[str, Any], graph: str
) -> dict[str, Any]:
    """The file's content; `graph` is the name of the graph's file."""
    kinds = {"key": "%d.key", "value": "%d.value"}
    past = {f"past_{part}_names": PAST.format("%d", part) for part in kinds}
    present = {f"present_{part}_names": PRESENT.format("%d", part) for part in kinds}
    decoder = {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "filename": graph,
        "head_size": settings.head,
        "hidden_size": settings.hidden,
        "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", **past},
        "outputs": {"logits": "logits", **present},
        "num_attention_heads": settings.heads,
        "num_hidden_layers": settings.layers,
        "num_key_value_heads": settings.kv_heads,
    }
    context = settings.rotation.context
    numbers = {key: generation[key] for key in _GIVEN if _is_number(generation.get(key))}
    length = {
        "max_length": min(context, USUAL_LENGTH), "min_length": 0, "past_present_share_buffer": True,
    }  # fmt: skip
    return {
        "model": {
            **_tokens(config, generation),
            "context_length": context,
            "decoder": decoder,
            "type": settings.kind,
            "vocab_size": settings.vocab,
        },
        "search": {**_SEARCH, **numbers, **length},
    }


def _tokens(config: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """Special tokens that there are; padding is what ends a text where there is nothing of its own."""
    found = {}
    for name in ("bos", "eos", "pad"):
        key = f"{name}_token_id"
        found[key] = next((part[key] for part in (generation, config) if _is_token(part.get(key))), None)
    ends = found["eos_token_id"]
    first = ends[0] if isinstance(ends, list) else ends
    if found["pad_token_id"] is None:
        found["pad_token_id"] = first if first is not None else 0
    if found["bos_token_id"] is None:
        found["bos_token_id"] = first
    return {key: token for key, token in found.items() if token is not None}


def _is_token(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_token(each) and not isinstance(each, list) for each in value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)
