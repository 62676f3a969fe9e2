"""Nemotron, and Nemotron-H with its mixtures: layers of Mamba-2, of attention, and of feed-forward alone.

Which layer is what is one letter of a pattern each, or one word. The part that predicts a further token
becomes one more layer, which attends and has experts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.granite import granite_parameters, shared_length
from translators.families.granite_hybrid import hybrid_parameters, prefixed
from translators.families.llama import ATTENTION_NORMS, EMBEDDINGS, PLAIN_QK, VALUE_AND_OUTPUT
from translators.families.mamba import mamba2_rules
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.table import Family, Rule, Stack
from translators.families.transforms import Computed, Place, Rotary
from translators.gguf_file import GgufTensor
from translators.recipes import Recipe, cast

_LAYER, _MIXER = "backbone.layers.{}.", "backbone.layers.{}.mixer."
_ATTENDS, _MAMBA = ("attention", "full_attention"), ("mamba", "linear_attention")


@dataclass(frozen=True, slots=True)
class _FromOne(Computed):
    """Weights of norms that are stored as their distance from 1; their biases are as they are."""

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """With 1 added."""
        return (of,) if at.name.endswith(".bias") else Computed.to_gguf(self, of, at)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """With 1 taken away."""
        return parts[0] if at.name.endswith(".bias") else Computed.to_huggingface(self, parts, at)


_FROM_ONE = _FromOne("add", 1.0, ("add", -1.0))


def _rotated(write: Parameters) -> None:
    part = write.checked.finite(write.rope.get("partial_rotary_factor"), "partial_rotary_factor")
    width = write.integer("hidden_size", "n_embd")
    heads = write.source.count("num_attention_heads", "n_head")
    write.u32("rope.dimension_count", int(part * width) // heads, "partial_rotary_factor")
    factor = write.value("factor") or write.rope.get("factor")
    write.string("rope.scaling.type", "none" if factor is None else "linear")
    if factor is not None:
        write.f32("rope.scaling.factor", factor, "factor")


def _nemotron(whole: dict[str, Any]) -> dict[str, Any]:
    if whole["head_dim"] is None:
        whole = {**whole, "head_dim": whole["hidden_size"] // whole["num_attention_heads"]}
    return whole


def _described(told: Told) -> dict[str, Any]:
    found = told.draft("nemotron", "NemotronForCausalLM", derived_head=True, norm="norm_eps")
    part = found["num_attention_heads"] * told.integer("rope.dimension_count") / max(1, found["hidden_size"])
    scaling = found.pop("rope_scaling")
    return found | {
        "hidden_act": "relu2",
        "partial_rotary_factor": part,
        **({} if scaling is None else {"factor": scaling["factor"]}),
    }


NEMOTRON = Family(
    architectures=("NemotronForCausalLM",),
    arch="nemotron",
    vocabulary="nemotron",
    rules=(
        EMBEDDINGS[0],
        EMBEDDINGS[2],
        *(Rule(norm.huggingface, norm.gguf, _FROM_ONE) for norm in (EMBEDDINGS[1], *ATTENTION_NORMS)),
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        Rule("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
        Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
    ),
    parameters=(
        COMMON,
        Key("vocab_size", "vocab_size"),
        Key(
            "attention.layer_norm_epsilon",
            ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
            "f32",
        ),
        _rotated,
    ),
    described=_described,
    configurations=(
        ConfigClass(
            "nemotron",
            {
                "vocab_size": 256000, "hidden_size": 6144, "intermediate_size": 24576,
                "num_hidden_layers": 32,
                "num_attention_heads": 48, "head_dim": None, "num_key_value_heads": None,
                "max_position_embeddings": 4096, "norm_eps": 1e-5, "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
            kv_heads=False,
            head_dim=True,
            finished=_nemotron,
        ),
    ),
)  # fmt: skip


def _inner(config: Mapping[str, Any]) -> dict[str, Any]:
    text = config.get("llm_config")
    return {**config, **text} if isinstance(text, dict) else dict(config)


def _sparse(config: Mapping[str, Any]) -> bool:
    return "num_experts_per_tok" in config


def _further(config: Mapping[str, Any]) -> int:
    """How many layers predict further tokens: none or one."""
    number = (config.get("num_nextn_predict_layers", 0) or 0) if _sparse(config) else 0
    if number not in (0, 1):
        raise Unsupported("more than one further token", path="config.json", place="num_nextn_predict_layers")
    return int(number)


def _prepared(source: Checkpoint) -> dict[str, Any]:
    config = _inner(source.config)
    kinds = config.get("layers_block_type")
    if isinstance(kinds, list):
        config["num_hidden_layers"] = len(kinds)
    return config


def _blocks(config: Mapping[str, Any]) -> int:
    return Place(config).count("n_layers", "num_hidden_layers", "n_layer", "num_layers") + _further(config)


def _kinds(write: Parameters) -> tuple[list[int], list[int]]:
    """The layers of attention and of feed-forward. Raises MalformedSource."""
    pattern = write.value("hybrid_override_pattern") or write.value("layers_block_type")
    further = _further(write.config)
    if not isinstance(pattern, str | list) or len(pattern) != write.layers - further:
        raise MalformedSource(
            "not one kind for each layer", path="config.json", place="hybrid_override_pattern"
        )
    attends: tuple[str, ...] = ("*",) if isinstance(pattern, str) else _ATTENDS
    feeds: tuple[str, ...] = (
        ("E" if _sparse(write.config) else "-",) if isinstance(pattern, str) else ("moe",)
    )
    last = [write.layers - 1] * further
    return (
        [*(layer for layer, kind in enumerate(pattern) if kind in attends), *last],
        [*(layer for layer, kind in enumerate(pattern) if kind in feeds), *last],
    )


def _hybrid(write: Parameters) -> None:
    """Mamba, attention, and how wide each feed-forward is."""
    layers, feeding = _kinds(write)
    width = write.integer("mamba_head_dim", *prefixed("hidden_size", "d_model"))
    hybrid_parameters(write, layers, write.integer(*prefixed("num_heads")) * width)
    head_dim = write.integer("head_dim", "attention_head_dim")
    write.u32("attention.key_length", head_dim, "head_dim")
    write.u32("attention.value_length", head_dim, "head_dim")
    keys = (
        ("moe_intermediate_size",)
        if _sparse(write.config)
        else ("intermediate_size", "n_inner", "hidden_dim")
    )
    length, fed = write.integer(*keys), set(feeding)
    write.count(
        "feed_forward_length", [length if layer in fed else 0 for layer in range(write.layers)], keys[0]
    )


_FUSION = {
    "mtp.layers.1.norm.weight": "post_attention_layernorm.weight",
    "mtp.layers.1.final_layernorm.weight": "shared_head.norm.weight",
}  # fmt: skip


def _renamed(name: str, config: Mapping[str, Any]) -> str:
    """Two layers that predict a further token (attention, experts) as one behind all others."""
    if not _further(config) or not name.startswith(("mtp.layers.0.", "mtp.layers.1.")):
        return name
    layer = _blocks(config) - 1
    return f"backbone.layers.{layer}.{_FUSION.get(name, name.split('.', 3)[3])}"


def _routed(source: Checkpoint, tensors: Iterator[GgufTensor]) -> Iterable[GgufTensor]:
    """That layer's router in the own type: upstream looks for it by the number that it was stored with."""
    last = f"blk.{_blocks(source.config) - 1}.ffn_gate_inp.weight" if _further(source.config) else ""
    for tensor in tensors:
        if tensor.name == last:
            tensor = GgufTensor(tensor.name, tensor.shape, cast(tensor.recipe, source.own))
        yield tensor


def _predicting(write: Parameters) -> None:
    if further := _further(write.config):
        write.u32("nextn_predict_layers", further, "num_nextn_predict_layers")


def _chosen(config: Mapping[str, Any]) -> Family:
    return NEMOTRON_H_MOE if _sparse(_inner(config)) else NEMOTRON_H


NEMOTRON_H: Family = Family(
    architectures=("NemotronHForCausalLM",),
    arch="nemotron_h",
    vocabulary="nemotron-h",
    prefix="backbone.",
    rules=(
        Rule("backbone.embeddings", "token_embd"),
        Rule("backbone.norm_f", "output_norm"),
        Rule("lm_head", "output", optional=True),
        Rule(_LAYER + "norm", "blk.{}.attn_norm", optional=True),
        *mamba2_rules("backbone.layers.{}.mixer", *prefixed("n_groups", "num_groups"), optional=True),
        Rule(_MIXER + "q_proj", "blk.{}.attn_q", Rotary("num_attention_heads"), optional=True),
        Rule(_MIXER + "k_proj", "blk.{}.attn_k", Rotary("num_key_value_heads"), optional=True),
        Rule(_MIXER + "v_proj", "blk.{}.attn_v", optional=True),
        Rule(_MIXER + "o_proj", "blk.{}.attn_output", optional=True),
        Rule(_MIXER + "up_proj", "blk.{}.ffn_up", optional=True),
        Rule(_MIXER + "down_proj", "blk.{}.ffn_down", optional=True),
    ),
    parameters=(granite_parameters, shared_length, _hybrid),
    replaced=(("model.layers.", "backbone.layers."), ("backbone.embedding.", "backbone.embeddings.")),
    prepared=_prepared,
    chosen=_chosen,
)

NEMOTRON_H_MOE: Family = replace(
    NEMOTRON_H,
    architectures=(),
    arch="nemotron_h_moe",
    rules=(
        *NEMOTRON_H.rules,
        Rule(_MIXER + "gate", "blk.{}.ffn_gate_inp", optional=True),
        Rule(_MIXER + "gate.e_score_correction", "blk.{}.exp_probs_b", optional=True),
        Rule(_MIXER + "shared_experts.up_proj", "blk.{}.ffn_up_shexp", optional=True),
        Rule(_MIXER + "shared_experts.down_proj", "blk.{}.ffn_down_shexp", optional=True),
        Rule(_MIXER + "fc1_latent_proj", "blk.{}.ffn_latent_down", optional=True),
        Rule(_MIXER + "fc2_latent_proj", "blk.{}.ffn_latent_up", optional=True),
        Rule(_LAYER + "enorm", "blk.{}.nextn.enorm", optional=True),
        Rule(_LAYER + "hnorm", "blk.{}.nextn.hnorm", optional=True),
        Rule(_LAYER + "eh_proj", "blk.{}.nextn.eh_proj", optional=True),
        Rule(_LAYER + "shared_head.norm", "blk.{}.nextn.shared_head_norm", optional=True),
        Rule(_LAYER + "post_attention_layernorm", "blk.{}.post_attention_norm", optional=True),
        Stack(
            (
                Rule(_MIXER + "experts.{}.down_proj", "blk.{}.ffn_down_exps", optional=True),
                Rule(_MIXER + "experts.{}.up_proj", "blk.{}.ffn_up_exps", optional=True),
            ),
            count=("n_routed_experts",),
        ),
    ),
    parameters=(
        granite_parameters,
        shared_length,
        _hybrid,
        Key("expert_used_count", "num_experts_per_tok", "count"),
        Key("expert_feed_forward_length", "moe_intermediate_size", "count"),
        Key("expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size"),
        Key("expert_count", "n_routed_experts"),
        Key("expert_shared_count", "n_shared_experts"),
        Key("expert_weights_norm", "norm_topk_prob", "bool"),
        Key("expert_weights_scale", "routed_scaling_factor", "f32"),
        Key("expert_group_count", "n_group"),
        Key("moe_latent_size", "moe_latent_size", optional=True),
        _predicting,
    ),
    blocks=_blocks,
    renamed=_renamed,
    finished=_routed,
    chosen=None,
)
