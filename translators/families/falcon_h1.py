"""Falcon-H1: attention and Mamba-2 side by side in each layer; multipliers are computed into the weights."""

from __future__ import annotations

from dataclasses import dataclass

from translators.errors import Unsupported
from translators.families.configuration import ConfigClass
from translators.families.mamba import as_stored, inner_size, mamba2_parameters, mamba2_rules
from translators.families.parameters import Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import Place, Transform, computable
from translators.keyvalues import KeyValues
from translators.metadata.checked import Checked
from translators.recipes import Recipe, concat, map_, slice_


def _number(at: Place, key: str, index: int | None = None) -> float:
    value = at.config.get(key)
    if index is not None:
        value = value[index] if isinstance(value, list) and len(value) > index else None
    return Checked(KeyValues(), "config.json").finite(value, key)


@dataclass(frozen=True, slots=True)
class _Times(Transform):
    """Each value times numbers of the configuration, one after the other. index: within a list."""

    keys: tuple[str, ...]
    index: int | None = None

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """The products."""
        of = computable(of)
        for key in self.keys:
            of = map_(of, "multiply", _number(at, key, self.index))
        return (of,)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """Products cannot be undone exactly."""
        raise Unsupported("values whose computation cannot be undone exactly", place=f"tensor {at.name}")


class _Projection(_Times):
    """What goes into Mamba: times one number, and each segment of rows times its own."""

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """The products."""
        (of,) = _Times.to_gguf(self, of, at)
        inner, states = at.count("mamba_d_ssm"), at.count("mamba_n_groups") * at.count("mamba_d_state")
        stops = [inner, 2 * inner, 2 * inner + states, 2 * inner + 2 * states, of.shape[0]]
        if len(of.shape) != 2 or stops != sorted(stops):
            raise at.misfit(f"{of.shape[0]} rows are too few")
        parts = [
            map_(slice_(of, 0, start, stop), "multiply", _number(at, "ssm_multipliers", number))
            for number, (start, stop) in enumerate(zip([0, *stops], stops, strict=False))
        ]
        return (concat(parts, 0),)


def _inside(write: Parameters) -> None:
    if write.value("hidden_act") not in (None, "silu"):
        raise Unsupported("another function than silu", path="config.json", place="hidden_act")
    if inner_size(write, 0) % write.source.count("mamba_d_head"):
        raise Unsupported("heads that do not fit", path="config.json", place="mamba_d_head")


def _parameters(write: Parameters) -> None:
    mamba2_parameters(write, "mamba_")


def _base(write: Parameters) -> None:
    write.f32("rope.freq_base", write.rope.get("rope_theta"), "rope_theta")


_LAYER = "model.layers.{}."
FALCON_H1 = Family(
    architectures=("FalconH1ForCausalLM",),
    arch="falcon-h1",
    vocabulary="gpt2",
    rules=(
        Rule("model.embed_tokens", "token_embd", _Times(("embedding_multiplier",))),
        Rule("model.final_layernorm", "output_norm"),
        Rule("lm_head", "output", _Times(("lm_head_multiplier",)), optional=True),
        Rule(_LAYER + "input_layernorm", "blk.{}.attn_norm"),
        # The one norm that upstream writes without an ending, and llama.cpp looks for so.
        Rule(_LAYER + "pre_ff_layernorm.weight", "blk.{}.ffn_norm", whole=True),
        Rule(_LAYER + "self_attn.q_proj", "blk.{}.attn_q", _Times(("attention_in_multiplier",))),
        Rule(
            _LAYER + "self_attn.k_proj", "blk.{}.attn_k",
            _Times(("key_multiplier", "attention_in_multiplier"))
        ),
        Rule(_LAYER + "self_attn.v_proj", "blk.{}.attn_v", _Times(("attention_in_multiplier",))),
        Rule(_LAYER + "self_attn.o_proj", "blk.{}.attn_output", _Times(("attention_out_multiplier",))),
        Rule(_LAYER + "feed_forward.gate_proj", "blk.{}.ffn_gate", _Times(("mlp_multipliers",), 0)),
        Rule(_LAYER + "feed_forward.up_proj", "blk.{}.ffn_up"),
        Rule(_LAYER + "feed_forward.down_proj", "blk.{}.ffn_down", _Times(("mlp_multipliers",), 1)),
        Rule(_LAYER + "mamba.in_proj", "blk.{}.ssm_in", _Projection(("ssm_in_multiplier",))),
        Rule(_LAYER + "mamba.out_proj", "blk.{}.ssm_out", _Times(("ssm_out_multiplier",))),
        *(
            rule
            for rule in mamba2_rules("model.layers.{}.mamba", "n_groups", "mamba_n_groups")
            if not rule.huggingface.endswith(("in_proj", "out_proj", "mamba.norm"))
        ),
        *(
            rule
            for rule in mamba2_rules("model.layers.{}.mamba", "n_groups", "mamba_n_groups", optional=True)
            if rule.huggingface.endswith("mamba.norm")
        ),
    ),
    parameters=(
        _parameters,
        _inside,
        Key("vocab_size", "vocab_size"),
        Key("context_length", "max_position_embeddings", default=0),
        Key("feed_forward_length", "intermediate_size", "count"),
        Key("attention.head_count", "num_attention_heads", "count"),
        Key("attention.head_count_kv", "num_key_value_heads", "count"),
        Key("attention.key_length", "head_dim"),
        Key("attention.value_length", "head_dim"),
        _base,
    ),
    prepared=as_stored,
    configurations=(ConfigClass("falcon_h1", {}),),
)  # fmt: skip
