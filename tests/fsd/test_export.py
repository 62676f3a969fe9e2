"""Export: the layout's bytes, complete or not at all."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fsd.export import PIECE, ExportError, export, stream
from tests.fsd.mounting import ROOT
from translators.errors import MalformedSource
from translators.layout import Layout, LiteralBytes, Zeros

SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 12_345]


def layout_of(size: int) -> tuple[Layout, bytes]:
    """A layout and its bytes: text, padding, text."""
    head, tail = os.urandom(size // 3), os.urandom(size // 5)
    padding = size - len(head) - len(tail)
    return Layout((), (LiteralBytes(head), Zeros(padding), LiteralBytes(tail))), head + bytes(padding) + tail


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def ignore(count: int) -> None:
    pass


class Failing(Layout):
    """Fails after some pieces; with `slow`, takes its time instead."""

    def __init__(self, size: int, *, slow: bool = False) -> None:
        super().__init__((), (Zeros(size),))
        self.slow = slow
        self.reads = 0

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.reads += 1
        if self.slow:
            time.sleep(0.05)
        elif offset >= 3 * PIECE:
            raise MalformedSource("it ends early")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("workers", [1, 4])
def test_exported_bytes_are_the_layouts(tmp_path: Path, size: int, workers: int) -> None:
    layout, whole = layout_of(size)
    counts: list[int] = []
    export(layout, tmp_path / "out", workers=workers, progress=counts.append)
    assert (tmp_path / "out").read_bytes() == whole
    assert sum(counts) == size
    assert names(tmp_path) == ["out"]
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("size", SIZES)
def test_streamed_bytes_are_in_order(size: int) -> None:
    layout, whole = layout_of(size)
    out = io.BytesIO()
    stream(layout, out, workers=3, progress=ignore)
    assert out.getvalue() == whole


def test_an_existing_file_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    layout, whole = layout_of(1000)
    target = tmp_path / "out"
    target.write_bytes(b"precious")
    with pytest.raises(ExportError, match="exists") as caught:
        export(layout, target, workers=1, progress=ignore)
    assert "--force" in caught.value.remedy
    assert target.read_bytes() == b"precious"
    export(layout, target, workers=1, progress=ignore, replace=True)
    assert target.read_bytes() == whole
    assert names(tmp_path) == ["out"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    layout, _ = layout_of(3 * PIECE)
    target = tmp_path / "out"
    with pytest.raises(ExportError, match="exists"):
        export(layout, target, workers=1, progress=lambda count: target.write_bytes(b"theirs") and None)
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("replace", [True, False])
def test_an_error_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool, replace: bool
) -> None:
    if not unnamed:
        refuse_unnamed_files(monkeypatch)
    layout = Failing(100 * PIECE)
    with pytest.raises(MalformedSource):
        export(layout, tmp_path / "out", workers=2, progress=ignore, replace=replace)
    assert names(tmp_path) == []
    assert layout.reads < 10  # the rest was not begun


@pytest.mark.parametrize("replace", [True, False])
def test_without_unnamed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool) -> None:
    refuse_unnamed_files(monkeypatch)
    layout, whole = layout_of(PIECE + 5)
    export(layout, tmp_path / "out", workers=2, progress=ignore, replace=replace)
    assert (tmp_path / "out").read_bytes() == whole
    assert names(tmp_path) == ["out"]


def refuse_unnamed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without O_TMPFILE."""
    real = os.open

    def open_named(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", open_named)


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    layout = Failing(1000 * PIECE, slow=True)
    # A shell starts what it runs in the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        export(layout, tmp_path / "out", workers=2, progress=ignore)
    timer.join()
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 3
    assert names(tmp_path) == []


def test_sigkill_leaves_nothing(tmp_path: Path) -> None:
    """Until it is complete the file has no name, so even this needs no cleaning up."""
    script = (
        "import sys; from pathlib import Path\n"
        "from fsd.export import export; from tests.fsd.test_export import Failing\n"
        "export(Failing(1 << 30, slow=True), Path(sys.argv[1]), workers=2, progress=print)"
    )
    command = [sys.executable, "-u", "-c", script, str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert process.stdout is not None
    first = str(PIECE).encode()
    assert process.stdout.read(len(first)) == first  # its line's end may come after that of another thread
    process.kill()
    process.wait(5)
    assert names(tmp_path) == []


def test_what_cannot_be_is_told_before_work(tmp_path: Path) -> None:
    layout, _ = layout_of(1000)
    with pytest.raises(ExportError, match="no such directory") as caught:
        export(layout, tmp_path / "a" / "b", workers=1, progress=ignore)
    assert caught.value.remedy == f"mkdir -p {tmp_path}/a"
    with pytest.raises(ExportError, match="is a directory"):
        export(layout, tmp_path, workers=1, progress=ignore)
    huge = Failing(1 << 60)
    with pytest.raises(ExportError, match="are needed"):
        export(huge, tmp_path / "out", workers=1, progress=ignore)
    assert huge.reads == 0
    assert names(tmp_path) == []
