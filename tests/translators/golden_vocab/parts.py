"""The parts of made-up tokenizer files: a small byte-level vocabulary, added tokens, templates."""

from __future__ import annotations

from typing import Any

WORDS = ["Ġ t", "h e", "i n", "Ġt he", "Ġ Ġ", "ĠĠ ĠĠ", "1 2", "ð Ł", "Ġ ="]
SIZE = 300
END = "<|endoftext|>"
START = "<|im_start|>"


def byte_characters() -> list[str]:
    """The 256 characters of byte-level BPE, in the order of their bytes' usual ids."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in plain] + [chr(0x100 + at) for at in range(256 - len(plain))]


def added(text: str, number: int | None = None, **flags: bool) -> dict[str, Any]:
    """One added token."""
    token = {"content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    token |= {"special": False, **flags}
    return token if number is None else {"id": number, **token}


def vocabulary() -> dict[str, int]:
    """Bytes and merged words, ids 0 to 264."""
    texts = byte_characters() + [merge.replace(" ", "") for merge in WORDS]
    return {text: number for number, text in enumerate(texts)}


def listed() -> list[dict[str, Any]]:
    """Added tokens after the vocabulary: special, special by its looks, spaces, a mark, bytes' characters."""
    return [
        added("<|endoftext|>", 265, special=True),
        added("<|im_start|>", 266),
        added("   ", 267),
        added("▁mark", 268),
        added("é", 269, normalized=True),
        added("ø", 270),
    ]


def byte_level(**changes: Any) -> dict[str, Any]:
    """A byte-level tokenizer.json; `changes` replace its parts, those of `model` are merged in."""
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model |= {"vocab": vocabulary(), "merges": list(WORDS), **changes.pop("model", {})}
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": listed(),
        "normalizer": None,
        "pre_tokenizer": step,
        "post_processor": None,
        "decoder": step,
        "model": model,
        **changes,
    }


def template(single: list[str], pair: list[str], ids: dict[str, int]) -> dict[str, Any]:
    """A TemplateProcessing; "A" and "B" stand for the texts."""

    def entry(text: str) -> dict[str, Any]:
        kind = "Sequence" if text in "AB" else "SpecialToken"
        return {kind: {"id": text, "type_id": int(text == "B")}}

    special = {text: {"id": text, "ids": [number], "tokens": [text]} for text, number in ids.items()}
    return {
        "type": "TemplateProcessing",
        "single": list(map(entry, single)),
        "pair": list(map(entry, pair)),
        "special_tokens": special,
    }


FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END}
