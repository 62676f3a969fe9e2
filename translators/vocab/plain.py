"""A tokenizer from vocab.json and merges.txt, or BERT's vocab.txt, for checkpoints without tokenizer.json.

Built as transformers' converters build it from its GPT-2, Qwen-2 and BERT classes: the same split, normaliser
and post-processor, the merges read line by line under each class's own rules.
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
    if kind.plain == "bert":
        return _word_pieces(folder, arguments, named)
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


def _word_pieces(folder: Folder, arguments: Mapping[str, Any], named: Mapping[str, AddedToken]) -> Tokenizer:
    # Line ends as Python's text mode gives them; a text that comes twice has its last line's id.
    lines = folder.text("vocab.txt").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    vocabulary = {line: number for number, line in enumerate(lines)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=named["unk_token"].content))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(arguments.get("tokenize_chinese_chars", True)),
        strip_accents=arguments.get("strip_accents"),
        lowercase=bool(arguments.get("do_lower_case", True)),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, last = named["cls_token"].content, named["sep_token"].content
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first}:0 $A:0 {last}:0",
        pair=f"{first}:0 $A:0 {last}:0 $B:1 {last}:1",
        special_tokens=[(text, vocabulary[text]) for text in dict.fromkeys((first, last))],
    )
    backend.decoder = decoders.WordPiece(prefix="##")
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
