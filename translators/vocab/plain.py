"""A byte-level BPE tokenizer from vocab.json and merges.txt, for checkpoints without tokenizer.json.

Built as transformers' converters build it from its GPT-2 and Qwen-2 classes: the same split, normaliser and
post-processor, the merges read line by line under each class's own rules.
Knows nothing of GGUF, nor of how special tokens are added afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from translators.errors import Unsupported
from translators.vocab.classes import TokenizerClass
from translators.vocab.folder import Folder

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def plain_tokenizer(
    folder: Folder, arguments: Mapping[str, Any], kind: TokenizerClass, named: Mapping[str, AddedToken]
) -> Tokenizer:
    """The tokenizer of the two files. Raises Unsupported for a class that does not use them."""
    if kind.plain is None:
        raise Unsupported(
            "vocab.json and merges.txt alone do not define this class's tokenizer",
            path=str(folder.root), remedy="add tokenizer.json",
        )  # fmt: skip
    try:
        merges = _merges(folder.text("merges.txt"), kind.plain)
        model = models.BPE(
            vocab=folder.json("vocab.json"), merges=merges,
            continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False,
        )  # fmt: skip
    except Exception as error:
        raise folder.malformed("vocab.json", f"does not go with merges.txt: {error}") from error
    backend = Tokenizer(model)
    prefix = bool(arguments.get("add_prefix_space", False))
    if kind.plain == "qwen2":
        backend.normalizer = normalizers.NFC()
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
            ]
        )
    else:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    if kind.plain == "gpt2" and arguments.get("add_bos_token"):
        backend.post_processor = _with_bos(backend, named["bos_token"].content)
    return backend


def _with_bos(backend: Tokenizer, bos: str) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=f"{bos}:0 $A:0", special_tokens=[(bos, backend.token_to_id(bos))]
    )


def _merges(text: str, kind: str) -> list[tuple[str, str]]:
    """The merges in order, each once. GPT-2 drops the first and the last line, whatever they hold."""
    if kind == "gpt2":
        lines = text.split("\n")[1:-1]
    else:
        lines = [line.strip() for line in text.split("\n")]
        lines = [
            line for at, line in enumerate(lines) if line and not (at == 0 and line.startswith("#version:"))
        ]
    pairs = (line.split() for line in lines)
    return list(dict.fromkeys((left, right) for left, right in pairs))
