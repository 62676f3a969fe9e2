"""Made-up files of the kinds that are no BPE of tokenizer.json: WordPiece, Unigram, ranks, Mistral's own.

Only the standard library is used, for `regenerate.py` runs this with upstream's own environment.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from tests import tiny_tokenizers
from tests.translators.golden_vocab.parts import added, template

# A table of characters as SentencePiece makes it: full-width A, the sign for ohm, and the ligature fi.
CHARACTERS = zlib.decompress(
    base64.b64decode(
        b"eNol03mQD2QYB/B3fjFjYlwNoXWWkPuWKyWVOzlz5WpZUuQusqstqdzK0aJ1LMuS++hwy72FnDmybuVsUej4bP3xmef7xzvz"
        b"/vF8n5AphPDpQyEtKhLiEyIhqWAImUOITckSCXFCRPYiNlHOKjzM9SmRkM3MQXZykZNHyE0evk2PhEfNvOQnH49RAF+EKApT"
        b"iKIU4XGKUZwnKMGTlKIkpXmKspShPOWoSAUqU4mqVKE61XiaGtSiJnWozTPU5VnqUZ/naMDzvMgLNOQlGtOIpjShOc1owcu0"
        b"5BVa04q2tOFV2tGB9nSiI6/Rma50oTvdeJ0e9CSaGHrRh9705Q3e4k36048BvM0gBjKEwQxjKO/yDiMYzkjeIy78v+T3GcUH"
        b"xDOaDxnDR3zCx4zNqAzjGcdEJjCZSXzGFKbyOdOZxhfMYCYJzGYWiXzJXOYwn3ksIIlkFrKYRSwhha9YynKWsZIVrGYVa1nD"
        b"etbxDV/zXUY/2cgGNrOJrWxhO9vYwffsYid72M0+9vIDqeznRw5ygEP8xBEOc4yj/MxxTnKC05ziDL9wljTOc46LXOAyl/iV"
        b"K1zlt4w75Bo3ucHv3OI26dzlDn/yB/e5x1884B/+/q//0TEhNTn8C/igi9I="
    )
)
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = ("the", "##ing", "apple", "##s", "3", "##3", "i", "我", "!", "'", "ve", "##", "told", "-", "=", "re")
UNIGRAM_SIZE = 60
# What mistral-common asks for of a tekken.json, in another order than its own.
SPECIAL = [
    "<unk>", "<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]", "[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
    "[IMG]", "[IMG_BREAK]", "[IMG_END]",
]  # fmt: skip


def word_pieces() -> dict[str, int]:
    """BERT's vocabulary: five special tokens, then whole words and what continues them."""
    return {text: number for number, text in enumerate((*_SPECIAL, *_WORDS))}


def wordpiece(**changes: Any) -> dict[str, Any]:
    """tokenizer.json of a WordPiece; `changes` replace its parts."""
    ids = {"[CLS]": 2, "[SEP]": 3}
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(text, number, special=True) for number, text in enumerate(_SPECIAL)],
        "normalizer": {**normalizer, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(["[CLS]", "A", "[SEP]"], ["[CLS]", "A", "[SEP]", "B", "[SEP]"], ids),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": word_pieces(),
        },
        **changes,
    }


def vocab_txt() -> str:
    """The same vocabulary as BERT's own file."""
    return "".join(f"{text}\n" for text in word_pieces())


def unigram_pieces() -> list[tuple[str, float, int]]:
    """Text, score and type of a Unigram model as SentencePiece has it."""
    table = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("<user>", -1.5, 4), ("▁odd", -2.0, 5)]
    words = [chr(number) for number in range(0x21, 0x21 + UNIGRAM_SIZE - 7)]
    table += [(text, -3.0 - at / 7, 1) for at, text in enumerate(("▁", "▁the", *words))]
    return table[:UNIGRAM_SIZE]


def unigram(*, kind: int = 1, prefix: int = 1, spaces: int = 1, characters: bytes = CHARACTERS) -> bytes:
    """spiece.model or sentencepiece.bpe.model: a Unigram with its normaliser's settings."""
    field, number, tag = tiny_tokenizers._field, tiny_tokenizers._number, tiny_tokenizers._tag
    message = b"".join(
        field(1, field(1, text.encode()) + tag(2, 5) + struct.pack("<f", score) + number(3, kind_of))
        for text, score, kind_of in unigram_pieces()
    )
    normaliser = (field(2, characters) if characters else b"") + number(3, prefix) + number(4, spaces)
    return message + field(2, number(3, kind) + number(4, UNIGRAM_SIZE)) + field(3, normaliser)


def unigram_json(**changes: Any) -> dict[str, Any]:
    """tokenizer.json of XLM-R: fairseq's four tokens first, the mask last."""
    first = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    vocab = first + [[text, score] for text, score, _ in unigram_pieces()[3:]] + [["<mask>", 0.0]]
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": len(vocab) - 1}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(text, number, special=True) for text, number in special.items()],
        "normalizer": {
            "type": "Precompiled", "precompiled_charsmap": base64.b64encode(CHARACTERS).decode()
        },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": template(["<s>", "A", "</s>"], ["<s>", "A", "</s>", "</s>", "B", "</s>"], special),
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False},
        **changes,
    }  # fmt: skip


def rank_tokens() -> list[bytes]:
    """Tokens by rank: all bytes, then what two others make, some of it in several ways."""
    texts = ("he", "th", "the", "in", "ing", " t", " th", " the", "  ", "    ", "12", "re")
    words = [text.encode() for text in texts] + ["我".encode()[:2], "我".encode()]
    return [bytes([byte]) for byte in range(256)] + words


def ranks(tokens: list[bytes] | None = None) -> bytes:
    """A .tiktoken file."""
    tokens = rank_tokens() if tokens is None else tokens
    return b"".join(base64.b64encode(token) + b" %d\n" % at for at, token in enumerate(tokens))


def tekken(version: str = "v3", special: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    """tekken.json with 30 special tokens; `special` lists the first of them, `changes` replace settings."""
    tokens = rank_tokens()
    document: dict[str, Any] = {
        "config": {
            "pattern": r" ?[^\s]+|\s+",
            "num_vocab_tokens": len(tokens),
            "default_vocab_size": len(tokens) + 30,
            "default_num_special_tokens": 30,
            "version": version,
            **changes,
        },
        "vocab": [
            {"rank": at, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
            for at, token in enumerate(tokens)
        ],
    }
    if special is not None:
        entries = [{"rank": at, "token_str": text, "is_control": True} for at, text in enumerate(special)]
        document["special_tokens"] = entries
    return document
