"""DeepSeek V1 to V3.2, Kimi-K2, Moonlight, Youtu, GLM-4.7-Flash and GLM-5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, pieces
from tests.oracle.families.variant import Inventory, Variant

# What transformers' class for an attention by latent vectors and for a mixture writes, for configurations
# that it has no class for.
_YARN = {
    "type": "yarn", "factor": 40, "original_max_position_embeddings": 1024, "beta_fast": 32, "beta_slow": 1,
    "mscale": 0.707, "mscale_all_dim": 0.707,
}  # fmt: skip
_LATENT = {
    "num_key_value_heads": 4, "kv_lora_rank": 256, "q_lora_rank": 128, "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16, "v_head_dim": 64, "first_k_dense_replace": 1, "moe_intermediate_size": 256,
    "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "routed_scaling_factor": 2.5,
    "norm_topk_prob": True, "scoring_func": "sigmoid", "n_group": 1, "topk_group": 1,
}  # fmt: skip


def _gated(name: str, hidden: int, inner: int) -> Inventory:
    return {
        f"{name}.gate_proj.weight": (inner, hidden),
        f"{name}.up_proj.weight": (inner, hidden),
        f"{name}.down_proj.weight": (hidden, inner),
    }


def _attention(name: str, whole: dict[str, Any]) -> Inventory:
    hidden, heads, rank = whole["hidden_size"], whole["num_attention_heads"], whole["kv_lora_rank"]
    keys, rotated = whole["qk_nope_head_dim"], whole["qk_rope_head_dim"]
    rows, queries = heads * (keys + rotated), whole.get("q_lora_rank")
    found: Inventory = {f"{name}.q_proj.weight": (rows, hidden)}
    if queries:
        found = {
            f"{name}.q_a_proj.weight": (queries, hidden),
            f"{name}.q_a_layernorm.weight": (queries,),
            f"{name}.q_b_proj.weight": (rows, queries),
        }
    found |= {
        f"{name}.kv_a_proj_with_mqa.weight": (rank + rotated, hidden),
        f"{name}.kv_a_layernorm.weight": (rank,),
        f"{name}.kv_b_proj.weight": (heads * (keys + whole["v_head_dim"]), rank),
        f"{name}.o_proj.weight": (hidden, heads * whole["v_head_dim"]),
    }
    if "index_n_heads" in whole:
        count, size = whole["index_n_heads"], whole["index_head_dim"]
        found |= {
            f"{name}.indexer.wq_b.weight": (count * size, queries),
            f"{name}.indexer.wk.weight": (size, hidden),
            f"{name}.indexer.k_norm.weight": (size,),
            f"{name}.indexer.k_norm.bias": (size,),
            f"{name}.indexer.weights_proj.weight": (count, hidden),
        }
    return found


def plain_attention(name: str, whole: dict[str, Any]) -> Inventory:
    hidden, heads = whole["hidden_size"], whole["num_attention_heads"]
    size = whole.get("head_dim", hidden // heads)
    rows = {
        "q": heads * size,
        "k": whole["num_key_value_heads"] * size,
        "v": whole["num_key_value_heads"] * size,
    }
    found: Inventory = {f"{name}.{kind}_proj.weight": (count, hidden) for kind, count in rows.items()}
    return {**found, f"{name}.o_proj.weight": (hidden, heads * size)}


def _layer(
    number: int, whole: dict[str, Any], attention: Callable[[str, dict[str, Any]], Inventory]
) -> Inventory:
    name, hidden = f"model.layers.{number}", whole["hidden_size"]
    found = {
        f"{name}.input_layernorm.weight": (hidden,),
        f"{name}.post_attention_layernorm.weight": (hidden,),
        **attention(f"{name}.self_attn", whole),
    }
    count, inner = whole.get("n_routed_experts"), whole.get("moe_intermediate_size")
    if count is None or number < whole["first_k_dense_replace"]:
        return {**found, **_gated(f"{name}.mlp", hidden, whole["intermediate_size"])}
    found[f"{name}.mlp.gate.weight"] = (count, hidden)
    if whole.get("scoring_func", "sigmoid") == "sigmoid":
        found[f"{name}.mlp.gate.e_score_correction_bias"] = (count,)
    for expert in range(count):
        found |= _gated(f"{name}.mlp.experts.{expert}", hidden, inner)
    return {**found, **_gated(f"{name}.mlp.shared_experts", hidden, inner * whole["n_shared_experts"])}


def _next(
    number: int, whole: dict[str, Any], attention: Callable[[str, dict[str, Any]], Inventory]
) -> Inventory:
    """The layer that predicts one token more, with its own embeddings."""
    name, hidden = f"model.layers.{number}", whole["hidden_size"]
    return {
        **_layer(number, whole, attention),
        f"{name}.embed_tokens.weight": (whole["vocab_size"], hidden),
        f"{name}.enorm.weight": (hidden,),
        f"{name}.hnorm.weight": (hidden,),
        f"{name}.eh_proj.weight": (hidden, 2 * hidden),
        f"{name}.shared_head.norm.weight": (hidden,),
        f"{name}.shared_head.head.weight": (whole["vocab_size"], hidden),
    }


def written(
    whole: dict[str, Any], attention: Callable[[str, dict[str, Any]], Inventory] = _attention
) -> Inventory:
    """All tensors of a checkpoint of this configuration."""
    ends = (whole["vocab_size"], whole["hidden_size"])
    found: Inventory = {"model.embed_tokens.weight": ends, "model.norm.weight": ends[1:]}
    if not whole["tie_word_embeddings"]:
        found["lm_head.weight"] = ends
    for number in range(whole["num_hidden_layers"]):
        found |= _layer(number, whole, attention)
    for number in range(whole.get("num_nextn_predict_layers", 0)):
        found |= _next(whole["num_hidden_layers"] + number, whole, attention)
    return found


def with_next(
    whole: dict[str, Any], attention: Callable[[str, dict[str, Any]], Inventory] = _attention
) -> Callable[[Inventory], Inventory]:
    """What transformers leaves out of a checkpoint with a further layer."""
    return lambda inventory: {**inventory, **_next(whole["num_hidden_layers"], whole, attention)}


_V2 = config(
    "DeepseekV2ForCausalLM",
    "deepseek_v2",
    **{
        **_LATENT,
        "n_shared_experts": 2,
        "norm_topk_prob": False,
        "scoring_func": "softmax",
        "routed_scaling_factor": 1.0,
        "rope_scaling": _YARN,
    },
) | {"q_lora_rank": None}
_V3 = config(
    "DeepseekV3ForCausalLM",
    "deepseek_v3",
    num_nextn_predict_layers=1,
    **{**_LATENT, "n_group": 2, "n_routed_experts": 12, "rope_scaling": {**_YARN, "mscale_all_dim": 1.0}},
)
_MOONLIGHT = config("DeepseekV3ForCausalLM", "deepseek_v3", **_LATENT) | {"q_lora_rank": None}
_KIMI = config(
    "DeepseekV3ForCausalLM",
    "kimi_k2",
    num_nextn_predict_layers=0,
    **{**_LATENT, "kv_lora_rank": 64, "rope_scaling": {**_YARN, "mscale_all_dim": 1.0}},
)
_MIXED = ("first_k", "moe_", "n_", "num_experts", "topk", "scoring", "norm_topk", "routed")
_YOUTU = config(
    "YoutuForCausalLM",
    "youtu",
    tie_word_embeddings=True,
    **{key: value for key, value in _LATENT.items() if not key.startswith(_MIXED)},
)
_FLASH = config(
    "Glm4MoeLiteForCausalLM",
    "glm4_moe_lite",
    num_nextn_predict_layers=1,
    vocab_size=VOCABULARY + 8,
    partial_rotary_factor=1.0,
    **_LATENT,
)
_SPARSE = {**_LATENT, "index_n_heads": 4, "index_head_dim": 64, "index_topk": 128}
_V32 = config(
    "DeepseekV32ForCausalLM", "deepseek_v32", num_nextn_predict_layers=1, rope_scaling=_YARN, **_SPARSE
)
_GLM5 = config(
    "GlmMoeDsaForCausalLM",
    "glm_moe_dsa",
    num_nextn_predict_layers=1,
    vocab_size=VOCABULARY + 8,
    num_hidden_layers=3,
    indexer_types=["full", "shared", "full"],
    rope_theta=None,
    rope_parameters={"rope_theta": 1000000, "rope_type": "default"},
    **_SPARSE,
)
_V1 = config(
    "DeepseekForCausalLM", "deepseek", aux_loss_alpha=0.001, first_k_dense_replace=1,
    moe_intermediate_size=256, n_routed_experts=12, n_shared_experts=2, num_experts_per_tok=6,
    norm_topk_prob=False, scoring_func="softmax",
)  # fmt: skip
_V1_WIDE = {**_V1, "num_key_value_heads": 4, "head_dim": 64}
_KIMI_VL = {
    **{key: _KIMI[key] for key in ("torch_dtype", "vocab_size")},
    "architectures": ["KimiVLForConditionalGeneration"], "model_type": "kimi_vl", "vision_config": {},
    "text_config": {**_MOONLIGHT, "architectures": ["DeepseekV3ForCausalLM"], "q_lora_rank": 128},
}  # fmt: skip
GLM_WORDS = ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
_DEEPSEEKS = (
    # Queries without a latent vector; llama-quantize knows these by their number of layers alone.
    Variant("DeepSeek-V2-Lite", 16, _V2, byte_level(), types=()),
    # A layer that predicts further tokens is dropped.
    Variant("DeepSeek-V3-tiny", 16, _V3, byte_level(), changed=with_next(_V3)),
    Variant(
        "Moonlight-16B-A3B", 16, {**_MOONLIGHT, "torch_dtype": "float16"}, byte_level(), dtype="F16", types=()
    ),
    # A type that transformers does not know; vectors and biases of the router in F32.
    Variant(
        "Kimi-K2-Instruct", 16, _KIMI, byte_level(), vectors="F32", shards=2, inventory=written(_KIMI)
    ),
    Variant(
        "Kimi-VL-A3B-Instruct", 16, _KIMI_VL, byte_level(), inventory={
            **{f"language_model.{name}": shape for name, shape in written(_KIMI_VL["text_config"]).items()},
            "vision_tower.patch_embed.proj.weight": (64, 3, 14, 14),
            "multi_modal_projector.linear_1.weight": (64, 256),
        },
    ),
    Variant("Youtu-LLM-2B", 16, _YOUTU, byte_level(), inventory=written(_YOUTU)),
    Variant("GLM-4.7-Flash", 16, _FLASH, byte_level(*GLM_WORDS), inventory=written(_FLASH)),
    Variant(
        "glm-flash-without-mtp-f32", 16,
        {**_FLASH, "num_nextn_predict_layers": 0, "torch_dtype": "float32"}, byte_level(*GLM_WORDS),
        dtype="F32", inventory=written(_FLASH),
    ),
    Variant(
        "DeepSeek-V3.2-Exp", 17, _V32,
        byte_level(tokenizer_class="LlamaTokenizerFast", add_bos_token=True),
        vectors="F32", inventory=written(_V32),
    ),
    Variant("GLM-5", 17, _GLM5, byte_level(*GLM_WORDS), inventory=written(_GLM5), shards=2),
    Variant("deepseek-moe-16b-chat", 18, _V1, byte_level(), inventory=written(_V1, plain_attention)),
    Variant(
        "deepseek-moe-grouped-f16", 18, _V1_WIDE, pieces(), dtype="F16",
        inventory=written(_V1_WIDE, plain_attention),
    ),
)  # fmt: skip

VARIANTS = _DEEPSEEKS
