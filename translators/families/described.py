"""config.json of a GGUF: what the families write of it have in common.

    described=lambda told: told.draft("qwen2", "Qwen2ForCausalLM") | {"sliding_window": None}

config.json is written in the style of transformers 4 (top-level `rope_theta`, `torch_dtype`), which every
client reads. Reads key-values, and of tensor data only rotary factors: a GGUF keeps Llama 3's and Phi-3's
scalings there. Every method raises MalformedSource for a key that is absent or no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from translators.dtypes import DType
from translators.errors import MalformedSource, Unsupported
from translators.families.parameters import Key
from translators.families.rope import Llama3Scaling, scaling_behind
from translators.keyvalues import KeyValues
from translators.model import Model, Tensor
from translators.reading import SourceFiles
from translators.torch_types import TORCH_NAMES

_AGAIN = "fetch the file again"
_ROPE_FREQS = "rope_freqs.weight"


@dataclass(frozen=True)
class Told:
    """What a GGUF tells of its hyper-parameters, by names without the architecture."""

    model: Model
    key_values: KeyValues
    arch: str
    dtype: DType

    def has(self, name: str) -> bool:
        """Whether there is such a key."""
        return f"{self.arch}.{name}" in self.key_values

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number from 0; `default` where the key is absent, unless that is None."""
        if default is not None and not self.has(name):
            return default
        return integer(self.key_values, f"{self.arch}.{name}")

    def number(self, name: str, default: float | None = None) -> float:
        """A number, as the shortest decimal that stands for it."""
        if default is not None and not self.has(name):
            return default
        return decimal(number(self.key_values, f"{self.arch}.{name}"))

    def flag(self, name: str) -> bool:
        """A truth value, which must be there."""
        value = self.key_values.get(f"{self.arch}.{name}")
        if not isinstance(value, bool):
            raise MalformedSource("not a truth value", place=f"key {self.arch}.{name}", remedy=_AGAIN)
        return value

    def numbers(self, name: str) -> list[int]:
        """A list of whole numbers from 0, one for each layer."""
        values = self.key_values.get(f"{self.arch}.{name}")
        if not isinstance(values, list) or len(values) != self.integer("block_count"):
            raise MalformedSource("not one number for each layer", place=f"key {self.arch}.{name}")
        if not all(isinstance(value, int) and value >= 0 for value in values):
            raise MalformedSource("no whole numbers", place=f"key {self.arch}.{name}", remedy=_AGAIN)
        return values

    def flags(self, name: str) -> list[bool]:
        """A list of truth values, one for each layer."""
        values = self.key_values.get(f"{self.arch}.{name}")
        if (
            not isinstance(values, list)
            or len(values) != self.integer("block_count")
            or not all(isinstance(value, bool) for value in values)
        ):
            raise MalformedSource(
                "not one truth value for each layer", place=f"key {self.arch}.{name}", remedy=_AGAIN
            )
        return values

    def text(self, name: str) -> str:
        """A text, which must be there."""
        value = self.key_values.get(f"{self.arch}.{name}")
        if not isinstance(value, str):
            raise MalformedSource("not a text", place=f"key {self.arch}.{name}", remedy=_AGAIN)
        return value

    def of(self, *keys: Key) -> dict[str, Any]:
        """What these keys were written from, each under the first of its names; absent optional ones not."""
        found: dict[str, Any] = {}
        readers: dict[str, Callable[[str], Any]] = {
            "f32": self.number, "bool": self.flag, "string": self.text,
        }  # fmt: skip
        for key in keys:
            if key.optional and not self.has(key.name):
                continue
            found[key.keys if isinstance(key.keys, str) else key.keys[0]] = readers.get(
                key.kind, self.integer
            )(key.name)
        return found

    def part(self, name: str, width: int) -> float:
        """Which part of `width` a number is, such that the product cut off is the number again."""
        number = self.integer(name)
        if not 0 < number <= width:
            raise MalformedSource("no part of a head", place=f"key {self.arch}.{name}", remedy=_AGAIN)
        part = number / width
        # A quotient may lie just below the number that it stands for.
        return part if int(width * part) == number else math.nextafter(part, 1)

    def kept(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return name in self.model.tensors

    def factors(self, tensor: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The values of a tensor of rotary factors."""
        return rope_factors(self.model, tensor)

    @property
    def heads(self) -> dict[str, int]:
        """Attention heads, and those of keys and values."""
        heads = self.integer("attention.head_count")
        return {
            "num_attention_heads": heads,
            "num_key_value_heads": self.integer("attention.head_count_kv", heads),
        }

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding."""
        embedding = self.model.tensors.get("token_embd.weight")
        if embedding is None or len(embedding.shape) != 2:
            raise MalformedSource("no embedding of two dimensions", place="tensor token_embd.weight")
        return embedding.shape[0]

    @property
    def layers(self) -> range:
        """The layers, which cannot be more than there are tensors."""
        count = self.integer("block_count")
        if count > len(self.model.tensors):
            raise MalformedSource("more layers than tensors", place=f"key {self.arch}.block_count")
        return range(count)

    def rows(self, name: str) -> int:
        """Rows of a matrix, 0 where there is none."""
        tensor = self.model.tensors.get(name)
        return 0 if tensor is None else tensor.shape[0]

    @property
    def head_dim(self) -> int:
        """The size of a head."""
        whole = self.integer("embedding_length") // max(1, self.heads["num_attention_heads"])
        return self.integer("attention.key_length", whole)

    @property
    def tokens(self) -> dict[str, int]:
        """Ids of special tokens."""
        found = {}
        for key in ("bos", "eos", "pad"):
            place = f"tokenizer.ggml.{'padding' if key == 'pad' else key}_token_id"
            if place in self.key_values:
                token = self.key_values[place].decoded
                if not isinstance(token, int):
                    raise MalformedSource("not a token's id", place=f"key {place}", remedy=_AGAIN)
                found[f"{key}_token_id"] = token
        return found

    def frame(self, model_type: str, architecture: str) -> dict[str, Any]:
        """What every config.json has."""
        return {
            "architectures": [architecture],
            "model_type": model_type,
            "vocab_size": self.vocabulary,
            "initializer_range": 0.02,
            "tie_word_embeddings": "output.weight" not in self.model.tensors,
            "use_cache": True,
            "torch_dtype": TORCH_NAMES[self.dtype.name],
        }

    def draft(
        self, model_type: str, architecture: str, *, derived_head: bool = False, norm: str = "rms_norm_eps"
    ) -> dict[str, Any]:
        """What most models since Llama have.

        derived_head: head_dim also where no key tells it. norm: what its epsilon is called.
        """
        epsilon = "attention.layer_norm_rms_epsilon" if "rms" in norm else "attention.layer_norm_epsilon"
        frame, theta = self.frame(model_type, architecture), self.number("rope.freq_base", 10000.0)
        return {
            **dict(list(frame.items())[:3]),
            "hidden_size": self.integer("embedding_length"),
            "intermediate_size": self.integer("feed_forward_length"),
            "num_hidden_layers": self.integer("block_count"),
            **self.heads,
            **({"head_dim": self.head_dim} if derived_head or self.has("attention.key_length") else {}),
            "hidden_act": "silu",
            "max_position_embeddings": self.integer("context_length"),
            norm: self.number(epsilon),
            "rope_theta": theta,
            "rope_scaling": rope_scaling(self.model, self.key_values, self.arch, theta),
            "attention_bias": "blk.0.attn_q.bias" in self.model.tensors,
            "attention_dropout": 0.0,
            **dict(list(frame.items())[3:]),
        }


def rope_scaling(model: Model, key_values: KeyValues, arch: str, theta: float) -> dict[str, Any] | None:
    prefix = f"{arch}.rope.scaling."
    kind = key_values.get(prefix + "type", "none")
    if _ROPE_FREQS in model.tensors:
        return llama3(rope_factors(model, _ROPE_FREQS), theta)
    if kind == "none":
        return None
    if kind not in ("linear", "yarn"):
        raise Unsupported(f"rope scaling {kind!r} has no place in config.json yet", place=prefix + "type")
    scaling: dict[str, Any] = {"rope_type": kind, "factor": decimal(number(key_values, prefix + "factor"))}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = integer(key_values, prefix + "original_context_length")
        for key, name in (
            ("yarn_ext_factor", "extrapolation_factor"), ("yarn_attn_factor", "attention_factor"),
            ("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow"),
        ):  # fmt: skip
            if prefix + key in key_values:
                scaling[name] = decimal(number(key_values, prefix + key))
    return scaling


def rope_factors(model: Model, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    tensor = model.tensors[name]
    assert isinstance(tensor, Tensor)  # a GGUF has no others
    if tensor.dtype.name != "F32" or tensor.extent.length > 1 << 16:
        raise Unsupported("rope frequencies of this form", place=f"tensor {name}")
    sources = SourceFiles(model.files)
    try:
        extent = tensor.extent
        return np.frombuffer(sources.read(extent.file, extent.offset, extent.length), np.float32)
    finally:
        sources.close()


def llama3(factors: np.ndarray[Any, np.dtype[np.float32]], theta: float) -> dict[str, Any]:
    scaling: Llama3Scaling | None = scaling_behind(factors, theta)
    if scaling is None:
        raise Unsupported(
            "these rope frequencies come from no scaling that config.json can say",
            place=f"tensor {_ROPE_FREQS}",
        )
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_freq_factor,
        "high_freq_factor": scaling.high_freq_factor,
        "original_max_position_embeddings": scaling.original_context,
    }


def integer(key_values: KeyValues, key: str) -> int:
    value = key_values.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise MalformedSource("not one whole number", place=f"key {key}", remedy=_AGAIN)
    return value


def number(key_values: KeyValues, key: str) -> float:
    value = key_values.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MalformedSource("not a number", place=f"key {key}", remedy=_AGAIN)
    return value


def decimal(value: float) -> float:
    """The shortest decimal that is this F32: 1e-05, not 9.999999747378752e-06.

    A number beyond F32, which other types can hold, stays as it is.
    """
    return float(str(np.float32(value))) if abs(value) < 3e38 else float(value)
