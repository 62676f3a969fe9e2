"""The command line, as a person or a script has it: processes, exit codes, stdout and stderr."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fsd.command_line import Run, in_process
from tests.fsd.mounting import (
    PRISMFS,
    ROOT,
    Daemon,
    environment,
    is_mounted,
    prismfs,
    running,
    unmount,
)
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from tests.translators.test_sources_onnx import graph, outside, tensor
from translators import Plan, open_model, plans

TINY, SHARDED = "Qwen2.5-0.5B-Instruct", "llama-mha"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli").resolve()


@pytest.fixture(scope="module")
def home(base: Path) -> Path:
    (base / "home").mkdir()
    return base / "home"


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    """Two models, one that cannot be translated, one that is broken, and no model at all."""
    source = base / "models"
    source.mkdir()
    build(MODELS[SHARDED], source)
    (source / "org").mkdir()
    build(MODELS[TINY], source / "org")
    strange = build(MODELS[SHARDED], base / "built").rename(source / "strange")
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps(config | {"architectures": ["StrangeForCausalLM"]}))
    broken = source / "bro\x1bken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    (source / "nothing").mkdir()
    (source / "nothing" / "readme.txt").write_text("no model")
    return source


@pytest.fixture(scope="module")
def daemon(models: Path, base: Path, home: Path) -> Iterator[Daemon]:
    mountpoint = base / "mnt"
    # A store of its own: tests start further daemons of this user.
    command = (*PRISMFS, "mount", "--cache-dir", str(base / "store"), str(models), str(mountpoint))
    with running(command, models, mountpoint, home) as daemon:
        yield daemon


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return in_process(home, monkeypatch, capfd)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def expected(model: Path) -> dict[str, int]:
    """Name and size of every form, from the translators themselves."""
    return {name: plan.size for name, plan in plans(open_model(model)).items() if isinstance(plan, Plan)}


def reports(run: Run, *words: str | Path) -> dict[str, dict[str, Any]]:
    done = run("ls", "--json", *words)
    assert done.returncode == 0, done.stderr
    return {model["name"]: model for model in json.loads(done.stdout)["models"]}


def test_ls_tells_every_form_with_its_exact_size(models: Path, run: Run) -> None:
    found = reports(run, "--all", models)
    for name in (SHARDED, f"org/{TINY}"):
        sizes = {entry["name"]: entry["size"] for entry in found[name]["entries"]}
        assert sizes.items() >= expected(models / name).items()
        assert sizes["config.json"] == (models / name / "config.json").stat().st_size


def test_ls_tells_why_a_form_or_a_model_is_refused(models: Path, run: Run) -> None:
    found = reports(run, models)
    refusals = {r["name"]: r["reason"] for r in found["strange"]["refusals"]}
    assert "StrangeForCausalLM" in refusals["model.gguf-*"]
    entries = {entry["name"] for entry in found["strange"]["entries"]}
    assert "model.safetensors" in entries
    error = found["bro\x1bken"]["error"] if "bro\x1bken" in found else found["bro\\x1bken"]["error"]
    assert error["reason"]
    assert found["nothing"]["error"]["reason"] == "holds no model that is recognised"
    plain = run("ls", models)
    assert plain.returncode == 0
    assert "\x1b" not in plain.stdout
    assert "StrangeForCausalLM" in plain.stdout


def test_ls_names_the_external_data_that_is_missing(run: Run, tmp_path: Path) -> None:
    content = graph(tensor("w", "F32", (4, 4), outside("data/weights.bin")))
    (tmp_path / "model.onnx").write_bytes(content)
    done = run("ls", tmp_path)
    assert done.returncode == 0
    (line,) = (line for line in done.stdout.splitlines() if "refused" in line)
    assert f"{tmp_path / 'data' / 'weights.bin'}, tensor 'w': is not there" in line
    assert "fetch the model again, with all its files" in line


def test_ls_in_a_pipe_is_columns(models: Path, run: Run) -> None:
    done = run("ls", models / SHARDED)
    rows = dict(line.split("\t", 1) for line in done.stdout.splitlines())
    size = expected(models / SHARDED)["model.gguf-q4_k_m"]
    assert rows[f"{SHARDED}/model.gguf-q4_k_m"].startswith(f"{size}\t")
    assert done.stderr == ""
    assert f"{SHARDED}/model.gguf-q5_1" not in rows
    everything = run("ls", "--all", models / SHARDED).stdout
    assert f"{SHARDED}/model.gguf-q5_1" in everything


def test_ls_on_a_terminal_is_a_table(models: Path, home: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PRISMFS, "ls", str(models / SHARDED)],
        stdout=follower,
        env={**environment(home), "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:
            break
    os.close(leader)
    assert process.wait(10) == 0
    text = shown.decode()
    assert "what it is" in text
    assert "model.gguf-q4_k_m" in text


def test_ls_inside_a_mount(daemon: Daemon, run: Run) -> None:
    whole = reports(run, daemon.source)
    assert reports(run, daemon.mountpoint) == whole
    for place in (f"org/{TINY}", f"org/{TINY}/gguf", f"org/{TINY}/model.gguf-q8_0"):
        assert reports(run, daemon.mountpoint / place) == {f"org/{TINY}": whole[f"org/{TINY}"]}
    assert list(reports(run, daemon.mountpoint / "org")) == [f"org/{TINY}"]


def test_the_mount_shows_the_bytes_that_export_writes(daemon: Daemon, run: Run, tmp_path: Path) -> None:
    mounted = daemon.mountpoint / "org" / TINY
    layouts = plans(open_model(daemon.source / "org" / TINY))
    for name, asked in (("model.gguf-q4_k_m", "Q4_K_M"), ("model.gguf-bf16", "model.gguf-BF16")):
        plan = layouts[name]
        assert isinstance(plan, Plan)
        layout = plan.layout()
        whole = layout.read(0, layout.size)
        assert (mounted / name).read_bytes() == whole
        assert (mounted / "gguf" / f"{TINY}-{name[11:].upper()}.gguf").read_bytes() == whole
        for number, model in enumerate((daemon.source / "org" / TINY, mounted)):
            target = tmp_path / f"{name}.{number}"
            done = run("export", model, asked, "-o", target)
            assert (done.returncode, done.stdout) == (0, ""), done.stderr
            assert target.read_bytes() == whole
    people = run("export", mounted, f"gguf/{TINY}-Q8_0.gguf", "-o", tmp_path / "p")
    assert people.returncode == 0
    assert (tmp_path / "p").read_bytes() == (mounted / "model.gguf-q8_0").read_bytes()


def test_export_to_a_pipe(models: Path, home: Path) -> None:
    done = subprocess.run(
        [*PRISMFS, "export", str(models / SHARDED), "model.safetensors", "-o", "-"],
        capture_output=True, env=environment(home), timeout=60, check=True,
    )  # fmt: skip
    plan = plans(open_model(models / SHARDED))["model.safetensors"]
    assert isinstance(plan, Plan)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(plan.layout().read(0, plan.size)).digest()
    cut = subprocess.run(
        f"{sys.executable} -m fsd.cli export {models / SHARDED} f32 -o - | head -c 10 | wc -c",
        shell=True, capture_output=True, text=True, env=environment(home), timeout=60, check=True,
    )  # fmt: skip
    assert cut.stdout.strip() == "10"
    assert cut.stderr == ""


def test_export_on_a_terminal_shows_a_bar(models: Path, home: Path, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = [*PRISMFS, "export", str(models / SHARDED), "q8_0", "-o", str(tmp_path / "x")]
    process = subprocess.Popen(command, stderr=follower, env={**environment(home), "TERM": "xterm"})
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:
            break
    os.close(leader)
    assert process.wait(10) == 0
    assert b"model.gguf-q8_0" in shown


@pytest.mark.parametrize("name", ["model.gguf-q9_z", "gguf/none.gguf", ""])
def test_export_of_an_unknown_form(models: Path, run: Run, tmp_path: Path, name: str) -> None:
    done = run("export", models / SHARDED, name, "-o", tmp_path / "x")
    assert done.returncode == 3
    assert "ls --all" in done.stderr
    assert names(tmp_path) == []


def test_mistakes_are_sentences_with_a_remedy_and_a_code(
    models: Path, run: Run, tmp_path: Path, daemon: Daemon
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    attempts = [
        (["mount", tmp_path / "none", tmp_path / "mnt"], 3, "No such file"),
        (["mount", models, models / "inside"], 1, "within each other"),
        (["mount", models, tmp_path / "used"], 1, "not empty"),
        (["mount", models, daemon.mountpoint], 1, "mounted here already"),
        (["mount", models, tmp_path / "mnt", "--workers", "none"], 2, "--workers"),
        (["umount", tmp_path], 1, "nothing is mounted here"),
        (["umount", "/proc"], 1, "mount of proc"),
        (["ls", tmp_path / "none"], 3, "No such file"),
        (["ls", tmp_path / "used"], 3, "there is no model here"),
        (["export", models, "q8_0", "-o", tmp_path / "x"], 2, "models:"),
        (["export", models / "strange", "q8_0", "-o", tmp_path / "x"], 4, "StrangeForCausalLM"),
        (["export", models / "bro\x1bken", "q8_0", "-o", tmp_path / "x"], 5, "model.safetensors"),
        (["export", tmp_path / "none", "q8_0", "-o", tmp_path / "x"], 3, "No such file"),
        (["export", models / SHARDED, "q8_0", "-o", tmp_path / "used" / "file"], 1, "exists"),
    ]
    for words, code, says in attempts:
        done = run(*words)
        assert (done.returncode, done.stdout) == (code, ""), (words, done.stderr)
        assert says in done.stderr, (words, done.stderr)
        assert "\n  try: " in done.stderr
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_usage(run: Run) -> None:
    version = run("--version")
    assert version.stdout.startswith("prismfs ")
    assert run().returncode == 2
    assert run("fly").returncode == 2
    for verb in ("mount", "umount", "ls", "export", "cache", "doctor"):
        assert verb in run("--help").stdout
        assert run(verb, "--help").returncode == 0
    help = run("mount", "--help").stdout
    assert "--cache-memory" in help
    assert "PRISMFS_CACHE_MEMORY" in help


def test_a_daemon_in_the_background(models: Path, home: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path.resolve() / "mnt"
    try:
        done = prismfs(
            "mount", models, mountpoint, "--daemon", home=home
        )  # returns though output is captured
        assert (done.returncode, done.stdout) == (0, "")
        assert len(done.stderr.splitlines()) == 1
        assert f"mounted at {mountpoint}" in done.stderr
        assert (mountpoint / SHARDED / "config.json").read_bytes() == (
            models / SHARDED / "config.json"
        ).read_bytes()
        status = json.loads((mountpoint / ".prismfs" / "status.json").read_text())
        assert status["source"] == str(models)
        (log,) = (home / "state" / "prismfs").glob("*.log")
        again = prismfs("mount", models, mountpoint, "--daemon", home=home)
        assert (again.returncode, "mounted here already" in again.stderr) == (1, True)
        gone = prismfs("umount", mountpoint, home=home)
        assert (gone.returncode, gone.stdout) == (0, ""), gone.stderr
        assert not is_mounted(mountpoint)
        wait_for_end(status["pid"])
        assert "Traceback" not in log.read_text()
    finally:
        unmount(mountpoint)


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_a_daemon_that_cannot_start_says_why(models: Path, home: Path, tmp_path: Path) -> None:
    """Without libfuse, as seen by the daemon: the command that started it tells the reason."""
    lost = environment(home) | {"FUSE_LIBRARY_PATH": "/nowhere/libfuse3.so"}
    for more in ([], ["--daemon"]):
        done = prismfs("mount", "--fuse", "mfusepy", models, tmp_path / "mnt", *more, home=home, env=lost)
        assert done.returncode == 1
        assert "libfuse 3 cannot be loaded" in done.stderr
        assert "try: install it" in done.stderr
    assert not is_mounted(tmp_path / "mnt")


def test_ctrl_c_in_the_foreground(models: Path, home: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path.resolve() / "mnt"
    with running((*PRISMFS, "mount", str(models), str(mountpoint)), models, mountpoint, home) as daemon:
        names(mountpoint / SHARDED)  # a planning process is running too
        assert daemon.stop(signal.SIGINT) == 0
        assert "Ctrl-C unmounts" in daemon.log
        assert "Traceback" not in daemon.log
    assert not is_mounted(mountpoint)


def test_taking_over_a_dead_mount(models: Path, home: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path.resolve() / "mnt"
    command = (*PRISMFS, "mount", str(models), str(mountpoint))
    with running(command, models, mountpoint, home) as first:
        first.kill_without_cleanup()
        found = prismfs("doctor", "--json", home=home)
        dead = {finding["check"]: finding for finding in json.loads(found.stdout)}["dead mounts"]
        assert (dead["state"], str(mountpoint) in dead["detail"]) == ("warn", True)
        with running(command, models, mountpoint, home) as second:
            assert "took over" in second.log
            assert (mountpoint / SHARDED / "config.json").exists()


def test_umount_of_a_dead_mount(models: Path, home: Path, tmp_path: Path) -> None:
    mountpoint = tmp_path.resolve() / "mnt"
    with running((*PRISMFS, "mount", str(models), str(mountpoint)), models, mountpoint, home) as daemon:
        daemon.kill_without_cleanup()
        assert prismfs("umount", mountpoint, home=home).returncode == 0
        assert not is_mounted(mountpoint)


def test_doctor(home: Path) -> None:
    done = prismfs("doctor", "--json", home=home)
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, findings
    for check in (
        "python", "packages", "kernel", "device", "fusermount3", "libfuse", "adapter", "kernels", "cache",
    ):  # fmt: skip
        assert findings[check]["state"] == "ok", findings[check]
    plain = prismfs("doctor", home=home)
    assert [line.split("\t")[1] for line in plain.stdout.splitlines()] == list(findings)


def test_doctor_finds_what_is_missing(home: Path, tmp_path: Path) -> None:
    """No fusermount3 on the PATH, and a libggml without its library: each with the remedy."""
    (tmp_path / "libggml").mkdir()
    (tmp_path / "libggml" / "__init__.py").touch()
    lacking = environment(home) | {"PATH": str(tmp_path), "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = prismfs("doctor", "--json", home=home, env=lacking)
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["kernels"]["state"] == "fail"
    assert "libggml-python" in findings["kernels"]["remedy"]
    assert findings["fusermount3"]["state"] == "warn"  # root can mount without it
    assert "apt install fuse3" in findings["fusermount3"]["remedy"]


def test_doctor_refuses_kernels_that_are_none(home: Path) -> None:
    done = prismfs("doctor", "--json", home=home, env=environment(home) | {"PRISMFS_KERNELS": "sse9"})
    found = next(each for each in json.loads(done.stdout) if each["check"] == "kernels")
    assert done.returncode == 1 and found["state"] == "fail" and "sse9" in found["detail"]
    assert "portable, avx2, avx512 or ggml" in found["remedy"]


def test_another_distributions_translators(home: Path, tmp_path: Path) -> None:
    """In our package's place: every verb says so. Installed beside it: doctor notices."""
    distribution = tmp_path / "translators-5.9.3.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: translators\nVersion: 5.9.3\n")
    (distribution / "top_level.txt").write_text("translators\n")
    beside = environment(home) | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = prismfs("doctor", "--json", home=home, env=beside)
    (finding,) = (finding for finding in json.loads(done.stdout) if finding["check"] == "packages")
    assert (done.returncode, finding["state"]) == (1, "fail")
    (tmp_path / "translators").mkdir()
    (tmp_path / "translators" / "__init__.py").write_text("import requests_of_theirs\n")
    instead = environment(home) | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    for verb in ("doctor", "ls"):
        done = prismfs(verb, home=home, env=instead)
        assert done.returncode == 1
        assert "`translators` is found in" in done.stderr
        assert "environment of its own" in done.stderr
