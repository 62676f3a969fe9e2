"""A byte-level or byte-fallback BPE tokenizer as transformers 4.57 would have it, by `tokenizers` alone.

transformers does more than load tokenizer.json: tokens of tokenizer_config.json (or of the older
special_tokens_map.json and added_tokens.json) are added where they are missing, named special tokens become
added tokens, some classes write the post-processor anew, and decoding may tidy up spaces. All of that decides
ids, types and the pre-tokenizer's fingerprint, so it is done here in the same order.
Promises: no code of the checkpoint runs; what cannot be read raises an error of `translators.errors`.
Knows nothing of GGUF.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing

from translators.errors import MissingSource, Unsupported
from translators.joined import Joined
from translators.vocab.classes import TokenizerClass, tokenizer_class
from translators.vocab.document import document_of
from translators.vocab.excerpt import Excerpt, excerpt_of
from translators.vocab.folder import Folder
from translators.vocab.plain import plain_tokenizer

_SETTINGS = "tokenizer_config.json"
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
# What clean_up_tokenization_spaces replaces, in this order.
_TIDY = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


@dataclass(frozen=True)
class FastTokenizer:
    """A tokenizer ready to use.

    special:           the texts of its named special tokens, in transformers' order.
    tidy:              whether decoding tidies up spaces (clean_up_tokenization_spaces).
    adds_bos:          what the class says of its bos token; False where it says nothing.
    adds_prefix_space: add_prefix_space of the configuration, or the class's.
    tokens:            where `backend` has only an excerpt of the model's vocabulary, all of it by id.
    """

    folder: Folder
    backend: Tokenizer
    special: tuple[str, ...]
    unknown: str | None
    tidy: bool
    adds_bos: bool = False
    adds_prefix_space: bool = False
    tokens: Joined | None = None

    def encoded(self, text: str, *, with_special: bool) -> list[int]:
        """The ids of `text`, which must be an added token's or the sample, if one was named."""
        with _library(self.folder):
            return list(self.backend.encode(text, add_special_tokens=with_special).ids)

    def decoded(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens included."""
        with _library(self.folder):
            text: str = self.backend.decode(ids, skip_special_tokens=False)
        if self.tidy:
            for old, new in _TIDY:
                text = text.replace(old, new)
        return text

    @property
    def vocabulary(self) -> dict[str, int]:
        """Ids by text, added tokens too."""
        if self.tokens is None:
            return dict(self.backend.get_vocab(with_added_tokens=True))
        return {text.decode(): n for n, text in enumerate(self.tokens.split())} | self.added_ids

    @property
    def base_size(self) -> int:
        """How many tokens the model has, without the added ones."""
        return len(self.tokens) if self.tokens is not None else self.backend.get_vocab_size(False)

    @property
    def added_ids(self) -> dict[str, int]:
        """The ids of the added tokens by text."""
        return {token.content: n for n, token in sorted(self.backend.get_added_tokens_decoder().items())}

    @property
    def special_ids(self) -> set[int]:
        """The ids of the named special tokens; one that has no id counts as the unknown token."""
        unknown = self.backend.token_to_id(self.unknown) if self.unknown else None
        found = (self.backend.token_to_id(text) for text in self.special)
        return {number for number in (unknown if n is None else n for n in found) if number is not None}


def load(folder: Folder, config: Mapping[str, Any], *, sample: str | None = None) -> FastTokenizer:
    """The tokenizer of `folder`, whose config.json is `config`.

    sample: the only text that will be encoded, beside the added tokens' own; loading is faster by it.

    Raises MissingSource without tokenizer files, Unsupported for a class that cannot be had without its code,
    MalformedSource for files that transformers could not load either.
    """
    settings = dict(folder.json(_SETTINGS))
    kind = tokenizer_class(settings, config, folder.shown(_SETTINGS))
    _refuse_detours(folder, settings, kind)
    listed = _listed_tokens(folder, settings)
    arguments: dict[str, Any] = {**kind.special, **settings}
    try:
        named = _named_tokens(arguments, kind, listed)
        excerpt = (
            None
            if sample is None
            else _excerpt(folder, arguments, sample, (*listed.values(), *named.values()))
        )
        backend = _backend(folder, arguments, kind, named, excerpt)
        _add_tokens(backend, listed.values(), named)
        _set_prefix_space(backend, arguments.get("add_prefix_space", kind.prefix))
        if kind.cases is not None:
            _set_cases(backend, arguments, every=kind.cases == "all")
        if kind.template:
            backend.post_processor = _template(backend, arguments, kind, named)
        backend.encode_special_tokens = bool(arguments.get("split_special_tokens", False))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise folder.malformed(_SETTINGS, f"cannot be understood: {error}") from error
    unknown = named.get("unk_token")
    return FastTokenizer(
        folder,
        backend,
        tuple(dict.fromkeys(token.content for token in named.values())),
        unknown.content if unknown else None,
        bool(arguments.get("clean_up_tokenization_spaces", False)),
        adds_bos=kind.template and bool(arguments.get("add_bos_token", kind.add_bos)),
        adds_prefix_space=bool(arguments.get("add_prefix_space", kind.prefix)),
        tokens=excerpt and excerpt.tokens,
    )


def _refuse_detours(folder: Folder, settings: Mapping[str, Any], kind: TokenizerClass) -> None:
    """Settings that make transformers load something other than tokenizer.json."""
    prefix = kind.rebuilt and settings.get("add_prefix_space") is not None
    other = settings.get("tokenizer_file") or settings.get("gguf_file")
    if prefix or other or settings.get("from_slow"):
        what = "add_prefix_space" if prefix else "another tokenizer file" if other else "from_slow"
        raise Unsupported(
            f"{what} asks for a tokenizer other than tokenizer.json's",
            path=folder.shown(_SETTINGS), remedy="add tokenizer.model, or remove the setting",
        )  # fmt: skip


def _excerpt(
    folder: Folder, arguments: Mapping[str, Any], sample: str, tokens: Iterable[AddedToken]
) -> Excerpt | None:
    """The excerpt of tokenizer.json for `sample`, where that is the file and one can be made."""
    # Where special tokens are split as other text is, the model sees their texts as well.
    if "tokenizer_file" in arguments or arguments.get("split_special_tokens"):
        return None
    return excerpt_of(document_of(folder), sample, [token.content for token in tokens])


def _backend(
    folder: Folder, arguments: dict[str, Any], kind: TokenizerClass, named: dict[str, AddedToken],
    excerpt: Excerpt | None,
) -> Tokenizer:  # fmt: skip
    """The tokenizer of tokenizer.json, or of the excerpt of it, else of vocab.json with merges.txt.

    Without truncation or padding.
    """
    if not folder.has("tokenizer.json") or "tokenizer_file" in arguments:
        has_words = kind.plain == "bert" and folder.has("vocab.txt")
        if not has_words and not (folder.has("vocab.json") and folder.has("merges.txt")):
            raise MissingSource(
                "no tokenizer.model, tokenizer.json, or vocab.json with merges.txt",
                path=str(folder.root), remedy="fetch the tokenizer's files too",
            )  # fmt: skip
        return plain_tokenizer(folder, arguments, kind, named)
    # Bytes that are no UTF-8 would make the library abort the process.
    text = folder.text("tokenizer.json") if excerpt is None else json.dumps(excerpt.document)
    with _library(folder):
        backend = Tokenizer.from_str(text)
    if backend.padding is not None and "pad_token" not in arguments:
        named["pad_token"] = AddedToken(backend.padding["pad_token"], special=True)
    backend.no_truncation()
    backend.no_padding()
    return backend


@contextmanager
def _library(folder: Folder) -> Iterator[None]:
    """Makes whatever the tokenizers library raises over a tokenizer.json an error that names the file."""
    try:
        yield
    except Exception as error:
        raise folder.malformed("tokenizer.json", f"the tokenizers library refuses it: {error}") from error
    except BaseException as error:
        # A panic of the library's Rust side is no Exception, and its name is all there is to tell it by.
        if type(error).__name__ != "PanicException":
            raise
        raise folder.malformed("tokenizer.json", f"the tokenizers library gave up: {error}") from error


def _listed_tokens(folder: Folder, settings: dict[str, Any]) -> dict[int, AddedToken]:
    """The added tokens by id, as transformers gathers them before it makes the tokenizer.

    Without added_tokens_decoder the older files speak; special_tokens_map.json then overrides `settings`.
    """
    try:
        if "added_tokens_decoder" in settings:
            entries = settings["added_tokens_decoder"].items()
            return {int(number): _added(entry) for number, entry in sorted(entries, key=lambda e: int(e[0]))}
        _merge_special_map(folder.json("special_tokens_map.json"), settings)
        listed: dict[int, AddedToken] = {}
        if folder.has("added_tokens.json"):
            special = {_content(token) for token in _values_of_special(settings)}
            for text, number in folder.json("added_tokens.json").items():
                is_special = text in special
                listed[number] = AddedToken(text, normalized=not is_special, special=is_special)
        for entry in document_of(folder).json.get("added_tokens") or ():
            listed[entry["id"]] = _added({key: value for key, value in entry.items() if key != "id"})
        return dict(sorted(listed.items()))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise folder.malformed(_SETTINGS, f"the added tokens cannot be understood: {error}") from error


def _merge_special_map(special_map: Mapping[str, Any], settings: dict[str, Any]) -> None:
    for key, value in special_map.items():
        if isinstance(value, dict):
            value = _added({**value, "special": True})
        elif key == "additional_special_tokens" and isinstance(value, list):
            more = [_added({**t, "special": True}) if isinstance(t, dict) else t for t in value]
            have = list(settings.get(key) or ())
            texts = {_content(token) for token in have}
            value = have + [token for token in more if _content(token) not in texts]
        settings[key] = value


def _values_of_special(settings: Mapping[str, Any]) -> Iterable[Any]:
    for key in _NAMED:
        if settings.get(key) is not None:
            yield settings[key]
    yield from settings.get("additional_special_tokens") or ()


def _named_tokens(
    arguments: Mapping[str, Any], kind: TokenizerClass, listed: Mapping[int, AddedToken]
) -> dict[str, AddedToken]:
    """Special tokens by attribute, in the order in which transformers adds them."""
    by_text = {token.content: token for token in listed.values()}
    found: dict[str, Any] = {key: arguments[key] for key in _NAMED if arguments.get(key)}
    additional = list(arguments.get("additional_special_tokens") or ())
    additional += [arguments.get(key, text) for key, text in kind.infill.items() if arguments.get(key, text)]
    found.update({f"additional {at}": token for at, token in enumerate(additional)})
    extra = arguments.get("extra_special_tokens") or {}
    # A mapping in transformers 4, a list in checkpoints saved by transformers 5.
    found.update(
        extra.items() if isinstance(extra, dict) else ((f"extra {i}", t) for i, t in enumerate(extra))
    )
    return {key: by_text.get(_content(token), _as_special(token)) for key, token in found.items() if token}


def _content(token: Any) -> str:
    if isinstance(token, AddedToken):
        return token.content
    text = token["content"] if isinstance(token, dict) else token
    if not isinstance(text, str):
        raise TypeError(f"a special token is {text!r}, not text")
    return text


def _as_special(token: Any) -> AddedToken:
    if isinstance(token, AddedToken):
        return token
    if isinstance(token, dict):
        if token.get("__type") != "AddedToken":
            raise TypeError("a special token is neither text nor an AddedToken")
        return _added({key: value for key, value in token.items() if key != "__type"})
    return AddedToken(_content(token), special=True)


def _added(entry: Any) -> AddedToken:
    """The added token that a JSON object describes."""
    text = entry["content"]
    if not isinstance(text, str) or set(entry) - {"content", *_FLAGS}:
        raise TypeError(f"an added token is {entry!r}")
    return AddedToken(text, **{flag: bool(entry[flag]) for flag in _FLAGS if flag in entry})


def _add_tokens(backend: Tokenizer, listed: Iterable[AddedToken], named: Mapping[str, AddedToken]) -> None:
    """Add what the tokenizer does not have yet; the library passes over texts that it has."""
    special = {token.content for token in named.values()}
    tokens = [*listed, *named.values()]
    for token in tokens:
        token.special = token.special or token.content in special
    backend.add_tokens(tokens)


def _set_prefix_space(backend: Tokenizer, wanted: Any) -> None:
    """Follow add_prefix_space where the whole pre-tokenizer is one byte-level step."""
    if backend.pre_tokenizer is None or not isinstance(wanted, bool):
        return
    state = json.loads(backend.pre_tokenizer.__getstate__())
    if state.get("type") == "ByteLevel" and state["add_prefix_space"] != wanted:
        backend.pre_tokenizer = ByteLevel(
            add_prefix_space=wanted, trim_offsets=state["trim_offsets"], use_regex=state["use_regex"]
        )


def _set_cases(backend: Tokenizer, arguments: Mapping[str, Any], *, every: bool) -> None:
    """Make BERT's normaliser anew where the configuration differs from it."""
    state = json.loads(backend.normalizer.__getstate__())
    wanted = {
        "lowercase": arguments.get("do_lower_case", True),
        "strip_accents": arguments.get("strip_accents"),
    }
    if every:
        wanted["handle_chinese_chars"] = arguments.get("tokenize_chinese_chars", True)
    if any(state.get(key, value) != value for key, value in wanted.items()):
        if state.pop("type") != "BertNormalizer":
            raise ValueError("the normaliser is not BERT's")
        backend.normalizer = BertNormalizer(**{**state, **wanted})


def _template(
    backend: Tokenizer, arguments: Mapping[str, Any], kind: TokenizerClass, named: Mapping[str, AddedToken]
) -> TemplateProcessing:
    bos = named["bos_token"].content if arguments.get("add_bos_token", kind.add_bos) else None
    eos = named["eos_token"].content if arguments.get("add_eos_token", False) else None
    ends = [text for text in (bos, eos) if text is not None]
    single = f"{bos}:0 $A:0" if bos is not None else "$A:0"
    single += f" {eos}:0" if eos is not None else ""
    return TemplateProcessing(single=single, special_tokens=[(t, backend.token_to_id(t)) for t in ends])
