"""Reading sources: exact bytes of the planned version, or an error; never a mixture."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from translators.errors import MalformedSource, MissingSource, SourceChanged
from translators.model import FileIdentity
from translators.reading import SourceFiles

DATA = bytes(range(256)) * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "weights"
    file.write_bytes(DATA)
    return file


def _sources(*paths: Path) -> SourceFiles:
    return SourceFiles(tuple(FileIdentity.of(path) for path in paths))


def _descriptors(path: Path) -> list[int]:
    """Those of this process that have `path` open: what other tests left open comes and goes meanwhile."""
    return [
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if entry.is_symlink() and entry.resolve() == path
    ]


def test_any_extent(path: Path) -> None:
    sources = _sources(path)
    for offset, length in ((0, 0), (0, 1), (255, 3), (5, 10_000), (0, len(DATA)), (len(DATA), 0)):
        assert sources.read(0, offset, length) == DATA[offset : offset + length]
    sources.close()


def test_read_into_a_part_of_a_buffer(path: Path) -> None:
    buffer = bytearray(10)
    _sources(path).read_into(0, 100, memoryview(buffer)[3:7])
    assert buffer == bytes(3) + DATA[100:104] + bytes(3)


def test_bytes_read_are_counted(path: Path) -> None:
    sources = _sources(path)
    sources.read(0, 0, 100)
    sources.read(0, 50, 7)
    assert sources.bytes_read == 107


def test_nothing_is_opened_before_the_first_read(path: Path) -> None:
    sources = _sources(path, path)
    assert not _descriptors(path)
    sources.read(0, 0, 1)
    assert len(_descriptors(path)) == 1
    sources.read(0, 5, 1)
    assert len(_descriptors(path)) == 1
    sources.close()
    assert not _descriptors(path)


def test_reading_after_close_opens_again(path: Path) -> None:
    sources = _sources(path)
    sources.read(0, 0, 1)
    sources.close()
    assert sources.read(0, 1, 2) == DATA[1:3]


def test_a_descriptor_is_read_only_and_not_inherited(path: Path) -> None:
    sources = _sources(path)
    sources.read(0, 0, 1)
    (descriptor,) = _descriptors(path)
    assert not os.get_inheritable(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(descriptor, b"x")


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _truncate(path: Path) -> None:
    os.truncate(path, 100)


def _rewrite(path: Path) -> None:
    path.write_bytes(DATA[::-1])
    _touch(path)


def _replace(path: Path) -> None:
    """Another file under the name, of the same size and time: only the inode tells."""
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(DATA[::-1])
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


CHANGES = [_touch, _append, _truncate, _rewrite, _replace, _remove]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("opened", [False, True])
def test_a_file_that_changed(path: Path, change: Callable[[Path], None], opened: bool) -> None:
    sources = _sources(path)
    if opened:
        sources.read(0, 0, 1)
    change(path)
    with pytest.raises(SourceChanged) as caught:
        sources.read(0, 0, 10)
    assert caught.value.path == str(path)
    assert caught.value.remedy


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read(
    path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, real = _sources(path), os.preadv

    def changed(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        count = real(descriptor, [buffers[0][:10]], offset)
        if offset == 0:
            change(path)
        return count

    monkeypatch.setattr(os, "preadv", changed)
    with pytest.raises(SourceChanged):
        sources.read(0, 0, 200)


def test_short_reads_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: real(fd, [buffers[0][:7]], offset))
    assert _sources(path).read(0, 3, 100) == DATA[3:103]


def test_a_plan_beyond_the_files_end_is_malformed(path: Path) -> None:
    with pytest.raises(MalformedSource, match="ends after 16,384 bytes, 16,394 were planned"):
        _sources(path).read(0, 16_000, 394)


def test_other_files_stay_readable(path: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.write_bytes(b"second")
    sources = _sources(path, second)
    path.unlink()
    assert sources.read(1, 0, 6) == b"second"
    with pytest.raises(SourceChanged):
        sources.read(0, 0, 1)


@pytest.mark.parametrize("call", ["open", "preadv"])
def test_what_the_system_refuses_is_missing(path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = _sources(path)

    def refuse(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(MissingSource, match="Input/output error"):
        sources.read(0, 0, 1)


def test_many_threads_share_one_descriptor(path: Path) -> None:
    sources = _sources(path)
    wrong: list[int] = []

    def work(start: int) -> None:
        for offset in range(start, 8000, 8):
            if sources.read(0, offset, 50) != DATA[offset : offset + 50]:
                wrong.append(offset)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(_descriptors(path)) == 1
    sources.close()


def test_a_symbolic_link_that_points_elsewhere_now(path: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(path)
    other.write_bytes(DATA)
    sources = _sources(link)
    assert sources.read(0, 0, 4) == DATA[:4]
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(SourceChanged):
        sources.read(0, 0, 4)
