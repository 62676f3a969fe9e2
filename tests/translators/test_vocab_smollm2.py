"""SmolLM2's real vocabulary: GGUF -> Hugging Face files -> key-values and `tokenizers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from translators.keyvalues import KeyValues
from translators.sources.gguf import read
from translators.vocab import huggingface_files, lists, write_tokenizer
from translators.vocab.document import document_of
from translators.vocab.folder import Folder

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152}
TEXT = "Hello, I've 12345 apples…  \n\tund Übergröße: 我想在apple工作<|im_start|>user\n🦙<|im_end|>"
# What llama.cpp b11434 makes of TEXT with this GGUF, special tokens parsed.
IDS = [
    19556, 28, 339, 3543, 216, 33, 34, 35, 36, 37, 13855, 2829, 32057, 197, 1145, 5549, 246, 5799, 98,
    7466, 34878, 85, 42, 17097, 226, 235, 177, 221, 128, 32632, 21949, 36149, 115, 40994, 1, 4093, 198,
    10813, 116, 243, 2,
]  # fmt: skip


@pytest.fixture(scope="module")
def source(smollm2_gguf: Path) -> KeyValues:
    """The key-values of the GGUF."""
    kv = read(smollm2_gguf.parent, [smollm2_gguf.name], "SmolLM2").key_values
    assert kv is not None
    return kv


@pytest.fixture(scope="module")
def folder(source: KeyValues, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory with the files made from them."""
    root = tmp_path_factory.mktemp("SmolLM2-135M-Instruct")
    (root / "config.json").write_text(json.dumps(CONFIG))
    for name, data in huggingface_files(source).items():
        (root / name).write_bytes(data)
    return root


def test_there_and_back(source: KeyValues, folder: Path) -> None:
    kv = KeyValues()
    write_tokenizer(kv, folder, CONFIG, style="llama")
    assert dict(kv.items()) == {k: v for k, v in source.items() if k.startswith("tokenizer.")}
    # The order of what llama.cpp's converter wrote for this directory.
    assert [key.rpartition(".")[2] for key in kv] == [
        "add_space_prefix", "model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id",
        "unknown_token_id", "padding_token_id", "add_bos_token", "chat_template",
    ]  # fmt: skip


def test_the_pre_tokenizer_is_recognised(folder: Path) -> None:
    kv = KeyValues()
    write_tokenizer(kv, folder, CONFIG, style="qwen")
    assert kv.get("tokenizer.ggml.pre") == "smollm"


def test_tokenizers_reads_the_files(source: KeyValues, folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [text.decode() for text in source["tokenizer.ggml.tokens"].strings]
    assert tokenizer.get_vocab() == {text: number for number, text in enumerate(texts)}
    ids = tokenizer.encode(TEXT).ids
    assert ids == IDS
    assert tokenizer.decode(ids, skip_special_tokens=False) == TEXT


def test_settings_name_the_special_tokens(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (settings["bos_token"], settings["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert settings["model_max_length"] == 8192
    # What generates refuses token types, which this class returns unless it is told.
    assert settings["model_input_names"] == ["input_ids", "attention_mask"]
    assert settings["add_bos_token"] is False
    assert settings["added_tokens_decoder"]["2"]["special"] is True
    assert "<|im_start|>" in settings["chat_template"]


def test_without_the_library_it_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = KeyValues()
    write_tokenizer(made, folder, CONFIG, style="llama")
    assert document_of(Folder(folder)).tokens is not None
    monkeypatch.setattr(lists, "_library", lambda: None)
    assert document_of(Folder(folder)).tokens is None
    slowly_made = KeyValues()
    write_tokenizer(slowly_made, folder, CONFIG, style="llama")
    assert made.encoded() == slowly_made.encoded()
