"""InternLM2 and 3, XVERSE and StableLM. Baichuan has none: upstream's converter does not end on it."""

from __future__ import annotations

import json

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, fast, pieces
from tests.oracle.families.variant import Inventory, Variant


def _layers(names: dict[str, tuple[int, ...]], shapes: Inventory) -> Inventory:
    layers = {
        f"model.layers.{layer}.{name}.weight": shape for layer in range(2) for name, shape in names.items()
    }
    return {**shapes, **layers}


_NORM = {"model.norm.weight": (256,)}
_INTERNLM2 = _layers(
    {
        "attention_norm": (256,),
        "attention.wqkv": (512, 256),
        "attention.wo": (256, 256),
        "ffn_norm": (256,),
        "feed_forward.w1": (256, 256),
        "feed_forward.w2": (256, 256),
        "feed_forward.w3": (256, 256),
    },
    {"model.tok_embeddings.weight": (VOCABULARY, 256), **_NORM, "output.weight": (VOCABULARY, 256)},
)


def _llama(kv: int) -> Inventory:
    return _layers(
        {
            "input_layernorm": (256,),
            "post_attention_layernorm": (256,),
            "self_attn.q_proj": (256, 256),
            "self_attn.k_proj": (kv, 256),
            "self_attn.v_proj": (kv, 256),
            "self_attn.o_proj": (256, 256),
            "mlp.gate_proj": (256, 256),
            "mlp.up_proj": (256, 256),
            "mlp.down_proj": (256, 256),
        },
        {"model.embed_tokens.weight": (VOCABULARY, 256), **_NORM, "lm_head.weight": (VOCABULARY, 256)},
    )


_CHAT = {"330": {"content": "<|im_end|>", "special": True}}
_STABLE = {
    "layer_norm_eps": 1e-5,
    "rms_norm_eps": None,
    "partial_rotary_factor": 0.25,
    "use_qkv_bias": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}

VARIANTS = (
    Variant(
        "internlm2-chat-7b",
        29,
        config("InternLM2ForCausalLM", "internlm2", rope_scaling={"type": "dynamic", "factor": 2.0}),
        {
            **pieces(added_tokens_decoder=_CHAT),
            "special_tokens_map.json": json.dumps({"bos_token": "<s>"}),
        },
        inventory=_INTERNLM2,
    ),
    Variant(
        "internlm3-8b",
        29,
        config("InternLM3ForCausalLM", "internlm3", head_dim=64),
        pieces(added_tokens_decoder=_CHAT),
        inventory=_llama(128),
    ),
    Variant(
        "XVERSE-7B",
        29,
        config("XverseForCausalLM", "xverse", num_key_value_heads=None, max_tokenizer_truncation=256),
        fast(tokenizer_class="PreTrainedTokenizerFast"),
        inventory=_llama(256),
    ),
    Variant(
        "stablelm-2-1_6b",
        29,
        config("StableLmForCausalLM", "stablelm", **_STABLE),
        byte_level(),
        dtype="F16",
    ),
    Variant(
        "stablelm-parallel",
        29,
        config(
            "StableLmForCausalLM", "stablelm", **_STABLE, use_parallel_residual=True, num_key_value_heads=4
        ),
        byte_level(),
    ),
)
