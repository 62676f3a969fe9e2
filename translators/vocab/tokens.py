"""The tokens of a vocabulary as a GGUF stores them: text, type and, for some models, a score.

Promises that no vocabulary grows beyond `MAX_TOKENS`, whatever a configuration claims: each id costs memory
before the first tensor is looked at.
Knows nothing of where tokens come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from translators.errors import MalformedSource

MAX_TOKENS = 1 << 21
"""Eight times the largest vocabulary in use (262,208 tokens, Gemma 3)."""

SPACE_MARK = "\u2581"
"""What SentencePiece writes for a space."""


class TokenType(IntEnum):
    """What a token is for, by the ids of `tokenizer.ggml.token_type` (which are SentencePiece's)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Tokens:
    """Parallel lists, by token id. `scores` is None where the model has none (byte-level BPE)."""

    texts: list[bytes]
    types: list[TokenType]
    scores: list[float] | None = None


def checked_count(count: object, path: str) -> int:
    """`count` if it is a believable number of tokens, else MalformedSource."""
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MAX_TOKENS:
        raise MalformedSource(
            f"a vocabulary of {count!r} tokens is not possible (1 to {MAX_TOKENS:,} are)",
            path=path, place="vocab_size", remedy="correct vocab_size or fetch the file again",
        )  # fmt: skip
    return count


def looks_special(text: str) -> bool:
    """Whether a token that is not marked special should be a CONTROL token all the same.

    Command-R, DeepSeek-Coder and Gemma leave the mark out for tokens of these forms (converter of llama.cpp).
    """
    return (
        text in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (text.startswith("<|") and text.endswith("|>"))
        or (text.startswith("<｜") and text.endswith("｜>"))
        or (text.startswith("<unused") and text.endswith(">"))
    )
