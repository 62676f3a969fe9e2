"""Several mounts of one daemon: each lives its own life, and all end together."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fsd.mount import points
from tests.fsd.mounting import (
    ADAPTERS,
    PRISMFS,
    ROOT,
    Daemon,
    environment,
    is_mounted,
    running,
    unmount,
    until,
)
from tests.tiny_models import build
from tests.tiny_variants import MODELS

MODEL = "Tiny-Llama-3-8B-Instruct-v0.2"
DAEMON = Path(__file__).with_name("several_daemon.py")


@pytest.fixture(params=ADAPTERS)
def fuse(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path.resolve()
    for name in ("one", "two"):
        (path / "source" / name).mkdir(parents=True)
        (path / "source" / name / "file").write_text(name)
        (path / "mnt" / name).mkdir(parents=True)
    (path / "home").mkdir()
    yield path
    for name in ("one", "two"):
        unmount(path / "mnt" / name)


@contextmanager
def serving(base: Path, fuse: str) -> Iterator[Daemon]:
    """A daemon with two mounts over plain directories: `mnt/one` and `mnt/two`, both there."""
    command = [sys.executable, str(DAEMON), fuse, str(base), "one", "two"]
    with running(command, base / "source", base / "mnt" / "two", base / "home") as daemon:
        until(lambda: "ready\n" in daemon.log, "both mounts are there")
        yield daemon


def content(base: Path, name: str) -> str:
    return (base / "mnt" / name / "file").read_text()


def listed(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_a_signal_ends_all(base: Path, fuse: str) -> None:
    with serving(base, fuse) as daemon:
        assert (content(base, "one"), content(base, "two")) == ("one", "two")
        assert daemon.stop() == 0
        assert daemon.log.count("ready\n") == 1
    assert not is_mounted(base / "mnt" / "one")
    assert not is_mounted(base / "mnt" / "two")


def test_a_daemon_that_is_killed_leaves_none_behind(base: Path, fuse: str) -> None:
    with serving(base, fuse) as daemon:
        daemon.process.kill()
        daemon.process.wait(5)
        for name in ("one", "two"):
            until(lambda name=name: not is_mounted(base / "mnt" / name), f"mnt/{name} is gone", 15)


@pytest.mark.parametrize("gone", ["one", "two"])
def test_one_is_unmounted_by_hand_and_the_other_goes_on(base: Path, fuse: str, gone: str) -> None:
    left = "two" if gone == "one" else "one"
    with serving(base, fuse) as daemon:
        points.unmount(base / "mnt" / gone)
        assert content(base, left) == left
        assert daemon.process.poll() is None
        (base / "source" / left / "new").write_text("news")
        assert (base / "mnt" / left / "new").read_text() == "news"
        points.unmount(base / "mnt" / left)
        assert daemon.process.wait(30) == 0


def test_a_signal_after_one_was_unmounted_ends_the_other(base: Path, fuse: str) -> None:
    with serving(base, fuse) as daemon:
        points.unmount(base / "mnt" / "one")
        assert daemon.stop() == 0
        assert not is_mounted(base / "mnt" / "two")


def test_open_files_of_one_keep_neither(base: Path, fuse: str) -> None:
    with serving(base, fuse) as daemon, (base / "mnt" / "one" / "file").open() as held:
        assert daemon.stop() == 0
        assert not is_mounted(base / "mnt" / "one")
        assert not is_mounted(base / "mnt" / "two")
        assert held.fileno()


@pytest.mark.parametrize("broken", ["one", "two"])
def test_one_that_cannot_be_mounted_ends_all(base: Path, fuse: str, broken: str) -> None:
    """Its directory is gone when it is to be mounted."""
    (base / "mnt" / broken).rmdir()
    command = [sys.executable, str(DAEMON), fuse, str(base), "one", "two"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment(base / "home"),
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"MountError: {base / 'mnt' / broken}" in done.stdout
    assert "ready" not in done.stdout
    assert not is_mounted(base / "mnt" / "one")
    assert not is_mounted(base / "mnt" / "two")


def test_a_mount_in_the_source_of_another_is_not_looked_into(base: Path, fuse: str) -> None:
    """The second mount is in the first one's source, where models are: the real daemon, by its own tree."""
    models, more = base / "models", base / "more"
    build(MODELS[MODEL], models)
    build(MODELS[MODEL], more)
    (models / "inner").mkdir()
    script = base / "daemon.py"
    script.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from fsd.config import resolve\n"
        "from fsd.control import Place\n"
        "from fsd.daemon import serve\n"
        f"base = Path({str(base)!r})\n"
        f"flags = {{'fuse': {fuse!r}, 'no_cache': True, 'api_socket': 'none'}}\n"
        "one = Place(base / 'models', base / 'mnt' / 'one')\n"
        "inner = Place(base / 'more', base / 'models' / 'inner')\n"
        "serve(resolve(flags, os.environ), [one, inner], lambda: print('ready', flush=True))\n"
    )
    with running([sys.executable, str(script)], models, base / "mnt" / "one", base / "home") as daemon:
        until(lambda: "ready\n" in daemon.log, "both mounts are there")
        try:
            assert is_mounted(models / "inner")
            assert listed(base / "mnt" / "one") == {MODEL}
            assert not (base / "mnt" / "one" / "inner").exists()
            assert MODEL in listed(models / "inner")
            first = (base / "mnt" / "one" / MODEL / "model.gguf-q8_0").read_bytes()
            assert first == (models / "inner" / MODEL / "model.gguf-q8_0").read_bytes()
            assert daemon.stop() == 0
        finally:
            unmount(models / "inner")
    assert not is_mounted(models / "inner")


def test_a_file_names_several_mounts(base: Path, fuse: str) -> None:
    """By the command line, in the background: it returns when both are there."""
    for name in ("one", "two"):
        build(MODELS[MODEL], base / "source" / name)
    lines = ['api_socket = "none"', "no_cache = true", f'fuse = "{fuse}"']
    for name in ("one", "two"):
        lines += ["[[mount]]", f'source = "{base}/source/{name}"', f'mountpoint = "{base}/mnt/{name}"']
    (base / "prismfs.toml").write_text("\n".join(lines))
    command = [*PRISMFS, "mount", "--config", str(base / "prismfs.toml")]
    with running(command, base / "source", base / "mnt" / "two", base / "home") as daemon:
        until(lambda: "mounted at" in daemon.log, "both mounts are there")
        for name in ("one", "two"):
            assert MODEL in listed(base / "mnt" / name)
        assert daemon.stop(signal.SIGINT) == 0
    assert not is_mounted(base / "mnt" / "one")
    assert not is_mounted(base / "mnt" / "two")
