"""Every made-up tokenizer directory gives the key-values that upstream's converter gives."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.translators.golden_vocab.parts import byte_level
from tests.translators.golden_vocab.variants import VARIANTS, Variant
from translators.errors import TranslationError
from translators.keyvalues import KeyValues
from translators.vocab import bpe, write_tokenizer
from translators.vocab.pretokenizers import CHECK_TEXT, fingerprint

GOLDEN = json.loads((Path(__file__).parent / "golden_vocab/golden.json").read_text())


@pytest.mark.parametrize("name", VARIANTS)
def test_as_upstream(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A made-up vocabulary has a fingerprint of its own: golden.json holds it in place of the name.
    monkeypatch.setattr(
        bpe, "_pre_tokenizer", lambda _, t: fingerprint(t.encoded(CHECK_TEXT, with_special=True))
    )
    variant, golden = VARIANTS[name], GOLDEN[name]
    variant.write(tmp_path)
    kv = KeyValues()
    if isinstance(golden, str):
        with pytest.raises(TranslationError):
            write_tokenizer(kv, tmp_path, variant.full_config, style=variant.style, arch=variant.arch)
        return
    write_tokenizer(kv, tmp_path, variant.full_config, style=variant.style, arch=variant.arch)
    found = [[key, int(value.type), hashlib.sha256(value.raw).hexdigest()[:16]] for key, value in kv.items()]
    assert found == golden


def test_golden_covers_every_variant() -> None:
    assert set(GOLDEN) == set(VARIANTS)
    assert sum(isinstance(golden, list) for golden in GOLDEN.values()) > 220


def test_names_that_transformers_5_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's transformers 4 does not know them; they mean what the older names mean."""
    monkeypatch.setattr(bpe, "_pre_tokenizer", lambda *_: "made-up")
    found = []
    for name, extra in (("PreTrainedTokenizerFast", {"a": "<x>"}), ("TokenizersBackend", ["<x>"])):
        settings = {"tokenizer_class": name, "eos_token": "<|endoftext|>", "extra_special_tokens": extra}
        variant = Variant({"tokenizer.json": byte_level(), "tokenizer_config.json": settings})
        variant.write(tmp_path / name)
        kv = KeyValues()
        write_tokenizer(kv, tmp_path / name, variant.full_config, style="llama")
        found.append(kv)
    assert dict(found[0].items()) == dict(found[1].items())
    assert "<x>" in found[0].get("tokenizer.ggml.tokens")
