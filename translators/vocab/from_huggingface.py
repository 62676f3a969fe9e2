"""Tokenizer files of a Hugging Face directory -> the tokenizer.* key-values of a GGUF.

Promises the names, types, values and order of what llama.cpp b11434's converter writes, or an error that says
why it cannot be right. `STYLES` is the whole list of what a family may ask for; kinds that need code of the
checkpoint's own or a file of upstream's tree are listed too, and refused by name.
Knows nothing of the rest of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from translators.errors import Unsupported
from translators.keyvalues import KeyValues
from translators.vocab import bpe_styles, encoders, native, ranked, styles
from translators.vocab.folder import Folder
from translators.vocab.writing import Writing

Style = Callable[[Writing], None]


def _llama(writing: Writing) -> None:
    if writing.folder.has("tekken.json") and not writing.folder.has("tokenizer.json"):
        native.mistral_beside(writing)
    else:
        styles.llama(writing)


def _refused(what: str) -> Style:
    def refuse(writing: Writing) -> None:
        raise Unsupported(
            f"the tokenizer of {what} has no translation", path=str(writing.folder.root),
            remedy="model.safetensors is available for every architecture",
        )  # fmt: skip

    return refuse


STYLES: Mapping[str, Style] = {
    "llama": _llama,
    "qwen": styles.qwen,
    "gpt2": styles.gpt2,
    "sentencepiece": styles.sentencepiece,
    "none": styles.none,
    # Families with rules of their own.
    "chatglm": bpe_styles.chatglm,
    "deepseek2": ranked.deepseek2,
    "deepseek32": bpe_styles.deepseek32,
    "dots3": bpe_styles.dots3,
    "ernie4.5": styles.ernie,
    "gemma": styles.gemma,
    "gemma2": styles.gemma2,
    "gemma3": styles.gemma3,
    "gemma3n": styles.gemma3n,
    "gemma4": styles.gemma4,
    "glm": bpe_styles.glm,
    "glm4": bpe_styles.glm4,
    "granite-hybrid": bpe_styles.granite_hybrid,
    "grok": styles.grok,
    "hunyuan-dense": ranked.hunyuan_dense,
    "hunyuan-moe": ranked.hunyuan_moe,
    "internlm2": styles.internlm2,
    "internlm3": styles.internlm3,
    "jamba": styles.jamba,
    "kimi-linear": ranked.kimi_linear,
    "mamba": bpe_styles.mamba,
    "mamba2": bpe_styles.mamba2,
    "minimax-text": bpe_styles.minimax,
    "mistral": native.mistral,
    "mpt": bpe_styles.mpt,
    "nemotron": styles.nemotron,
    "nemotron-h": bpe_styles.nemotron_h,
    "openelm": styles.openelm,
    "phi3": styles.phi3,
    "qwen1": ranked.qwen1,
    "qwen3-omni": styles.qwen3_omni,
    "refact": bpe_styles.refact,
    "solar-open": bpe_styles.solar_open,
    "stablelm": ranked.stablelm,
    "xverse": styles.xverse,
    # Encoders.
    "bert": encoders.bert,
    "eurobert": encoders.eurobert,
    "jina-bert-v2": encoders.jina_bert_v2,
    "modern-bert": encoders.modern_bert,
    "nomic-bert": encoders.nomic_bert,
    "roberta": encoders.roberta,
    "t5": encoders.t5,
    "xlm-roberta": encoders.xlm_roberta,
    # Refused.
    "hybriddna": _refused("HybridDNA"),
    "interns1": _refused("InternS1"),
    "plamo": _refused("PLaMo"),
    "rwkv": _refused("RWKV"),
}


def write_tokenizer(
    kv: KeyValues, root: Path, config: Mapping[str, Any], *, style: str, arch: str = "llama"
) -> None:
    """Append the tokenizer of the directory `root`, whose config.json is `config`, to `kv`.

    style: which of `STYLES`' rules hold. `arch`: the GGUF's architecture, which a few keys and rules name.
    Raises MissingSource (no tokenizer), MalformedSource, or Unsupported (the reason is in the error).
    """
    inner = config.get("text_config")
    config = {**config, **inner} if isinstance(inner, dict) else config
    STYLES[style](Writing(kv, Folder(root), config, arch))
