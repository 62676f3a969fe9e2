"""What config.json says of a model, checked: what a graph is made by.

`Decoder.of` and `Encoder.of` read a configuration as transformers completes it. What a graph could not do
exactly as transformers does it is refused here, by its name, before anything is listed.
Knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.defaults import completed
from translators.metadata.checked import shown
from translators.targets.onnx.frequencies import Rotation, rotation

DECODERS = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}  # fmt: skip
ENCODERS = {
    "BertModel": "bert", "RobertaModel": "roberta", "XLMRobertaModel": "xlm-roberta",
    "DistilBertModel": "distilbert",
}  # fmt: skip
_FILE = "config.json"
_REMEDY = "take config.json from the model's original repository"
_LARGEST = 1 << 28
# Only so many numbers, and multiples of them, can ONNX Runtime's attention turn.
_TURNED = 16


@dataclass(frozen=True)
class Decoder:
    """A decoder of the Llama, Mistral, Qwen2 or Qwen3 family.

    kind:      model_type, which is also onnxruntime-genai's name of it.
    head:      numbers of a head.
    windows:   for each layer how many positions it sees, 0 for all.
    qkv_bias, out_bias, mlp_bias: which linear layers have a bias.
    normed:    each head's query and key are.
    tied:      the head is the embedding.
    """

    kind: str
    vocab: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    epsilon: float
    rotation: Rotation
    windows: tuple[int, ...]
    qkv_bias: bool
    out_bias: bool
    mlp_bias: bool
    normed: bool
    tied: bool

    @staticmethod
    def of(config: Mapping[str, Any]) -> Decoder:
        """What a configuration says. Raises Unsupported, MalformedSource."""
        kind = _kind(config, DECODERS)
        whole = completed(config)
        read = _Reader(whole)
        hidden, heads = read.count("hidden_size"), read.count("num_attention_heads")
        head = read.count("head_dim") if whole.get("head_dim") is not None else hidden // heads
        kv_heads = heads if whole.get("num_key_value_heads") is None else read.count("num_key_value_heads")
        if head % _TURNED:
            raise _unsupported(f"heads that are no multiple of {_TURNED}:", head, "head_dim")
        if heads % kv_heads:
            raise MalformedSource(f"{heads} heads, and {kv_heads} of keys", path=_FILE, remedy=_REMEDY)
        if whole.get("hidden_act") not in ("silu", "swish"):
            raise _unsupported("an activation", whole.get("hidden_act"), "hidden_act")
        layers = read.count("num_hidden_layers")
        biased = kind in ("llama", "qwen3") and bool(whole.get("attention_bias"))
        return Decoder(
            kind, read.count("vocab_size"), hidden, read.count("intermediate_size"), layers, heads, kv_heads,
            head, read.number("rms_norm_eps"), rotation(config, whole, head), _windows(kind, whole, layers),
            biased or kind == "qwen2", biased, kind == "llama" and bool(whole.get("mlp_bias")),
            kind == "qwen3", bool(whole.get("tie_word_embeddings")),
        )  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """BERT, DistilBERT, RoBERTa or XLM-R.

    types:   how many kinds of tokens there are, 0 where the model has none.
    padding: the padding token that positions are counted from; None where they are counted from 0.
    """

    kind: str
    vocab: int
    hidden: int
    inner: int
    layers: int
    heads: int
    context: int
    types: int
    padding: int | None
    epsilon: float
    activation: str

    @staticmethod
    def of(config: Mapping[str, Any]) -> Encoder:
        """What a configuration says. Raises Unsupported, MalformedSource."""
        kind = _kind(config, ENCODERS)
        whole = completed(config)
        read = _Reader(whole)
        if whole.get("position_embedding_type", "absolute") != "absolute":
            raise _unsupported("positions", whole["position_embedding_type"], "position_embedding_type")
        if whole.get("is_decoder") or whole.get("add_cross_attention"):
            raise Unsupported("an encoder that is used as a decoder", path=_FILE, place="is_decoder")
        names = _DISTILLED if kind == "distilbert" else _USUAL
        activation = whole.get(names["activation"])
        if activation not in ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu"):
            raise _unsupported("an activation", activation, names["activation"])
        heads, hidden = read.count(names["heads"]), read.count(names["hidden"])
        if hidden % heads:
            raise MalformedSource(f"{heads} heads of {hidden} numbers", path=_FILE, remedy=_REMEDY)
        padding = read.count("pad_token_id", 0) if kind in ("roberta", "xlm-roberta") else None
        types = 0 if kind == "distilbert" else read.count("type_vocab_size")
        epsilon = 1e-12 if kind == "distilbert" else read.number("layer_norm_eps")
        return Encoder(
            kind, read.count("vocab_size"), hidden, read.count(names["inner"]), read.count(names["layers"]),
            heads, read.count("max_position_embeddings"), types, padding, epsilon, activation,
        )  # fmt: skip


_USUAL = {
    "hidden": "hidden_size", "inner": "intermediate_size", "layers": "num_hidden_layers",
    "heads": "num_attention_heads", "activation": "hidden_act",
}  # fmt: skip
_DISTILLED = {
    "hidden": "dim", "inner": "hidden_dim", "layers": "n_layers", "heads": "n_heads",
    "activation": "activation",
}  # fmt: skip


@dataclass(frozen=True)
class _Reader:
    """Values of a configuration, checked. Every method raises MalformedSource."""

    config: Mapping[str, Any]

    def count(self, key: str, least: int = 1) -> int:
        """A whole number."""
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _LARGEST:
            raise MalformedSource(
                f"{shown(value)} is no number for it", path=_FILE, place=key, remedy=_REMEDY
            )
        return value

    def number(self, key: str) -> float:
        """A number from 0 that is below 1."""
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise MalformedSource(
                f"{shown(value)} is no number for it", path=_FILE, place=key, remedy=_REMEDY
            )
        return float(value)


def is_decoder(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a decoder here."""
    return _architecture(config) in DECODERS


def _kind(config: Mapping[str, Any], kinds: Mapping[str, str]) -> str:
    """The model_type that goes with an architecture. Raises Unsupported for others, and where they differ."""
    architecture = _architecture(config)
    if architecture not in kinds:
        raise Unsupported(
            f"no ONNX graph is made for {shown(architecture)}; it is for "
            + ", ".join((*DECODERS, *ENCODERS)),
            path=_FILE, place="architectures",
        )  # fmt: skip
    kind = kinds[architecture]
    if config.get("model_type", kind) != kind:
        raise _unsupported(f"{architecture} of type", config["model_type"], "model_type")
    return kind


def _architecture(config: Mapping[str, Any]) -> Any:
    named = config.get("architectures")
    only = named[0] if isinstance(named, list) and len(named) == 1 else named
    return only if isinstance(only, str) else str(only)


def _windows(kind: str, whole: Mapping[str, Any], layers: int) -> tuple[int, ...]:
    """How many positions each layer sees, 0 for all."""
    window = whole.get("sliding_window")
    if kind == "llama" or window is None:
        return (0,) * layers
    size = _Reader(whole).count("sliding_window")
    if kind == "mistral":
        return (size,) * layers
    types = whole.get("layer_types")
    if not isinstance(types, list) or len(types) != layers:
        raise MalformedSource("no type for each layer", path=_FILE, place="layer_types", remedy=_REMEDY)
    return tuple(size if each == "sliding_attention" else 0 for each in types)


def _unsupported(what: str, value: object, place: str) -> Unsupported:
    return Unsupported(f"no ONNX graph is made with {what} {shown(value)}", path=_FILE, place=place)
