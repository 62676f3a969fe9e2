"""A directory in which nearly everything is wrong: each fault has a reason, and the rest is served.

Every case is a way to break a sound tiny model; the mount holds them all at once, beside one that is sound.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS, Daemon, mounting, prismfs, running
from tests.tiny_models import build
from tests.tiny_variants import MODELS

SOUND, SHARDED = "Qwen2.5-0.5B-Instruct", "llama-mha"


def edit_config(**changes: object) -> Callable[[Path], None]:
    def broken(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return broken


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def truncated_shard(folder: Path) -> None:
    os.truncate(shards(folder)[0], shards(folder)[0].stat().st_size - 1000)


def missing_shard(folder: Path) -> None:
    shards(folder)[0].unlink()


def absent_tensor(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.layers.99.mlp.up_proj.weight"] = shards(folder)[0].name
    index.write_text(json.dumps(content))


def lying_length(folder: Path) -> None:
    data = bytearray(shards(folder)[0].read_bytes())
    data[:8] = struct.pack("<Q", 1 << 40)
    shards(folder)[0].write_bytes(data)


def lying_offsets(folder: Path) -> None:
    data = shards(folder)[0].read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = [1 << 62, 1 << 62]
    text = json.dumps(header).encode()
    shards(folder)[0].write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def huge_header(folder: Path) -> None:
    with shards(folder)[0].open("wb") as file:
        file.write(struct.pack("<Q", 101 << 20) + b"{")
        file.truncate((101 << 20) + 4096)


def cyclic_link(folder: Path) -> None:
    target = shards(folder)[0]
    target.unlink()
    target.symlink_to(target.name)


def unknown_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.model", "tokenizer_config.json", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)
    vocabulary = {chr(code): number for number, code in enumerate(range(0x100, 0x180))}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def unreadable(folder: Path) -> None:
    # Root may read everything: a file that cannot be read is one that is no file.
    shards(folder)[0].unlink()
    os.mkfifo(folder / "model-00001-of-00002.safetensors")


def endless_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures":' + "[" * 500_000)


# How a model is broken -> what `prismfs ls` must say of it.
CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated-shard": (truncated_shard, "bytes"),
    "missing-shard": (missing_shard, "is not there"),
    "absent-tensor": (absent_tensor, "model.layers.99.mlp.up_proj.weight"),
    "lying-length": (lying_length, "header"),
    "lying-offsets": (lying_offsets, "tensor"),
    "huge-header": (huge_header, "header"),
    "cyclic-link": (cyclic_link, "symbolic link"),
    "unreadable-file": (unreadable, "not a regular file"),
    "endless-config": (endless_config, "config.json"),
    "unknown-architecture": (edit_config(architectures=["StrangeForCausalLM"]), "StrangeForCausalLM"),
    "unknown-tokenizer": (unknown_tokenizer, "pre-tokenizer"),
    "billion-layers": (edit_config(num_hidden_layers=10**9), "missing"),
    "negative-heads": (edit_config(num_attention_heads=-8), "num_attention_heads"),
    "text-for-a-number": (edit_config(hidden_size="many"), "hidden_size"),
}
# Where only the translation is refused, the weights can still be had as they are.
STILL_MERGED = {
    "unknown-architecture",
    "unknown-tokenizer",
    "billion-layers",
    "negative-heads",
    "text-for-a-number",
}


@pytest.fixture(scope="module", params=ADAPTERS)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    base = tmp_path_factory.mktemp("bad").resolve()
    source, mountpoint = base / "models", base / "mnt"
    source.mkdir()
    build(MODELS[SOUND], source)
    for name, (broken, _) in CASES.items():
        broken(build(MODELS[SHARDED], base / "built").rename(source / name))
    (source / "empty").mkdir()
    (source / "loop").symlink_to("loop")
    odd = os.fsdecode(b"caf\xe9")
    build(MODELS[SHARDED], base / "built").rename(source / odd)
    with running(mounting(source, mountpoint, request.param), source, mountpoint, base) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def told(daemon: Daemon) -> dict[str, dict[str, object]]:
    """What `prismfs ls --json` says of each model, through the mount."""
    done = prismfs("ls", "--json", daemon.mountpoint, home=daemon.log_file.parent, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return {model["name"]: model for model in json.loads(done.stdout)["models"]}


@pytest.mark.parametrize("name", CASES)
def test_ls_says_what_is_wrong_and_where(told: dict[str, dict[str, object]], name: str) -> None:
    text = json.dumps(told[name])
    assert CASES[name][1] in text, text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_not_listed(daemon: Daemon, name: str) -> None:
    names = {path.name for path in (daemon.mountpoint / name).iterdir()}
    assert "config.json" in names
    assert not {entry for entry in names if entry.startswith("model.gguf")}
    assert ("model.safetensors" in names) == (name in STILL_MERGED)
    with pytest.raises(OSError) as caught:
        (daemon.mountpoint / name / "model.gguf-q4_k_m").stat()
    # There is no such form of a sound model; of a broken one nobody can say.
    assert caught.value.errno == (errno.ENOENT if name in STILL_MERGED else errno.EIO)


@pytest.mark.parametrize("name", CASES)
def test_export_says_it_as_well(daemon: Daemon, tmp_path: Path, name: str) -> None:
    done = prismfs("export", daemon.source / name, "q4_k_m", "-o", tmp_path / "x.gguf", home=tmp_path)
    assert done.returncode != 0
    assert CASES[name][1] in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.gguf")) == []


def test_the_sound_model_is_served_and_the_daemon_is_up(daemon: Daemon) -> None:
    assert (daemon.mountpoint / SOUND / "model.gguf-q4_k_m").read_bytes()[:4] == b"GGUF"
    assert daemon.process.poll() is None
    assert "Traceback" not in daemon.log


def test_names_that_are_no_text_are_served(daemon: Daemon) -> None:
    folder = daemon.mountpoint / os.fsdecode(b"caf\xe9")
    names = {path.name for path in folder.iterdir()}
    # A GGUF holds the directory's name, which must be text; the merged weights do not.
    assert "model.safetensors" in names
    assert not {name for name in names if name.startswith("model.gguf")}
    assert (folder / "model.safetensors").read_bytes()[8:9] == b"{"


def test_an_empty_directory_and_a_loop_are_no_models_and_ls_says_so(
    daemon: Daemon, told: dict[str, dict[str, object]]
) -> None:
    assert "loop" not in {path.name for path in daemon.mountpoint.iterdir()}
    assert "no model" in json.dumps(told["empty"])
    assert "symbolic link" in json.dumps(told["loop"])
