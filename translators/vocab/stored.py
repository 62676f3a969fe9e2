"""The tokenizer that a GGUF's key-values hold, read and checked.

Promises parallel lists of equal length, texts that are UTF-8 and differ from each other, types that exist and
ids that lie in the vocabulary; anything else is an error of `translators.errors`.
Knows nothing of what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from translators.errors import MalformedSource
from translators.keyvalues import KeyValues, Value, ValueType
from translators.vocab.tokens import MAX_TOKENS, TokenType

PREFIX = "tokenizer.ggml."
ID_KEYS = {
    "bos": "bos_token_id", "eos": "eos_token_id", "unk": "unknown_token_id", "sep": "seperator_token_id",
    "pad": "padding_token_id", "mask": "mask_token_id", "eot": "eot_token_id", "eom": "eom_token_id",
}  # fmt: skip
"""Key endings by kind; the misspelling is the format's."""

ADD_KEYS = {"bos": "add_bos_token", "eos": "add_eos_token", "sep": "add_sep_token"}


@dataclass(frozen=True)
class Stored:
    """A GGUF's tokenizer. `ids` and `adds` hold what the file says, by kind ("bos", "eos", ...)."""

    texts: list[str]
    types: list[TokenType]
    scores: list[float] | None
    merges: list[str]
    ids: dict[str, int] = field(default_factory=dict)
    adds: dict[str, bool] = field(default_factory=dict)

    def is_filler(self, number: int) -> bool:
        """Whether the token only fills an id that the vocabulary leaves out."""
        return self.types[number] is TokenType.UNUSED and self.texts[number] == f"[PAD{number}]"

    def is_added(self, number: int) -> bool:
        """Whether the token is found in a text before anything else happens to it."""
        return self.types[number] in (TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)

    @property
    def unknown(self) -> int | None:
        """The id of the unknown token, which a listing among the added tokens turns into a CONTROL token."""
        if TokenType.UNKNOWN in self.types:
            return self.types.index(TokenType.UNKNOWN)
        return self.ids.get("unk", self.texts.index("<unk>") if "<unk>" in self.texts else None)

    def text_of(self, kind: str) -> str | None:
        """The text of the special token of `kind`, if there is one."""
        number = self.ids.get(kind)
        return None if number is None else self.texts[number]


def stored(kv: KeyValues) -> Stored:
    """The tokenizer in `kv`. Raises MalformedSource naming the key."""
    texts = _texts(kv, "tokens")
    if len(set(texts)) != len(texts):
        raise _malformed("the same token twice", "tokens")
    types = _numbers(kv, "token_type", (ValueType.I32, ValueType.U32), len(texts))
    try:
        kinds = [TokenType(number) for number in types] if types else [TokenType.NORMAL] * len(texts)
    except ValueError as error:
        raise _malformed(f"unknown token type: {error}", "token_type") from error
    _unuse_fillers(texts, kinds)
    scores = _numbers(kv, "scores", (ValueType.F32, ValueType.I32), len(texts))
    if scores is not None and kv[PREFIX + "scores"].element is ValueType.I32:
        scores = None  # the zeros that Mistral's own tekken files get; they order nothing
    merges = _texts(kv, "merges") if PREFIX + "merges" in kv else []
    ids = {kind: _id(kv, key, len(texts)) for kind, key in ID_KEYS.items() if PREFIX + key in kv}
    adds = {kind: kv.get(PREFIX + key) is True for kind, key in ADD_KEYS.items() if PREFIX + key in kv}
    return Stored(texts, kinds, scores, merges, ids, adds)


def _unuse_fillers(texts: list[str], kinds: list[TokenType]) -> None:
    """Converters of early 2024 gave the tokens that only fill an id the type UNKNOWN."""
    for number, text in enumerate(texts):
        if kinds[number] is TokenType.UNKNOWN and text == f"[PAD{number}]":
            kinds[number] = TokenType.UNUSED


def _array(kv: KeyValues, name: str) -> Value:
    if PREFIX + name not in kv:
        raise _malformed("the key is missing", name)
    value = kv[PREFIX + name]
    if value.type is not ValueType.ARRAY:
        raise _malformed("not an array", name)
    return value


def _texts(kv: KeyValues, name: str) -> list[str]:
    value = _array(kv, name)
    if value.element is not ValueType.STRING:
        raise _malformed("not an array of strings", name)
    try:
        texts = [text.decode("utf-8") for text in value.strings]
    except UnicodeDecodeError as error:
        raise _malformed("a text that is not UTF-8", name) from error
    if not 0 < len(texts) <= MAX_TOKENS:
        raise _malformed(f"{len(texts):,} entries are not possible", name)
    return texts


def _numbers(kv: KeyValues, name: str, kinds: tuple[ValueType, ...], count: int) -> list[Any] | None:
    """The numbers of an array of `count`, or None where the key is missing."""
    if PREFIX + name not in kv:
        return None
    value = _array(kv, name)
    if value.element not in kinds:
        raise _malformed(f"an array of {value.element!r}", name)
    numbers: list[Any] = value.decoded
    if len(numbers) != count:
        raise _malformed(f"{len(numbers):,} entries for {count:,} tokens", name)
    return numbers


def _id(kv: KeyValues, key: str, count: int) -> int:
    number = kv.get(PREFIX + key)
    if not isinstance(number, int) or not 0 <= number < count:
        raise _malformed(f"{number!r} is not the id of one of {count:,} tokens", key)
    return number


def _malformed(reason: str, key: str) -> MalformedSource:
    return MalformedSource(reason, place=PREFIX + key, remedy="fetch the GGUF again")
