"""Every parser of what a stranger may have written: `PARSERS`. Whoever adds a parser adds a line.

A parser is given a directory, and whatever lies in it makes a model or an error of `translators.errors`: in
bounded time and memory, without anything run and without a file outside the directory. Its seeds are small
files of the formats' usual kinds, made by what the other tests make files with (`seeds.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

from tests.fuzz import seeds
from tests.fuzz.folders import Files
from translators import Plan, open_model, plans
from translators.keyvalues import KeyValues
from translators.model import Model
from translators.sources import imatrix
from translators.vocab import STYLES, bpe, write_tokenizer
from translators.vocab.fast import FastTokenizer
from translators.vocab.folder import Folder
from translators.vocab.pretokenizers import CHECK_TEXT, fingerprint

_SAMPLE = 4096
# What is read of a model's forms, beside those that are no GGUF: a copy and a translation.
_GGUFS = ("model.gguf-f32", "model.gguf-q8_0", "model.gguf-q4_k_m")
_STYLE, _VARIANT = "style", "variant"


@dataclass(frozen=True)
class Parser:
    """A parser.

    parse: what is done with the directory; TranslationError is a right answer.
    names: of the files that the fuzzer writes there, one or several.
    seeds: directories to begin with.
    format: the name in `recognise.FORMATS` of what it reads; "" for what is no stored format of its own.
    """

    name: str
    parse: Callable[[Path], object]
    names: tuple[str, ...]
    seeds: Callable[[], Iterable[Files]]
    format: str = ""


def model(directory: Path) -> None:
    """The model in a directory, what it appears as, and the beginning and the end of some of that."""
    exercised(open_model(directory))


def exercised(found: Model) -> None:
    """Plan what `found` appears as; read a little of it."""
    for plan in plans(found).values():
        if isinstance(plan, Plan) and (not plan.name.startswith("model.gguf-") or plan.name in _GGUFS):
            _sampled(plan)


def _sampled(plan: Plan) -> None:
    layout = plan.layout()
    try:
        layout.read(0, _SAMPLE)
        layout.read(max(0, layout.size - _SAMPLE), _SAMPLE)
    finally:
        layout.close()


def accompanied(whole: Callable[[], Files], directory: Path) -> None:
    """The model in a directory, with the weights of `whole`: it is the files beside them that decide."""
    _write_weights(whole, directory)
    model(directory)


def adapter(directory: Path) -> None:
    """An adapter, with its weights and its base."""
    _write_weights(seeds.adapter, directory)
    base = directory / "base"
    if not base.exists():
        base.mkdir()
        seeds.write_base(base)
    (found,) = base.iterdir()
    exercised(open_model(directory, base=found))


def _write_weights(whole: Callable[[], Files], directory: Path) -> None:
    for name, content in whole().items():
        if name.endswith((".pth", ".safetensors")) and not (directory / name).exists():
            (directory / name).write_bytes(content)


def matrix(name: str, directory: Path) -> None:
    """An importance matrix."""
    imatrix.read(directory / name, 0)


def vocabulary(directory: Path) -> None:
    """A tokenizer's files, by the rules of the style that the file `style` names."""
    style = (directory / _STYLE).read_text("latin-1").strip() if (directory / _STYLE).exists() else "llama"
    config = Folder(directory).json("config.json")
    # A made-up vocabulary's pre-tokenizer is none that is known: what follows is to be reached all the same.
    with patch.object(bpe, "_pre_tokenizer", _fingerprint):
        write_tokenizer(KeyValues(), directory, config, style=style if style in STYLES else "llama")


def _fingerprint(folder: Folder, tokenizer: FastTokenizer) -> str:
    return fingerprint(tokenizer.encoded(CHECK_TEXT, with_special=True))


def family(work: Path) -> None:
    """A configuration beside the tensors of a variant of a family: those that the file `variant` names.

    The tensors are holes: planning never reads them.
    """
    name = (work / _VARIANT).read_text("latin-1").strip() if (work / _VARIANT).exists() else ""
    variant = seeds.variants().get(name)
    if variant is None:
        return
    directory = work / name
    if not directory.is_dir():
        directory.mkdir()
        seeds.write_holes(directory / "model.safetensors", variant)
        for path, content in variant.files.items():
            if "/" not in path:
                (directory / path).write_bytes(content.encode() if isinstance(content, str) else content)
    config = work / "config.json"
    (directory / "config.json").write_bytes(config.read_bytes() if config.exists() else b"{}")
    plans(open_model(directory))


_TOKENIZER = (
    _STYLE, "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja", "tokenizer.model",
    "spiece.model", "sentencepiece.bpe.model", "tekken.json", "params.json", "qwen.tiktoken", "hy.tiktoken",
    "tiktoken.model",
)  # fmt: skip
_BUNDLE = (
    "model.index", "model.data-00000-of-00001", "model.data-00000-of-00002", "model.data-00001-of-00002",
)  # fmt: skip
_GOOGLE = ("bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "bert_config.json", "vocab.txt")
_ORIGINAL = ("params.json", "tokenizer.model")
_NATIVE = ("params.json", "tokenizer.model.v3", "tekken.json")
_SHARDED = (
    "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
)  # fmt: skip

PARSERS = (
    Parser("safetensors", model, ("model.safetensors",), seeds.safetensors, "safetensors"),
    Parser("safetensors-index", model, _SHARDED, seeds.sharded),
    Parser("gguf", model, ("model.gguf",), seeds.gguf, "gguf"),
    Parser("pytorch", model, ("pytorch_model.bin",), seeds.pytorch, "pytorch"),
    Parser("npz", model, ("model.npz",), seeds.npz, "npz"),
    Parser("flax", model, ("flax_model.msgpack", "config.json"), seeds.flax, "flax"),
    Parser("ggml", model, ("ggml-model-q4_0.bin",), seeds.ggml, "ggml"),
    Parser("tensorflow", model, _BUNDLE, seeds.bundles, "tensorflow"),
    Parser("tensorflow-renamed", model, _GOOGLE, seeds.google),
    Parser("savedmodel", model, ("saved_model.pb",), partial(seeds.graphs, "saved_model.pb"), "savedmodel"),
    Parser("hdf5", model, ("model.weights.h5",), seeds.hdf5, "hdf5"),
    Parser("keras-renamed", model, ("tf_model.h5", "config.json"), seeds.renamed),
    Parser("keras", model, ("model.keras",), seeds.keras),
    Parser("graphdef", model, ("frozen_graph.pb",), partial(seeds.graphs, "frozen_graph.pb"), "graphdef"),
    Parser("tflite", model, ("model.tflite",), seeds.tflite, "tflite"),
    Parser("onnx", model, ("m.onnx", "w.data"), seeds.onnx, "onnx"),
    Parser("meta", partial(accompanied, seeds.original), _ORIGINAL, seeds.originals, "meta"),
    Parser("mistral", partial(accompanied, seeds.native), _NATIVE, seeds.natives, "mistral"),
    Parser("peft", adapter, ("adapter_config.json",), seeds.adapters, "peft"),
    Parser("imatrix", partial(matrix, "imatrix.gguf"), ("imatrix.gguf",), seeds.imatrix),
    Parser("imatrix-dat", partial(matrix, "imatrix.dat"), ("imatrix.dat",), seeds.imatrix_dat),
    Parser("tokenizer-json", vocabulary, _TOKENIZER, partial(seeds.vocabularies, "tokenizer.json")),
    Parser("sentencepiece", vocabulary, _TOKENIZER, partial(seeds.vocabularies, ".model")),
    Parser("tekken", vocabulary, _TOKENIZER, partial(seeds.vocabularies, "tekken.json")),
    Parser("tiktoken", vocabulary, _TOKENIZER, partial(seeds.vocabularies, ".tiktoken")),
    Parser("vocab-files", vocabulary, _TOKENIZER, partial(seeds.vocabularies, ".txt")),
    Parser("config", family, (_VARIANT, "config.json"), seeds.configurations),
)
