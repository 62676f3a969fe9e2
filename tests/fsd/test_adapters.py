"""Adapters under a mount: the merged model beside its base, and a new version when the base changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.engine import Engine, MemoryStore
from fsd.planner import Planner
from fsd.tree import Attributes, Handle, Tree
from tests.fsd.command_line import in_process
from tests.fsd.mounting import until
from tests.tiny_adapters import ADAPTERS, build
from translators.errors import MissingSource, SourceChanged
from translators.sources.bases import bases

ADAPTER = ADAPTERS["single-precision"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Models and adapters, each in a directory of their own."""
    build(ADAPTER, tmp_path / "source" / "bases")
    (tmp_path / "source" / "adapters").mkdir()
    (tmp_path / "source" / "bases" / ADAPTER.name).rename(tmp_path / "source" / "adapters" / ADAPTER.name)
    return tmp_path / "source"


@pytest.fixture
def tree(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    monkeypatch.setenv("HF_HUB_CACHE", str(source / "no-cache"))
    planner = Planner(None, seconds=120, memory=2 << 30, bases=bases([str(source)]))
    engine = Engine(MemoryStore(16 << 20), workers=2)
    yield Tree(source, planner, engine, types=("bf16", "q8_0"))
    engine.close()
    planner.close()


def at(tree: Tree, path: str) -> Attributes:
    attributes = tree.attributes(tree.ROOT)
    for part in path.split("/"):
        attributes = tree.lookup(attributes.ino, part)
    return attributes


def is_changed(handle: Handle) -> bool:
    try:
        handle.read(handle.size - 4096, 4096)
    except SourceChanged:
        return True
    return False


def test_the_base_is_found_under_the_mount_and_belongs_to_the_version(tree: Tree, source: Path) -> None:
    path = f"adapters/{ADAPTER.name}/model.gguf-q8_0"
    before = at(tree, path)
    assert before.size > 0
    assert at(tree, f"adapters/{ADAPTER.name}/adapter.gguf-f16").size > 0
    with tree.open(before.ino) as handle:
        handle.read(0, 4096)
        weights = sorted((source / "bases" / ADAPTER.base).glob("*.safetensors"))[0]
        os.utime(weights, ns=(1, 1))
        # What is held already is looked at anew after a moment only.
        until(lambda: is_changed(handle))
    assert at(tree, path).ino != before.ino
    (source / "bases").rename(source.parent / "away")
    with pytest.raises(MissingSource, match="the base model 'someone/"):
        at(tree, path)


def test_export_finds_the_base_where_a_mount_of_the_configuration_has_it(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = in_process(tmp_path / "home", monkeypatch, capfd)
    config = tmp_path / "c.toml"
    config.write_text(f'[[mount]]\nsource = "{source}"\nmountpoint = "{tmp_path}/mnt"\n')
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    adapter, target = str(source / "adapters" / ADAPTER.name), tmp_path / "merged.safetensors"
    refused = run("export", adapter, "model.safetensors", "-o", str(target))
    assert refused.returncode != 0 and "is not in" in refused.stderr and "[base]" in refused.stderr
    monkeypatch.setenv("PRISMFS_CONFIG", str(config))
    assert run("export", adapter, "model.safetensors", "-o", str(target)).returncode == 0
    assert target.stat().st_size > 0
