"""Views on a real mount, as their programs use them: Ollama listing and loading, the hub's own library."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest

from tests.fsd.mounting import ADAPTERS, ROOT, Daemon, environment, mounting, opened, running, unmount, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

NAME, TINY = "SmolLM2-135M-Instruct", "Qwen2.5-0.5B-Instruct"
HEAD = 1 << 20


@pytest.fixture(scope="module", params=ADAPTERS)
def daemon(
    request: pytest.FixtureRequest, smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    base = tmp_path_factory.mktemp("views").resolve()
    source, mountpoint = base / "models", base / "mnt"
    (source / NAME).mkdir(parents=True)
    (source / NAME / smollm2_gguf.name).symlink_to(smollm2_gguf)
    (source / "Qwen").mkdir()
    build(MODELS[TINY], source / "Qwen")
    (source / "Qwen" / TINY / "LICENSE").write_text("Do as you like.")
    with running(mounting(source, mountpoint, request.param), source, mountpoint, base) as daemon:
        yield daemon


@pytest.fixture
def store(daemon: Daemon) -> Path:
    return daemon.mountpoint / ".prismfs" / "ollama"


def manifests(store: Path) -> dict[str, Any]:
    """As Ollama lists models: every manifest at HOST/NAMESPACE/NAME/TAG is read."""
    found = sorted(store.joinpath("manifests").glob("*/*/*/*"))
    return {"/".join(path.parts[-2:]): json.loads(path.read_bytes()) for path in found}


def blob(store: Path, digest: str) -> Path:
    return store / "blobs" / digest.replace(":", "-")


def weights(store: Path, manifest: Any) -> Path:
    (model,) = (
        each for each in manifest["layers"] if each["mediaType"] == "application/vnd.ollama.image.model"
    )
    return blob(store, model["digest"])


def key_values(path: Path, directory: Path) -> dict[str, Any]:
    """The key-values in the first bytes of a GGUF, as gguf-py reads them."""
    with opened(path) as descriptor:
        head = os.pread(descriptor, HEAD, 0)
    # The reader maps all of a file: this one has no more than the first bytes.
    (directory / "head").write_bytes(head)
    with (directory / "head").open("r+b") as file:
        file.truncate(path.stat().st_size)
    reader = gguf.GGUFReader(directory / "head")
    return {name: field.contents() for name, field in reader.fields.items() if name.startswith("general.")}


def test_ollama_lists(store: Path, tmp_path: Path) -> None:
    found = manifests(store)
    names = {name.partition("/")[0] for name in found}
    assert names == {"smollm2-135m-instruct", "qwen-qwen2.5-0.5b-instruct"}
    for name in names:
        assert found[f"{name}/latest"] == found[f"{name}/q4_k_m"]
    for name, manifest in found.items():
        for part in (manifest["config"], *manifest["layers"]):
            status = blob(store, part["digest"]).lstat()
            assert (status.st_size, status.st_nlink) == (part["size"], 1)
        config = json.loads(blob(store, manifest["config"]["digest"]).read_bytes())
        kind = name.rpartition("/")[2]
        assert config["file_type"] == ("Q4_K_M" if kind == "latest" else kind.upper())
        assert config["model_family"] == ("qwen2" if name.startswith("qwen") else "llama")
    told = {
        part["digest"] for manifest in found.values() for part in (manifest["config"], *manifest["layers"])
    }
    assert {path.name for path in store.joinpath("blobs").iterdir()} == {
        digest.replace(":", "-") for digest in told
    }
    head = key_values(weights(store, found["qwen-qwen2.5-0.5b-instruct/latest"]), tmp_path)
    assert (head["general.architecture"], head["general.file_type"]) == ("qwen2", 15)


def test_ollama_loads(daemon: Daemon, store: Path) -> None:
    found = manifests(store)
    path = weights(store, found["qwen-qwen2.5-0.5b-instruct/q8_0"])
    own = daemon.mountpoint / "Qwen" / TINY / "model.gguf-q8_0"
    assert path.samefile(own)
    expected = own.read_bytes()
    with opened(path) as reading, opened(path, os.O_RDWR) as writing:
        assert os.pread(reading, 1 << 30, 0) == expected
        for descriptor, access in ((reading, mmap.ACCESS_READ), (writing, mmap.ACCESS_WRITE)):
            with mmap.mmap(descriptor, 0, access=access) as mapped:
                assert mapped[:] == expected
        with pytest.raises(OSError, match="Read-only"):
            os.ftruncate(writing, 0)
    os.utime(path)
    for refused in (path.unlink, (store / "blobs" / "new").touch, path.parent.rmdir):
        with pytest.raises(OSError, match="Read-only"):
            refused()
    # Directories that are there are made once more when Ollama starts.
    store.joinpath("blobs").mkdir(parents=True, exist_ok=True)


def test_llama_cpp_runs_a_blob(store: Path) -> None:
    path = weights(store, manifests(store)["smollm2-135m-instruct/q8_0"])
    command = [sys.executable, "-m", "examples.ask", str(path), "Name three primes.", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


def test_the_store_below_an_overlay(daemon: Daemon, store: Path, tmp_path: Path) -> None:
    """What Ollama writes to a store lands above the mount; touching a blob copies none of it."""
    room = tmp_path.resolve() / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(room)], check=True)
    upper, merged = room / "upper", room / "merged"
    try:
        for each in (upper, room / "work", merged):
            each.mkdir()
        options = f"lowerdir={store},upperdir={upper},workdir={room / 'work'},metacopy=on"
        subprocess.run(["mount", "-t", "overlay", "none", "-o", options, str(merged)], check=True)
        found = manifests(merged)
        assert found == manifests(store)
        manifest = found["qwen-qwen2.5-0.5b-instruct/latest"]
        path = weights(merged, manifest)
        expected = weights(store, manifest).read_bytes()
        os.utime(path)  # as `ollama create` does with a blob that it uses again
        path.chmod(0o600)
        text = b'{"num_ctx":64}'
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        blob(merged, digest).write_bytes(text)
        manifest["layers"].append(
            {"mediaType": "application/vnd.ollama.image.params", "digest": digest, "size": len(text)}
        )
        own = merged / "manifests/registry.ollama.ai/library/mine"
        own.mkdir()
        (own / "latest").write_text(json.dumps(manifest))
        assert weights(merged, manifests(merged)["mine/latest"]).read_bytes() == expected
        used = sum(each.stat().st_blocks << 9 for each in upper.rglob("*") if each.is_file())
        assert used < 64 << 10
    finally:
        unmount(merged)
        unmount(room)


_LOOK_UP = """
import sys
from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache
repository = sys.argv[1]
scanned = scan_cache_dir()
assert not scanned.warnings, scanned.warnings
assert repository in {each.repo_id for each in scanned.repos}
print(hf_hub_download(repository, "config.json"), try_to_load_from_cache(repository, "model.safetensors"),
      sep="\\n")
"""


@pytest.mark.parametrize("repository", [f"Qwen/{TINY}", NAME])
def test_huggingface_hub_finds_models_offline(daemon: Daemon, tmp_path: Path, repository: str) -> None:
    variables = {"HF_HUB_CACHE": str(daemon.mountpoint / ".prismfs" / "hub"), "HF_HUB_OFFLINE": "1"}
    printed: list[str] = []
    for script in (["-m", "examples.hub_cache"], ["-c", _LOOK_UP]):
        done = subprocess.run(
            [sys.executable, *script, repository], env=environment(tmp_path) | variables,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        printed += done.stdout.splitlines()
    snapshot, config, weights = map(Path, printed)
    model = daemon.mountpoint / repository
    assert config.samefile(model / "config.json")
    assert weights.samefile(model / "model.safetensors")
    assert {path.name for path in snapshot.iterdir()} == {path.name for path in model.iterdir()}
    assert json.loads((snapshot / "config.json").read_bytes())["hidden_size"]


def test_lm_studio_finds_files(daemon: Daemon) -> None:
    view = daemon.mountpoint / ".prismfs" / "lmstudio"
    found = {path.relative_to(view).as_posix(): path for path in view.glob("*/*/*.gguf")}
    assert f"Qwen/{TINY}/{TINY}-Q4_K_M.gguf" in found
    path = found[f"local/{NAME}/{NAME}-Q4_K_M.gguf"]
    assert path.samefile(daemon.mountpoint / NAME / "model.gguf-q4_k_m")
    assert path.is_file()
    assert not path.is_symlink()


def test_a_changed_model_is_another_image(daemon: Daemon, store: Path) -> None:
    """The kernel is told nothing about a view, and yet does not believe what it was told there for long."""
    source = daemon.source / "Qwen" / TINY / "config.json"
    before = weights(store, manifests(store)["qwen-qwen2.5-0.5b-instruct/q8_0"])
    (snapshot,) = (daemon.mountpoint / ".prismfs/hub" / f"models--Qwen--{TINY}" / "snapshots").iterdir()
    shown, other = snapshot / "config.json", source.with_name("other")
    assert shown.read_bytes() == source.read_bytes()
    assert before.exists()
    other.write_text(json.dumps(json.loads(source.read_bytes()), indent=7))
    other.replace(source)
    until(lambda: shown.read_bytes() == source.read_bytes(), "the snapshot shows the new file")
    until(lambda: not before.exists(), "the old blob is gone")
    after = weights(store, manifests(store)["qwen-qwen2.5-0.5b-instruct/q8_0"])
    assert after != before
    assert after.samefile(daemon.mountpoint / "Qwen" / TINY / "model.gguf-q8_0")
