"""The units: systemd's own checks pass, their commands are ours, and nothing in them hides a mount."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fsd.cli.command import whole_parser
from tests.fsd.mounting import ROOT

UNITS = sorted((ROOT / "systemd").rglob("*.service"))
SYSTEM = [unit for unit in UNITS if unit.parent.name == "systemd"]
USER = [unit for unit in UNITS if unit.parent.name == "user"]
# systemd.exec(5): each of these gives a service a mount namespace of its own.
HIDING = re.compile(
    r"Private(?!Network|Users)\w+|Protect(?!Clock|Hostname)\w+|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths"
    r"|Bind\w*Paths|TemporaryFileSystem|Root\w+|Mount\w+|DynamicUser|ExtensionImages"
    r"|NetworkNamespacePath|PrivateNetwork|RestrictNamespaces"
)
# In a user's manager each of these implies NoNewPrivileges, which takes fusermount3 its power.
SETUID_KILLING = re.compile(
    r"NoNewPrivileges|Restrict\w+|LockPersonality|SystemCall\w+|MemoryDenyWriteExecute|Protect\w+|Private\w+"
)


def settings(unit: Path) -> list[tuple[str, str]]:
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    return [(name, value) for name, equals, value in lines if equals and not name.startswith(("#", ";"))]


def test_every_unit_is_here() -> None:
    assert (
        [unit.name for unit in SYSTEM]
        == [unit.name for unit in USER]
        == ["prismfs.service", "prismfs@.service"]
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.parent.name}-{unit.name}")
def test_systemd_has_nothing_against_a_unit(unit: Path, tmp_path: Path) -> None:
    """As it is, but for where the command is found; the manual need not be installed."""
    assert shutil.which("systemd-analyze"), "install it: apt install systemd"
    command = Path(sys.executable).with_name("prismfs")
    text = re.sub(r"=(-?)prismfs ", rf"=\1{command} ", unit.read_text())
    name = unit.name.replace("@.", "@llms.")
    (tmp_path / name).write_text(text)
    manager = ["--user"] if unit in USER else []
    checked = [
        "systemd-analyze",
        *manager,
        "--man=no",
        "--recursive-errors=one",
        "verify",
        str(tmp_path / name),
    ]
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(checked, capture_output=True, text=True, check=False, env=env, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_systemd_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "wrong.service").write_text("[Service]\nType=notfy\nExecStart=/no/such/program\n")
    checked = ["systemd-analyze", "--man=no", "verify", str(tmp_path / "wrong.service")]
    done = subprocess.run(checked, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0 or "notfy" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.parent.name}-{unit.name}")
def test_the_commands_of_a_unit_are_commands_of_ours(unit: Path) -> None:
    given = dict(settings(unit))
    for setting, verb in (("ExecStart", "mount"), ("ExecStopPost", "umount")):
        words = shlex.split(given[setting].removeprefix("-").removeprefix("/usr/bin/env "))
        assert words[0] == "prismfs"
        parsed = whole_parser().parse_args(words[1:])
        assert parsed.verb == verb
        assert parsed.config.endswith(".toml")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.parent.name}-{unit.name}")
def test_a_unit_hides_no_mount_and_ends_in_time(unit: Path) -> None:
    given = dict(settings(unit))
    assert not [name for name in given if HIDING.fullmatch(name)]
    assert (given["Type"], given["NotifyAccess"], given["Restart"]) == ("notify", "main", "on-failure")
    assert int(given["TimeoutStopSec"]) > 5
    assert int(given["WatchdogSec"]) > 0
    if unit in USER:
        assert not [name for name in given if SETUID_KILLING.fullmatch(name)]


def test_directories_and_group_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    root = f"--root={tmp_path}"
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        wanted = ["--create"] if name == "tmpfiles" else []
        command = [tool, root, *wanted, str(ROOT / "systemd" / f"prismfs.{name}.conf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    assert "prismfs:" in (tmp_path / "etc" / "group").read_text()
    assert (tmp_path / "run" / "prismfs").is_dir()
    assert (tmp_path / "var" / "cache" / "prismfs").stat().st_mode & 0o777 == 0o700
