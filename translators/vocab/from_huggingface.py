"""Tokenizer files of a Hugging Face directory -> the tokenizer.* key-values of a GGUF.

Promises the names, types, values and order of what llama.cpp b11434's converter writes for the Llama and Qwen
families (`LlamaModel.set_vocab`, `Qwen2Model.set_vocab`), or an error that says why it cannot be right.
Knows nothing of the rest of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from translators.errors import Unsupported
from translators.keyvalues import KeyValues, ValueType
from translators.vocab.bpe import byte_fallback, byte_level, has_byte_fallback
from translators.vocab.folder import Folder
from translators.vocab.special import KINDS, read_merges, read_specials
from translators.vocab.spm import sentencepiece_tokens
from translators.vocab.stored import ADD_KEYS, ID_KEYS, PREFIX
from translators.vocab.templates import write_templates
from translators.vocab.tokens import Tokens

# CodeLlama's vocabulary, whose infill tokens no file names; gguf-py has a key for the last one only.
_CODELLAMA_TOKENS, _CODELLAMA_EOT = 32016, 32010
# Granite's small models; SmolLM2 has as many tokens and gets the same treatment.
_NO_BOS_TOKENS = 49152


def write_tokenizer(
    kv: KeyValues, root: Path, config: Mapping[str, Any], *, style: Literal["llama", "qwen"]
) -> None:
    """Append the tokenizer of the directory `root`, whose config.json is `config`, to `kv`.

    style: which family's rules hold. "llama" takes a SentencePiece model, else a BPE with byte fallback, else
    byte-level BPE; "qwen" has no second choice.
    Raises MissingSource (no tokenizer), MalformedSource, or Unsupported (the reason is in the error).
    """
    folder = Folder(root)
    inner = config.get("text_config")
    config = {**config, **inner} if isinstance(inner, dict) else config
    if style == "llama":
        _write_space_prefix(kv, folder)
    if folder.has("tokenizer.model"):
        _write_scored(kv, folder, sentencepiece_tokens(folder, config))
    elif style == "llama" and has_byte_fallback(folder):
        _write_scored(kv, folder, byte_fallback(folder, config))
    else:
        _write_byte_level(kv, folder, config)
    if style == "llama":
        _write_exceptions(kv, folder, config.get("vocab_size", 32000))


def _write_space_prefix(kv: KeyValues, folder: Folder) -> None:
    if folder.has("tekken.json") and not folder.has("tokenizer.json"):
        raise Unsupported(
            "the tokenizer is in Mistral's own format only",
            path=folder.shown("tekken.json"), remedy="add the tokenizer.json of the same model",
        )  # fmt: skip
    settings = folder.json("tokenizer_config.json")
    if settings.get("add_prefix_space") is not None:
        kv.bool(PREFIX + "add_space_prefix", bool(settings["add_prefix_space"]))
    if settings.get("tokenizer_class") == "HybridDNATokenizer":
        raise Unsupported(
            "the tokenizer is code of the checkpoint's own",
            path=folder.shown("tokenizer_config.json"), place="HybridDNATokenizer",
        )  # fmt: skip


def _write_scored(kv: KeyValues, folder: Folder, tokens: Tokens) -> None:
    _write_tokens(kv, "llama", "default", tokens)
    _write_specials(kv, folder, count=len(tokens.texts))


def _write_byte_level(kv: KeyValues, folder: Folder, config: Mapping[str, Any]) -> None:
    tokens, pre = byte_level(folder, config)
    _write_tokens(kv, "gpt2", pre, tokens)
    if merges := read_merges(folder):
        kv.array(PREFIX + "merges", ValueType.STRING, merges)
    _write_specials(kv, folder, count=None)


def _write_tokens(kv: KeyValues, model: str, pre: str, tokens: Tokens) -> None:
    kv.string(PREFIX + "model", model)
    kv.string(PREFIX + "pre", pre)
    kv.array(PREFIX + "tokens", ValueType.STRING, tokens.texts)
    if tokens.scores is not None:
        kv.array(PREFIX + "scores", ValueType.F32, tokens.scores)
    kv.array(PREFIX + "token_type", ValueType.I32, tokens.types)


def _write_specials(
    kv: KeyValues,
    folder: Folder,
    *,
    count: int | None,
    kinds: tuple[str, ...] = KINDS,
    eot: int | None = None,
) -> None:
    found = read_specials(folder, count=count, kinds=kinds)
    if eot is not None:
        found.ids.setdefault("eot", eot)
    for kind, number in found.ids.items():
        if kind in ID_KEYS:
            kv.u32(PREFIX + ID_KEYS[kind], number)
    for kind, value in found.adds.items():
        if kind in ADD_KEYS:
            kv.bool(PREFIX + ADD_KEYS[kind], value)
    write_templates(kv, folder)
    for flag in ("lowercase", "strip_accents"):
        if found.flags.get(flag) is not None:
            kv.bool(f"{PREFIX}normalizer.{flag}", bool(found.flags[flag]))


def _write_exceptions(kv: KeyValues, folder: Folder, vocab_size: Any) -> None:
    """What upstream knows of two vocabularies by nothing but their size."""
    if vocab_size == _CODELLAMA_TOKENS:
        kinds = ("prefix", "suffix", "middle", "eot")
        _write_specials(kv, folder, count=None, kinds=kinds, eot=_CODELLAMA_EOT)
    if vocab_size == _NO_BOS_TOKENS:
        kv.bool(PREFIX + "add_bos_token", False)
