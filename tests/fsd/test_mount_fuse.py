"""The adapter behind a real mount, over plain files: every way to read, and nothing that writes."""

# The system calls themselves are tested here.
# ruff: noqa: PTH101, PTH102, PTH104, PTH105, PTH106, PTH108, PTH123, PTH208, PTH211

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS, Daemon, fake_daemon, opened, running

SIZE = 5_000_003
PAGE = 4096


def content(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module", params=ADAPTERS)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    base = tmp_path_factory.mktemp("fuse").resolve()
    source = base / "source"
    (source / "sub" / "deep").mkdir(parents=True)
    (source / "model.bin").write_bytes(content(1))
    (source / "sub" / "deep" / "other.bin").write_bytes(content(2, 70_001))
    (source / "empty").write_bytes(b"")
    (source / "fault").write_bytes(b"x" * 10)
    (source / "broken").write_bytes(b"x" * 10)
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.bin")).write_bytes(b"latin")
    command = fake_daemon(source, base / "mnt", request.param)
    with running(command, source, base / "mnt", base / "home") as daemon:
        yield daemon


@pytest.fixture
def model(daemon: Daemon) -> Path:
    return daemon.mountpoint / "model.bin"


@pytest.fixture
def descriptor(model: Path) -> Iterator[int]:
    with opened(model) as descriptor:
        yield descriptor


def ranges(count: int, seed: int = 7) -> list[tuple[int, int]]:
    """Random ranges, some empty, some over the end."""
    chance = random.Random(seed)
    edges = [(0, 1), (SIZE - 1, 1), (SIZE - 1, 100), (SIZE, 10), (SIZE + 5, 10), (0, SIZE), (PAGE - 1, 2)]
    return edges + [(chance.randrange(SIZE), chance.randrange(1, 300_000)) for _ in range(count)]


def test_pread_gives_any_range(descriptor: int) -> None:
    whole = content(1)
    for offset, length in ranges(300):
        assert os.pread(descriptor, length, offset) == whole[offset : offset + length]


def test_readv_fills_buffers_of_odd_sizes(descriptor: int) -> None:
    whole = content(1)
    for offset, length in ranges(50):
        buffers = [bytearray(size) for size in (1, 13, 4096, length)]
        count = os.preadv(descriptor, buffers, offset)
        assert b"".join(buffers)[:count] == whole[offset : offset + sum(map(len, buffers))]


@pytest.mark.parametrize("flags", [mmap.MAP_SHARED, mmap.MAP_PRIVATE, mmap.MAP_SHARED | mmap.MAP_POPULATE])
def test_maps_for_reading(descriptor: int, flags: int) -> None:
    with mmap.mmap(descriptor, 0, flags=flags, prot=mmap.PROT_READ) as mapped:
        assert hashlib.sha256(mapped).digest() == hashlib.sha256(content(1)).digest()


def test_private_map_may_be_written_and_changes_nothing(model: Path, descriptor: int) -> None:
    with mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        mapped[:4] = b"mine"
        assert mapped[:4] == b"mine"
    assert model.read_bytes() == content(1)


def test_open_read_write_with_a_shared_writable_map(model: Path) -> None:
    with opened(model, os.O_RDWR) as descriptor:
        assert os.pread(descriptor, 100, 17) == content(1)[17:117]
        with mmap.mmap(descriptor, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
            assert mapped[:] == content(1)
        with pytest.raises(OSError) as caught:
            os.pwrite(descriptor, b"no", 0)
        assert caught.value.errno == errno.EROFS


def test_what_is_written_to_a_shared_map_is_gone_with_the_next_open(daemon: Daemon) -> None:
    path = daemon.mountpoint / "sub" / "deep" / "other.bin"
    whole = path.read_bytes()
    with (
        opened(path, os.O_RDWR) as descriptor,
        mmap.mmap(descriptor, 0, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped,
    ):
        mapped[:4] = b"mine"
        with pytest.raises(OSError):
            mapped.flush()
    assert path.read_bytes() == whole
    assert (daemon.source / "sub" / "deep" / "other.bin").read_bytes() == whole


def test_sendfile(descriptor: int, tmp_path: Path) -> None:
    with (tmp_path / "copy").open("wb") as out:
        sent = 0
        while count := os.sendfile(out.fileno(), descriptor, sent, SIZE):
            sent += count
    assert (tmp_path / "copy").read_bytes() == content(1)


def test_splice(descriptor: int) -> None:
    reader, writer = os.pipe()
    got, offset = bytearray(), 12_345
    while len(got) < 200_000:
        count = os.splice(descriptor, writer, 50_000, offset_src=offset + len(got))
        while count:
            piece = os.read(reader, count)
            got += piece
            count -= len(piece)
    os.close(reader)
    os.close(writer)
    assert got == content(1)[offset : offset + len(got)]


def test_direct_reads(model: Path) -> None:
    whole = content(1)
    # The buffer is aligned, as O_DIRECT wants it.
    with opened(model, os.O_RDONLY | os.O_DIRECT) as descriptor, mmap.mmap(-1, 1 << 20) as buffer:
        for offset in (0, PAGE, 1 << 20, (SIZE // PAGE) * PAGE):
            count = os.preadv(descriptor, [buffer], offset)
            assert buffer[:count] == whole[offset : offset + (1 << 20)]


def test_locks(model: Path) -> None:
    with opened(model) as first, opened(model) as second:
        fcntl.flock(first, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_UN)
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(first, fcntl.LOCK_UN)
        fcntl.lockf(first, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_extended_attributes(model: Path) -> None:
    assert os.getxattr(model, "user.prismfs.target") == b"fake"
    assert sorted(os.listxattr(model)) == ["user.prismfs.number", "user.prismfs.target"]
    for name in ("user.prismfs.nothing", "user.other", "security.capability"):
        with pytest.raises(OSError) as caught:
            os.getxattr(model, name)
        assert caught.value.errno == errno.ENODATA


def test_statfs_and_stat(daemon: Daemon, model: Path) -> None:
    assert os.statvfs(daemon.mountpoint).f_blocks == os.statvfs(daemon.source).f_blocks
    told = os.stat(model)
    assert (told.st_size, told.st_mode, told.st_nlink) == (SIZE, 0o100644, 1)
    assert (told.st_blksize, told.st_blocks) == (1 << 20, 3)
    assert (told.st_uid, told.st_gid) == (os.getuid(), os.getgid())
    assert told.st_mtime_ns == os.stat(daemon.source / "model.bin").st_mtime_ns
    assert os.stat(daemon.mountpoint).st_ino == 1
    assert os.stat(daemon.mountpoint / "sub").st_mode == 0o40755
    assert {entry.inode() for entry in os.scandir(daemon.mountpoint)} >= {told.st_ino}


def test_writing_of_every_kind_is_refused(daemon: Daemon, model: Path) -> None:
    new, directory = daemon.mountpoint / "new", daemon.mountpoint / "sub"
    attempts = [
        lambda: os.open(model, os.O_WRONLY),
        lambda: os.open(model, os.O_RDWR | os.O_TRUNC),
        lambda: os.open(model, os.O_RDWR | os.O_APPEND),
        lambda: os.open(new, os.O_RDWR | os.O_CREAT),
        lambda: os.truncate(model, 3),
        lambda: os.unlink(model),
        lambda: os.rename(model, new),
        lambda: os.link(model, new),
        lambda: os.symlink("model.bin", new),
        lambda: os.mkdir(new),
        lambda: os.rmdir(directory),
        lambda: os.mkfifo(new),
        lambda: os.chmod(model, 0o600),
        lambda: os.chown(model, 1, 1),
        lambda: os.setxattr(model, "user.mine", b"1"),
        lambda: os.removexattr(model, "user.prismfs.target"),
    ]
    for attempt in attempts:
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.EROFS
    assert hashlib.sha256(model.read_bytes()).digest() == hashlib.sha256(content(1)).digest()


def test_touching_is_accepted_and_changes_nothing(model: Path) -> None:
    before = os.stat(model)
    os.utime(model, (1, 1))
    os.utime(model)
    assert os.stat(model).st_mtime_ns == before.st_mtime_ns


def test_fsync_and_close_are_accepted(descriptor: int) -> None:
    os.fsync(descriptor)
    os.fdatasync(descriptor)


def test_names_that_are_no_text(daemon: Daemon) -> None:
    mountpoint = os.fsencode(daemon.mountpoint)
    assert b"caf\xe9.bin" in os.listdir(mountpoint)
    with open(mountpoint + b"/caf\xe9.bin", "rb") as file:
        assert file.read() == b"latin"
    with pytest.raises(FileNotFoundError):
        os.stat(mountpoint + b"/caf\xea.bin")


def test_tools(daemon: Daemon, model: Path, tmp_path: Path) -> None:
    source, mountpoint = daemon.source / "model.bin", daemon.mountpoint
    tree = daemon.mountpoint / "sub"

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-ceu", command],
            capture_output=True,
            text=True,
            errors="replace",
            cwd=tmp_path,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(f"cp {model} copied && cmp copied {source}")
    run(f"cp --preserve=all {model} preserved && cmp preserved {source}")
    run(f"cat {model} | cmp - {source}")
    assert run(f"sha256sum < {model}") == run(f"sha256sum < {source}")
    part = f"<(tail -c +14998 {source} | head -c 384923)"
    run(f"dd if={model} bs=4999 skip=3 count=77 status=none | cmp - {part}")
    run(f"dd if={model} of=direct bs=1M iflag=direct status=none && cmp direct {source}")
    run(f"tail -c 4097 {model} | cmp - <(tail -c 4097 {source})")
    assert run(f"stat -c '%s %h %A' {model}") == f"{SIZE} 1 -rw-r--r--\n"
    assert run(f"du -B512 {model}").split()[0] == "3"
    assert run(f"find {tree} -type f -printf '%P %s\n'") == "deep/other.bin 70001\n"
    assert str(SIZE) in run(f"ls -l {mountpoint}")
    assert run(f"ls -A {mountpoint / 'sub'}") == "deep\n"
    run(f"rsync -a {tree}/ synced/ && diff -r synced {daemon.source / 'sub'}")
    assert "rw" in run(f"findmnt -no OPTIONS {mountpoint}").split(",")
    assert run(f"findmnt -no SOURCE,FSTYPE {mountpoint}").split() == ["prismfs", "fuse.prismfs"]


def test_many_readers_side_by_side(model: Path) -> None:
    whole, wrong = content(1), []

    def read(seed: int) -> None:
        with open(model, "rb", buffering=0) as file:
            for offset, length in ranges(60, seed):
                if os.pread(file.fileno(), length, offset) != whole[offset : offset + length]:
                    wrong.append((seed, offset, length))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(16)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert not wrong


def test_a_fault_is_an_errno_and_one_log_line(daemon: Daemon, model: Path) -> None:
    for _ in range(3):
        for name in ("fault", "broken"):
            with pytest.raises(OSError) as caught:
                (daemon.mountpoint / name).read_bytes()
            assert caught.value.errno == errno.EIO
    assert daemon.log.count("EIO: a bug") == 1
    assert daemon.log.count("Traceback") == 1
    assert daemon.log.count("it ends early") == 1
    assert os.pread(os.open(model, os.O_RDONLY), 10, 0) == content(1)[:10]


def replace(path: Path, data: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(data)
    os.replace(other, path)


def test_a_changed_file_is_seen_by_the_next_open(daemon: Daemon) -> None:
    source, path = daemon.source / "changing", daemon.mountpoint / "changing"
    for seed, size in ((10, 300_000), (11, 300_000), (12, 100_000), (13, 400_000)):
        replace(source, content(seed, size))
        with path.open("rb") as file:
            assert os.fstat(file.fileno()).st_size == size
            assert file.read() == content(seed, size)


def test_two_versions_never_mix(daemon: Daemon) -> None:
    """A reader in the middle of the old version gets ESTALE or old bytes, also from a map, never new ones."""
    source, path = daemon.source / "version", daemon.mountpoint / "version"
    old, new = b"o" * (8 << 20), b"n" * ((8 << 20) - 5)
    replace(source, old)
    with opened(path) as first:
        assert os.pread(first, 10, 0) == b"o" * 10
        mapped = mmap.mmap(first, 0, prot=mmap.PROT_READ)
        assert mapped[5] == ord("o")
        replace(source, new)
        assert path.read_bytes() == new
        for offset in range(0, len(old), 1 << 18):
            try:
                assert set(os.pread(first, 1 << 18, offset)) == {ord("o")}
            except OSError as error:
                assert error.errno == errno.ESTALE
        assert mapped[5] == ord("o")
        assert path.read_bytes() == new
        mapped.close()
    assert daemon.log.count("it was replaced") == 1


def test_pages_are_kept_across_opens(daemon: Daemon) -> None:
    """The second open of an unchanged file finds its pages in memory (mincore says so before any read)."""
    path = daemon.mountpoint / "sub" / "deep" / "other.bin"
    data = path.read_bytes()
    with (
        opened(path) as descriptor,
        mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped,
    ):
        pages = (ctypes.c_ubyte * (-(-len(data) // PAGE)))()
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(data)), pages) == 0
        assert all(page & 1 for page in pages)
