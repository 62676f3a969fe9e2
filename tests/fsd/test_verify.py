"""Verify: what is kept is compared with what is computed anew, and digests with those that were published."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from fsd.control.published import sums_in
from fsd.control.reports import JobReport
from fsd.control.tasks import sampled
from fsd.engine import CHUNK, ChunkKey
from tests.fsd.controlled import Controlled, controlled
from tests.fsd.mounting import until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

NAME = "Tiny-Llama-3-8B-Instruct-v0.2"
Q8 = f"{NAME}/model.gguf-q8_0"
GOLDEN = json.loads((Path(__file__).parents[1] / "oracle" / "golden" / f"{NAME}.json").read_text())["files"]
DIGEST = GOLDEN["model.gguf-q8_0"]["sha256"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build(MODELS[NAME], folder)
    return folder


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture
def over(tmp_path: Path, source: Path, plans: Path) -> Iterator[Controlled]:
    with controlled(tmp_path, source, plan_cache=str(plans)) as made:
        yield made
    (source / NAME / "SHA256SUMS").unlink(missing_ok=True)


def flip(home: Path, identity: str, offset: int) -> None:
    """Change a byte of a data file behind the store's back."""
    with (home / "store" / "chunks" / identity).open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def verified(over: Controlled, path: str, sample: float = 1.0) -> JobReport:
    return over.ended(over.control.verify([path], sample))


def content(over: Controlled, path: str) -> bytes:
    tree = over.control._mounts[0].tree
    with tree.engine_file(tree.catalogue.find(path).ino) as file:
        return file.read(0, file.size)


def identity_of(over: Controlled, path: str) -> str:
    catalogue = over.control._mounts[0].tree.catalogue
    return catalogue.file(catalogue.find(path)).identity


def test_what_is_right_is_found_right(over: Controlled) -> None:
    alone = verified(over, Q8)  # nothing of it is kept: it is computed, and nothing becomes of it
    assert alone.results[0]["compared"] == 0 and over.control.file(Q8).cached == 0
    size = over.warmed(Q8).size
    job = verified(over, Q8)
    (line,) = job.results
    assert (job.state, job.done, job.total) == ("done", size, size)
    assert (line["state"], line["compared"], line["differing"]) == ("right", size, 0)
    assert line["sha256"] == over.control.file(Q8).sha256 == DIGEST
    assert "published" not in line


@pytest.mark.parametrize("served", [False, True])
def test_a_flipped_byte_in_the_store_is_found_and_repaired(
    over: Controlled, tmp_path: Path, served: bool
) -> None:
    size = over.warmed(Q8).size
    identity = identity_of(over, Q8)
    if served:  # its chunks were found right once, and are believed since
        assert sha256(content(over, Q8)).hexdigest() == DIGEST
    flip(tmp_path, identity, 3 * CHUNK + 7)
    flip(tmp_path, identity, size - 1)
    job = verified(over, Q8)
    (line,) = job.results
    assert job.state == "failed" and job.problem is not None and job.problem.kind == "Different"
    assert (line["state"], line["offsets"]) == ("repaired", [3 * CHUNK, size // CHUNK * CHUNK])
    assert line["sha256"] == DIGEST and job.done == size
    assert over.parts.disk is not None and over.parts.disk.flush()
    assert over.control.file(Q8).cached == size
    again = verified(over, Q8)
    assert again.state == "done" and again.results[0]["compared"] == size
    assert sha256(content(over, Q8)).hexdigest() == DIGEST


def test_a_file_that_others_may_read_goes_as_a_whole_and_comes_back(over: Controlled, tmp_path: Path) -> None:
    size = over.warmed(Q8).size
    identity = identity_of(over, Q8)
    tree = over.control._mounts[0].tree
    with tree.engine_file(tree.catalogue.find(Q8).ino) as file:
        until(lambda: file.lend() is not None, "the file is lent")
        flip(tmp_path, identity, CHUNK)
        job = verified(over, Q8)
        assert job.results[0]["state"] == "repaired" and job.results[0]["offsets"] == [CHUNK]
    assert over.parts.disk is not None and over.parts.disk.flush()
    # What lay before the first wrong chunk went with the file; the rest is there again, in another file.
    assert over.control.file(Q8).cached == size - CHUNK
    assert sha256(content(over, Q8)).hexdigest() == DIGEST


def test_what_is_kept_in_memory_is_compared_as_well(tmp_path: Path, source: Path, plans: Path) -> None:
    with controlled(tmp_path, source, plan_cache=str(plans), no_cache="yes") as over:
        over.warmed(Q8)
        store, key = over.parts.engine.store, ChunkKey(identity_of(over, Q8), 2)
        wrong = memoryview(bytes(CHUNK))
        assert store.compare(key, wrong) is False and key not in store
        store.put(key, wrong)
        job = verified(over, Q8)
        assert job.results[0]["offsets"] == [2 * CHUNK]
        assert sha256(content(over, Q8)).hexdigest() == DIGEST


def test_a_sample(over: Controlled, tmp_path: Path) -> None:
    over.warmed(Q8)
    identity, size = identity_of(over, Q8), over.control.file(Q8).size
    some = sampled(identity, size, 0.4)
    assert {0, size // CHUNK} <= set(some) and some == sampled(identity, size, 0.4) and len(some) < 5
    flip(tmp_path, identity, size - 1)
    job = verified(over, Q8, 0.4)
    (line,) = job.results
    assert line["state"] == "repaired" and line["offsets"] == [size // CHUNK * CHUNK]
    assert job.done == job.total == line["bytes"] < size and "sha256" not in line


def test_a_sample_is_spread_over_the_file() -> None:
    for share, count in ((0.001, 3), (0.1, 100), (0.5, 500), (1.0, 1000)):
        some = sampled("a" * 64, 1000 * CHUNK, share)
        assert abs(len(some) - count) <= 2 and some[0] == 0 and some[-1] == 999 and some == sorted(some)
        gaps = [after - before for before, after in pairwise(some)]
        assert max(gaps) <= 1 / share + 1
    assert sampled("a" * 64, 0, 0.5) == [] and sampled("a" * 64, 1, 0.5) == [0]
    assert sampled("a" * 64, 1000 * CHUNK, 0.01) != sampled("b" * 64, 1000 * CHUNK, 0.01)


def test_published_digests_are_compared(over: Controlled, source: Path) -> None:
    shard = source / NAME / "model.safetensors"
    own = sha256(shard.read_bytes()).hexdigest()
    (source / NAME / "SHA256SUMS").write_text(
        f"{own}  model.safetensors\n"
        f"{DIGEST} *{NAME}-Q8_0.gguf\n"
        f"{'0' * 64}  model.gguf-q4_0\n"
        "no line of a digest\n"
    )
    job = over.ended(over.control.verify([Q8, f"{NAME}/model.gguf-q4_0", f"{NAME}/model.safetensors"]))
    right, wrong, weights = job.results
    assert (right["state"], right["published"], right["published_by"]) == ("right", DIGEST, "SHA256SUMS")
    assert (wrong["state"], wrong["published"]) == ("wrong", "0" * 64)
    assert GOLDEN["model.gguf-q4_0"]["sha256"] in str(wrong["error"])
    assert (weights["state"], weights["sha256"], weights["published"]) == ("right", own, own)
    assert job.state == "failed" and job.problem is not None and "model.gguf-q4_0" in job.problem.path
    assert over.control.file(f"{NAME}/model.safetensors").sha256 == own


def test_digests_of_a_hub_cache_and_of_a_download(tmp_path: Path, source: Path, plans: Path) -> None:
    weights = (source / NAME / "model.safetensors").read_bytes()
    digest = sha256(weights).hexdigest()
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    plain = tmp_path / "hub" / "downloaded"
    noted = plain / ".cache" / "huggingface" / "download"
    noted.mkdir(parents=True)
    for file in (source / NAME).iterdir():
        blob = repository / "blobs" / (digest if file.name == "model.safetensors" else f"git-{file.name}")
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
        (plain / file.name).write_bytes(file.read_bytes())
    changed = (plain / "model.safetensors").stat().st_mtime
    (noted / "model.safetensors.metadata").write_text(f"{'1' * 40}\n{'2' * 64}\n{changed + 1}\n")
    (noted / "config.json.metadata").write_text(f"{'1' * 40}\n{'3' * 64}\n{changed - 60}\n")
    with controlled(tmp_path, tmp_path / "hub", plan_cache=str(plans)) as over:
        hub = verified(over, "org/tiny/model.safetensors").results[0]
        assert (hub["state"], hub["published_by"], hub["published"]) == ("right", "the hub cache", digest)
        assert "published" not in verified(over, "org/tiny/config.json").results[0]
        other = verified(over, "downloaded/model.safetensors").results[0]
        assert (other["state"], other["published"]) == ("wrong", "2" * 64)
        # What was changed after it was downloaded is not what was downloaded.
        assert "published" not in verified(over, "downloaded/config.json").results[0]


def test_sums_are_read_with_care(tmp_path: Path) -> None:
    assert sums_in(str(tmp_path / "none")) == sums_in(str(tmp_path)) == {}
    os.mkfifo(tmp_path / "pipe")
    assert sums_in(str(tmp_path / "pipe")) == {}
    lines = [f"{'A' * 64}  ./a b.gguf", f"{'b' * 64} *c\r", f"{'c' * 63}  d", f"{'d' * 64} e", "", "\xff"]
    (tmp_path / "SUMS").write_bytes("\n".join(lines).encode("latin-1"))
    assert sums_in(str(tmp_path / "SUMS")) == {"a b.gguf": "a" * 64, "c": "b" * 64}
