"""Meta's own tokenizer files -> those of a Hugging Face directory, as transformers' converters make them.

`tokenizer.model` is a SentencePiece model (Llama 1 and 2, Code Llama), or tiktoken's list of ranks (Llama 3
and 4), in which the special tokens are not listed: they follow the ranks, and Meta's code names them. Both
become tokenizer.json, tokenizer_config.json and special_tokens_map.json. Ranks are no SentencePiece model,
which is what other programs take a file of that name for: a directory in Hugging Face's form lacks it.
Facts: llama-models 0.3 (names of tokens, formats of chats), transformers 4.57 (files).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from translators.vocab.folder import Folder
from translators.vocab.ranks import every_split, read_ranks, shown
from translators.vocab.sentencepiece import read_model
from translators.vocab.splits import SPLITS
from translators.vocab.stored import Stored
from translators.vocab.tokenizer_json import added_ids, added_token, byte_level_json, sentencepiece_json
from translators.vocab.tokens import TokenType

MODEL = "tokenizer.model"
_RANKS = re.compile(rb"[A-Za-z0-9+/]+=* [0-9]+\r?\n")


def _numbered(kind: str, first: int, end: int) -> tuple[str, ...]:
    return tuple(f"<|{kind}reserved_special_token_{number}|>" for number in range(first, end))


_BEGIN, _END = "<|begin_of_text|>", "<|end_of_text|>"
_HEADERS = ("<|start_header_id|>", "<|end_header_id|>")
_POST = "text_post_train_"
_SEEN, _THOUGHT = "vision_", "reasoning_"


@dataclass(frozen=True)
class Generation:
    """What a list of ranks leaves out.

    split:   how text is split first, one of `SPLITS`.
    special: the tokens that follow the ranks.
    headers: the tokens around the role of a turn of a chat. turn: the one that ends it.
    message: the token that ends a message, padding: the one that fills a batch up; "" for none.
    """

    split: str
    special: tuple[str, ...]
    headers: tuple[str, str]
    turn: str
    message: str = ""
    padding: str = ""


LLAMA3 = Generation(
    "llama-bpe",
    (
        _BEGIN, _END, *_numbered("", 0, 4), *_HEADERS, *_numbered("", 4, 5), "<|eot_id|>",
        *_numbered("", 5, 251),
    ),
    _HEADERS, "<|eot_id|>",
)  # fmt: skip
LLAMA31 = Generation(
    "llama-bpe",
    (
        _BEGIN, _END, *_numbered("", 0, 2), "<|finetune_right_pad_id|>", *_numbered("", 2, 3), *_HEADERS,
        "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", *_numbered("", 3, 248),
    ),
    _HEADERS, "<|eot_id|>", "<|eom_id|>",
)  # fmt: skip
_HEADERS4 = ("<|header_start|>", "<|header_end|>")
_NAMED4 = (
    _BEGIN, _END, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    *_HEADERS4, "<|eom|>", "<|eot|>", "<|step|>", *_numbered(_POST, 0, 6),
    "<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>", *_numbered(_POST, 8, 69),
    "<|image_start|>", "<|image_end|>", *_numbered(_SEEN, 0, 2), "<|tile_x_separator|>",
    "<|tile_y_separator|>", *_numbered(_SEEN, 2, 6), "<|image|>", *_numbered(_SEEN, 6, 7), "<|patch|>",
    *_numbered(_SEEN, 7, 1048),
    *_numbered(_THOUGHT, 0, 8), "<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>",
)  # fmt: skip
LLAMA4 = Generation(
    "llama4", (*_NAMED4, *_numbered("", 0, 2048 - len(_NAMED4))), _HEADERS4,
    "<|eot|>", "<|eom|>", "<|finetune_right_pad|>",
)  # fmt: skip

# What the models were trained on, as templates of our own.
_CHAT2 = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
    "{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}{% if turn['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + turn['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + turn['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def _chat(generation: Generation) -> str:
    """The template of a format in which a header names the role of each turn."""
    (start, end), turn = generation.headers, generation.turn
    header = f"'{start}' + turn['role'] + '{end}\\n\\n'"
    return (
        "{{ bos_token }}{% for turn in messages %}"
        f"{{{{ {header} + turn['content'].strip() + '{turn}' }}}}"
        "{% endfor %}{% if add_generation_prompt %}"
        f"{{{{ '{start}assistant{end}\\n\\n' }}}}"
        "{% endif %}"
    )


@dataclass(frozen=True)
class Original:
    """A tokenizer.model in Hugging Face's form.

    ranks: whether it is a list of ranks. tokens: how many there are. ids: of special tokens by kind: "bos",
    "eos", and of ranks "turn", "message" and "pad", where it has them.
    files: what it becomes by name.
    """

    ranks: bool
    tokens: int
    ids: Mapping[str, int]
    files: Mapping[str, bytes]


def is_ranks(data: bytes) -> bool:
    """Whether a tokenizer.model is a list of ranks; else it is a SentencePiece model."""
    return _RANKS.match(data) is not None


def of_pieces(folder: Folder, context: int, chat: bool) -> Original:
    """A SentencePiece model, with the format of Llama 2's chats if it is `chat`.

    context: the longest text. Raises MissingSource, MalformedSource, Unsupported.
    """
    model = read_model(folder.data(MODEL), folder.shown(MODEL))
    texts = [piece.text.decode("utf-8", "replace") for piece in model.pieces]
    types = [piece.type for piece in model.pieces]
    found = {kind: texts.index(text) for kind, text in _SPECIAL.items() if text in texts}
    if len(found) < len(_SPECIAL):
        raise folder.malformed(MODEL, "lacks one of <s>, </s> and <unk>")
    source = Stored(texts, types, [piece.score for piece in model.pieces], [], found, {"bos": True})
    document = sentencepiece_json(source, space_prefix=model.adds_prefix)
    begin, end = found["bos"], found["eos"]
    document["post_processor"] = _beginning(_SPECIAL["bos"], begin)
    settings: dict[str, Any] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "add_prefix_space": None,
        "added_tokens_decoder": _listed(source),
        "bos_token": _SPECIAL["bos"],
        **({"chat_template": _CHAT2} if chat else {}),
        "clean_up_tokenization_spaces": False,
        "eos_token": _SPECIAL["eos"],
        "legacy": True,
        "model_max_length": context,
        "pad_token": None,
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": _SPECIAL["unk"],
    }
    named = {f"{kind}_token": _plain(text) for kind, text in _SPECIAL.items()}
    return Original(False, len(texts), {"bos": begin, "eos": end}, _files(document, settings, named))


def of_ranks(folder: Folder, generation: Generation, context: int, chat: bool) -> Original:
    """A list of ranks of that generation, with the format of its chats if it is `chat`.

    context: the longest text. Raises MissingSource, MalformedSource.
    """
    ranks = read_ranks(folder, MODEL)
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise folder.malformed(MODEL, "the ranks are not those of all tokens in order")
    ordered = [shown(token) for token in sorted(ranks, key=ranks.__getitem__)]
    special = generation.special
    if not set(special).isdisjoint(ordered):
        raise folder.malformed(MODEL, "a special token is among the ranks")
    texts = [*ordered, *special]
    types = [TokenType.NORMAL] * len(ordered) + [TokenType.CONTROL] * len(special)
    ids = {text: len(ordered) + number for number, text in enumerate(special)}
    pairs = [f"{shown(left)} {shown(right)}" for left, right in every_split(ranks)]
    source = Stored(texts, types, None, pairs)
    document = byte_level_json(source, SPLITS[generation.split])
    document["model"]["ignore_merges"] = True
    before = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    template = _beginning(_BEGIN, ids[_BEGIN])
    document["post_processor"] = {"type": "Sequence", "processors": [before, template]}
    last = generation.turn if chat else _END
    settings: dict[str, Any] = {
        "added_tokens_decoder": _listed(source),
        "bos_token": _BEGIN,
        **({"chat_template": _chat(generation)} if chat else {}),
        "clean_up_tokenization_spaces": True,
        "eos_token": last,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": context,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    kinds = {"bos": _BEGIN, "eos": _END, "turn": generation.turn}
    kinds |= {"message": generation.message, "pad": generation.padding}
    named = {"bos_token": _BEGIN, "eos_token": last}
    numbers = {kind: ids[text] for kind, text in kinds.items() if text}
    return Original(True, len(texts), numbers, _files(document, settings, named))


_SPECIAL = {"bos": "<s>", "eos": "</s>", "unk": "<unk>"}


def _listed(source: Stored) -> dict[str, Any]:
    return {str(number): added_token(source, number) for number in added_ids(source)}


def _beginning(text: str, number: int) -> dict[str, Any]:
    """The template that puts a token before each text."""

    def special(kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": text, "type_id": kind}}

    def sequence(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    return {
        "type": "TemplateProcessing",
        "single": [special(0), sequence("A", 0)],
        "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
        "special_tokens": {text: {"id": text, "ids": [number], "tokens": [text]}},
    }


def _plain(text: str) -> dict[str, Any]:
    return {"content": text, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}


def _files(
    document: Mapping[str, Any], settings: Mapping[str, Any], named: Mapping[str, Any]
) -> dict[str, bytes]:
    return {
        "tokenizer.json": _json(document),
        "tokenizer_config.json": _json(settings),
        "special_tokens_map.json": _json(named),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
