"""GGUF key-values -> Hugging Face files: byte-level and SentencePiece vocabularies, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests import tiny_tokenizers
from tests.translators.golden_vocab.parts import byte_characters
from tests.translators.golden_vocab.variants import VARIANTS
from translators.errors import MalformedSource, Unsupported
from translators.keyvalues import KeyValues, ValueType
from translators.vocab import bpe, huggingface_files, write_tokenizer
from translators.vocab.pretokenizers import NAMES
from translators.vocab.splits import SPLITS
from translators.vocab.tokens import TokenType

PREFIX = "tokenizer.ggml."


def _byte_level(pre: str = "gpt-2") -> KeyValues:
    texts = [*byte_characters(), "Ġt", "Ġth", "<|end|>", "  ", "é|", "[PAD261]"]
    types = [TokenType.NORMAL] * 258 + [
        TokenType.CONTROL,
        TokenType.USER_DEFINED,
        TokenType.CONTROL,
        TokenType.UNUSED,
    ]
    kv = KeyValues()
    kv.string(PREFIX + "model", "gpt2")
    kv.string(PREFIX + "pre", pre)
    kv.array(PREFIX + "tokens", ValueType.STRING, texts)
    kv.array(PREFIX + "token_type", ValueType.I32, types)
    kv.array(PREFIX + "merges", ValueType.STRING, ["Ġ t", "Ġt h"])
    kv.u32(PREFIX + "eos_token_id", 258)
    return kv


@pytest.mark.parametrize("name", ["spm", "spm-bigger", "spm-prefix", "spm-added"])
def test_sentencepiece_there_and_back(name: str, tmp_path: Path) -> None:
    variant = VARIANTS[name]
    variant.write(tmp_path / "first")
    first, second = KeyValues(), KeyValues()
    write_tokenizer(first, tmp_path / "first", variant.full_config, style="llama")
    (tmp_path / "second").mkdir()
    for file, data in huggingface_files(first).items():
        (tmp_path / "second" / file).write_bytes(data)
    write_tokenizer(second, tmp_path / "second", variant.full_config, style="llama")
    again = dict(second.items())
    assert {key: again.get(key) for key in first} == dict(first.items())


def test_sentencepiece_is_encoded_by_score() -> None:
    kv = KeyValues()
    texts, scores, types = zip(*tiny_tokenizers.pieces(), strict=True)
    kv.string(PREFIX + "model", "llama")
    kv.array(PREFIX + "tokens", ValueType.STRING, texts)
    kv.array(PREFIX + "scores", ValueType.F32, scores)
    kv.array(PREFIX + "token_type", ValueType.I32, types)
    for kind, number in (("bos", 1), ("eos", 2), ("unknown", 0)):
        kv.u32(f"{PREFIX}{kind}_token_id", number)
    tokenizer = Tokenizer.from_str(huggingface_files(kv)["tokenizer.json"].decode())
    assert tokenizer.encode("the light</s>and Ж").tokens == [
        "<s>", "▁the", "▁light", "</s>", "▁and", "▁", "<0xD0>", "<0x96>",
    ]  # fmt: skip
    assert tokenizer.decode(tokenizer.encode("the  light, Ж").ids) == "the  light, Ж"


def test_sentencepiece_without_scores_is_refused() -> None:
    kv = KeyValues()
    kv.string(PREFIX + "model", "llama")
    kv.array(PREFIX + "tokens", ValueType.STRING, ["<unk>", "a", "b", "ab"])
    kv.array(PREFIX + "scores", ValueType.F32, [-1000.0] * 4)
    with pytest.raises(Unsupported, match="order of merging"):
        huggingface_files(kv)


def test_byte_level_files() -> None:
    files = huggingface_files(_byte_level())
    tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
    assert tokenizer.encode(" the  <|end|>").ids == [257, byte_characters().index("e"), 259, 258]
    assert tokenizer.get_vocab_size() == 261
    settings = json.loads(files["tokenizer_config.json"])
    assert settings["eos_token"] == "<|end|>"
    assert "bos_token" not in settings
    assert settings["added_tokens_decoder"]["259"] == {
        "content": "  ", "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", SPLITS)
def test_every_split_is_accepted_by_the_library(name: str) -> None:
    tokenizer = Tokenizer.from_str(huggingface_files(_byte_level(name))["tokenizer.json"].decode())
    text = "I've 12345 the 我们\r\n  été <|end|> x"
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_splits_differ_where_they_should() -> None:
    def pieces(name: str) -> list[str]:
        tokenizer = Tokenizer.from_str(huggingface_files(_byte_level(name))["tokenizer.json"].decode())
        return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str("a 12345 b")]

    assert pieces("gpt-2") == ["a", "Ġ12345", "Ġb"]
    assert pieces("smollm") == ["a", "Ġ", "1", "2", "3", "4", "5", "Ġb"]
    assert pieces("llama-bpe") == ["a", "Ġ", "123", "45", "Ġb"]
    assert pieces("qwen2") == ["a", "Ġ", "1", "2", "3", "4", "5", "Ġb"]
    assert pieces("deepseek-v3") == ["a", "Ġ", "123", "45", "Ġb"]


def test_names_of_the_table_have_splits_or_are_left_out_on_purpose() -> None:
    assert {"smollm", "llama-bpe", "qwen2", "deepseek-r1-qwen", "tekken", "gpt-4o"} <= set(
        NAMES.values()
    ) & set(SPLITS)
    assert not {"kimi-k2", "afmoe", "gemma4"} & set(SPLITS)


@pytest.mark.parametrize("pre", ["home-made", "kimi-k2", None])
def test_unknown_pre_tokenizers_are_named(pre: str | None) -> None:
    kv = _byte_level()
    kv.remove(PREFIX + "pre")
    if pre is not None:
        kv.string(PREFIX + "pre", pre)
    with pytest.raises(Unsupported, match=pre or "not named"):
        huggingface_files(kv)


def test_other_models_are_refused() -> None:
    kv = KeyValues()
    kv.string(PREFIX + "model", "rwkv")
    with pytest.raises(Unsupported, match="rwkv"):
        huggingface_files(kv)


def test_templates_with_names() -> None:
    kv = _byte_level()
    kv.string("tokenizer.chat_template.rag", "R")
    kv.array("tokenizer.chat_templates", ValueType.STRING, ["rag"])
    kv.string("tokenizer.chat_template", "D")
    settings = json.loads(huggingface_files(kv)["tokenizer_config.json"])
    assert settings["chat_template"] == [
        {"name": "default", "template": "D"}, {"name": "rag", "template": "R"},
    ]  # fmt: skip


@pytest.mark.parametrize("adds", [(True, False), (False, False), (True, True), (None, None)])
def test_bos_and_eos(adds: tuple[bool | None, bool | None]) -> None:
    kv = _byte_level("llama-bpe")
    kv.u32(PREFIX + "bos_token_id", 260)
    for kind, add in zip(("bos", "eos"), adds, strict=True):
        if add is not None:
            kv.bool(f"{PREFIX}add_{kind}_token", add)
    tokenizer = Tokenizer.from_str(huggingface_files(kv)["tokenizer.json"].decode())
    first, last = adds[0] is not False, adds[1] is True  # llama-bpe adds bos unless told otherwise
    assert tokenizer.encode("x").ids == [260] * first + [byte_characters().index("x")] + [258] * last


@pytest.mark.parametrize(
    ("key", "kind", "values"),
    [
        ("tokens", ValueType.STRING, ["a", "a"]),
        ("tokens", ValueType.STRING, [b"\xff"]),
        ("tokens", ValueType.I32, [1]),
        ("token_type", ValueType.I32, [1]),
        ("token_type", ValueType.I32, [99] * 262),
        ("token_type", ValueType.F32, [1.0] * 262),
        ("scores", ValueType.F32, [0.5]),
        ("merges", ValueType.STRING, ["q q"]),
        ("merges", ValueType.STRING, ["nothing"]),
    ],
)
def test_key_values_that_contradict_themselves(key: str, kind: ValueType, values: list[object]) -> None:
    kv = _byte_level()
    kv.array(PREFIX + key, kind, values)
    with pytest.raises(MalformedSource):
        huggingface_files(kv)


def test_ids_outside_the_vocabulary_are_refused() -> None:
    kv = _byte_level()
    kv.u32(PREFIX + "bos_token_id", 262)
    with pytest.raises(MalformedSource, match="bos_token_id"):
        huggingface_files(kv)


@pytest.mark.parametrize("name", ["bert", "bert-cased", "bert-words", "bert-no-settings"])
def test_word_pieces_there_and_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe, "_pre_tokenizer", lambda *_: "jina-v2-en")
    first, second = KeyValues(), KeyValues()
    variant = VARIANTS[name]
    variant.write(tmp_path / "there")
    write_tokenizer(first, tmp_path / "there", variant.full_config, style="bert")
    (tmp_path / "back").mkdir()
    for path, data in huggingface_files(first).items():
        (tmp_path / "back" / path).write_bytes(data)
    write_tokenizer(second, tmp_path / "back", variant.full_config, style="bert")
    # Which of them config.json names is not the tokenizer files' matter, nor is a file that was not there.
    there, back = dict(first.items()), dict(second.items())
    assert {key: value for key, value in back.items() if key in there} == there


def test_tekken_has_scores_of_whole_numbers(tmp_path: Path) -> None:
    """Upstream writes zeros as integers for Mistral's own format; it is a byte-level one all the same."""
    kv = KeyValues()
    VARIANTS["tekken"].write(tmp_path)
    write_tokenizer(kv, tmp_path, {}, style="mistral")
    document = json.loads(huggingface_files(kv)["tokenizer.json"])
    texts = [text.decode() for text in kv["tokenizer.ggml.tokens"].strings]
    listed = {entry["content"]: entry["id"] for entry in document["added_tokens"]}
    assert {**document["model"]["vocab"], **listed} == {text: number for number, text in enumerate(texts)}
