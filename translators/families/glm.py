"""GLM-4-9B, GLM-4-0414, GLM-4.5 to 4.7 and Solar Open: half of each head is rotated.

llama.cpp's kernel for rotations along several axes wants the halves of a head where these models have pairs:
then the rotated rows of q and k are reordered. GLM-4.5 keeps the layer that predicts further tokens.
"""

from __future__ import annotations

from translators.families.configuration import ConfigClass, checked_scaling
from translators.families.deepseek import MIXTURE, NEXT_TOKENS, next_layers, with_next
from translators.families.llama import EMBEDDINGS, PLAIN_QK, QK_NORMS, VALUE_AND_OUTPUT, optional
from translators.families.parameters import BLOCKS, COMMON, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule, Stack

_FUSED = (
    Rule("model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"),
    Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
)
_ATTENTION = (*PLAIN_QK, *VALUE_AND_OUTPUT)


def _rotated(write: Parameters) -> None:
    """Half of a head, if the configuration says no other part."""
    width = write.integer("head_dim") if write.value("head_dim") is not None else _width(write)
    write.u32("rope.dimension_count", int(width * _part(write)), "head_dim")


def _width(write: Parameters) -> int:
    return write.integer("hidden_size") // write.source.count("num_attention_heads")


def _part(write: Parameters) -> float:
    part = write.checked.finite(write.rope.get("partial_rotary_factor", 0.5), "partial_rotary_factor")
    if not 0 <= part <= 1:
        raise write.checked.refusal("no part of a head", "partial_rotary_factor")
    return part


def _chat_shape(write: Parameters) -> None:
    """What GLM-4-9B has instead of all that text models have in common."""
    width = write.required("hidden_size")
    write.u32("context_length", write.value("seq_length", default=width), "seq_length")
    write.u32("embedding_length", width, "hidden_size")
    ffn = write.value("ffn_hidden_size", "intermediate_size", default=4 * write.integer("hidden_size"))
    write.count("feed_forward_length", ffn, "intermediate_size")
    BLOCKS(write)
    heads = write.required("n_head", "num_attention_heads")
    write.count("attention.head_count", heads, "num_attention_heads")
    groups = write.value("multi_query_group_num", "num_key_value_heads", default=heads)
    write.count("attention.head_count_kv", groups, "num_key_value_heads")
    write.f32("attention.layer_norm_rms_epsilon", write.value("layernorm_epsilon", default=1e-5))
    FILE_TYPE(write)
    width = write.integer("attention_dim") if "attention_dim" in write.config else _width(write)
    write.u32("rope.dimension_count", int(width * _part(write)), "hidden_size")
    write.bool("tokenizer.ggml.add_bos_token", False)
    ratio = write.number("rope_ratio") if "rope_ratio" in write.config else 1.0
    write.f32("rope.freq_base", 10000 * ratio, "rope_ratio")


def _sigmoid(write: Parameters) -> None:
    write.u32("expert_gating_func", 2)


def _optional(name: str, key: str, kind: str = "u32") -> Key:
    return Key(name, key, kind, optional=True)  # type: ignore[arg-type]


_PLAIN = {
    "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40,
    "num_attention_heads": 32, "num_key_value_heads": 2, "partial_rotary_factor": 0.5, "head_dim": 128,
    "max_position_embeddings": 131072, "rms_norm_eps": 1.5625e-07, "rope_theta": 10000.0,
}  # fmt: skip


def _moe(whole: dict[str, object]) -> dict[str, object]:
    if whole["rope_scaling"] is not None:
        whole["rope_scaling"] = checked_scaling(whole, known_head_dim=False)
    return whole


CHATGLM = Family(
    architectures=("GlmForCausalLM",),
    arch="chatglm",
    vocabulary="chatglm",
    rules=(
        *EMBEDDINGS,
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
        *_ATTENTION,
        *_FUSED,
    ),
    parameters=(_chat_shape,),
    configurations=(ConfigClass("glm", _PLAIN, kv_heads=False),),
)

GLM4 = Family(
    architectures=("Glm4ForCausalLM",),
    arch="glm4",
    vocabulary="glm4",
    rules=(
        *EMBEDDINGS,
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.post_self_attn_layernorm", "blk.{}.post_attention_norm"),
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
        Rule("model.layers.{}.post_mlp_layernorm", "blk.{}.post_ffw_norm"),
        *_ATTENTION,
        *_FUSED,
    ),
    parameters=(COMMON, _rotated),
    configurations=(ConfigClass("glm4", _PLAIN, kv_heads=False),),
)

_SPARSE: tuple[Rule | Stack, ...] = (
    *EMBEDDINGS,
    Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
    *_ATTENTION,
    *optional(*QK_NORMS),
    *MIXTURE,
    *NEXT_TOKENS,
)
_SPARSE_SIZES = (
    COMMON,
    _rotated,
    _optional("expert_count", "n_routed_experts"),
    _optional("expert_feed_forward_length", "moe_intermediate_size"),
    _optional("expert_shared_count", "n_shared_experts"),
    _optional("leading_dense_block_count", "first_k_dense_replace"),
    _sigmoid,
    _optional("expert_weights_scale", "routed_scaling_factor", "f32"),
    _optional("expert_weights_norm", "norm_topk_prob", "bool"),
    next_layers,
)

GLM4_MOE = Family(
    architectures=("Glm4MoeForCausalLM",),
    arch="glm4moe",
    vocabulary="glm",
    rules=_SPARSE,
    parameters=_SPARSE_SIZES,
    blocks=with_next,
    configurations=(
        ConfigClass(
            "glm4_moe",
            {
                "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 10944,
                "num_hidden_layers": 46, "num_attention_heads": 96, "partial_rotary_factor": 0.5,
                "num_key_value_heads": 8,
                "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
                "rope_scaling": None, "moe_intermediate_size": 1408, "num_experts_per_tok": 8,
                "n_shared_experts": 1, "n_routed_experts": 128, "routed_scaling_factor": 1.0, "n_group": 1,
                "topk_group": 1, "first_k_dense_replace": 1, "norm_topk_prob": True, "use_qk_norm": False,
            },
            kv_heads=False,
            finished=_moe,
        ),
    ),
)  # fmt: skip

SOLAR_OPEN = Family(
    architectures=("SolarOpenForCausalLM",),
    arch="glm4moe",
    vocabulary="solar-open",
    rules=_SPARSE,
    parameters=_SPARSE_SIZES,
    blocks=with_next,
)
