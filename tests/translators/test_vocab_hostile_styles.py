"""Rank files, tekken.json, Unigram models and encoders' files that lie: an error that names the file."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_tokenizers
from tests.translators.golden_vocab import kinds
from tests.translators.golden_vocab.parts import FAST, byte_level
from translators.errors import MalformedSource, MissingSource, TranslationError, Unsupported
from translators.keyvalues import KeyValues
from translators.vocab import STYLES, write_tokenizer

_RANKS = kinds.ranks()


def _write(root: Path, style: str, files: dict[str, Any], config: dict[str, Any] | None = None) -> KeyValues:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (root / name).write_bytes(data)
    kv = KeyValues()
    write_tokenizer(kv, root, {"vocab_size": 500} if config is None else config, style=style)
    return kv


def _tekken(**changes: Any) -> dict[str, Any]:
    return {**kinds.tekken(), **changes}


@pytest.mark.parametrize(
    ("style", "name", "content"),
    [
        ("qwen1", "qwen.tiktoken", b""),
        ("qwen1", "qwen.tiktoken", b"\xff\xfe"),
        ("qwen1", "qwen.tiktoken", b"IQ== 0 0\n"),
        ("qwen1", "qwen.tiktoken", b"!! 0\n"),
        ("qwen1", "qwen.tiktoken", b"IQ== -1\n"),
        ("qwen1", "qwen.tiktoken", b"IQ== 99999999999999\n"),
        ("qwen1", "qwen.tiktoken", b"IQ== 0\nIg== 0\n"),
        ("qwen1", "qwen.tiktoken", base64.b64encode(bytes(100_000)) + b" 0\n"),
        ("hunyuan-moe", "hy.tiktoken", _RANKS + _RANKS),
        ("hunyuan-moe", "hy.tiktoken", b"IQ== 0\n"),
        ("mistral", "tekken.json", b"[]"),
        ("mistral", "tekken.json", {}),
        ("mistral", "tekken.json", _tekken(config=5)),
        ("mistral", "tekken.json", _tekken(vocab=[])),
        ("mistral", "tekken.json", _tekken(vocab=[{"rank": "x"}])),
        ("mistral", "tekken.json", _tekken(special_tokens=7)),
        ("mistral", "tekken.json", _tekken(special_tokens=[{"rank": 0}])),
        ("mistral", "tekken.json", kinds.tekken(default_vocab_size=10**12)),
        ("mistral", "tekken.json", kinds.tekken(default_vocab_size=-5)),
        ("mistral", "tekken.json", kinds.tekken(default_num_special_tokens=10**12)),
        ("mistral", "tokenizer.model.v3", b"x"),
        ("t5", "spiece.model", b"x"),
        ("t5", "spiece.model", kinds.unigram()[:-4]),
        ("xlm-roberta", "sentencepiece.bpe.model", b""),
        ("xlm-roberta", "tokenizer.json", kinds.unigram_json(model={"type": "Unigram", "vocab": 3})),
        ("xlm-roberta", "tokenizer.json", kinds.unigram_json(normalizer={"precompiled_charsmap": "é"})),
        ("bert", "tokenizer.json", kinds.wordpiece(model={"type": "WordPiece"})),
        ("bert", "vocab.txt", b""),
        ("nomic-bert", "tokenizer.json", {"model": 3}),
        ("internlm2", "tokenizer.model", b"x"),
        ("phi3", "tokenizer.model", tiny_tokenizers.sentencepiece()[:-2]),
        ("gemma4", "tokenizer.json", {"model": {"type": "BPE"}}),
    ],
)  # fmt: skip
def test_files_that_lie(tmp_path: Path, style: str, name: str, content: Any) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    with pytest.raises(TranslationError) as caught:
        _write(tmp_path, style, {name: content})
    assert str(tmp_path) in caught.value.path
    assert caught.value.reason


@pytest.mark.parametrize("size", [10**9, -1, 0, 0.5, "many", True])
@pytest.mark.parametrize(
    ("style", "files"),
    [
        ("qwen1", {"qwen.tiktoken": _RANKS}),
        ("hunyuan-moe", {"hy.tiktoken": _RANKS}),
        ("mamba2", {"tokenizer.json": byte_level(), "tokenizer_config.json": FAST}),
        ("t5", {"spiece.model": kinds.unigram()}),
        ("phi3", {"tokenizer.model": tiny_tokenizers.sentencepiece()}),
        ("internlm2", {"tokenizer.model": tiny_tokenizers.sentencepiece()}),
    ],
)
def test_impossible_sizes_cost_no_memory(
    tmp_path: Path, style: str, files: dict[str, Any], size: Any
) -> None:
    tracemalloc.start()
    with pytest.raises(TranslationError):
        _write(tmp_path, style, files, {"vocab_size": size})
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("style", ["rwkv", "plamo", "interns1", "hybriddna"])
def test_what_needs_code_is_refused_by_name(tmp_path: Path, style: str) -> None:
    with pytest.raises(Unsupported) as caught:
        _write(tmp_path, style, {})
    assert style[:4] in caught.value.reason.lower()


@pytest.mark.parametrize("style", sorted(set(STYLES) - {"none", "rwkv", "plamo", "interns1", "hybriddna"}))
def test_without_files(tmp_path: Path, style: str) -> None:
    with pytest.raises((MissingSource, Unsupported, MalformedSource)) as caught:
        _write(tmp_path, style, {})
    assert caught.value.remedy


def test_a_version_without_a_template_is_refused_by_it(tmp_path: Path) -> None:
    document = kinds.tekken("v13", kinds.SPECIAL)
    with pytest.raises(Unsupported, match="version v13"):
        _write(tmp_path, "mistral", {"tekken.json": document})


def test_a_pre_tokenizer_of_ranks_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"fingerprint [0-9a-f]{64}"):
        _write(tmp_path, "qwen1", {"qwen.tiktoken": _RANKS})
