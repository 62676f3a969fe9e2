"""The engine: right bytes for any range, a chunk computed once, errors told and forgotten, memory bounded."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd.engine import CHUNK, ChunkKey, Engine, MemoryStore
from fsd.errors import StaleHandle
from translators.errors import BadValues, SourceChanged
from translators.layout import Layout, LiteralBytes, Segment, TensorBytes, Zeros
from translators.model import Extent, FileIdentity
from translators.recipes import Stored, SwapRows

SOURCE_BYTES = 6 << 20
EngineOf = Callable[..., Engine]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> FileIdentity:
    path = tmp_path_factory.mktemp("engine") / "weights"
    path.write_bytes(np.random.default_rng(7).bytes(SOURCE_BYTES))
    return FileIdentity.of(path)


@pytest.fixture
def engine_of() -> Iterator[EngineOf]:
    made: list[Engine] = []

    def make(limit: int = 64 << 20, workers: int = 2, ahead: int | None = None) -> Engine:
        made.append(Engine(MemoryStore(limit), workers, ahead))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def sliced(offset: int, length: int) -> TensorBytes:
    """A part of the source as it is."""
    return TensorBytes("sliced", Stored(Extent(0, offset, length), "U8", (length,)))


def swapped(offset: int, rows: int, row: int) -> TensorBytes:
    """A part of the source that has to be computed: rows in another order."""
    stored = Stored(Extent(0, offset, rows * row), "U8", (rows, row))
    return TensorBytes("swapped", SwapRows(stored, 1, 2, rows // 2))


def expected(segments: list[Segment], data: bytes) -> bytes:
    """The layout's bytes, by NumPy."""
    parts = []
    for segment in segments:
        if isinstance(segment, LiteralBytes):
            parts.append(segment.data)
        elif isinstance(segment, Zeros):
            parts.append(bytes(segment.length))
        elif isinstance(segment.recipe, Stored):
            extent = segment.recipe.extent
            parts.append(data[extent.offset : extent.offset + extent.length])
        else:
            assert isinstance(segment.recipe, SwapRows)
            inner = segment.recipe.of
            assert isinstance(inner, Stored)
            start, (rows, row) = inner.extent.offset, inner.shape
            array = np.frombuffer(data, np.uint8, rows * row, start).reshape(2, rows // 2, row)
            parts.append(array.swapaxes(0, 1).tobytes())
    return b"".join(parts)


def translated_layout(source: FileIdentity, megabytes: int = 5) -> Layout:
    return Layout((source,), (LiteralBytes(b"head" * 25), swapped(0, 64, megabytes << 14)))


class SlowLayout(Layout):
    """Counts the reads of each range, and lets a test hold or fail them."""

    def __init__(self, source: FileIdentity, megabytes: int = 5) -> None:
        layout = translated_layout(source, megabytes)
        super().__init__(layout.files, layout.segments)
        self.reads: list[int] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()
        self.failure: Exception | None = None
        self.closed = 0
        self.reading = 0
        self.closed_while_reading = False

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.reads.append(offset // CHUNK)
        self.threads.add(threading.current_thread().name)
        self.reading += 1
        try:
            assert self.go.wait(20)
            if self.failure is not None:
                raise self.failure
            super().read_into(offset, buffer)
        finally:
            self.reading -= 1

    def close(self) -> None:
        self.closed += 1
        self.closed_while_reading |= self.reading > 0
        super().close()


segments_strategy = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=300).map(LiteralBytes),
        st.integers(1, 5000).map(Zeros),
        st.builds(sliced, st.integers(0, 1 << 20), st.integers(1, 2 << 20)),
        st.builds(
            swapped,
            st.integers(0, 1 << 20),
            st.integers(1, 32).map(lambda half: 2 * half),
            st.integers(1, 40000),
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(segments=segments_strategy, seed=st.integers(0, 1 << 30))
def test_any_range_of_any_layout(source: FileIdentity, segments: list[Segment], seed: int) -> None:
    whole = expected(segments, Path(os.fsdecode(source.path)).read_bytes())
    chance = random.Random(seed)
    ranges = [
        (chance.randrange(len(whole) + 2), chance.choice((1, 100, 4096, CHUNK, 3 * CHUNK))) for _ in range(30)
    ]
    ranges += [(0, len(whole)), (0, len(whole) + 5), (len(whole) - 1, 2), (len(whole), 1), (3, 0)]
    engine = Engine(MemoryStore(chance.choice((0, CHUNK, 64 << 20))), workers=2)
    try:
        layout = Layout((source,), tuple(segments))
        file = engine.open(layout)
        assert file.size == len(whole)
        with ThreadPoolExecutor(4) as threads:
            for (offset, size), data in zip(
                ranges, threads.map(lambda r: file.read(*r), ranges), strict=True
            ):
                assert data == whole[offset : offset + size], (offset, size)
        file.close()
        assert engine.counters().bytes_served == sum(
            len(whole[offset : offset + size]) for offset, size in ranges
        )
    finally:
        engine.close()


def test_each_chunk_is_computed_once_however_many_read(source: FileIdentity, engine_of: EngineOf) -> None:
    engine, layout = engine_of(), SlowLayout(source)
    files = [engine.open(layout) for _ in range(8)]
    layout.go.clear()
    threading.Timer(0.2, layout.go.set).start()
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda file: file.read(0, file.size), files))
    assert len(set(results)) == 1
    assert sorted(layout.reads) == list(range(6))
    counters = engine.counters()
    assert counters.translated == 6
    assert counters.waits + counters.hits == 7 * 6
    assert counters.waits > 0
    # Rows that lie across the five borders of chunks are read for either side.
    row = 5 << 14
    assert layout.size - 100 <= counters.source_bytes <= layout.size + 5 * 2 * row
    assert counters.seconds > 0
    files[0].read(CHUNK, 100)
    assert engine.counters().hits == counters.hits + 1


def test_chunks_of_one_read_are_computed_side_by_side(source: FileIdentity, engine_of: EngineOf) -> None:
    engine, layout = engine_of(workers=3), SlowLayout(source)
    layout.go.clear()
    with ThreadPoolExecutor(1) as threads, engine.open(layout) as file:
        reading = threads.submit(file.read, 0, file.size)
        until = time.monotonic() + 10
        while layout.reading < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert layout.reading == 3
        layout.go.set()
        assert len(reading.result()) == layout.size


def test_an_error_goes_to_all_who_wait_and_is_then_forgotten(
    source: FileIdentity, engine_of: EngineOf
) -> None:
    engine, layout = engine_of(), SlowLayout(source)
    layout.failure = BadValues("a NaN", place="element 7")
    layout.go.clear()
    with ThreadPoolExecutor(4) as threads, engine.open(layout) as file:
        readings = [threads.submit(file.read, 0, 10_000) for _ in range(4)]
        while engine.counters().waits < 3:
            time.sleep(0.01)
        layout.go.set()
        for reading in readings:
            with pytest.raises(BadValues, match="a NaN"):
                reading.result()
        assert layout.reads == [0]
        layout.failure = None
        assert file.read(0, 10_000) == layout.read(0, 10_000)
    counters = engine.counters()
    assert (counters.errors, counters.translated) == (1, 1)


def test_slices_and_literals_are_read_through(source: FileIdentity, engine_of: EngineOf) -> None:
    engine = engine_of()
    layout = Layout(
        (source,), (LiteralBytes(b"x" * 1000), sliced(0, 3 << 20), Zeros(24), swapped(0, 2, 1000))
    )
    with engine.open(layout) as file:
        assert (
            file.read(0, 2 << 20)
            == b"x" * 1000 + Path(os.fsdecode(source.path)).read_bytes()[: (2 << 20) - 1000]
        )
        assert engine.counters().translated == 0
        assert engine.held(layout.identity) == 0
        file.read(file.size - 1, 1)
        counters = engine.counters()
        assert counters.translated == 1
        assert engine.held(layout.identity) == layout.size - (3 << 20)


def test_the_store_keeps_its_limit_and_drops_the_longest_unused() -> None:
    store = MemoryStore(300)
    keys = [ChunkKey("a" if number < 3 else "b", number) for number in range(5)]
    for number, key in enumerate(keys[:3]):
        store.put(key, memoryview(bytes([number]) * 100))
    assert store.read(keys[0], 0, memoryview(bytearray(100)))
    store.put(keys[3], memoryview(bytes(100)))
    assert [key in store for key in keys] == [True, False, True, True, False]
    assert (store.used, store.held("a"), store.held("b")) == (300, 200, 100)
    store.put(keys[4], memoryview(bytes(250)))
    assert (store.used, store.held("a"), store.held("b")) == (250, 0, 250)
    store.put(ChunkKey("c", 0), memoryview(bytes(301)))
    assert ChunkKey("c", 0) not in store
    assert store.used == 250


def test_memory_stays_bounded(source: FileIdentity, engine_of: EngineOf) -> None:
    engine = engine_of(limit=2 * CHUNK)
    with engine.open(translated_layout(source, 6)) as file:
        for offset in range(0, file.size, 100_000):
            file.read(offset, 100_000)
            assert engine.store.used <= 2 * CHUNK  # type: ignore[attr-defined]


def test_a_sequential_reader_is_read_ahead_of(source: FileIdentity, engine_of: EngineOf) -> None:
    engine, layout = engine_of(workers=1, ahead=2), SlowLayout(source)
    with engine.open(layout) as file:
        file.read(200, 1000)
        assert layout.reads == [0]
        file.read(1200, 1000)
        until = time.monotonic() + 10
        while engine.counters().translated < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert layout.reads == [0, 1, 2]
        assert engine.counters().ahead == 2


def test_a_reader_that_jumps_is_not(source: FileIdentity, engine_of: EngineOf) -> None:
    engine, layout = engine_of(workers=1, ahead=2), SlowLayout(source, 6)
    with engine.open(layout) as file:
        for chunk in (0, 5, 1, 4):
            file.read(chunk * CHUNK + 200, 10)
    time.sleep(0.05)
    assert layout.reads == [0, 5, 1, 4]


def test_readers_go_before_read_ahead_and_closing_calls_it_off(
    source: FileIdentity, engine_of: EngineOf
) -> None:
    engine, layout = engine_of(workers=1, ahead=4), SlowLayout(source, 6)
    sequential, other = engine.open(layout), engine.open(layout)
    sequential.read(200, 10)
    layout.go.clear()
    sequential.read(210, 10)  # wants 1 to 4 ahead; the worker is held at 1
    while layout.reading == 0:
        time.sleep(0.01)
    with ThreadPoolExecutor(2) as threads:
        later = threads.submit(other.read, 6 * CHUNK, 10)
        wanted_ahead = threads.submit(other.read, 4 * CHUNK, 10)
        while engine.counters().waits == 0 or len(engine._flights) < 5:
            time.sleep(0.01)
        sequential.close()
        assert len(engine._flights) == 3  # 1, which is under way, and what the other waits for
        layout.go.set()
        assert len(later.result()) == len(wanted_ahead.result()) == 10
    other.close()
    assert layout.reads[:2] == [0, 1]
    assert sorted(layout.reads[2:]) == [4, 6]


def test_layouts_of_one_identity_are_shared_and_closed_with_the_last_handle(
    source: FileIdentity, engine_of: EngineOf
) -> None:
    engine, first, second = engine_of(), SlowLayout(source), SlowLayout(source)
    one, two = engine.open(first), engine.open(second)
    assert one.identity == two.identity
    assert one.read(0, 200) == two.read(0, 200) == second.read(0, 200)
    assert second.reads == [0]
    one.close()
    one.close()
    assert first.closed == 0
    two.close()
    assert (first.closed, second.closed) == (1, 0)
    with engine.open(second) as again:
        again.read(2 * CHUNK, 10)
    assert second.reads == [0, 2]


def test_closing_while_chunks_are_under_way_waits_with_the_layout(
    source: FileIdentity, engine_of: EngineOf
) -> None:
    engine, layout = engine_of(), SlowLayout(source)
    file = engine.open(layout)
    layout.go.clear()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(file.read, 200, 3 * CHUNK)
        while layout.reading == 0:
            time.sleep(0.01)
        file.close()
        assert layout.closed == 0
        layout.go.set()
        assert len(reading.result()) == 3 * CHUNK
    until = time.monotonic() + 10
    while not layout.closed and time.monotonic() < until:
        time.sleep(0.01)
    assert layout.closed == 1
    assert not layout.closed_while_reading
    with pytest.raises(StaleHandle):
        file.read(0, 1)


def test_a_changed_source_is_told_also_where_its_chunks_are_kept(tmp_path: Path, engine_of: EngineOf) -> None:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(2 << 20))
    layout = translated_layout(FileIdentity.of(path), 2)
    with engine_of().open(layout) as file:
        before = file.read(0, 100_000)
        path.write_bytes(os.urandom(2 << 20))
        time.sleep(0.1)
        with pytest.raises(SourceChanged):
            file.read(0, 100_000)
        path.unlink()
        with pytest.raises(SourceChanged):
            file.read(0, 100_000)
        path.write_bytes(os.urandom(2 << 20))
    with engine_of().open(translated_layout(FileIdentity.of(path), 2)) as file:
        assert file.read(0, 100_000) != before


def test_closing_the_engine_frees_whoever_waits(source: FileIdentity, engine_of: EngineOf) -> None:
    engine, layout = engine_of(workers=1), SlowLayout(source)
    file = engine.open(layout)
    layout.go.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(file.read, 200, 10)
        while layout.reading == 0:
            time.sleep(0.01)
        second = threads.submit(file.read, 3 * CHUNK, 10)
        while len(engine._flights) < 2:
            time.sleep(0.01)
        closing = threading.Thread(target=engine.close)
        closing.start()
        with pytest.raises(StaleHandle):
            second.result(timeout=10)
        layout.go.set()
        assert len(first.result()) == 10
        closing.join(10)
    with pytest.raises(StaleHandle):
        file.read(CHUNK, 1)
    with pytest.raises(StaleHandle):
        engine.open(layout)


def test_no_thread_before_the_first_chunk(source: FileIdentity, engine_of: EngineOf) -> None:
    engine = engine_of()
    with engine.open(Layout((source,), (sliced(0, 3 << 20),))) as file:
        file.read(0, 3 << 20)
        assert not engine._threads
