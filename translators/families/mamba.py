"""Mamba-1, FalconMamba and Mamba-2; and what all hybrids take from Mamba-2.

Upstream reads their config.json as it is. What a layer decays by is stored as a logarithm; convolutions lose
an axis. A head of Mamba-1 that is the embedding once more is left out: the two are compared, value by value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from translators.errors import Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.parameters import BLOCKS, FILE_TYPE, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import NEGATED_EXP, Place, Squeezed, Transform, chain
from translators.gguf_file import GgufTensor
from translators.recipes import Recipe, reshape

_CONTEXT = 1 << 20  # no limit is known; upstream's number
_WIDTH, _HEAD = "backbone.embeddings.weight", "lm_head.weight"
_BASE = (
    Rule("backbone.embeddings", "token_embd"),
    Rule("backbone.norm_f", "output_norm"),
    Rule("lm_head", "output", optional=True),
    Rule("backbone.layers.{}.norm", "blk.{}.attn_norm"),
)
CONVOLUTION = Squeezed(1)


@dataclass(frozen=True, slots=True)
class _Columns(Transform):
    """A vector as a matrix of one column."""

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """With one axis more."""
        return (reshape(of, (*of.shape, 1)),)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """Without it."""
        (of,) = parts
        return reshape(of, of.shape[:-1])


@dataclass(frozen=True, slots=True)
class Grouped(Transform):
    """A vector as one row for each group. keys: for the number of groups, which is one if absent."""

    keys: tuple[str, ...] = ("n_groups",)

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """In rows."""
        groups = at.count(*self.keys) if any(key in at.config for key in self.keys) else 1
        if len(of.shape) != 1 or of.shape[0] % groups:
            raise at.misfit(f"{of.shape} cannot be divided into {groups} groups")
        return (reshape(of, (groups, of.shape[0] // groups)),)

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """In one row."""
        (of,) = parts
        return reshape(of, (of.shape[0] * of.shape[1],))


COLUMN = _Columns()


def mamba2_rules(module: str, *groups: str, optional: bool = False) -> tuple[Rule, ...]:
    """The layer of Mamba-2 in `module`. groups: keys for their number."""
    names: tuple[tuple[str, str, Transform], ...] = (
        ("in_proj", "ssm_in", Transform()),
        ("conv1d", "ssm_conv1d", CONVOLUTION),
        ("out_proj", "ssm_out", Transform()),
        ("norm", "ssm_norm", Grouped(groups)),
    )
    return (
        *(Rule(f"{module}.{old}", f"blk.{{}}.{new}", how, optional=optional) for old, new, how in names),
        Rule(f"{module}.dt_bias", "blk.{}.ssm_dt.bias", optional=optional),
        Rule(f"{module}.A_log", "blk.{}.ssm_a", chain(NEGATED_EXP, COLUMN), optional=optional, whole=True),
        Rule(f"{module}.D", "blk.{}.ssm_d", COLUMN, optional=optional, whole=True),
    )


def as_stored(source: Checkpoint) -> dict[str, Any]:
    """config.json as it is, with the language model's part in front."""
    config = dict(source.model.config)
    text = config.get("llm_config", config.get("text_config"))
    return {**config, **text} if isinstance(text, dict) else config


def _or(write: Parameters, default: int, *keys: str) -> int:
    """A number of the configuration, or the default for one that is absent or zero."""
    return write.integer(*keys) if write.value(*keys) else default


def _epsilon(write: Parameters) -> float:
    keys = ("layer_norm_epsilon", "rms_norm_eps")
    return write.number(*keys) if write.value(*keys) else 1e-5


def _begin(write: Parameters, width: int) -> None:
    write.u32("context_length", _CONTEXT)
    write.u32("embedding_length", width, "hidden_size")
    write.u32("feed_forward_length", 0)
    write.u32("attention.head_count", 0)
    BLOCKS(write)


def _mamba(write: Parameters) -> None:
    width = write.integer("hidden_size", "d_model")
    inner = _or(write, 2 * width, "intermediate_size", "d_inner")
    if inner != 2 * width:
        raise Unsupported(
            "layers that are not twice as wide inside", path="config.json", place="intermediate_size"
        )
    _begin(write, width)
    write.u32("ssm.conv_kernel", _or(write, 4, "conv_kernel", "d_conv"), "conv_kernel")
    write.u32("ssm.inner_size", inner, "intermediate_size")
    write.u32("ssm.state_size", _or(write, 16, "state_size", "d_state"), "state_size")
    write.u32(
        "ssm.time_step_rank", _or(write, -(width // -16), "time_step_rank", "dt_rank"), "time_step_rank"
    )
    write.f32("attention.layer_norm_rms_epsilon", _epsilon(write), "layer_norm_epsilon")
    write.bool("ssm.dt_b_c_rms", write.value("model_type") == "falcon_mamba")
    FILE_TYPE(write)


def _without_copy(source: Checkpoint, tensors: Iterator[GgufTensor]) -> Iterable[GgufTensor]:
    """Without a head that is the embedding, if that comes first, as upstream sees it."""
    names = list(source.model.tensors)
    embeddings = [name for name in names if name in (_WIDTH, "backbone.embedding.weight")]
    copied = (
        bool(embeddings)
        and _HEAD in names
        and names.index(embeddings[0]) < names.index(_HEAD)
        and source.same(embeddings[0], _HEAD)
    )
    return (tensor for tensor in tensors if not copied or tensor.name != "output.weight")


MAMBA = Family(
    architectures=("MambaForCausalLM", "MambaLMHeadModel", "FalconMambaForCausalLM"),
    arch="mamba",
    vocabulary="mamba",
    prefix="backbone.",
    rules=(
        *_BASE,
        Rule("backbone.layers.{}.mixer.in_proj", "blk.{}.ssm_in"),
        Rule("backbone.layers.{}.mixer.conv1d", "blk.{}.ssm_conv1d", CONVOLUTION),
        Rule("backbone.layers.{}.mixer.x_proj", "blk.{}.ssm_x"),
        Rule("backbone.layers.{}.mixer.dt_proj", "blk.{}.ssm_dt"),
        Rule("backbone.layers.{}.mixer.A_log", "blk.{}.ssm_a", NEGATED_EXP, whole=True),
        Rule("backbone.layers.{}.mixer.D", "blk.{}.ssm_d", whole=True),
        Rule("backbone.layers.{}.mixer.out_proj", "blk.{}.ssm_out"),
    ),
    parameters=(_mamba,),
    replaced=(("backbone.embedding.", "backbone.embeddings."),),
    finished=_without_copy,
    prepared=as_stored,
    configurations=(ConfigClass("mamba", {}, others=("falcon_mamba",)),),
)


def inner_size(write: Parameters, width: int) -> int:
    """How wide a layer of Mamba-2 is inside."""
    return _or(
        write, _or(write, 2, "mamba_expand", "expand") * width, "mamba_d_ssm", "intermediate_size", "d_inner"
    )


def mamba2_parameters(write: Parameters, prefix: str = "") -> None:
    """Those of Mamba-2. prefix: what keys may have in front, in models that are more than Mamba."""

    def keys(*names: str) -> tuple[str, ...]:
        return (*names, *(prefix + name for name in names)) if prefix else names

    width = write.integer(*keys("hidden_size", "d_model", "dim"))
    inner = inner_size(write, width)
    head = _or(write, 64, *keys("mamba_d_head", "head_dim"))
    if not prefix and (inner != _or(write, 2, "mamba_expand", "expand") * width or inner % head):
        raise Unsupported("layers of another width inside than told", path="config.json", place="expand")
    _begin(write, width)
    write.u32("ssm.conv_kernel", _or(write, 4, *keys("conv_kernel", "d_conv")), "conv_kernel")
    write.u32("ssm.inner_size", inner, "intermediate_size")
    write.u32("ssm.state_size", _or(write, 128, *keys("state_size", "d_state")), "state_size")
    write.u32("ssm.time_step_rank", inner // head, "head_dim")
    write.u32("ssm.group_count", _or(write, 1, *keys("n_groups")), "n_groups")
    write.f32("attention.layer_norm_rms_epsilon", _epsilon(write), "layer_norm_epsilon")
    FILE_TYPE(write)


MAMBA2 = Family(
    architectures=("Mamba2ForCausalLM",),
    arch="mamba2",
    vocabulary="mamba2",
    prefix="backbone.",
    rules=(*_BASE, *mamba2_rules("backbone.layers.{}.mixer", "n_groups")),
    parameters=(mamba2_parameters,),
    replaced=(
        ("model.backbone.", "backbone."),
        ("model.lm_head.", "lm_head."),
        ("backbone.embedding.", "backbone.embeddings."),
    ),
    prepared=as_stored,
    configurations=(ConfigClass("mamba2", {}),),
)
