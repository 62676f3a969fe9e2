"""Mistral's own tokenizer files: tekken.json, or a SentencePiece model with its version in its name.

Promises the keys of upstream's `_set_vocab_mistral`, in its order. The template is the name of one that
llama.cpp has built in, as far as the tokenizer's version tells; for later versions upstream takes a text from
its own tree, so a checkpoint without chat_template.jinja is refused. Facts: mistral-common's file formats.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from translators.errors import MissingSource, Unsupported
from translators.keyvalues import ValueType
from translators.vocab.folder import Folder
from translators.vocab.ranks import every_split, shown
from translators.vocab.sentencepiece import Piece, read_model
from translators.vocab.spm import piece_tokens
from translators.vocab.stored import PREFIX
from translators.vocab.tokens import Tokens, TokenType, checked_count
from translators.vocab.writing import Writing

_TEKKEN = "tekken.json"
_VERSIONED = re.compile(r"[^.]+\.model(?:\.(v(?:1|2|3|7|11|13|15))(?:m1)?)?")
_NAMED = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
# Up to v7 a file may leave its special tokens out.
_SPECIAL = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip
_TEMPLATES = {
    ("v1", False): "mistral-v1", ("v1", True): "mistral-v1",
    ("v3", False): "mistral-v3", ("v3", True): "mistral-v3-tekken",
    ("v7", False): "mistral-v7", ("v7", True): "mistral-v7-tekken",
}  # fmt: skip


@dataclass(frozen=True)
class _Native:
    """A tokenizer in Mistral's format. `merges`: of tekken; None for SentencePiece."""

    version: str
    tokens: Tokens
    ids: dict[str, int]
    merges: list[bytes] | None


def mistral(writing: Writing) -> None:
    """A checkpoint in Mistral's own format (params.json): chat_template.jinja counts."""
    _write(writing, local=True)


def mistral_beside(writing: Writing) -> None:
    """Mistral's tokenizer beside Hugging Face's weights, where there is no tokenizer.json."""
    _write(writing, local=False)


def _write(writing: Writing, *, local: bool) -> None:
    name = _file(writing.folder)
    native = _tekken(writing.folder) if name == _TEKKEN else _sentencepiece(writing.folder, name)
    template = _template(writing.folder, native, name, local=local)
    kv = writing.kv
    kv.string(PREFIX + "model", "llama" if native.merges is None else "gpt2")
    if native.merges is not None:
        kv.string(PREFIX + "pre", "tekken")
        writing.merges(native.merges)
    for kind, number in native.ids.items():
        writing.id(kind, number)
    kv.array(PREFIX + "tokens", ValueType.STRING, native.tokens.texts)
    # Upstream's zeros for tekken are whole numbers, and so is the array.
    element = ValueType.F32 if native.merges is None else ValueType.I32
    kv.array(PREFIX + "scores", element, native.tokens.scores or [])
    kv.array(PREFIX + "token_type", ValueType.I32, native.tokens.types)
    kv.u32(f"{writing.arch}.vocab_size", len(native.tokens.texts))
    writing.adds("bos", True)
    writing.adds("eos", False)
    kv.string("tokenizer.chat_template", template)


def _file(folder: Folder) -> str:
    if folder.has(_TEKKEN):
        return _TEKKEN
    names = sorted(path.name for path in folder.root.glob("*.model*") if _VERSIONED.fullmatch(path.name))
    if not names:
        raise MissingSource(
            "neither tekken.json nor a versioned tokenizer.model", path=str(folder.root),
            remedy="fetch the tokenizer's files too",
        )  # fmt: skip
    return names[-1]


def _template(folder: Folder, native: _Native, name: str, *, local: bool) -> str:
    if local and folder.has("chat_template.jinja"):
        return folder.text("chat_template.jinja")
    known = _TEMPLATES.get((native.version, native.merges is not None))
    if known is None:
        raise Unsupported(
            f"a tokenizer of version {native.version} has no chat template by name", path=folder.shown(name),
            remedy="add the chat_template.jinja" if local else "add the tokenizer.json of the same model",
        )  # fmt: skip
    return known


def _sentencepiece(folder: Folder, name: str) -> _Native:
    pieces = read_model(folder.data(name), folder.shown(name)).pieces
    found = {piece.text.decode(): n for n, piece in enumerate(pieces) if _is_special(piece)}
    ids = {kind: found[text] for kind, text in _NAMED.items() if text in found}
    if len(ids) < 3:
        raise folder.malformed(name, "lacks one of <s>, </s> and <unk>")
    ids.setdefault("pad", ids["eos"])
    version = _VERSIONED.fullmatch(name)
    return _Native(version[1] or "v1" if version else "v1", piece_tokens(pieces, len(pieces)), ids, None)


def _is_special(piece: Piece) -> bool:
    return piece.type in (TokenType.CONTROL, TokenType.UNKNOWN)


def _tekken(folder: Folder) -> _Native:
    try:
        return _tekken_of(folder, folder.json(_TEKKEN))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error) as error:
        raise folder.malformed(_TEKKEN, f"is no tekken vocabulary: {error}") from error


def _tekken_of(folder: Folder, document: dict[str, Any]) -> _Native:
    config = document["config"]
    count = checked_count(config["default_vocab_size"], folder.shown(_TEKKEN))
    reserved = checked_count(config["default_num_special_tokens"], folder.shown(_TEKKEN))
    special, ranks_of = _special(document, config["version"], reserved)
    entries = document["vocab"][: max(count - reserved, 0)]
    ranks = {base64.b64decode(entry["token_bytes"]): int(entry["rank"]) for entry in entries}
    if list(ranks.values()) != list(range(count - reserved)) or any(
        token != bytes([rank]) for token, rank in ranks.items() if rank < 256
    ):
        raise ValueError("the ranks are not those of all tokens in order")
    merges = []
    made = set()
    for left, right in every_split(ranks):
        made.add(left + right)
        merges.append(f"{shown(left)} {shown(right)}".encode())
    if len(made) != len(ranks) - 256:
        raise ValueError("a token is not made of two others")
    texts = [*special, *map(shown, ranks)]
    types = [TokenType.CONTROL] * reserved + [TokenType.NORMAL] * len(ranks)
    ids = {kind: ranks_of[text] for kind, text in _NAMED.items()}
    return _Native(
        config["version"], Tokens([t.encode() for t in texts], types, [0] * len(texts)), ids, merges
    )


def _special(document: dict[str, Any], version: str, reserved: int) -> tuple[list[str], dict[str, int]]:
    """The special tokens by place, with fillers up to `reserved`, and the rank that each claims."""
    listed = document.get("special_tokens")
    if listed is None and version not in ("v1", "v2", "v3", "v7"):
        raise ValueError("special_tokens is missing")
    if listed is None:
        listed = [{"token_str": text, "rank": at} for at, text in enumerate(_SPECIAL)]
    texts = [str(entry["token_str"]) for entry in listed]
    ranks = [int(entry["rank"]) for entry in listed]
    for at in range(len(texts), reserved):
        texts.append(f"<SPECIAL_{at}>")
        ranks.append(at)
    if len(texts) != reserved or len(set(texts)) != reserved:
        raise ValueError(f"{len(set(texts)):,} different special tokens, not {reserved:,}")
    return texts, dict(zip(texts, ranks, strict=True))
