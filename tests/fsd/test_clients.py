"""Real clients on a real mount with real weights: llama.cpp, gguf-py, safetensors, tokenizers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

from tests.fsd.mounting import PRISMFS, ROOT, Daemon, prismfs, running
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans
from translators.quants.filetypes import FILE_TYPES

NAME, TINY = "SmolLM2-135M-Instruct", "Qwen2.5-0.5B-Instruct"
QUESTION = "Name three primes."


@pytest.fixture(scope="module")
def daemon(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    base = tmp_path_factory.mktemp("clients").resolve()
    source, mountpoint = base / "models", base / "mnt"
    (source / NAME).mkdir(parents=True)
    (source / NAME / smollm2_gguf.name).symlink_to(smollm2_gguf)
    build(MODELS[TINY], source)
    with running((*PRISMFS, "mount", str(source), str(mountpoint)), source, mountpoint, base) as daemon:
        yield daemon


@pytest.fixture
def model(daemon: Daemon) -> Path:
    return daemon.mountpoint / NAME


def answer(file: Path, tokens: int = 32) -> str:
    """What llama.cpp says, greedily: in a process of its own, as a fault in a map would end it."""
    command = [sys.executable, "-m", "examples.ask", str(file), QUESTION, str(tokens)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["q4_k_m", "q8_0"])
def test_llama_cpp_says_the_same_from_the_mount(
    daemon: Daemon, model: Path, tmp_path: Path, kind: str
) -> None:
    exported = tmp_path / f"{kind}.gguf"
    done = prismfs(
        "export", daemon.source / NAME, f"model.gguf-{kind}", "-o", exported, home=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    from_mount = answer(model / f"model.gguf-{kind}")
    assert len(from_mount.split()) > 5
    assert from_mount == answer(exported)
    assert (model / f"gguf/{NAME}-{kind.upper()}.gguf").samefile(model / f"model.gguf-{kind}")


def test_llama_cpp_loads_splits_from_the_first(model: Path) -> None:
    splits = [model / f"gguf/{NAME}-Q8_0-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    assert sum(path.stat().st_size for path in splits) > (model / "model.gguf-q8_0").stat().st_size
    assert answer(splits[0]) == answer(model / "model.gguf-q8_0")


def test_gguf_py_reads_a_real_gguf(model: Path) -> None:
    path = model / "model.gguf-iq4_xs"
    reader = gguf.GGUFReader(path)
    assert len(reader.tensors) == 272
    last = reader.tensors[-1]
    assert last.data_offset + last.n_bytes <= path.stat().st_size


def test_gguf_py_reads_every_gguf(daemon: Daemon) -> None:
    folder = daemon.mountpoint / TINY
    forms = {name for name, plan in plans(open_model(daemon.source / TINY)).items() if isinstance(plan, Plan)}
    # The newest types are in llama.cpp, but not yet in a released gguf-py.
    known = {dtype.name for dtype in gguf.GGMLQuantizationType}
    files = {f"model.gguf-{kind.name}": kind for kind in FILE_TYPES.values() if kind.dtype.name in known}
    types = sorted(forms & files.keys())
    assert len(types) >= 24
    for name in types:
        reader = gguf.GGUFReader(folder / name)
        last = reader.tensors[-1]
        assert last.data_offset + last.n_bytes <= (folder / name).stat().st_size


def test_safetensors_reads_the_hugging_face_side(smollm2_gguf: Path, model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    with safe_open(model / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        names = list(file.keys())
        assert len(names) == 272
        shape = file.get_slice("model.embed_tokens.weight").get_shape()
    assert shape == [config["vocab_size"], config["hidden_size"]]
    # gguf-py's own dequantisation of a norm and of a Q8_0 or Q4_1 matrix, rounded to bf16, is what is served.
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(smollm2_gguf).tensors}
    for name, stored in (
        ("model.norm.weight", "output_norm.weight"),
        ("model.layers.3.mlp.up_proj.weight", "blk.3.ffn_up.weight"),
    ):
        expected = gguf.quants.dequantize(tensors[stored].data, tensors[stored].tensor_type)
        assert served(model / "model.safetensors", name) == rounded(expected)


def served(path: Path, name: str) -> bytes:
    tensor = open_model(path).tensors[name]
    with path.open("rb") as file:
        file.seek(tensor.extent.offset)
        return file.read(tensor.extent.length)


def rounded(values: np.ndarray) -> bytes:
    """float32 as bf16, to nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).tobytes()


def test_tokenizers_reads_the_hugging_face_side(model: Path) -> None:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    text = "Größe: 42 km, 'tis — 日本語 🙂\n\n\tdef f(x):  return x"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    chat = json.loads((model / "tokenizer_config.json").read_text())["chat_template"]
    assert "<|im_start|>" in chat
    assert tokenizer.encode("<|im_start|>").ids == [1]
