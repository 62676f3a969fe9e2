"""The classes that `tokenizer_config.json` may name, as far as they change what tokenizer.json says.

A class of transformers 4.57 brings special tokens of its own for those the configuration leaves out, may
write the post-processor anew from `add_bos_token` and `add_eos_token`, and says how vocab.json with
merges.txt or vocab.txt is to be read. The table holds the classes that checkpoints of the families name; any
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
    plain:    how the files without tokenizer.json are read; None where the class cannot.
    cases:    whether do_lower_case, strip_accents and ("all") tokenize_chinese_chars rule the normaliser.
    """

    special: Mapping[str, str | None] = field(default_factory=dict)
    infill: Mapping[str, str] = field(default_factory=dict)
    template: bool = False
    add_bos: bool = False
    prefix: bool | None = False
    rebuilt: bool = False
    plain: Literal["gpt2", "qwen2", "bert"] | None = None
    cases: Literal["all", "some"] | None = None


_END = "<|endoftext|>"
_SENTENCEPIECE = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
_BERT: Mapping[str, str | None] = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ROBERTA = {
    "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip
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
    "CodeGenTokenizer": TokenizerClass({"unk_token": _END, "bos_token": _END, "eos_token": _END}),
    "BloomTokenizer": TokenizerClass(
        {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    ),
    "BertTokenizer": TokenizerClass(_BERT, plain="bert", cases="all"),
    "DistilBertTokenizer": TokenizerClass(_BERT, plain="bert", cases="all"),
    "ElectraTokenizer": TokenizerClass(_BERT, plain="bert", cases="all"),
    "MPNetTokenizer": TokenizerClass({**_ROBERTA, "unk_token": "[UNK]"}, cases="some"),
    "RobertaTokenizer": TokenizerClass(_ROBERTA),
    "XLMRobertaTokenizer": TokenizerClass(_ROBERTA),
}  # fmt: skip
"""By name without the ending `Fast`, which never makes a difference here."""

_MODEL_TYPES = {
    "LlamaTokenizer": "arcee aria chameleon deepseek_v2 deepseek_v3 diffllama ernie4_5 ernie4_5_moe jamba "
    "jetmoe llama llama4 llama4_text llava mistral mistral3 mixtral mllama ministral phi3 phimoe persimmon",
    "CodeLlamaTokenizer": "code_llama",
    "Qwen2Tokenizer": "internvl qwen2 qwen2_moe qwen2_vl qwen2_5_vl qwen2_5_omni qwen2_audio qwen3 qwen3_moe "
    "qwen3_next qwen3_vl qwen3_vl_moe qwen3_omni_moe",
    "PreTrainedTokenizer": "bitnet falcon glm glm4 glm4_moe glm4v glm4v_moe gpt_oss modernbert nemotron "
    "smollm3",
    "GPT2Tokenizer": "dbrx exaone4 flex_olmo gpt2 gpt_bigcode gpt_neo gptj minimax olmo3 opt starcoder2",
    "GPTNeoXTokenizer": "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmo2 olmoe rwkv stablelm",
    "GemmaTokenizer": "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma",
    "CohereTokenizer": "cohere cohere2",
    "CodeGenTokenizer": "codegen phi",
    "BloomTokenizer": "bloom",
    "BertTokenizer": "bert megatron-bert nezha",
    "DistilBertTokenizer": "distilbert",
    "ElectraTokenizer": "electra",
    "MPNetTokenizer": "mpnet",
    "RobertaTokenizer": "roberta roberta-prelayernorm",
    "XLMRobertaTokenizer": "xlm-roberta xlm-roberta-xl xmod",
}
_BY_MODEL_TYPE = {kind: name for name, kinds in _MODEL_TYPES.items() for kind in kinds.split()}


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
