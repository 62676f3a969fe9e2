"""Tokenizer files that lie, or that cannot be translated: always an error that names the file, never more."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_tokenizers
from tests.translators.golden_vocab.parts import FAST, SIZE, added, byte_level, listed
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.keyvalues import KeyValues, ValueType
from translators.vocab import write_tokenizer
from translators.vocab.folder import Folder
from translators.vocab.special import read_merges

SPM = tiny_tokenizers.sentencepiece()
CONFIG = {"model_type": "llama", "vocab_size": SIZE}


def _write(root: Path, files: dict[str, Any], config: dict[str, Any] | None = None) -> KeyValues:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (root / name).write_bytes(data)
    kv = KeyValues()
    write_tokenizer(kv, root, CONFIG if config is None else config, style="llama")
    return kv


def test_an_unknown_pre_tokenizer_is_named_by_its_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"fingerprint [0-9a-f]{64}"):
        _write(tmp_path, {"tokenizer.json": byte_level(), "tokenizer_config.json": FAST})


def test_without_files(tmp_path: Path) -> None:
    with pytest.raises(MissingSource):
        _write(tmp_path, {})


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer.json": b"{"},
        {"tokenizer.json": b"[]"},
        {"tokenizer.json": b"\xff\xfe"},
        {"tokenizer.json": b"[" * 100_000},
        {"tokenizer.json": {}},
        {"tokenizer.json": {"model": 5, "added_tokens": 7}},
        {"tokenizer.json": byte_level(model={"merges": ["no such"]})},
        {"tokenizer.json": byte_level(model={"merges": [["x"]]})},
        {"tokenizer.json": byte_level(model={"vocab": {"a": 1, "b": 1}, "merges": []})},
        {"tokenizer.json": byte_level(model={"vocab": {}, "merges": []}, added_tokens=[])},
        {"tokenizer.json": byte_level(model={"vocab": {"a": -1}, "merges": []})},
        {"tokenizer.json": byte_level(model={"vocab": {"a": 1 << 40}, "merges": []})},
        {"tokenizer.json": byte_level(added_tokens=[{"id": "x"}])},
        {"tokenizer.json": byte_level(pre_tokenizer={"type": "Nonsense"})},
        {"tokenizer.json": byte_level(), "tokenizer_config.json": {**FAST, "added_tokens_decoder": [1]}},
        {"tokenizer.json": byte_level(), "tokenizer_config.json": {"added_tokens_decoder": {"x": {}}}},
        {"tokenizer.json": byte_level(), "tokenizer_config.json": {**FAST, "bos_token": 7}},
        {"tokenizer.json": byte_level(), "tokenizer_config.json": {**FAST, "additional_special_tokens": 3}},
        {"tokenizer.model": SPM, "added_tokens.json": {"x": "y"}},
        {"tokenizer.model": SPM, "added_tokens.json": {"x": -5}},
        {"tokenizer.model": SPM, "config.json": {"eos_token_id": 1 << 32}},
        {"tokenizer.model": SPM, "tokenizer.json": {"post_processor": {"processors": 1}}},
        {"tokenizer.model": SPM, "tokenizer_config.json": {"added_tokens_decoder": 3}},
    ],
)  # fmt: skip
def test_files_that_lie(tmp_path: Path, files: dict[str, Any]) -> None:
    with pytest.raises(TranslationError) as caught:
        _write(tmp_path, files)
    assert str(tmp_path) in caught.value.path
    assert caught.value.reason


@pytest.mark.parametrize("size", [1_000_000_000, -1, 0.5, "many", True, None])
def test_impossible_sizes_cost_no_memory(tmp_path: Path, size: Any) -> None:
    config = {**CONFIG, "vocab_size": size}
    tracemalloc.start()
    for files in (
        {"tokenizer.json": byte_level(), "tokenizer_config.json": FAST},
        {"tokenizer.model": SPM},
    ):
        if size is not None or "tokenizer.json" in files:
            with pytest.raises(MalformedSource):
                _write(tmp_path, files, config)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_ids_beyond_the_vocabulary(tmp_path: Path) -> None:
    tokens = [*listed(), added("<far>", 1_000_000_000)]
    with pytest.raises(TranslationError):
        _write(
            tmp_path,
            {"tokenizer.json": byte_level(added_tokens=tokens), "tokenizer_config.json": FAST},
            {**CONFIG, "vocab_size": 10},
        )


def test_a_directory_in_place_of_a_file_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(MissingSource):
        _write(tmp_path, {})


def test_text_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    settings = b'{"tokenizer_class": "LlamaTokenizer", "chat_template": "\\ud800"}'
    with pytest.raises(MalformedSource, match="not Unicode"):
        _write(tmp_path, {"tokenizer.model": SPM, "tokenizer_config.json": settings})


def test_merges_with_spaces_inside(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"merges": [["a b", " "], ["x", "y"]]}}))
    assert read_merges(Folder(tmp_path)) == ["aĠb Ġ", "x y"]


def test_a_single_template_of_many_keeps_its_order(tmp_path: Path) -> None:
    names = ["default", "zeta", "alpha", "tool-use"]
    settings = {"chat_template": [{"name": name, "template": name.upper()} for name in names]}
    kv = _write(tmp_path, {"tokenizer.model": SPM, "tokenizer_config.json": settings})
    assert kv.get("tokenizer.chat_templates") == ["zeta", "alpha", "tool_use"]
    assert kv.get("tokenizer.chat_template") == "DEFAULT"
    assert kv["tokenizer.chat_templates"].element is ValueType.STRING


def test_a_tokenizer_json_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The tokenizers library would abort the process over such bytes within a key."""
    (tmp_path / "tokenizer.json").write_bytes(
        tiny_tokenizers.byte_fallback().encode().replace(b'"vocab"', b'"v\x96cab"')
    )
    with pytest.raises(MalformedSource, match="not UTF-8"):
        write_tokenizer(KeyValues(), tmp_path, {"vocab_size": SIZE}, style="llama")
