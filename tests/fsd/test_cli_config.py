"""`prismfs config`, and a daemon that is configured by a file: several mounts, and what they share."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.config import OPTIONS
from tests.fsd.command_line import Run, in_process
from tests.fsd.mounting import PRISMFS, environment, is_mounted, prismfs, running, unmount, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

FIRST, SECOND = "llama-mha", "Qwen2.5-0.5B-Instruct"


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("config").resolve()
    for source, name in (("one", FIRST), ("two", SECOND)):
        (base / source).mkdir()
        build(MODELS[name], base / source)
    return base


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return in_process(tmp_path, monkeypatch, capfd)


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    found = tmp_path.resolve() / "mnt" / "a", tmp_path.resolve() / "mnt" / "b"
    yield found
    for place in found:
        unmount(place)


@pytest.fixture
def file(base: Path, places: tuple[Path, Path], tmp_path: Path) -> Path:
    path = tmp_path / "prismfs.toml"
    tables = [
        f'[[mount]]\nsource = "{source}"\nmountpoint = "{place}"\n'
        for source, place in zip((base / "one", base / "two"), places, strict=True)
    ]
    options = 'api_socket = "none"\ntypes = ["q8_0"]\nlog_format = "json"\n'
    path.write_text(options + "".join(tables))
    return path


def test_show_tells_values_and_who_set_them(
    run: Run, base: Path, file: Path, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISMFS_WORKERS", "3")
    done = run("config", "show", "--json", "--config", file)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert list(told["options"]) == [option.name for option in OPTIONS]
    assert told["options"]["workers"] == {"text": "3", "origin": "PRISMFS_WORKERS"}
    assert told["options"]["types"] == {"text": "q8_0", "origin": str(file)}
    assert told["options"]["poll"] == {"text": "2s", "origin": "default"}
    assert [mount["mountpoint"] for mount in told["mounts"]] == [str(place) for place in places]
    monkeypatch.setenv("PRISMFS_CONFIG", str(file))
    plain = run("config", "show").stdout.splitlines()
    assert "workers\t3\tPRISMFS_WORKERS" in plain
    assert f"log_format\tjson\t{file}" in plain
    assert plain[-1] == f"mount\t{base / 'two'}\t{places[1]}"


def test_check_says_what_is_wrong(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("# one\ncache_sise = '5G'\n")
    done = run("config", "check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{path}: line 2, cache_sise: 'cache_sise' is no option" in done.stderr
    assert "try: did you mean cache_size?" in done.stderr
    assert run("config", "check", tmp_path / "none.toml").returncode == 2


def test_check_warns_of_what_is_missing_here(run: Run, file: Path, base: Path, tmp_path: Path) -> None:
    done = run("config", "check", file)
    assert (done.returncode, done.stderr) == (0, f"prismfs: {file}: OK (mounts: 2)\n")
    assert not (tmp_path / "mnt").exists()  # it only looks
    path = tmp_path / "odd.toml"
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    path.write_text(
        "api_token_file = 'token'\n"
        "[[mount]]\nsource = 'nowhere'\nmountpoint = 'used'\n"
        f"[[mount]]\nsource = '{base / 'one'}'\nmountpoint = '/proc'\n"
    )
    done = run("config", "check", path)
    assert done.returncode == 0
    for warning in (
        "nowhere: No such file",
        "used: the directory is not empty",
        "proc is mounted here",
        "token:",
    ):
        assert warning in done.stderr
    assert "OK (mounts: 2, warnings: 4)" in done.stderr
    path.write_text("")
    assert "there is no [[mount]]" in run("config", "check", path).stderr


@pytest.mark.parametrize("second", ["mnt", "mnt/inside", ".", "one/inside"])
def test_mounts_in_each_others_way_are_refused(run: Run, tmp_path: Path, second: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    path = tmp_path / "prismfs.toml"
    path.write_text(
        f"[[mount]]\nsource = 'one'\nmountpoint = 'mnt'\n[[mount]]\nsource = 'two'\nmountpoint = '{second}'\n"
    )
    for words in (["config", "check", path], ["mount", "--config", path]):
        done = run(*words)
        assert done.returncode == 1
        assert "lie within each other" in done.stderr
    assert not (tmp_path / "mnt").exists()
    assert not (tmp_path / "one" / "inside").exists()


def test_usage(run: Run, base: Path, tmp_path: Path) -> None:
    nothing = run("mount")
    assert (nothing.returncode, "nothing to mount" in nothing.stderr) == (2, True)
    half = run("mount", base / "one")
    assert (half.returncode, "needs a MOUNTPOINT" in half.stderr) == (2, True)
    missing = run("mount", "--config", tmp_path / "none.toml")
    assert (missing.returncode, "No such file" in missing.stderr) == (2, True)
    assert run("config").returncode == 2


def test_a_variable_that_nobody_knows_is_told_by_every_verb_that_is_configured(
    run: Run, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRISMFS_CACHE_DIRECTORY", "/x")
    for words in (["ls", base / "one"], ["config", "show"], ["cache", "ls"], ["mount", base, "/x"]):
        done = run(*words)
        assert done.returncode == 2
        assert "did you mean PRISMFS_CACHE_DIR?" in done.stderr


def test_other_verbs_follow_the_same_file(
    run: Run, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prismfs.toml"
    path.write_text('types = ["q4_0"]\ncache_dir = "elsewhere"\n')
    monkeypatch.setenv("PRISMFS_CONFIG", str(path))
    listed = run("ls", base / "one").stdout
    assert "model.gguf-q4_0" in listed
    assert "model.gguf-q8_0" not in listed
    assert str(tmp_path / "elsewhere") in run("cache", "ls").stderr


def test_one_daemon_serves_the_mounts_of_a_file(
    base: Path, file: Path, places: tuple[Path, Path], tmp_path: Path
) -> None:
    one, two = places
    with running((*PRISMFS, "mount", "--config", str(file)), base, two, tmp_path / "home") as daemon:
        until(lambda: "mounted at" in daemon.log, "both mounts")
        assert f"mounted at {one}, {two}; Ctrl-C unmounts" in daemon.log
        assert (one / FIRST / "model.gguf-q8_0").stat().st_size > 0
        assert "model.gguf-q4_k_m" not in names(one / FIRST)
        pids = {json.loads((place / ".prismfs" / "status.json").read_text())["pid"] for place in places}
        assert pids == {daemon.process.pid}
        assert (two / SECOND / "config.json").read_bytes() == (
            base / "two" / SECOND / "config.json"
        ).read_bytes()
        assert daemon.stop(signal.SIGTERM) == 0
        assert not is_mounted(one)
        assert not is_mounted(two)
        entries = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
        assert {"time", "level", "logger", "event"} <= set(entries[0])
        assert entries[-1]["event"] == "unmounted"


def test_several_mounts_in_the_background(file: Path, places: tuple[Path, Path], tmp_path: Path) -> None:
    done = prismfs("mount", "--daemon", "--config", file, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"mounted at {places[0]}, {places[1]} (process" in done.stderr
    assert all(is_mounted(place) for place in places)
    pid = json.loads((places[0] / ".prismfs" / "status.json").read_text())["pid"]
    again = prismfs("mount", "--daemon", "--config", file, home=tmp_path)
    assert (again.returncode, "mounted here already" in again.stderr) == (1, True)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the daemon")
    assert not any(is_mounted(place) for place in places)


def test_two_paths_replace_the_mounts_of_the_file(
    base: Path, file: Path, places: tuple[Path, Path], tmp_path: Path
) -> None:
    third = tmp_path.resolve() / "third"
    command = (*PRISMFS, "mount", "--config", str(file), str(base / "two"), str(third))
    with running(command, base / "two", third, tmp_path / "home"):
        listed = names(third / SECOND)
        assert "model.gguf-q8_0" in listed
        assert "model.gguf-q4_k_m" not in listed  # the file's options hold
        assert not any(is_mounted(place) for place in places)


def test_a_mount_that_fails_leaves_none(
    base: Path, file: Path, places: tuple[Path, Path], tmp_path: Path
) -> None:
    lost = environment(tmp_path) | {"FUSE_LIBRARY_PATH": "/nowhere/libfuse3.so", "PRISMFS_FUSE": "mfusepy"}
    done = prismfs("mount", "--config", file, home=tmp_path, env=lost)
    assert done.returncode == 1
    assert "libfuse 3 cannot be loaded" in done.stderr
    assert not any(is_mounted(place) for place in places)
