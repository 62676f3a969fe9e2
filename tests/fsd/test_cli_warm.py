"""`prismfs warm`: forms translated and kept by reading them; and what `du` tells of them after a restart."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fsd.command_line import Done, in_process
from tests.fsd.mounting import PRISMFS, Daemon, environment, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

MODEL, OTHER = "llama-mha", "Qwen3-0.6B"
TYPES = ("bf16", "q8_0", "q4_0")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warm").resolve()


@pytest.fixture(scope="module")
def home(base: Path) -> Path:
    (base / "home").mkdir()
    return base / "home"


def mounting(base: Path) -> tuple[str, ...]:
    types, store = ",".join(TYPES), str(base / "store")
    return (
        *PRISMFS,
        "mount",
        "--types",
        types,
        "--cache-dir",
        store,
        str(base / "models"),
        str(base / "mnt"),
    )


@pytest.fixture(scope="module")
def daemon(base: Path, home: Path) -> Iterator[Daemon]:
    for name in (MODEL, OTHER):
        build(MODELS[name], base / "models")
    with running(mounting(base), base / "models", base / "mnt", home) as daemon:
        yield daemon


def states(done: Done) -> dict[str, str]:
    """What is told of each file, by its name."""
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {Path(path).name: state for state, _, path in rows}


Warm = Callable[..., Done]


@pytest.fixture
def warm(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Warm:
    return partial(in_process(home, monkeypatch, capfd), "warm")


def kept(path: Path) -> int:
    """Bytes that `du` counts, asked of the daemon rather than of what the kernel remembers."""
    descriptor = os.open(path, os.O_RDONLY)
    os.close(descriptor)
    command = ["stat", "--cached=never", "--format=%b", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout) * 512


def translations(mountpoint: Path) -> int:
    status = json.loads((mountpoint / ".prismfs" / "status.json").read_text())
    count = status["engine"]["translated"]
    assert isinstance(count, int)
    return count


def test_a_form_is_read_and_kept_and_whole_the_next_time(daemon: Daemon, warm: Warm) -> None:
    form = daemon.mountpoint / MODEL / "model.gguf-q8_0"
    assert kept(form) == 0
    first = warm(form)
    assert (first.returncode, states(first)) == (0, {"model.gguf-q8_0": "read"})
    assert first.stdout == f"read\t{form.stat().st_size}\t{form}\n"
    assert kept(form) >= form.stat().st_size
    before = translations(daemon.mountpoint)
    second = warm(form)
    assert (second.returncode, states(second)) == (0, {"model.gguf-q8_0": "whole"})
    assert translations(daemon.mountpoint) == before


def test_a_directory_is_every_form_below_it_once(daemon: Daemon, warm: Warm) -> None:
    done = warm("--json", "--jobs", "3", daemon.mountpoint / OTHER, daemon.mountpoint / OTHER / "gguf")
    found = {Path(outcome["path"]).name: outcome for outcome in json.loads(done.stdout)}
    assert done.returncode == 0
    assert set(found) == {f"model.gguf-{kind}" for kind in TYPES}
    for name, outcome in found.items():
        size = (daemon.mountpoint / OTHER / name).stat().st_size
        assert (outcome["state"], outcome["bytes"], outcome["error"]) == ("read", size, "")
        assert kept(daemon.mountpoint / OTHER / name) >= size


def test_what_needs_no_translation_is_passed_over(daemon: Daemon, warm: Warm) -> None:
    for name in ("config.json", "model.safetensors"):
        done = warm(daemon.mountpoint / MODEL / name)
        assert (done.returncode, done.stdout) == (0, "")
        assert "nothing to translate" in done.stderr


def test_one_error_does_not_stop_the_others(daemon: Daemon, warm: Warm, tmp_path: Path) -> None:
    form = daemon.mountpoint / MODEL / "model.gguf-q4_0"
    outside = tmp_path / "plain"
    outside.write_bytes(b"x")
    done = warm(daemon.mountpoint / MODEL / "model.gguf-q9_9", outside, form)
    assert done.returncode == 3
    assert states(done) == {"model.gguf-q4_0": "read"}
    assert "model.gguf-q9_9: No such file" in done.stderr
    assert f"{outside}: this is not in a mount of prismfs" in done.stderr
    assert "Traceback" not in done.stderr
    assert warm(outside).returncode == 1
    assert warm("--jobs", "none", form).returncode == 2


def test_a_form_that_fails_when_it_is_read(daemon: Daemon, warm: Warm, base: Path) -> None:
    source = build(MODELS[MODEL], base / "built").rename(base / "models" / "spoiled")
    weights = max(source.glob("*.safetensors"))
    good = daemon.mountpoint / OTHER / "model.gguf-f16"
    form = daemon.mountpoint / "spoiled" / "model.gguf-q8_0"
    data = bytearray(weights.read_bytes())
    data[-64:] = b"\xff" * 64  # NaNs, which no quantised type can hold
    weights.write_bytes(data)
    until(form.exists, "the new model is listed")
    done = warm("--json", form, good)
    states = {Path(outcome["path"]).name: outcome for outcome in json.loads(done.stdout)}
    assert states["model.gguf-q8_0"]["state"] == "failed"
    assert states["model.gguf-q8_0"]["error"]
    assert states["model.gguf-f16"]["state"] == "read"
    assert done.returncode == 1


def test_a_bar_on_a_terminal_and_data_on_stdout(daemon: Daemon, home: Path) -> None:
    leader, follower = pty.openpty()
    forms = [
        str(daemon.mountpoint / MODEL / f"model.gguf-{kind}") for kind in ("q6_k", "q5_0", "q5_k_s", "f32")
    ]
    command = (*PRISMFS, "warm", *forms)
    env = environment(home) | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, env=env, cwd=home)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line.split(b"\t")[0] for line in stdout.splitlines()] == [b"read"] * len(forms)
    assert b"B/s" in shown


def test_ctrl_c(daemon: Daemon, warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends a reading that would go on for ever."""
    form = daemon.mountpoint / MODEL / "model.gguf-q5_k_m"

    def endless(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if offset == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return 1

    monkeypatch.setattr("fsd.cli.reading.os.preadv", endless)
    # A shell's background job ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = warm(form)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_du_after_a_restart(base: Path, home: Path, daemon: Daemon, warm: Warm) -> None:
    """A form that nobody has opened since the daemon started still shows what the store has of it."""
    forms = [Path(MODEL, "model.gguf-q8_0"), Path(MODEL, "gguf", f"{MODEL}-Q8_0.gguf")]
    warm(daemon.mountpoint / forms[0])
    size = (daemon.mountpoint / forms[0]).stat().st_size
    assert daemon.stop() == 0
    with running(mounting(base), base / "models", base / "mnt", home) as again:
        for form in forms:
            assert (again.mountpoint / form).stat().st_blocks * 512 >= size
        assert (again.mountpoint / MODEL / "model.gguf-tq1_0").stat().st_blocks == 0
        opened: dict[str, Any] = json.loads((again.mountpoint / ".prismfs" / "status.json").read_text())
        assert opened["engine"]["translated"] == 0
