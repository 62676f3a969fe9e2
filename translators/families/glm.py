"""GLM-4 to GLM-4.7, GLM-4V, GLM-OCR and Solar Open: half of each head is rotated.

Where the rotation has several axes (the models that see), llama.cpp's kernel wants halves and GLM-4 has
pairs: the rotated rows of q and k are reordered. GLM-4.5 keeps the layer that predicts further tokens.
"""

from __future__ import annotations

from typing import Any

from translators.errors import Unsupported
from translators.families.configuration import ConfigClass, Part, checked_scaling
from translators.families.described import Told
from translators.families.hparams import rope_parameters
from translators.families.latent import MIXTURE, NEXT, NEXT_TOKENS, next_layers, with_next
from translators.families.llama import EMBEDDINGS, PLAIN_QK, QK_NORMS, VALUE_AND_OUTPUT, optional
from translators.families.parameters import BLOCKS, COMMON, FILE_TYPE, Key, Parameters
from translators.families.table import Family, Rule, Stack
from translators.families.transforms import Place, Regrouped
from translators.model import Model

_FUSED = (
    Rule("model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"),
    Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
)
_ATTENTION = (*PLAIN_QK, *VALUE_AND_OUTPUT)


def _order(at: Place, rows: int) -> tuple[int, ...]:
    """Of each head's rotated rows the even ones, then the odd ones; all as they are without several axes."""
    parameters = rope_parameters(at.config)
    if "mrope_section" not in parameters:
        return tuple(range(rows))
    if at.config.get("head_dim") is not None:
        width = at.count("head_dim")
    else:
        width = at.count("hidden_size") // at.count("num_attention_heads")
    part = parameters.get("partial_rotary_factor", 0.5)
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= 1 or rows % width:
        raise at.misfit(f"{rows} rows are no heads of {width}, of which {part!r:.20} is rotated")
    rotated = int(width * part)
    if rotated % 2:
        raise at.misfit(f"{rotated} rotated rows are no pairs")
    head = (*range(0, rotated, 2), *range(1, rotated, 2), *range(rotated, width))
    return tuple(start + row for start in range(0, rows, width) for row in head)


_REORDERED_QK = (
    Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Regrouped(_order)),
    Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Regrouped(_order)),
)


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


def _scaled(whole: dict[str, Any]) -> dict[str, Any]:
    if whole["rope_scaling"] is not None:
        whole = {**whole, "rope_scaling": checked_scaling(whole, known_head_dim=False)}
    return whole


def _chat(told: Told) -> dict[str, Any]:
    """config.json of a GLM-4-9B in transformers' own class; the two last keys are what upstream goes by."""
    theta = told.number("rope.freq_base", 10000.0)
    return told.draft("glm", "GlmForCausalLM", derived_head=True) | {
        "partial_rotary_factor": told.part("rope.dimension_count", told.head_dim),
        "seq_length": told.integer("context_length"),
        "rope_ratio": theta / 10000,
    }


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
    described=_chat,
    configurations=(ConfigClass("glm", _PLAIN, kv_heads=False),),
)


def _glm4(told: Told) -> dict[str, Any]:
    """config.json of a GLM-4-0414. Raises Unsupported for a language model without what it sees with."""
    if told.has("rope.dimension_sections") or told.has("nextn_predict_layers"):
        raise Unsupported("a model that sees has no Hugging Face translation yet")
    part = told.part("rope.dimension_count", told.head_dim)
    return told.draft("glm4", "Glm4ForCausalLM", derived_head=True) | {"partial_rotary_factor": part}


_FOUR_NORMS = (
    Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    Rule("model.layers.{}.post_self_attn_layernorm", "blk.{}.post_attention_norm"),
    Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
    Rule("model.layers.{}.post_mlp_layernorm", "blk.{}.post_ffw_norm"),
)
_FOUR_NORMED = (*EMBEDDINGS, *_FOUR_NORMS, *_REORDERED_QK, *VALUE_AND_OUTPUT, *_FUSED)

GLM4 = Family(
    architectures=("Glm4ForCausalLM", "Glm4vForConditionalGeneration"),
    arch="glm4",
    vocabulary="glm4",
    rules=_FOUR_NORMED,
    parameters=(COMMON, _rotated),
    described=_glm4,
    configurations=(
        ConfigClass("glm4", _PLAIN, kv_heads=False),
        ConfigClass("glm4v", {}, parts={"text_config": Part("glm4v_text")}),
        ConfigClass(
            "glm4v_text",
            {
                **{key: _PLAIN[key] for key in _PLAIN if key not in ("partial_rotary_factor", "head_dim")},
                "max_position_embeddings": 32768, "rms_norm_eps": 1e-5, "rope_scaling": None,
            },
            finished=_scaled,
        ),
    ),
)  # fmt: skip

GLM_OCR = Family(
    architectures=("GlmOcrForConditionalGeneration",),
    arch="glm4",
    vocabulary="glm4",
    rules=(*_FOUR_NORMED, *NEXT_TOKENS),
    parameters=(COMMON, _rotated, next_layers),
    blocks=with_next,
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
_EXPERTS = (
    _optional("expert_count", "n_routed_experts"),
    _optional("expert_feed_forward_length", "moe_intermediate_size"),
    _optional("expert_shared_count", "n_shared_experts"),
    _optional("leading_dense_block_count", "first_k_dense_replace"),
)
_WEIGHTS = (
    _optional("expert_weights_scale", "routed_scaling_factor", "f32"),
    _optional("expert_weights_norm", "norm_topk_prob", "bool"),
)
_SPARSE_SIZES = (COMMON, _rotated, *_EXPERTS, _sigmoid, *_WEIGHTS, next_layers)
# What `COMMON` writes of a mixture.
_CHOICE = (
    _optional("expert_used_count", "num_experts_per_tok"),
    _optional("expert_group_count", "n_group"),
    _optional("expert_group_used_count", "topk_group"),
)


def _mixture(told: Told, model_type: str, architecture: str) -> dict[str, Any]:
    if told.has("rope.dimension_sections"):
        raise Unsupported("a model that sees has no Hugging Face translation yet")
    further = told.integer("nextn_predict_layers", 0)
    return (
        told.draft(model_type, architecture, derived_head=True)
        | told.of(*_CHOICE, *_EXPERTS, *_WEIGHTS)
        | {
            "num_hidden_layers": told.integer("block_count") - further,
            "partial_rotary_factor": told.part("rope.dimension_count", told.head_dim),
            "use_qk_norm": told.kept("blk.0.attn_q_norm.weight"),
            **({NEXT: further} if told.has("nextn_predict_layers") else {}),
        }
    )


def _is_solar(model: Model) -> bool:
    """Solar Open rotates whole heads, GLM-4.5 halves of them."""
    rotated, width = (
        None if model.key_values is None else model.key_values.get(f"glm4moe.{key}")
        for key in ("rope.dimension_count", "attention.key_length")
    )
    return rotated is not None and rotated == width


_MIXTURE_VALUES = {
    "hidden_size": 4096, "intermediate_size": 10944, "num_hidden_layers": 46, "num_attention_heads": 96,
    "partial_rotary_factor": 0.5, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "rope_scaling": None, "moe_intermediate_size": 1408, "num_experts_per_tok": 8, "n_shared_experts": 1,
    "n_routed_experts": 128, "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1,
    "first_k_dense_replace": 1, "norm_topk_prob": True,
}  # fmt: skip

GLM4_MOE = Family(
    architectures=("Glm4MoeForCausalLM", "Glm4vMoeForConditionalGeneration"),
    arch="glm4moe",
    vocabulary="glm",
    rules=_SPARSE,
    parameters=_SPARSE_SIZES,
    blocks=with_next,
    described=lambda told: _mixture(told, "glm4_moe", "Glm4MoeForCausalLM"),
    claims=lambda model: not _is_solar(model),
    configurations=(
        ConfigClass(
            "glm4_moe",
            {**_MIXTURE_VALUES, "vocab_size": 151552, "max_position_embeddings": 131072},
            kv_heads=False,
            finished=_scaled,
        ),
        ConfigClass("glm4v_moe", {}, parts={"text_config": Part("glm4v_moe_text")}),
        ConfigClass(
            "glm4v_moe_text",
            {**_MIXTURE_VALUES, "vocab_size": 151424, "max_position_embeddings": 65536},
            kv_heads=False,
            finished=_scaled,
        ),
    ),
)

SOLAR_OPEN = Family(
    architectures=("SolarOpenForCausalLM",),
    arch="glm4moe",
    vocabulary="solar-open",
    rules=_SPARSE,
    parameters=_SPARSE_SIZES,
    blocks=with_next,
    described=lambda told: _mixture(told, "solar_open", "SolarOpenForCausalLM"),
    claims=_is_solar,
)
