"""Child processes, started afresh and forked from a stem: what they are given, and how they end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd.children import Child, fresh
from tests.fsd.mounting import ROOT, children, until

MODULE = "tests.fsd.child"


def said(child: Child, timeout: float = 60) -> bytes:
    """What it says next; b"" once it has ended."""
    poll = select.poll()
    poll.register(child.connection, select.POLLIN)
    assert poll.poll(timeout * 1000)
    return child.connection.recv(1 << 16)


@pytest.fixture
def child() -> Iterator[Child]:
    child = fresh(MODULE, ["one", "two"])
    yield child
    child.close()


def test_a_child_has_its_arguments_and_answers(child: Child) -> None:
    assert said(child) == b"one two"
    child.connection.sendall(b"hello")
    assert said(child) == b"hello"
    assert child.ended(0) is None
    child.connection.sendall(b"exit")
    assert said(child) == b""
    assert child.ended(60) == 3


def test_a_child_that_is_stopped(child: Child) -> None:
    assert said(child)
    child.stop()
    assert said(child) == b""
    assert child.ended(60) == -signal.SIGKILL


STEM = textwrap.dedent(
    """
    import os, sys
    from fsd.children import Stem
    secret = os.open(sys.argv[1], os.O_RDONLY)   # is not the stem's to keep
    stem = Stem(["tests.fsd.child"])
    from tests.fsd.test_children import said
    first, second = (stem.start("tests.fsd.child", [name]) for name in ("a", "b"))
    assert (said(first), said(second)) == (b"a", b"b")
    first.connection.sendall(b"files")
    assert sys.argv[1].encode() not in said(first), "a file of the daemon's is open in a child"
    second.connection.sendall(b"exit")
    assert said(second) == b"" and second.ended(60) == 3 and second.ended(0) == 3
    first.stop()
    assert said(first) == b"" and first.ended(60) == -9
    third = stem.start("tests.fsd.child", ["c"])
    assert said(third) == b"c"
    for child in (first, second, third):
        child.close()
    os.kill(stem._pid, 9)
    fresh = stem.start("tests.fsd.child", ["d"])
    assert said(fresh) == b"d", "without its stem it is started afresh"
    fresh.close()
    stem.close()
    print("well", flush=True)
    last = Stem(["tests.fsd.child"]).start("tests.fsd.child", ["e"])
    assert said(last) == b"e"
    os.kill(os.getpid(), 9)
    """
)


def test_a_stem(tmp_path: Path) -> None:
    """In a process of its own, which has one thread. When it is killed, stem and child end too."""
    file = tmp_path / "secret"
    file.touch()
    command = [sys.executable, "-c", STEM, str(file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    # Ends with the last process that has them open.
    output, errors = process.communicate(timeout=120)
    assert (output, errors.decode(), process.returncode) == (b"well\n", "", -signal.SIGKILL)


def test_no_child_is_left_behind(child: Child) -> None:
    assert said(child)
    began = time.monotonic()
    child.close()
    assert time.monotonic() - began < 30
    until(lambda: not [pid for pid in children(os.getpid()) if _runs(pid)], "it is gone")


def _runs(pid: int) -> bool:
    try:
        return MODULE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
