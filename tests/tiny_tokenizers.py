"""Tokenizer files for tiny models, made from nothing: small, deterministic, and valid for upstream's tools.

    sentencepiece()   the bytes of a tokenizer.model (BPE with byte fallback, as Llama 2's)
    byte_fallback()   a tokenizer.json of the same vocabulary, as a fast tokenizer stores it
    ..._files()       either with its tokenizer_config.json

Both cover every type of piece that the formats know: unknown, control, byte, normal, user-defined, unused.
The protobuf fields are those of sentencepiece_model.proto.
"""

from __future__ import annotations

import json
import struct
from typing import Any

UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE, NORMAL = 2, 3, 4, 5, 6, 1
SIZE = 416

# Words that merge from the letters below, pieces outside ASCII, and one of four bytes in UTF-8.
_WORDS = (
    "▁the",
    "▁of",
    "▁and",
    "ing",
    "er",
    "on",
    "▁prism",
    "▁light",
    "é",
    "ß",
    "我",
    "▁今日",
    "🦙",
    "▁▁",
    "▁▁▁▁",
)
_LETTERS = "▁etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLUCMFWYPVBGKJQXZ0123456789.,;:!?'\"-_()[]{}<>/\\|@#$%^&*+=~`"


def pieces() -> list[tuple[str, float, int]]:
    """The vocabulary: (text, score, type) of each of SIZE pieces, in the order of their ids."""
    table = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    table += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    table += [("<extra>", 0.0, USER_DEFINED), ("▁unused▁piece", -7.25, UNUSED)]
    texts = dict.fromkeys((*_merged(), *_LETTERS))
    rank = 0
    for text in texts:
        table.append((text, -float(rank) - rank % 3 * 0.125, NORMAL))
        rank += 1
    while len(table) < SIZE:
        table.append((f"▁w{len(table)}", -float(rank), NORMAL))
        rank += 1
    return table[:SIZE]


def sentencepiece() -> bytes:
    """tokenizer.model: the pieces, a trainer specification that says BPE, and an identity normaliser."""
    message = b"".join(
        _field(1, _field(1, text.encode()) + _tag(2, 5) + struct.pack("<f", score) + _number(3, kind))
        for text, score, kind in pieces()
    )
    trainer = _number(3, 2) + _number(4, SIZE) + _number(35, 1)
    trainer += _number(40, 0) + _number(41, 1) + _number(42, 2) + _number(43, -1)
    normaliser = _field(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1)
    return message + _field(2, trainer) + _field(3, normaliser)


def byte_fallback(added: tuple[str, ...] = ()) -> str:
    """tokenizer.json of a BPE with byte fallback; `added` are special tokens behind the vocabulary."""
    vocab = {text: number for number, (text, _, _) in enumerate(pieces())}
    merges = [[left, right] for left, right in _MERGES if left in vocab and right in vocab]
    special = ["<unk>", "<s>", "</s>", *added]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_added(vocab.get(text, SIZE + i - 3), text) for i, text in enumerate(special)],
            "normalizer": {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "▁"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                ],
            },
            "pre_tokenizer": None,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [_special("<s>"), _sequence("A", 0)],
                "pair": [_special("<s>"), _sequence("A", 0), _special("<s>", 1), _sequence("B", 1)],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
            },
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "ignore_merges": False,
                "vocab": vocab,
                "merges": merges,
            },
        },
        ensure_ascii=False,
        indent=2,
    )


def sentencepiece_files(**config: Any) -> dict[str, str | bytes]:
    """A SentencePiece model, as Llama 2 ships it, with the settings of `config`."""
    return {"tokenizer.model": sentencepiece(), "tokenizer_config.json": _settings("LlamaTokenizer", config)}


def byte_fallback_files(*added: str, **config: Any) -> dict[str, str | bytes]:
    """A BPE with byte fallback in tokenizer.json alone, with the settings of `config`."""
    return {
        "tokenizer.json": byte_fallback(added),
        "tokenizer_config.json": _settings("LlamaTokenizerFast", config),
    }


def _settings(kind: str, config: dict[str, Any]) -> str:
    base = {"tokenizer_class": kind, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return json.dumps({**base, **config}, indent=2)


def _merges() -> tuple[tuple[str, str], ...]:
    """Every word is built letter by letter from the left; each step is a merge."""
    steps = ((word[:cut], word[cut]) for word in _WORDS for cut in range(1, len(word)))
    return tuple(dict.fromkeys(steps))


_MERGES = _merges()


def _merged() -> list[str]:
    return [left + right for left, right in _MERGES] + [word for word in _WORDS if len(word) == 1]


def _added(number: int, text: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": text, **flags, "special": True}


def _special(text: str, kind: int = 0) -> dict[str, Any]:
    return {"SpecialToken": {"id": text, "type_id": kind}}


def _sequence(which: str, kind: int) -> dict[str, Any]:
    return {"Sequence": {"id": which, "type_id": kind}}


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(data)) + data
