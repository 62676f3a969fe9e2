"""The models whose PyTorch names are known, by config.json's `model_type`.

A kind tells what its classes call their base model and which modules that one consists of: that is enough to
tell its tensors from what else may lie in a file, such as an optimiser's state. Each was compared with
transformers' own conversion (`make flax-check`); a kind that was not is none of these.
"""

from __future__ import annotations

from dataclasses import dataclass

# What transformers' classes of these kinds have beside their base model.
_HEADS = frozenset(
    (
        "cls", "classifier", "qa_outputs", "lm_head", "score", "pre_classifier", "vocab_transform",
        "vocab_layer_norm", "vocab_projector", "predictions", "sop_classifier", "discriminator_predictions",
        "generator_predictions", "generator_lm_head", "classification_head", "final_logits_bias",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """prefix: what classes with a head call the base model, "" where it is no module of its own.
    modules: the first parts of its own tensors' names."""

    prefix: str
    modules: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether a tensor of that PyTorch name may be in such a model."""
        first, _, rest = name.partition(".")
        if first == self.prefix and rest:
            first = rest.partition(".")[0]
            return first in self.modules
        return first in self.modules or first in _HEADS


def _kind(prefix: str, *modules: str) -> Kind:
    return Kind(prefix, frozenset(modules))


_ENCODER = ("embeddings", "encoder", "pooler")
_GPT = ("wte", "wpe", "h", "ln_f")
_LLAMA = ("embed_tokens", "layers", "norm")
_T5 = _kind("", "shared", "encoder", "decoder")

_BOTH = {
    "bert": _kind("bert", *_ENCODER),
    "distilbert": _kind("distilbert", "embeddings", "transformer"),
    "electra": _kind("electra", "embeddings", "embeddings_project", "encoder"),
    "gpt2": _kind("transformer", *_GPT),
    "gptj": _kind("transformer", *_GPT),
    "mistral": _kind("model", *_LLAMA),
    "mt5": _T5,
    "opt": _kind("model", "decoder"),
    "roberta": _kind("roberta", *_ENCODER),
    "t5": _T5,
    "xlm-roberta": _kind("roberta", *_ENCODER),
}
FLAX_KINDS = {
    **_BOTH,
    "albert": _kind("albert", *_ENCODER),
    "bart": _kind("model", "shared", "encoder", "decoder"),
    "bloom": _kind("transformer", "word_embeddings", "word_embeddings_layernorm", "h", "ln_f"),
    "gemma": _kind("model", *_LLAMA),
    "gpt_neo": _kind("transformer", *_GPT),
    "llama": _kind("model", *_LLAMA),
}
KERAS_KINDS = {**_BOTH, "camembert": _kind("roberta", *_ENCODER)}
GOOGLE_KINDS = {"bert": _BOTH["bert"]}
