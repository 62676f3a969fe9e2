"""Llama: Llama 1 to 3.x, Mistral, Mixtral, Yi, TinyLlama, SmolLM2, the R1 distills on Llama.

llama.cpp's llama graph rotates neighbouring pairs, Hugging Face's code the two halves of a head: the
rows of q and k (and their biases) are reordered. Llama 3's scaling is a tensor of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translators.errors import Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.composed import MISTRAL3_EYES
from translators.families.configuration import ConfigClass, Part
from translators.families.described import Told
from translators.families.hparams import rope_parameters, write_llama
from translators.families.parameters import COMMON, Parameters
from translators.families.rope import Llama3Scaling
from translators.families.table import Family, Rule, Stack
from translators.families.transforms import Rotary
from translators.gguf_file import GgufTensor
from translators.recipes import Literal

# The layer's modules that most families share with Llama's, under the same names.
EMBEDDINGS = (
    Rule("model.embed_tokens", "token_embd"),
    Rule("model.norm", "output_norm"),
    Rule("lm_head", "output", optional=True),
)
ATTENTION_NORMS = (
    Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
)
VALUE_AND_OUTPUT = (
    Rule("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    Rule("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
)
# Two ways for q and k: as they are, or pair by pair.
PLAIN_QK = (
    Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
)
ROTARY_QK = (
    Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", Rotary("num_attention_heads")),
    Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", Rotary("num_key_value_heads")),
)
FEED_FORWARD = (
    Rule("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    Rule("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
)
QK_NORMS = (
    Rule("model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"),
    Rule("model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"),
)
BLOCK = (*ATTENTION_NORMS, *VALUE_AND_OUTPUT, *FEED_FORWARD)


def experts(
    module: str = "model.layers.{}.mlp.experts",
    names: tuple[str, str, str] = ("down_proj", "gate_proj", "up_proj"),
) -> Stack:
    """The stack of a gated mixture: matrices by expert, written in the order of `names`."""
    kinds = {
        "gate_proj": "gate",
        "w1": "gate",
        "down_proj": "down",
        "w2": "down",
        "up_proj": "up",
        "w3": "up",
    }
    return Stack(
        tuple(
            Rule(f"{module}.{{}}.{name}", f"blk.{{}}.ffn_{kinds[name]}_exps", optional=True) for name in names
        )
    )


def optional(*rules: Rule) -> tuple[Rule, ...]:
    """The same rules for tensors that layers may lack."""
    return tuple(Rule(rule.huggingface, rule.gguf, rule.transform, optional=True) for rule in rules)


def llama_parameters(write: Parameters) -> None:
    """The size of the vocabulary, and the rotary dimensions."""
    write_llama(write.kv, write.config, write.source.arch)


def rope_factors(source: Checkpoint, factor: float = 8.0) -> Iterator[GgufTensor]:
    """`rope_freqs.weight` of Llama 3's scaling, where the configuration has it.

    Upstream has it for LlamaForCausalLM and fails on it for LlamaModel, whose prefix it gives to this tensor
    too; here both have it. factor: what holds where the configuration tells none.
    """
    parameters = rope_parameters(source.config)
    parameters = parameters.get("full_attention", parameters)
    scaling = Llama3Scaling.of(
        {"factor": factor, **parameters} if isinstance(parameters, dict) else parameters
    )
    if scaling is None:
        return
    known = source.config.get("head_dim")
    head_dim = source.count("head_dim" if known else "hidden_size")
    if not known:
        head_dim //= source.count("num_attention_heads")
    factors = scaling.factors(parameters.get("rope_theta", 10000.0), head_dim)
    shape = factors.shape
    yield GgufTensor("rope_freqs.weight", shape, Literal(factors.tobytes(), "F32", shape))


def _described(told: Told) -> dict[str, Any]:
    if told.integer("expert_count", 0):
        return told.draft("mixtral", "MixtralForCausalLM") | {
            "num_local_experts": told.integer("expert_count"),
            "num_experts_per_tok": told.integer("expert_used_count"),
            "sliding_window": None,
        }
    return told.draft("llama", "LlamaForCausalLM", derived_head=True) | {
        "mlp_bias": "blk.0.ffn_up.bias" in told.model.tensors
    }


LLAMA = Family(
    architectures=(
        "LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM", "LlamaModel", "MixtralForCausalLM",
        "VLlama3ForCausalLM", "LlavaForConditionalGeneration",
    ),
    arch="llama",
    vocabulary="llama",
    rules=(
        *EMBEDDINGS,
        *ATTENTION_NORMS,
        *ROTARY_QK,
        *VALUE_AND_OUTPUT,
        *optional(*FEED_FORWARD),
        Rule("model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp", optional=True),
        experts("model.layers.{}.block_sparse_moe.experts", ("w1", "w2", "w3")),
    ),
    parameters=(COMMON, llama_parameters),
    replaced=(("text_model.", ""),),  # SmolVLM
    generated=rope_factors,
    described=_described,
    bare=frozenset({"LlamaModel"}),
)  # fmt: skip


def _ministral(write: Parameters) -> None:
    """Ministral 3's own scales; transformers 4.57.6 does not know it: its config.json is taken as it is."""
    if write.value("model_type") != "ministral3":
        return
    rope = write.rope
    if rope.get("rope_type") != "yarn":
        raise Unsupported("Ministral 3 with other than YaRN", path="config.json", place="rope_parameters")
    write.f32("rope.scaling.yarn_log_multiplier", rope.get("mscale_all_dim"), "mscale_all_dim")
    write.f32("attention.temperature_scale", rope.get("llama_4_scaling_beta"), "llama_4_scaling_beta")


def _described3(told: Told) -> dict[str, Any]:
    """A language model without what it sees with: Ministral 3's, or one that is a Mistral in all but name."""
    if not told.has("attention.temperature_scale"):
        mistral = told.draft("mistral", "MistralForCausalLM", derived_head=True)
        return mistral | {"sliding_window": None}
    found = told.draft("ministral3", "Ministral3ForCausalLM", derived_head=True)
    scaling = {**(found.pop("rope_scaling") or {}), "rope_theta": found.pop("rope_theta"), "mscale": 1.0}
    scaling["mscale_all_dim"] = told.number("rope.scaling.yarn_log_multiplier")
    scaling["llama_4_scaling_beta"] = told.number("attention.temperature_scale")
    return found | {"sliding_window": None, "rope_parameters": scaling}


MISTRAL3 = Family(
    architectures=("Mistral3ForConditionalGeneration", "Ministral3ForCausalLM"),
    arch="mistral3",
    vocabulary="llama",
    rules=(*EMBEDDINGS, *ATTENTION_NORMS, *ROTARY_QK, *VALUE_AND_OUTPUT, *FEED_FORWARD),
    parameters=(COMMON, llama_parameters, _ministral),
    generated=rope_factors,
    described=_described3,
    configurations=(
        ConfigClass(
            "mistral3",
            {"spatial_merge_size": 2},
            parts={
                "text_config": Part(
                    "mistral",
                    chosen=True,
                    absent={
                        "vocab_size": 131072, "max_position_embeddings": 131072, "hidden_size": 5120,
                        "intermediate_size": 32768, "num_hidden_layers": 40, "num_attention_heads": 32,
                        "sliding_window": None, "head_dim": 128, "rms_norm_eps": 1e-5,
                        "rope_theta": 1000000000.0,
                    },
                ),
                "vision_config": MISTRAL3_EYES,
            },
        ),
    ),
)  # fmt: skip
