"""HunYuan, dense and mixtures: contexts are stretched by a base that follows from alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import Unsupported
from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.hparams import write_hparams
from translators.families.llama import (
    ATTENTION_NORMS,
    EMBEDDINGS,
    FEED_FORWARD,
    PLAIN_QK,
    VALUE_AND_OUTPUT,
    experts,
    optional,
)
from translators.families.parameters import COMMON, Parameters
from translators.families.table import Family, Rule

_CONTEXT = 256 * 1024  # what alpha is made for; config.json says less
_CONTEXTS = (32 * 1024, _CONTEXT)
_NORMS = (
    Rule("model.layers.{}.self_attn.query_layernorm", "blk.{}.attn_q_norm", optional=True),
    Rule("model.layers.{}.self_attn.key_layernorm", "blk.{}.attn_k_norm", optional=True),
)


def _tied(name: str, config: Mapping[str, Any]) -> bool:
    return name == "lm_head.weight" and bool(config.get("tie_word_embeddings", False))


def _uniform(write: Parameters, key: str) -> int:
    """The number that a list has for each layer."""
    values = write.required(key)
    if not isinstance(values, list) or not values or any(value != values[0] for value in values):
        raise Unsupported("layers that differ in it", path="config.json", place=key)
    value: int = values[0]
    return value


def _mixture(write: Parameters) -> None:
    write.u32("expert_shared_feed_forward_length", write.integer("intermediate_size"), "intermediate_size")
    write.u32("expert_feed_forward_length", _uniform(write, "moe_intermediate_size"), "moe_intermediate_size")
    write.u32("expert_used_count", _uniform(write, "moe_topk"), "moe_topk")
    write.u32("expert_shared_count", _uniform(write, "num_shared_expert"), "num_shared_expert")


def _stretched(write: Parameters, alpha: float, dim: int, whole: bool) -> None:
    base = write.checked.finite(write.rope.get("rope_theta", 10000.0), "rope_theta")
    alpha = write.checked.finite(alpha, "alpha")
    if dim < 3 or alpha <= 0:
        raise write.checked.refusal("no alpha or head that can be stretched", "rope_scaling")
    if whole and (base != 10000.0 or write.value("max_position_embeddings") not in _CONTEXTS):
        raise Unsupported("a dynamic scaling of another kind than the published ones", path="config.json",
                          place="rope_scaling")  # fmt: skip
    write.f32("rope.freq_base", base * (alpha ** (dim / (dim - 2))), "alpha")
    write.string("rope.scaling.type", "none")
    write.f32("rope.scaling.factor", 1)
    if whole:
        write.u32("rope.scaling.original_context_length", _CONTEXT)
        write.u32("context_length", _CONTEXT)


def _dense_scaling(write: Parameters) -> None:
    kind = write.rope.get("rope_type")
    if kind in ("dynamic", "xdrope"):
        _stretched(write, write.rope.get("alpha", 50), write.integer("head_dim"), kind == "dynamic")


def _moe_scaling(write: Parameters) -> None:
    if write.rope.get("rope_type") != "dynamic":
        return
    alpha, dim = (
        write.rope.get("alpha", 1000),
        write.integer("hidden_size") // write.source.count("num_attention_heads"),
    )
    if alpha != 1000 or dim != 128:
        raise Unsupported(
            "another alpha or head than the published ones", path="config.json", place="rope_scaling"
        )
    _stretched(write, alpha, dim, whole=True)


def _common(write: Parameters) -> None:
    """What all have in common; of experts nothing is told, as one expert is none."""
    config = {key: value for key, value in write.config.items() if key != "num_experts"}
    write_hparams(write.kv, write.source.arch, config, write.source.file_type.number, write.blocks)


def _described(told: Told, model_type: str, architecture: str, head: int) -> dict[str, Any]:
    """The base of a stretched context tells its alpha. head: the size of a head there."""
    found = told.draft(model_type, architecture, derived_head=True)
    found |= {"use_qk_norm": told.kept("blk.0.attn_q_norm.weight")}
    found["pad_token_id"] = told.tokens.get("pad_token_id", 0)
    if told.has("rope.scaling.original_context_length") and told.integer("context_length") == _CONTEXT:
        alpha = (found["rope_theta"] / 10000) ** ((head - 2) / head)
        alpha = round(alpha) if abs(alpha - round(alpha)) < 1e-3 else alpha
        scaling = {"type": "dynamic", "alpha": float(alpha), "factor": 1.0, "beta_fast": 32, "beta_slow": 1}
        found |= {"rope_theta": 10000.0, "rope_scaling": {**scaling, "mscale": 1.0, "mscale_all_dim": 1.0}}
    return found


def _described_dense(told: Told) -> dict[str, Any]:
    return _described(told, "hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", told.head_dim)


def _described_moe(told: Told) -> dict[str, Any]:
    count = len(told.layers)
    head = told.integer("embedding_length") // max(1, told.integer("attention.head_count"))
    return _described(told, "hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM", head) | {
        "intermediate_size": told.integer("expert_shared_feed_forward_length"),
        "num_experts": told.integer("expert_count"),
        "moe_intermediate_size": [told.integer("expert_feed_forward_length")] * count,
        "moe_topk": [told.integer("expert_used_count")] * count,
        "num_shared_expert": [told.integer("expert_shared_count")] * count,
        "use_mixed_mlp_moe": True,
    }


def _values(**others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 290943, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": None, "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "head_dim": None,
        "pad_token_id": 0,
        **others,
    }  # fmt: skip


def _hunyuan(whole: dict[str, Any]) -> dict[str, Any]:
    # Its constructor takes this one and forgets it.
    return {key: value for key, value in whole.items() if key != "eod_token_id"}


HUNYUAN_DENSE = Family(
    architectures=("HunYuanDenseV1ForCausalLM",),
    arch="hunyuan-dense",
    vocabulary="hunyuan-dense",
    rules=(*EMBEDDINGS, *ATTENTION_NORMS, *PLAIN_QK, *_NORMS, *VALUE_AND_OUTPUT, *FEED_FORWARD),
    parameters=(_common, _dense_scaling),
    left_out=_tied,
    described=_described_dense,
    configurations=(ConfigClass("hunyuan_v1_dense", _values(), finished=_hunyuan),),
)

HUNYUAN_MOE = Family(
    architectures=("HunYuanMoEV1ForCausalLM",),
    arch="hunyuan-moe",
    vocabulary="hunyuan-moe",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *PLAIN_QK,
        *_NORMS,
        *VALUE_AND_OUTPUT,
        *optional(
            Rule("model.layers.{}.mlp.gate.wg", "blk.{}.ffn_gate_inp"),
            Rule("model.layers.{}.mlp.shared_mlp.gate_proj", "blk.{}.ffn_gate_shexp"),
            Rule("model.layers.{}.mlp.shared_mlp.up_proj", "blk.{}.ffn_up_shexp"),
            Rule("model.layers.{}.mlp.shared_mlp.down_proj", "blk.{}.ffn_down_shexp"),
        ),
        experts(),
    ),
    parameters=(COMMON, _mixture, _moe_scaling),
    left_out=_tied,
    described=_described_moe,
    configurations=(ConfigClass("hunyuan_v1_moe", _values(num_experts=1, moe_topk=1), finished=_hunyuan),),
)
