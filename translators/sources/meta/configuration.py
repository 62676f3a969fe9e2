"""config.json and generation_config.json of Meta's originals, with what params.json leaves out.

    made = release(params, name, ranks=True, tokens=128256, tied=False)
    config_of(Described(params, made, shapes, dtype, tokens_of(made, tokenizer), tied=False))

Which Llama a checkpoint is tells what no file of it says, as in transformers' converters: a list of ranks as
its tokenizer or 128,256 tokens are a Llama 3, scaled rotations a 3.1 or later, and of these the ones whose
output is their embeddings 3.2; norms with an epsilon of 1e-6, and a 65B, are Llama 1; other rotations than
Llama 2's Code Llama. A directory's name tells whether a model was trained for chats.
Knows nothing of Meta's names of tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from translators.dtypes import DType
from translators.sources.meta.params import Params
from translators.torch_types import TORCH_NAMES
from translators.vocab.originals import LLAMA3, LLAMA4, LLAMA31, Generation, Original

_CHAT = re.compile(r"(?i)(?:^|[-_ .])(?:instruct|chat|it)(?:[-_ .]|$)|-guard|^llama-?guard")
# Of Llama 1 alone the 65B has the epsilon of Llama 2; of Llama 2 the model of so many layers shares keys.
_LLAMA1_EPS, _LLAMA1_LAYERS = 1e-6, 80
_TOKENS3, _TOKENS4 = 128_256, 202_048
_CODE, _TWO, _ONE = 16384, 4096, 2048


@dataclass(frozen=True)
class Release:
    """What a checkpoint is: the longest text, the tokenizer's list of special tokens if it has ranks, chats.

    factor: of the scaled rotations, None where they are not scaled.
    """

    context: int
    ranks: Generation | None
    chat: bool
    factor: float | None = None
    high: float = 4.0


@dataclass(frozen=True)
class Described:
    """What config.json is made of.

    shapes: of the tensors by their Hugging Face names. special: ids of tokens, as `tokens_of` gives them.
    tied:   the output is the embeddings.
    """

    params: Params
    release: Release
    shapes: Mapping[str, tuple[int, ...]]
    dtype: DType
    special: Mapping[str, Any]
    tied: bool


def config_of(of: Described) -> dict[str, Any]:
    """config.json. Raises MalformedSource for numbers of params.json that cannot be."""
    return _of_llama4(of) if is_llama4(of.params) else _of_dense(of)


def release(params: Params, name: str, *, ranks: bool, tokens: int, tied: bool) -> Release:
    """Which model a checkpoint is. ranks: of its tokenizer.model. tied: the output is the embeddings."""
    chat = _CHAT.search(name) is not None
    if is_llama4(params):
        experts = params.part("moe_args")
        most = 10_485_760 if experts and experts.get("num_experts") == 16 else 1_048_576
        context = (most if experts else 8192) if chat else 262_144
        factor = params.number(params.told, "rope_scaling_factor", 16.0) if params.scaled else None
        high = params.number(params.told, "rope_high_freq_factor", 1.0)
        return Release(context, LLAMA4, chat, factor, high)
    if ranks or tokens == _TOKENS3:
        if params.scaled:
            return Release(131_072, LLAMA31, chat, 32.0 if tied else 8.0)
        return Release(8192, LLAMA3, chat)
    if "hidden_dim" in params.told:
        return Release(32768, None, chat)
    if params.theta > 10000.0:
        return Release(_CODE, None, chat)
    first = params.eps == _LLAMA1_EPS or (params.layers, params.kv_heads) == (_LLAMA1_LAYERS, params.heads)
    return Release(_ONE if first else _TWO, None, chat)


def is_llama4(params: Params) -> bool:
    """Whether a params.json is of Llama 4."""
    return any(params.told.get(key) is not None for key in ("moe_args", "vision_args", "nope_layer_interval"))


def tokens_of(made: Release, original: Original | None) -> dict[str, Any]:
    """The special tokens' ids as config.json has them."""
    if original is None:
        return {"bos_token_id": None, "eos_token_id": None}
    ids = original.ids
    ends = [ids[kind] for kind in ("eos", "message", "turn") if kind in ids]
    several = made.chat and original.ranks and len(ends) > 1
    found: dict[str, Any] = {"bos_token_id": ids["bos"], "eos_token_id": ends if several else ids["eos"]}
    return found | ({"pad_token_id": ids["pad"]} if "pad" in ids else {})


def _of_dense(of: Described) -> dict[str, Any]:
    """Of a Llama 1 to 3, or of a Mistral in Meta's form."""
    params, made, shapes, dtype = of.params, of.release, of.shapes, of.dtype
    mistral = "hidden_dim" in params.told
    config: dict[str, Any] = {
        "architectures": ["MistralForCausalLM" if mistral else "LlamaForCausalLM"],
        "attention_dropout": 0.0,
        **of.special,
        "head_dim": params.head_dim,
        "hidden_act": "silu",
        "hidden_size": params.dim,
        "initializer_range": 0.02,
        "intermediate_size": shapes["model.layers.0.mlp.gate_proj.weight"][0],
        "max_position_embeddings": made.context,
        "model_type": "mistral" if mistral else "llama",
        "num_attention_heads": params.heads,
        "num_hidden_layers": params.layers,
        "num_key_value_heads": params.kv_heads,
        "rms_norm_eps": params.eps,
        "rope_theta": params.theta,
        "tie_word_embeddings": of.tied,
        "torch_dtype": TORCH_NAMES[dtype.name],
        "use_cache": True,
        "vocab_size": shapes["model.embed_tokens.weight"][0],
    }
    if mistral:
        return config | {"sliding_window": _window(params)}
    return config | {
        "attention_bias": False,
        "mlp_bias": False,
        "pretraining_tp": 1,
        "rope_scaling": _scaling(made),
    }


def _of_llama4(of: Described) -> dict[str, Any]:
    """Of a Llama 4; of its text alone where no tensors of what it sees with are there."""
    params, made, shapes, dtype = of.params, of.release, of.shapes, of.dtype
    experts = params.part("moe_args")
    every = params.told.get("nope_layer_interval")
    text: dict[str, Any] = {
        "attention_bias": False,
        "attention_chunk_size": params.told.get("attention_chunk_size"),
        "attention_dropout": 0.0,
        "attn_scale": params.number(params.told, "attn_scale", 0.1),
        "attn_temperature_tuning": params.told.get("attn_temperature_tuning") is not False,
        **of.special,
        "floor_scale": params.number(params.told, "floor_scale", 8192.0),
        "head_dim": params.head_dim,
        "hidden_act": "silu",
        "hidden_size": params.dim,
        "initializer_range": 0.02,
        "interleave_moe_layer_step": params.count(experts, "interleave_moe_layer_step", 1) if experts else 0,
        "intermediate_size": _size(shapes, "feed_forward.experts.down_proj", 1) or 8192,
        "intermediate_size_mlp": _size(shapes, "feed_forward.gate_proj.weight", 0) or _feed_forward(params),
        "max_position_embeddings": made.context,
        "model_type": "llama4_text",
        **({} if experts else {"moe_layers": []}),
        # Of what no layer leaves out, more than there are layers, as transformers' converter has it.
        "no_rope_layer_interval": 2 * params.heads
        if every is None
        else params.count(params.told, "nope_layer_interval"),
        "num_attention_heads": params.heads,
        "num_experts_per_tok": params.count(experts or {}, "top_k", 1),
        "num_hidden_layers": params.layers,
        "num_key_value_heads": params.kv_heads,
        "num_local_experts": params.count(experts, "num_experts") if experts else 0,
        "rms_norm_eps": params.eps,
        "rope_scaling": _scaling(made),
        "rope_theta": params.number(params.told, "rope_theta", 500000.0),
        "tie_word_embeddings": False,
        "torch_dtype": TORCH_NAMES[dtype.name],
        "use_cache": True,
        "use_qk_norm": params.told.get("use_qk_norm") is True,
        "vocab_size": shapes[next(name for name in shapes if name.endswith("model.embed_tokens.weight"))][0],
    }
    if not any(name.startswith("vision_model.") for name in shapes):
        return {"architectures": ["Llama4ForCausalLM"], **text}
    return {
        "architectures": ["Llama4ForConditionalGeneration"],
        "boi_token_index": 200080, "eoi_token_index": 200081, "image_token_index": 200092,
        "model_type": "llama4", "text_config": text, "tie_word_embeddings": False,
        "torch_dtype": TORCH_NAMES[dtype.name], "vision_config": _eyes(params, shapes),
    }  # fmt: skip


def _eyes(params: Params, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    told = params.part("vision_args") or {}
    sides = {}
    for key in ("image_size", "patch_size"):
        side = told.get(key)
        sides[key] = params.count(side if isinstance(side, dict) else {}, "height", most=1 << 16)
    return {
        "attention_dropout": 0.0,
        "hidden_act": "gelu",
        "hidden_size": params.count(told, "dim"),
        **sides,
        "initializer_range": 0.02,
        "intermediate_size": _size(shapes, "layers.0.mlp.fc1.weight", 0) or 5632,
        "model_type": "llama4_vision_model",
        "multi_modal_projector_bias": False,
        "norm_eps": 1e-5,
        "num_attention_heads": params.count(told, "n_heads"),
        "num_channels": 3,
        "num_hidden_layers": params.count(told, "n_layers"),
        "pixel_shuffle_ratio": params.number(told, "pixel_shuffle_ratio", 0.5),
        "projector_dropout": 0.0,
        "projector_input_dim": _size(shapes, "vision_adapter.mlp.fc1.weight", 0) or 4096,
        "projector_output_dim": _size(shapes, "vision_adapter.mlp.fc2.weight", 0) or 4096,
        "rope_theta": 10000,
        "vision_feature_select_strategy": "default",
        "vision_output_dim": params.count(told, "output_dim"),
    }


def preprocessing(params: Params) -> dict[str, Any]:
    """preprocessor_config.json of a Llama 4 that sees."""
    told = (params.part("vision_args") or {}).get("image_size")
    side = params.count(told if isinstance(told, dict) else {}, "height", most=1 << 16)
    return {
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Llama4ImageProcessorFast",
        "image_std": [0.5, 0.5, 0.5], "max_patches": 16, "processor_class": "Llama4Processor",
        "resample": 2, "rescale_factor": 1 / 255, "resize_to_max_canvas": False,
        "size": {"height": side, "width": side},
    }  # fmt: skip


def generation(special: Mapping[str, Any]) -> dict[str, Any]:
    """generation_config.json: the sampling that Meta's own examples have, and transformers' converters."""
    return {**special, "do_sample": True, "temperature": 0.6, "top_p": 0.9}


def _scaling(made: Release) -> dict[str, Any] | None:
    if made.factor is None:
        return None
    return {
        "factor": made.factor, "high_freq_factor": made.high, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3",
    }  # fmt: skip


def _size(shapes: Mapping[str, tuple[int, ...]], end: str, axis: int) -> int:
    """A dimension of the first tensor whose name ends so; 0 for none."""
    shape = next((shape for name, shape in shapes.items() if name.endswith(end)), ())
    return shape[axis] if axis < len(shape) else 0


def _feed_forward(params: Params) -> int:
    """The width of a dense layer's inner part, which Llama 4's files give by a rule, as a number."""
    told = params.told
    width = params.number(told, "ffn_exp", 4.0) * int(2 * params.dim / 3)
    multiple = params.count(told, "multiple_of", 256)
    return -(-int(params.number(told, "ffn_dim_multiplier", 1.0) * width) // multiple) * multiple


def _window(params: Params) -> int | None:
    window = params.told.get("sliding_window")
    if isinstance(window, str) and window.isdecimal() and len(window) < 10:
        return int(window)  # as it is written in some
    return None if window is None else params.count(params.told, "sliding_window", most=1 << 30)
