"""What the heavy tests read: a sharded Llama of some size, mounted by `prismfs mount`, and reference files.

The model is made as the tiny ones are: of real shape, the same bytes on every machine. The references were
written by `prismfs export`, whose bytes the oracle's tests prove equal to upstream's; a shard is its own.
Five targets: a source file, the merged shards, a GGUF that is partly slices of them, and two that are
translated throughout. Knows the command line and status.json only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fsd.mounting import ADAPTERS, PRISMFS, environment, prismfs
from tests.heavy.comparing import CHUNK, WrongBytes, difference
from tests.tiny_models import TinyModel, build
from tests.tiny_tokenizers import SIZE, sentencepiece

NAME = "Soak-Llama-1B-v1"
SHARD = "model-00001-of-00002.safetensors"
TRANSLATED = ("model.gguf-q4_k_m", "model.gguf-q8_0")
TARGETS = (SHARD, "model.safetensors", "model.gguf-bf16", *TRANSLATED)

_LAYER_BYTES = 6_030_000  # a layer of the configuration below, in bf16


@dataclass(frozen=True)
class Target:
    """A file of the mount by its name in the model's directory, and the file that it has to be equal to."""

    name: str
    reference: Path

    @property
    def size(self) -> int:
        """Bytes of the reference."""
        return self.reference.stat().st_size

    @property
    def chunks(self) -> int:
        """How many chunks of the store the file has."""
        return -(-self.size // CHUNK)


@dataclass(frozen=True)
class Subject:
    """A directory of models (one), and its targets."""

    models: Path
    targets: tuple[Target, ...]

    @property
    def translated_bytes(self) -> int:
        """Bytes of the targets that are translated throughout: what a store could keep, at least."""
        return sum(target.size for target in self.targets if target.name in TRANSLATED)


def options(parser: argparse.ArgumentParser) -> None:
    """What each of these scripts takes: which adapter, how large a model, and where it is kept."""
    parser.add_argument("--fuse", choices=ADAPTERS, action="append", help="one adapter alone")
    parser.add_argument("--megabytes", type=int, default=100, help="size of the model")
    parser.add_argument("--work", type=Path, help="keep the model there; else a temporary place")


def made(work: Path, megabytes: int) -> Subject:
    """The model of about `megabytes` MB and its references below `work`; made only once there."""
    folder = work / f"subject-{megabytes}"
    models, references = folder / "models", folder / "references"
    if not references.exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "unfinished").mkdir(parents=True)
        build(_model(megabytes), models)
        _export(models / NAME, folder / "unfinished")
        (folder / "unfinished").rename(references)
    own = [Target(SHARD, models / NAME / SHARD)]
    return Subject(models, (*own, *(Target(name, references / name) for name in TARGETS[1:])))


def _model(megabytes: int) -> TinyModel:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": 512,
        "intermediate_size": 1536,
        "max_position_embeddings": 2048,
        "num_attention_heads": 8,
        "num_hidden_layers": max(1, round(megabytes * 1e6 / _LAYER_BYTES)),
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
        "vocab_size": SIZE,
    }
    words = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    files: dict[str, str | bytes] = {
        "tokenizer.model": sentencepiece(),
        "tokenizer_config.json": json.dumps(words),
    }
    return TinyModel(NAME, config, shards=2, files=files)


def _export(model: Path, references: Path) -> None:
    for name in TARGETS[1:]:
        done = prismfs("export", model, name, "-o", references / name, home=references, timeout=600)
        if done.returncode:
            raise RuntimeError(f"prismfs export {name}: {done.stderr}")


def mounting(subject: Subject, mountpoint: Path, fuse: str, cache: Path, *options: str) -> list[str]:
    """The command of the daemon over the subject, with the store at `cache`."""
    command = [*PRISMFS, "mount", "--fuse", fuse, "--cache-dir", str(cache), *options]
    return [*command, str(subject.models), str(mountpoint)]


def clear(cache: Path, home: Path) -> None:
    """`prismfs cache clear`, while no daemon uses the store."""
    command = [*PRISMFS, "cache", "clear", "--cache-dir", str(cache)]
    subprocess.run(command, check=True, capture_output=True, env=environment(home), cwd=home, timeout=60)


def status(mountpoint: Path) -> dict[str, Any]:
    """What the daemon tells of itself."""
    found: dict[str, Any] = json.loads((mountpoint / ".prismfs" / "status.json").read_text())
    return found


def complaints(log: str, words: Sequence[str] = ("Traceback", " ERROR ", " CRITICAL ")) -> list[str]:
    """The lines of a daemon's log that have one of `words`, each with the line after it."""
    lines = log.splitlines()
    return ["\n".join(lines[at : at + 2]) for at, line in enumerate(lines) if any(w in line for w in words)]


def compare(subject: Subject, mountpoint: Path, chance: random.Random) -> int:
    """Read every byte of every target in pieces of a chunk, in any order; how many bytes. Raises WrongBytes.

    Nothing is read ahead, and afterwards the kernel keeps nothing: who reads next asks the daemon again.
    """
    pairs = []
    try:
        for target in subject.targets:
            served = os.open(mountpoint / NAME / target.name, os.O_RDONLY)
            pairs.append((target, served, os.open(target.reference, os.O_RDONLY)))
            os.posix_fadvise(served, 0, 0, os.POSIX_FADV_RANDOM)
            if (size := os.fstat(served).st_size) != target.size:
                raise WrongBytes(f"{target.name} has {size} bytes, not {target.size}")
        pieces = [(*pair, number) for pair in pairs for number in range(pair[0].chunks)]
        chance.shuffle(pieces)
        with ThreadPoolExecutor(4) as pool:
            compared = sum(pool.map(_compared, pieces))
        for _, served, _ in pairs:
            os.posix_fadvise(served, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        for _, *descriptors in pairs:
            for descriptor in descriptors:
                os.close(descriptor)
    return compared


def _compared(piece: tuple[Target, int, int, int]) -> int:
    target, served, reference, chunk = piece
    got, right = (os.pread(each, CHUNK, chunk * CHUNK) for each in (served, reference))
    if got != right:
        raise WrongBytes(f"{target.name}: {difference(chunk * CHUNK, got, right)}")
    return len(right)
