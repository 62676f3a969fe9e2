"""Any range of a virtual file, by every call that reads, through a real mount (invariant I2)."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.fsd.mounting import ADAPTERS, Daemon, mounting, running
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

# At least 5,000 ranges a target, spread over the eight ways to read.
RANGES = 640
PAGE = 4096
TARGETS = [
    ("llama-mha", "model.safetensors"),
    ("llama-mha", "model.gguf-q4_k_m"),
    ("Qwen2.5-0.5B-Instruct", "model.gguf-q8_0"),
    ("fallback-288", "model.gguf-q6_k"),
    ("Mistral-7B-Instruct-v0.1", "model.gguf-f16"),
]
Ranges = list[tuple[int, int]]


@pytest.fixture(scope="module", params=ADAPTERS)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    base = tmp_path_factory.mktemp("ranges").resolve()
    (base / "models").mkdir()
    for name in sorted({name for name, _ in TARGETS}):
        build(MODELS[name], base / "models")
    source, mountpoint = base / "models", base / "mnt"
    with running(mounting(source, mountpoint, request.param), source, mountpoint, base) as daemon:
        yield daemon


def expected(daemon: Daemon, name: str, target: str) -> bytes:
    plan = plans(open_model(daemon.source / name))[target]
    assert isinstance(plan, Plan)
    return plan.layout().read(0, plan.size)


def ranges(size: int, seed: int) -> Ranges:
    """Mostly small, anywhere, some at the edges of pages and chunks, some over the end."""
    random = np.random.default_rng(seed)
    starts = random.integers(0, size, RANGES)
    edges = random.integers(0, -(-size // PAGE), RANGES // 4) * PAGE + random.integers(-2, 3, RANGES // 4)
    starts[: RANGES // 4] = np.clip(edges, 0, size)
    lengths = (2.0 ** random.uniform(0, 17, RANGES)).astype(np.int64)
    return list(zip(starts.tolist(), lengths.tolist(), strict=True))


def by_pread(path: Path, wanted: Ranges) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        for start, length in wanted:
            yield os.pread(file.fileno(), length, start)


def by_readv(path: Path, wanted: Ranges) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        for start, length in wanted:
            buffers = [bytearray(part) for part in (length // 3, 0, length - length // 3)]
            count = os.preadv(file.fileno(), buffers, start)
            yield b"".join(buffers)[:count]


def by_sendfile(path: Path, wanted: Ranges) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        for start, length in wanted:
            out = os.memfd_create("out")
            sent = 0
            while count := os.sendfile(out, file.fileno(), start + sent, length - sent):
                sent += count
            yield os.pread(out, sent, 0)
            os.close(out)


def by_splice(path: Path, wanted: Ranges) -> Iterator[bytes]:
    reader, writer = os.pipe()
    with path.open("rb", buffering=0) as file:
        for start, length in wanted:
            got = bytearray()
            while len(got) < length:
                count = os.splice(
                    file.fileno(), writer, min(length - len(got), 1 << 16), offset_src=start + len(got)
                )
                if not count:
                    break
                while count:
                    piece = os.read(reader, count)
                    got += piece
                    count -= len(piece)
            yield bytes(got)
    os.close(reader)
    os.close(writer)


def by_direct(path: Path, wanted: Ranges) -> Iterator[bytes]:
    """O_DIRECT: aligned memory, offset and length; the range is cut out of what comes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, 1 << 18) as buffer:
        for start, length in wanted:
            aligned = start - start % PAGE
            count = os.preadv(descriptor, [memoryview(buffer)], aligned)
            yield bytes(buffer[start - aligned : min(start - aligned + length, count)])
    os.close(descriptor)


def _by_map(flags: int, protection: int, access: int) -> Callable[[Path, Ranges], Iterator[bytes]]:
    def by_map(path: Path, wanted: Ranges) -> Iterator[bytes]:
        descriptor = os.open(path, access)
        with mmap.mmap(descriptor, 0, flags=flags, prot=protection) as mapped:
            for start, length in wanted:
                yield bytes(mapped[start : start + length])
        os.close(descriptor)

    return by_map


WAYS: dict[str, Callable[[Path, Ranges], Iterator[bytes]]] = {
    "pread": by_pread,
    "readv": by_readv,
    "sendfile": by_sendfile,
    "splice": by_splice,
    "O_DIRECT": by_direct,
    "shared map": _by_map(mmap.MAP_SHARED, mmap.PROT_READ, os.O_RDONLY),
    "private map": _by_map(mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, os.O_RDONLY),
    "O_RDWR, shared writable map": _by_map(mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, os.O_RDWR),
}


@pytest.mark.parametrize(("name", "target"), TARGETS)
def test_every_way_of_reading_gives_any_range(daemon: Daemon, name: str, target: str) -> None:
    whole = expected(daemon, name, target)
    path = daemon.mountpoint / name / target
    assert path.stat().st_size == len(whole)
    for seed, (way, read) in enumerate(WAYS.items()):
        wanted = ranges(len(whole), seed)
        for (start, length), got in zip(wanted, read(path, wanted), strict=True):
            # The longest range fits an O_DIRECT buffer that starts up to a page before it.
            assert got == whole[start : start + length], f"{way}: {length} bytes from {start}"
