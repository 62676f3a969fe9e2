"""`prismfs cache`, and the store under a real mount: kept over a restart, refused to a second daemon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fsd.cli import main
from fsd.engine import CHUNK, ChunkKey
from fsd.store import DiskStore
from tests.fsd.mounting import PRISMFS, Daemon, environment, prismfs, running
from tests.fsd.test_store import fill, name, on_disk
from tests.tiny_models import build
from tests.tiny_variants import MODELS

MODEL = "llama-mha"
FORMS = ("model.gguf-q8_0", "model.gguf-f16")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key, value in environment(tmp_path).items():
        monkeypatch.setenv(key, value)
    return tmp_path


@pytest.fixture
def store(home: Path) -> Path:
    """The user's own store, with three files, one of them pinned; closed."""
    directory = home / "cache" / "prismfs" / "store"
    opened = DiskStore(directory, 1 << 30, 0)
    fill(opened, [ChunkKey(name(file), number) for file in range(3) for number in range(file + 1)])
    opened.pin(name(2))
    opened.name(name(1), "tiny/model.gguf-f16")
    opened.close()
    return directory


@pytest.fixture
def models(tmp_path: Path) -> Path:
    build(MODELS[MODEL], tmp_path / "models")
    return tmp_path / "models"


def status(daemon: Daemon) -> dict[str, Any]:
    found = json.loads((daemon.mountpoint / ".prismfs" / "status.json").read_text())
    assert isinstance(found, dict)
    return found


def test_ls(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "ls"]) == 0
    said = capsys.readouterr()
    rows = {row[1]: row for row in (line.split("\t") for line in said.out.splitlines())}
    assert rows.keys() == {name(number) for number in range(3)}
    assert rows[name(1)][2:5] == ["2", str(2 * CHUNK), "2 MiB"]
    assert (rows[name(1)][0], rows[name(2)][0]) == ("tiny/model.gguf-f16", "-")
    assert (rows[name(2)][6], rows[name(0)][6]) == ("pinned", "")
    assert "6 MiB in 3 files" in said.err
    assert main(["cache", "ls", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["directory"], data["bytes"], len(data["files"])) == (str(store), 6 * CHUNK, 3)


def test_a_store_of_another_version_is_not_looked_into(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "FORMAT").write_text("prismfs store 1\n")
    for action in ("ls", "gc", "clear", "verify"):
        assert main(["cache", action]) == 3
        assert "of another version" in capsys.readouterr().err
    assert (store / "chunks" / name(0)).exists()


def test_gc_keeps_a_lower_limit(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "chunks" / name(9)).write_bytes(b"orphan")
    assert main(["cache", "gc", "--cache-size", "4M", "--cache-min-free", "1"]) == 0
    assert "2 MiB freed, 4 MiB kept; the limit is 4 MiB" in capsys.readouterr().err
    assert not (store / "chunks" / name(9)).exists()
    assert on_disk(store) <= 4 * CHUNK + 3 * 16384


def test_clear(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "clear"]) == 0
    assert "3 MiB freed, 3 MiB pinned" in capsys.readouterr().err
    assert [file.name for file in (store / "chunks").iterdir()] == [name(2)]
    assert main(["cache", "clear", "--pinned"]) == 0
    assert on_disk(store) == 0


def test_verify(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "verify"]) == 0
    assert "6 MiB verified, 0 damaged" in capsys.readouterr().err
    with (store / "chunks" / name(1)).open("r+b") as file:
        file.seek(CHUNK + 5)
        file.write(b"!!")
    assert main(["cache", "verify"]) == 5
    assert capsys.readouterr().out == f"{name(1)}\t1\n"
    assert main(["cache", "verify"]) == 0


def test_there_is_no_store(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("ls", "gc", "clear", "verify"):
        assert main(["cache", action]) == 3
        assert "there is no store here" in capsys.readouterr().err
    assert not (home / "cache").exists(), "looking makes nothing"


def test_a_store_in_use_is_listed_but_not_changed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = DiskStore(store, 1 << 30, 0)
    try:
        assert main(["cache", "ls"]) == 0
        assert name(1) in capsys.readouterr().out
        assert main(["cache", "clear"]) == 1
        assert f"in use by another prismfs (process {os.getpid()})" in capsys.readouterr().err
    finally:
        held.close()


@pytest.fixture
def mounted(models: Path, home: Path) -> Iterator[Daemon]:
    with running((*PRISMFS, "mount", str(models), str(home / "mnt")), models, home / "mnt", home) as daemon:
        yield daemon


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_daemon_serves_from_disk(models: Path, home: Path, end: signal.Signals) -> None:
    command, mountpoint = (*PRISMFS, "mount", str(models), str(home / "mnt")), home / "mnt"
    with running(command, models, mountpoint, home) as daemon:
        whole = [(mountpoint / MODEL / form).read_bytes() for form in FORMS]
        first = status(daemon)
        assert first["engine"]["translated"] >= len(FORMS)
        deadline = time.monotonic() + 20  # what is read is on disk soon after
        while status(daemon)["store"]["disk_written"] < first["engine"]["translated"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        daemon.stop(end)
    with running(command, models, mountpoint, home) as daemon:
        assert [(mountpoint / MODEL / form).read_bytes() for form in FORMS] == whole
        second = status(daemon)
        assert second["engine"]["translated"] == 0
        assert second["store"]["disk_reads"] >= len(FORMS)
        done = prismfs("cache", "ls", home=home)
        assert {line.split("\t")[0] for line in done.stdout.splitlines()} == {
            f"{MODEL}/{form}" for form in FORMS
        }
        sizes = [(mountpoint / MODEL / form).stat() for form in FORMS]
        assert all(0 < size.st_blocks * 512 <= size.st_size + 512 for size in sizes)


def test_a_second_daemon_needs_a_store_of_its_own(mounted: Daemon, home: Path, models: Path) -> None:
    """Where it was named, a store in use is an error; the usual one is done without."""
    other, usual = home / "other", home / "cache" / "prismfs" / "store"
    named = home / "link"
    named.symlink_to(usual)
    done = prismfs("mount", "--cache-dir", named, models, other, home=home)
    assert done.returncode == 1
    assert f"in use by another prismfs (process {mounted.process.pid})" in done.stderr
    assert "--cache-dir" in done.stderr and "--no-cache" in done.stderr
    with running((*PRISMFS, "mount", str(models), str(other)), models, other, home) as daemon:
        assert (other / MODEL / FORMS[0]).read_bytes() == (mounted.mountpoint / MODEL / FORMS[0]).read_bytes()
        assert "disk_bytes" not in status(daemon)["store"]
        assert "in memory alone" in daemon.log


def test_readers_do_not_notice_that_the_store_was_removed(mounted: Daemon, home: Path) -> None:
    path = mounted.mountpoint / MODEL
    before = (path / FORMS[0]).read_bytes()
    shutil.rmtree(home / "cache" / "prismfs" / "store")
    assert (path / FORMS[0]).read_bytes() == before
    assert len((path / FORMS[1]).read_bytes()) == (path / FORMS[1]).stat().st_size


def test_a_store_that_cannot_be_made_is_done_without(models: Path, home: Path) -> None:
    (home / "file").write_text("no directory")
    where = ("--cache-dir", str(home / "file" / "store"))
    with running(
        (*PRISMFS, "mount", *where, str(models), str(home / "mnt")), models, home / "mnt", home
    ) as daemon:
        assert (home / "mnt" / MODEL / FORMS[0]).read_bytes()
        assert "translated bytes are kept in memory alone: Not a directory" in daemon.log
