"""One tokenizer on its way into a GGUF's key-values: what is read, where it goes, and the steps in between.

Every style (`styles`, `encoders`, `ranked`, `native`) is a few of these steps in upstream's order. A key that
is written twice keeps its first place and its last value, as upstream's writer does it.
Knows nothing of which family takes which style.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from translators.errors import Unsupported
from translators.joined import Joined
from translators.keyvalues import KeyValues, ValueType
from translators.vocab.bpe import byte_fallback, byte_level_lists
from translators.vocab.document import document_of
from translators.vocab.fast import FastTokenizer, load
from translators.vocab.folder import Folder
from translators.vocab.pretokenizers import CHECK_TEXT
from translators.vocab.special import KINDS, Specials, read_merges, read_specials
from translators.vocab.spm import sentencepiece_tokens
from translators.vocab.stored import ADD_KEYS, ID_KEYS, PREFIX
from translators.vocab.templates import write_templates
from translators.vocab.tokens import Tokens, TokenType


@dataclass(frozen=True)
class Writing:
    """The key-values to append to, the directory, its configuration, and the GGUF's architecture.

    Every method that reads raises MissingSource, MalformedSource or Unsupported.
    """

    kv: KeyValues
    folder: Folder
    config: Mapping[str, Any]
    arch: str = ""

    def with_config(self, **changes: Any) -> Writing:
        """The same with another configuration; None removes a key."""
        config = {**self.config, **changes}
        return replace(self, config={key: value for key, value in config.items() if value is not None})

    @cached_property
    def tokenizer(self) -> FastTokenizer:
        """The tokenizer of tokenizer.json, loaded once; what it encodes is the pre-tokenizer's check text."""
        return load(self.folder, self.config, sample=CHECK_TEXT)

    def added_id(self, text: str) -> int:
        """The id of the added token `text`, which the style cannot do without."""
        found = self.tokenizer.added_ids.get(text)
        if found is None:
            raise Unsupported(
                f"the tokenizer has no added token {text!r}", path=self.folder.shown("tokenizer.json"),
                remedy="use the original checkpoint's tokenizer files",
            )  # fmt: skip
        return found

    def tokens(self, model: str, pre: str | None, tokens: Tokens) -> None:
        """Model, pre-tokenizer and the arrays."""
        self._lists(model, pre, tokens.texts, tokens.types, tokens.scores)

    def _lists(
        self, model: str, pre: str | None, texts: Sequence[bytes] | Joined, types: Sequence[TokenType],
        scores: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        self.kv.string(PREFIX + "model", model)
        if pre is not None:
            self.kv.string(PREFIX + "pre", pre)
        self.kv.array(PREFIX + "tokens", ValueType.STRING, texts)
        if scores is not None:
            self.kv.array(PREFIX + "scores", ValueType.F32, scores)
        self.kv.array(PREFIX + "token_type", ValueType.I32, types)

    def specials(
        self, *, count: int | None = None, kinds: Sequence[str] = KINDS,
        more: Mapping[str, int] | None = None, merges: bool = False, template: bool = True,
    ) -> None:  # fmt: skip
        """What surrounds the tokens. `count`: ids from there on are left out. `more`: ids by kind, where none
        was found."""
        found = read_specials(self.folder, count=count, kinds=kinds)
        for kind, number in (more or {}).items():
            found.ids.setdefault(kind, number)
        self.found_specials(found, merges=merges, template=template)

    def found_specials(self, found: Specials, *, merges: bool = False, template: bool = True) -> None:
        """The same for specials that were read before."""
        if merges and (pairs := document_of(self.folder).merges or read_merges(self.folder)):
            self.merges(pairs)
        for kind, number in found.ids.items():
            self.id(kind, number)
        for kind, value in found.adds.items():
            if kind in ADD_KEYS:
                self.kv.bool(PREFIX + ADD_KEYS[kind], value)
        if template:
            write_templates(self.kv, self.folder)
        for flag in ("lowercase", "strip_accents"):
            if found.flags.get(flag) is not None:
                self.kv.bool(f"{PREFIX}normalizer.{flag}", bool(found.flags[flag]))

    def merges(self, pairs: Sequence[str] | Sequence[bytes] | Joined) -> None:
        """The merges, "left right" each."""
        self.kv.array(PREFIX + "merges", ValueType.STRING, pairs)

    def id(self, kind: str, number: int) -> None:
        """The id of one special token; a kind that the format has no key for is passed over."""
        if kind in ID_KEYS:
            self.kv.u32(PREFIX + ID_KEYS[kind], number)

    def adds(self, kind: str, value: bool) -> None:
        """Whether the special token of `kind` is added to a text."""
        self.kv.bool(PREFIX + ADD_KEYS[kind], value)

    def space_prefix(self, value: bool) -> None:
        """Whether a text gets a leading space."""
        self.kv.bool(PREFIX + "add_space_prefix", value)

    def byte_level(self, more: Mapping[str, int] | None = None) -> None:
        """Byte-level BPE ("gpt2") with all that surrounds it."""
        texts, types, pre = byte_level_lists(self.folder, self.config, self.tokenizer)
        self._lists("gpt2", pre, texts, types)
        self.specials(merges=True, more=more)

    def sentencepiece(self) -> None:
        """tokenizer.model as a "llama" vocabulary."""
        self.scored(sentencepiece_tokens(self.folder, self.config))

    def byte_fallback(self) -> None:
        """BPE with byte fallback as a "llama" vocabulary."""
        self.scored(byte_fallback(self.folder, self.tokenizer))

    def scored(self, tokens: Tokens) -> None:
        """A "llama" vocabulary with all that surrounds it."""
        self.tokens("llama", "default", tokens)
        self.specials(count=len(tokens.texts))
