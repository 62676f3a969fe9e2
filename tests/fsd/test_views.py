"""Views: what Ollama, huggingface_hub and LM Studio find below `.prismfs`, over fake plans."""

from __future__ import annotations

import json
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fsd.errors import NoSuchEntry
from fsd.planner import Planner
from fsd.tree import Tree
from fsd.tree.views.heads import Facts, facts_of
from fsd.tree.views.shelves import Models, Shelf, plain
from tests.fsd.fake_plans import PROVIDER, whole
from tests.fsd.test_tree import WEIGHTS, TreeOf, at, content, model, names, planner, tree_of
from translators.errors import MalformedSource

__all__ = ["planner", "tree_of"]  # fixtures

STORE = ".prismfs/ollama"
LIBRARY = f"{STORE}/manifests/registry.ollama.ai/library"


def manifest(tree: Tree, name: str, tag: str) -> Any:
    return json.loads(content(tree, f"{LIBRARY}/{name}/{tag}"))


def blob(digest: str) -> str:
    return f"{STORE}/blobs/{digest.replace(':', '-')}"


def test_names_plan_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree_of: TreeOf) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_PLANS_LOG", str(log))
    source = tmp_path / "source"
    for path in ("Org/Model-1B", "other", "Org/Model 1b"):
        model(source / path)
    planner = Planner(None, seconds=30, memory=2 << 30, provider=PROVIDER)
    try:
        tree = tree_of(source, planner)
        assert names(tree, ".prismfs/ollama") == ["manifests", "blobs"]
        first, second, third = names(tree, LIBRARY)
        assert (first, third) == ("org-model-1b", "other")
        assert second.startswith("org-model-1b-")
        assert names(tree, f"{STORE}/blobs") == []
        assert names(tree, ".prismfs/lmstudio") == ["Org", "local"]
        assert names(tree, ".prismfs/lmstudio/Org") == ["Model-1b", "Model-1B"]
        assert names(tree, ".prismfs/hub") == [
            "models--Org--Model-1b", "models--Org--Model-1B", "models--other",
        ]  # fmt: skip
        revision = content(tree, ".prismfs/hub/models--other/refs/main").decode()
        assert names(tree, ".prismfs/hub/models--other/snapshots") == [revision]
        assert not log.exists()
        assert names(tree, f"{LIBRARY}/other") == ["latest", "q8_0", "q4_k_m"]
        assert log.read_text().splitlines() == [repr(str(source / "other").encode())]
    finally:
        planner.close()


def test_a_manifest_names_blobs_that_are_there(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "LICENSE", "template")
    (tmp_path / "m" / "generation_config.json").write_text('{"do_sample": true, "top_k": 20, "top_p": "x"}')
    tree = tree_of(tmp_path)
    told = manifest(tree, "m", "latest")
    assert told == manifest(tree, "m", "q4_k_m") != manifest(tree, "m", "q8_0")
    assert told["schemaVersion"] == 2
    kinds = [layer["mediaType"].rpartition(".")[2] for layer in told["layers"]]
    assert kinds == ["model", "template", "params", "license"]
    for part in (told["config"], *told["layers"]):
        assert at(tree, blob(part["digest"])).size == part["size"]
    weights, template, params, licence = (layer["digest"] for layer in told["layers"])
    assert content(tree, blob(weights)) == whole("q4_k_m", WEIGHTS)
    assert at(tree, blob(weights)).ino == at(tree, "m/model.gguf-q4_k_m").ino
    for digest in (template, licence, params, told["config"]["digest"]):
        assert digest == f"sha256:{sha256(content(tree, blob(digest))).hexdigest()}"
    assert content(tree, blob(template)) == b"template"
    assert json.loads(content(tree, blob(params))) == {"top_k": 20}
    config = json.loads(content(tree, blob(told["config"]["digest"])))
    assert (config["model_format"], config["file_type"]) == ("gguf", "Q4_K_M")
    parts = [part for tag in ("q4_k_m", "q8_0") for part in _parts(manifest(tree, "m", tag))]
    assert set(names(tree, f"{STORE}/blobs")) == {part["digest"].replace(":", "-") for part in parts}


def _parts(told: Any) -> list[Any]:
    return [told["config"], *told["layers"]]


def test_digests_outlive_the_daemon_and_become_true(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "a")
    model(tmp_path / "b")
    tree = tree_of(tmp_path)
    first = manifest(tree, "a", "q8_0")["layers"][0]["digest"]
    assert len(first) == len("sha256:") + 64
    assert first.startswith("sha256:707269736d667300")
    assert first != manifest(tree, "b", "q8_0")["layers"][0]["digest"]
    again = tree_of(tmp_path)
    assert content(again, blob(first)) == whole("q8_0", WEIGHTS)  # nobody has read a manifest of it yet
    assert manifest(again, "a", "q8_0")["layers"][0]["digest"] == first

    digests: dict[str, str] = {}
    again.know(digests)
    found = again.catalogue.find("a/model.gguf-q8_0")
    true = sha256(whole("q8_0", WEIGHTS)).hexdigest()
    digests[again.catalogue.file(found).identity] = true
    assert manifest(again, "a", "q8_0")["layers"][0]["digest"] == f"sha256:{true}"
    assert at(again, blob(f"sha256:{true}")).ino == at(again, blob(first)).ino == found.ino
    assert f"sha256-{true}" in names(again, f"{STORE}/blobs")
    assert first.replace(":", "-") not in names(again, f"{STORE}/blobs")


def test_a_model_that_sees_has_a_projector(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "sees")
    tree = tree_of(tmp_path, types=("f16", "q8_0"))
    assert names(tree, f"{LIBRARY}/m") == ["latest", "f16", "q8_0"]
    for tag in ("f16", "q8_0"):
        weights, projector = manifest(tree, "m", tag)["layers"]
        assert at(tree, blob(weights["digest"])).ino == at(tree, f"m/model.gguf-{tag}").ino
        assert projector["mediaType"] == "application/vnd.ollama.image.projector"
        assert at(tree, blob(projector["digest"])).ino == at(tree, "m/mmproj-f16.gguf").ino
        assert projector["digest"].replace(":", "-") in names(tree, f"{STORE}/blobs")
    # Without f16 among the listed types, one that is.
    tree = tree_of(tmp_path, types=("q8_0",))
    _, projector = manifest(tree, "m", "q8_0")["layers"]
    assert at(tree, blob(projector["digest"])).ino == at(tree, "m/mmproj-q8_0.gguf").ino


def test_what_is_in_no_view(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "config.json")
    model(tmp_path / "bad", "malformed")
    tree = tree_of(tmp_path)
    for absent in (
        f"{LIBRARY}/x", f"{LIBRARY}/m/f16", f"{LIBRARY}/m/q9", f"{STORE}/blobs/sha256-{'0' * 64}",
        f"{STORE}/blobs/sha256-{'707269736d667300' + '0' * 48}", f"{STORE}/blobs/x", f"{STORE}/x",
        f"{STORE}/manifests/docker.io", ".prismfs/hub/models--x", ".prismfs/hub/models--m/blobs",
        ".prismfs/hub/models--m/refs/x", ".prismfs/hub/models--m/snapshots/x", ".prismfs/lmstudio/x",
        ".prismfs/lmstudio/local/x", ".prismfs/lmstudio/m/m", ".prismfs/x",
    ):  # fmt: skip
        with pytest.raises(NoSuchEntry):
            at(tree, absent)
    assert names(tree, f"{LIBRARY}/bad") == []
    with pytest.raises(MalformedSource):
        at(tree, f"{LIBRARY}/bad/latest")


def test_a_changed_model_has_other_blobs(tmp_path: Path, tree_of: TreeOf) -> None:
    path = model(tmp_path / "m")
    tree = tree_of(tmp_path)
    before = manifest(tree, "m", "q8_0")["layers"][0]["digest"]
    (path / "model.gguf").write_bytes(WEIGHTS[::-1])
    after = manifest(tree, "m", "q8_0")["layers"][0]["digest"]
    assert before != after
    assert content(tree, blob(after)) == whole("q8_0", WEIGHTS[::-1])
    with pytest.raises(NoSuchEntry):
        at(tree, blob(before))


def test_a_snapshot_and_a_publishers_directory(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "Org" / "M-1B", "config.json", "original/params.json")
    commit = "0123456789abcdef0123456789abcdef01234567"
    model(tmp_path / "models--Org--Cached" / "snapshots" / commit, "config.json")
    tree = tree_of(tmp_path)
    assert names(tree, ".prismfs/hub/models--Org--Cached/snapshots") == [commit]
    revision = content(tree, ".prismfs/hub/models--Org--M-1B/refs/main").decode()
    snapshot = f".prismfs/hub/models--Org--M-1B/snapshots/{revision}"
    assert names(tree, snapshot) == names(tree, "Org/M-1B")
    for file in ("config.json", "original/params.json", "model.safetensors", "gguf/M-1B-Q8_0.gguf"):
        assert at(tree, f"{snapshot}/{file}").ino == at(tree, f"Org/M-1B/{file}").ino
        assert content(tree, f"{snapshot}/{file}") == content(tree, f"Org/M-1B/{file}")
    # A directory has one place: what is there once more is another.
    assert at(tree, f"{snapshot}/gguf").ino != at(tree, "Org/M-1B/gguf").ino
    files = names(tree, ".prismfs/lmstudio/Org/M-1B")
    assert files == ["M-1B-Q8_0.gguf", "M-1B-Q4_K_M.gguf"]
    assert content(tree, f".prismfs/lmstudio/Org/M-1B/{files[0]}") == whole("q8_0", WEIGHTS)
    assert names(tree, ".prismfs/lmstudio/Org") == ["Cached", "M-1B"]


def test_nothing_in_a_view_is_kept_unasked(tmp_path: Path, tree_of: TreeOf) -> None:
    model(tmp_path / "m", "config.json")
    tree = tree_of(tmp_path)
    digest = manifest(tree, "m", "latest")["layers"][0]["digest"]
    snapshot = names(tree, ".prismfs/hub/models--m/snapshots")[0]
    for path in (blob(digest), f".prismfs/hub/models--m/snapshots/{snapshot}/config.json"):
        assert not at(tree, path).lasting
        assert at(tree, path).nlink == 1
        directory = at(tree, path.rpartition("/")[0])
        assert not any(attributes.lasting for _, attributes in tree.entries(directory.ino))
        assert not tree.lasts(directory.ino)


def test_names_that_every_program_takes(tmp_path: Path) -> None:
    assert plain("Modèle 7B/x") == "Mod-le-7B-x"
    assert plain("..a--b..") == "a-b"
    assert plain("日本") == "model"
    assert len(plain("x" * 300)) == 80
    walks: list[int] = []

    def walk() -> list[Any]:
        walks.append(1)
        return []

    shelf = Shelf(Models(walk), plain)
    assert shelf.all() == shelf.all() == {}
    assert len(walks) == 1
    assert shelf.get("x") is None  # one that came just now would be found
    assert len(walks) == 2


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def test_what_a_head_says() -> None:
    parts = [
        _string("general.architecture") + struct.pack("<I", 8) + _string("llama"),
        _string("a") + struct.pack("<IB", 7, 1),
        _string("b") + struct.pack("<IIQ", 9, 5, 2) + bytes(8),
        _string("general.tags") + struct.pack("<IIQ", 9, 8, 1) + _string("text"),
        _string("general.size_label") + struct.pack("<I", 8) + _string("135M"),
    ]
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, len(parts)) + b"".join(parts)
    assert facts_of(head) == Facts("llama", "135M")
    for end in range(len(head)):
        assert facts_of(head[:end]) in (Facts(), Facts("llama"))
    lies = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1 << 60)
    assert facts_of(lies + struct.pack("<Q", 1 << 60)) == Facts()
    assert facts_of(lies + _string("a") + struct.pack("<IIQ", 9, 5, 1 << 63)) == Facts()
    assert facts_of(lies + _string("a") + struct.pack("<IIQ", 9, 9, 1)) == Facts()
    assert facts_of(b"GGUX" + head[4:]) == Facts()
