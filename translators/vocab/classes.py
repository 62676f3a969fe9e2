"""The classes that `tokenizer_config.json` may name, as far as they change what tokenizer.json says.

A class of transformers 4.57 brings special tokens of its own for those the configuration leaves out, may
write the post-processor anew from `add_bos_token` and `add_eos_token`, and says how vocab.json with
merges.txt is to be read. The table holds the classes that Llama- and Qwen-shaped checkpoints name; any
other is refused by name. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from translators.errors import Unsupported


@dataclass(frozen=True)
class TokenizerClass:
    """What one class adds to a tokenizer.json.

    special:  special tokens by attribute, where the configuration does not have the key.
    infill:   further attributes whose tokens count as additional special tokens.
    template: whether the post-processor is made from add_bos_token and add_eos_token.
    add_bos:  add_bos_token where the configuration does not have it.
    prefix:   add_prefix_space where the configuration does not have it.
    rebuilt:  whether a set add_prefix_space makes transformers build the tokenizer from tokenizer.model.
    plain:    how vocab.json and merges.txt are read; None where the class cannot.
    """

    special: Mapping[str, str | None] = field(default_factory=dict)
    infill: Mapping[str, str] = field(default_factory=dict)
    template: bool = False
    add_bos: bool = False
    prefix: bool | None = False
    rebuilt: bool = False
    plain: Literal["gpt2", "qwen2"] | None = None


_END = "<|endoftext|>"
_SENTENCEPIECE = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
_INFILL = {
    "prefix_token": "▁<PRE>", "middle_token": "▁<MID>", "suffix_token": "▁<SUF>", "eot_token": "▁<EOT>",
}  # fmt: skip

CLASSES = {
    "PreTrainedTokenizer": TokenizerClass(),
    # transformers 5 writes this name; it stands for tokenizer.json as it is.
    "TokenizersBackend": TokenizerClass(),
    "LlamaTokenizer": TokenizerClass(_SENTENCEPIECE, template=True, add_bos=True, prefix=None, rebuilt=True),
    "CodeLlamaTokenizer": TokenizerClass(_SENTENCEPIECE, _INFILL, template=True, add_bos=True),
    "GemmaTokenizer": TokenizerClass(
        {"unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"},
        template=True, add_bos=True,
    ),
    "CohereTokenizer": TokenizerClass(
        {"unk_token": "<UNK>", "bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>"},
        template=True, add_bos=True,
    ),
    "GPTNeoXTokenizer": TokenizerClass(
        {"unk_token": _END, "bos_token": _END, "eos_token": _END}, template=True
    ),
    "GPT2Tokenizer": TokenizerClass(
        {"unk_token": _END, "bos_token": _END, "eos_token": _END}, plain="gpt2"
    ),
    "Qwen2Tokenizer": TokenizerClass(
        {"unk_token": _END, "bos_token": None, "eos_token": _END, "pad_token": _END}, plain="qwen2"
    ),
}  # fmt: skip
"""By name without the ending `Fast`, which never makes a difference here."""

_BY_MODEL_TYPE = {
    "llama": "LlamaTokenizer", "mistral": "LlamaTokenizer", "mixtral": "LlamaTokenizer",
    "code_llama": "CodeLlamaTokenizer",
    "qwen2": "Qwen2Tokenizer", "qwen2_moe": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer", "qwen3_moe": "Qwen2Tokenizer",
}  # fmt: skip


def tokenizer_class(settings: Mapping[str, Any], config: Mapping[str, Any], path: str) -> TokenizerClass:
    """The class that `settings` (tokenizer_config.json) or else `config` (config.json) asks for.

    Raises Unsupported, naming the class, where it is not in the table.
    """
    name = settings.get("tokenizer_class") or config.get("tokenizer_class")
    name = name or _BY_MODEL_TYPE.get(str(config.get("model_type")))
    known = CLASSES.get(str(name).removesuffix("Fast"))
    if known is None:
        raise Unsupported(
            f"the tokenizer class {name!r} is not one that can be read without running its code",
            path=path, place="tokenizer_class", remedy="use a checkpoint with a plain tokenizer.json",
        )  # fmt: skip
    return known
