"""The tokenizer.* key-values of a GGUF -> the tokenizer files of a Hugging Face directory.

Promises that transformers (from version 4), `tokenizers` and llama.cpp's converter read the files, that the
converter finds the same tokens, types, merges and special ids as the GGUF has, and, for a named
pre-tokenizer, the same name; and that text is encoded as llama.cpp encodes it with the GGUF. What a GGUF
does not hold (whether an added token takes the space before it along) is left at its default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from translators.errors import MalformedSource, Unsupported
from translators.keyvalues import KeyValues
from translators.vocab.sentencepiece import written_model
from translators.vocab.splits import SPLITS
from translators.vocab.stored import PREFIX, Stored, stored
from translators.vocab.tokenizer_json import added_ids, added_token, byte_level_json, sentencepiece_json
from translators.vocab.tokens import TokenType
from translators.vocab.unigram_files import unigram_files
from translators.vocab.wordpiece import word_piece_files

_TEMPLATE = "tokenizer.chat_template"
_NAMED = ("bos", "eos", "unk", "sep", "pad", "mask")
_ADDED_SCORE = -1000.0


def huggingface_files(kv: KeyValues) -> dict[str, bytes]:
    """The files by name: tokenizer.json, tokenizer_config.json; a SentencePiece model, or vocab.txt.

    Raises Unsupported for a tokenizer model or pre-tokenizer that has no such form, MalformedSource for
    key-values that contradict themselves or hold texts that are none.
    """
    try:
        return _written(kv)
    except UnicodeEncodeError as error:
        raise MalformedSource(
            "a text of the tokenizer is no UTF-8", place="tokenizer.*",
            remedy="take the tokenizer files from the original checkpoint",
        ) from error  # fmt: skip


def _written(kv: KeyValues) -> dict[str, bytes]:
    model = kv.get(PREFIX + "model")
    if model == "gpt2":
        return _byte_level(kv)
    if model == "llama":
        return _sentencepiece(kv)
    if model == "t5":
        return _unigram(kv)
    if model == "bert":
        return _word_pieces(kv)
    raise Unsupported(
        f"the tokenizer model {model!r} has no Hugging Face form here", place=PREFIX + "model",
        remedy="take the tokenizer files from the original checkpoint",
    )  # fmt: skip


def _byte_level(kv: KeyValues) -> dict[str, bytes]:
    pre = kv.get(PREFIX + "pre")
    split = SPLITS.get(pre) if isinstance(pre, str) else None
    if split is None:
        known = f"the pre-tokenizer {pre!r} is not known" if pre else "the pre-tokenizer is not named"
        raise Unsupported(
            known, place=PREFIX + "pre", remedy="take the tokenizer files from the original checkpoint"
        )
    source = stored(kv)
    settings = _settings(kv, source, list(added_ids(source)))
    return _files({"tokenizer.json": byte_level_json(source, split), "tokenizer_config.json": settings})


def _sentencepiece(kv: KeyValues) -> dict[str, bytes]:
    source = stored(kv)
    prefix = kv.get(PREFIX + "add_space_prefix", True) is True
    files = _files(
        {
            "tokenizer.json": sentencepiece_json(source, space_prefix=prefix),
            "tokenizer_config.json": _settings(kv, source, _overriding(source)),
        }
    )
    types = list(source.types)
    if source.unknown is not None:
        types[source.unknown] = TokenType.UNKNOWN
    if model := written_model(source.texts, source.scores or [], types, space_prefix=prefix):
        files["tokenizer.model"] = model
    return files


def _unigram(kv: KeyValues) -> dict[str, bytes]:
    source = stored(kv)
    written, models = unigram_files(kv, source)
    settings = _settings(kv, source, list(added_ids(source)))
    return _files({"tokenizer.json": written, "tokenizer_config.json": settings}) | models


def _word_pieces(kv: KeyValues) -> dict[str, bytes]:
    document, settings, words = word_piece_files(kv, stored(kv))
    files = _files({"tokenizer.json": document, "tokenizer_config.json": settings})
    return {**files, "vocab.txt": words}


def _overriding(source: Stored) -> list[int]:
    """Added tokens that tokenizer_config.json must list beside tokenizer.model.

    The converter gives those score -1000 and the type of their flag; so a control token with a score of its
    own was not listed in the original, and must not be here.
    """
    scores = source.scores or []
    return [
        number for number in added_ids(source)
        if source.types[number] is TokenType.USER_DEFINED
        or (source.types[number] is TokenType.CONTROL and scores[number] == _ADDED_SCORE)
    ]  # fmt: skip


def _settings(kv: KeyValues, source: Stored, listed: list[int]) -> dict[str, Any]:
    """tokenizer_config.json as transformers 4 writes it; transformers 5 reads it as well."""
    settings: dict[str, Any] = {}
    if isinstance(kv.get(PREFIX + "add_space_prefix"), bool):
        settings["add_prefix_space"] = kv.get(PREFIX + "add_space_prefix")
    settings |= {f"add_{kind}_token": value for kind, value in source.adds.items() if kind != "sep"}
    settings["added_tokens_decoder"] = {str(number): added_token(source, number) for number in listed}
    settings |= {f"{kind}_token": source.text_of(kind) for kind in _NAMED if kind in source.ids}
    if (template := _chat_template(kv)) is not None:
        settings["chat_template"] = template
    settings["clean_up_tokenization_spaces"] = False
    # The class below would also return token types, which a model that generates refuses.
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    length = kv.get(f"{kv.get('general.architecture')}.context_length")
    if isinstance(length, int):
        settings["model_max_length"] = length
    # By this class upstream tells a Phi-4, whose tokenizer is GPT-2's, from the Phi-3 before it.
    phi4 = (kv.get("general.architecture"), kv.get(PREFIX + "model")) == ("phi3", "gpt2")
    settings["tokenizer_class"] = "GPT2Tokenizer" if phi4 else "PreTrainedTokenizerFast"
    return settings


def _chat_template(kv: KeyValues) -> str | list[dict[str, str]] | None:
    """The template, or a list with names where there are several."""
    default = kv.get(_TEMPLATE)
    names = kv.get("tokenizer.chat_templates")
    if not isinstance(names, list):
        return default if isinstance(default, str) else None
    choices = [("default", default), *((name, kv.get(f"{_TEMPLATE}.{name}")) for name in names)]
    return [{"name": name, "template": text} for name, text in choices if isinstance(text, str)]


def _files(documents: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    return {
        name: msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
        for name, document in documents.items()
    }
