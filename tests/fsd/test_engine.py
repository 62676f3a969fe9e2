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

from fsd.engine import CHUNK, ChunkKey, Engine, Interrupt, MemoryStore, files, flights
from fsd.errors import Interrupted, StaleHandle
from tests.fsd import mounting
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

    def make(limit: int = 64 << 20, workers: int = 2, ahead: int = 64) -> Engine:
        made.append(Engine(MemoryStore(limit), workers, read_ahead=ahead << 20))
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


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is about to come true."""
    mounting.until(condition, timeout=20)


def translated_layout(source: FileIdentity, megabytes: int = 5, name: bytes = b"head") -> Layout:
    return Layout((source,), (LiteralBytes(name * 25), swapped(0, 64, megabytes << 14)))


class SlowLayout(Layout):
    """Counts the reads of each range, and lets a test hold or fail them."""

    def __init__(self, source: FileIdentity, megabytes: int = 5, name: bytes = b"head") -> None:
        layout = translated_layout(source, megabytes, name)
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
        until(lambda: layout.reading == 3)
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
        until(lambda: engine.counters().waits == 3)
        layout.go.set()
        for reading in readings:
            with pytest.raises(BadValues, match="a NaN"):
                reading.result()
        assert layout.reads == [0]
        layout.failure = None
        assert file.read(0, 10_000) == layout.read(0, 10_000)
    counters = engine.counters()
    assert (counters.errors, counters.translated) == (1, 1)


def test_a_file_that_is_mostly_computed_is_kept_whole(source: FileIdentity, engine_of: EngineOf) -> None:
    engine = engine_of()
    layout = Layout((source,), (LiteralBytes(b"x" * (3 << 19)), swapped(0, 2, 1 << 20), Zeros(7)))
    with engine.open(layout) as file:
        file.read(5, 10)
        assert engine.counters().translated == 1
        file.read(0, file.size)
        assert engine.held(layout.identity) == layout.size


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
    into = bytearray(b"x" * 100)
    assert store.read(keys[0], 0, memoryview(into))
    assert into == bytes(100)
    store.put(keys[3], memoryview(bytes(100)))
    assert [key in store for key in keys] == [True, False, True, True, False]
    assert (store.used, store.held("a"), store.held("b")) == (300, 200, 100)
    store.put(keys[4], memoryview(bytes(250)))
    assert (store.used, store.held("a"), store.held("b")) == (250, 0, 250)
    store.put(ChunkKey("c", 0), memoryview(bytes(301)))
    assert not store.read(ChunkKey("c", 0), 0, memoryview(into))
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
        until(lambda: engine.counters().translated == 3)
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
    sequential.read(210, 10)  # wants 1 and 2 ahead
    until(lambda: engine.counters().translated == 3)
    layout.go.clear()
    sequential.read(220, CHUNK)  # wants 3 to 5; the worker is held at 3
    until(lambda: layout.reading > 0)
    with ThreadPoolExecutor(2) as threads:
        later = threads.submit(other.read, 6 * CHUNK, 10)
        wanted_ahead = threads.submit(other.read, 4 * CHUNK, 10)
        until(lambda: engine.counters().waits == 1 and len(engine._flights) == 4)
        sequential.close()
        assert len(engine._flights) == 3  # 3, which is under way, and what the other waits for
        assert engine.counters().called_off == 1
        layout.go.set()
        assert len(later.result()) == len(wanted_ahead.result()) == 10
    other.close()
    assert layout.reads[:4] == [0, 1, 2, 3]
    assert sorted(layout.reads[4:]) == [4, 6]


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
    until(lambda: not len(engine._flights))  # the worker may still be giving a chunk to the store
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
        until(lambda: layout.reading > 0)
        file.close()
        assert layout.closed == 0
        layout.go.set()
        assert len(reading.result()) == 3 * CHUNK
    until(lambda: layout.closed == 1)
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
        until(lambda: layout.reading > 0)
        second = threads.submit(file.read, 3 * CHUNK, 10)
        until(lambda: len(engine._flights) == 2)
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


def test_files_take_turns_and_warm_ones_come_last(source: FileIdentity, engine_of: EngineOf) -> None:
    engine = engine_of(workers=1)
    order: list[tuple[str, int]] = []
    layouts = {name: SlowLayout(source, 5, name.encode()) for name in ("gate", "warm", "long", "tiny")}
    for name, layout in layouts.items():
        layout.reads = _Noted(order, name)
    layouts["gate"].go.clear()
    files = {name: engine.open(layout, warm=name == "warm") for name, layout in layouts.items()}
    wants = [("gate", 0, 1), ("warm", 0, 2), ("long", 0, 3), ("tiny", 1, 1)]
    with ThreadPoolExecutor(4) as threads:
        readings = []
        for queued, (name, chunk, chunks) in enumerate(wants):
            readings.append(threads.submit(files[name].read, chunk * CHUNK + 300, (chunks - 1) * CHUNK + 10))
            expected_flights = sum(count for _, _, count in wants[: queued + 1])
            until(lambda count=expected_flights: len(engine._flights) == count)  # type: ignore[misc]
        layouts["gate"].go.set()
        for reading in readings:
            reading.result(20)
    assert order == [
        ("gate", 0), ("long", 0), ("tiny", 1), ("long", 1), ("long", 2), ("warm", 0), ("warm", 1),
    ]  # fmt: skip
    for file in files.values():
        file.close()


class _Noted(list[int]):
    """A list of reads that notes each in a list shared with others."""

    def __init__(self, order: list[tuple[str, int]], name: str) -> None:
        super().__init__()
        self._order, self._name = order, name

    def append(self, chunk: int) -> None:
        super().append(chunk)
        self._order.append((self._name, chunk))


def test_an_interrupted_read_leaves_no_work_behind(source: FileIdentity, engine_of: EngineOf) -> None:
    engine, layout = engine_of(workers=1), SlowLayout(source)
    layout.go.clear()
    first, second = Interrupt(), Interrupt()
    buffer = memoryview(bytearray(2 * CHUNK))
    with engine.open(layout) as file, engine.open(layout) as other, ThreadPoolExecutor(3) as threads:
        alone = threads.submit(file.read_into, 200, buffer, first)
        until(lambda: layout.reading == 1 and len(engine._flights) == 3)
        shared = threads.submit(other.read_into, 2 * CHUNK + 200, buffer[:100], second)
        stays = threads.submit(other.read, 2 * CHUNK + 200, 100)
        until(lambda: engine.counters().waits == 2)
        first.fire()
        second.fire()
        for reading in (alone, shared):
            with pytest.raises(Interrupted):
                reading.result(20)
        layout.go.set()
        assert stays.result(20) == layout.read(2 * CHUNK + 200, 100)
        # Chunk 0 was under way, 1 was nobody's any more, 2 was waited for by one more.
        until(lambda: not len(engine._flights))
        assert sorted(layout.reads) == [0, 2, 2]  # the last is this test's own
        assert file.read_into(200, buffer[:10], first) == 10  # the store has it: nothing to wait for
    assert engine.counters().called_off == 1


def test_a_source_that_does_not_answer_stops_only_its_own_readers(
    source: FileIdentity, engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "STUCK_SECONDS", 0.05)
    monkeypatch.setattr(files, "STUCK_SECONDS", 0.05)
    engine, dead, well = engine_of(workers=2), SlowLayout(source), SlowLayout(source, 5, b"well")
    dead.go.clear()
    with engine.open(dead) as waiting, engine.open(well) as file, ThreadPoolExecutor(8) as threads:
        held_up = [threads.submit(waiting.read, chunk * CHUNK, 10) for chunk in range(5)]
        until(lambda: dead.reading == 2)
        assert file.read(0, file.size) == well.read(0, well.size)
        assert dead.reading == 2  # no more than its crew
        assert engine.counters().spares >= 1
        dead.go.set()
        assert [len(reading.result(20)) for reading in held_up] == [10] * 5
        until(lambda: not len(engine._flights))
        file.read(0, 10)


class _Late(flights.Waiter):
    """A chunk that comes in the moment when its reader has just stopped waiting for it."""

    __slots__ = ("_was_late",)

    def wait(self, seconds: float) -> memoryview | None:
        data = super().wait(20)
        if not hasattr(self, "_was_late"):
            self._was_late = True
            return None
        return data


def test_a_chunk_that_comes_when_nobody_waited_any_longer_is_no_error(
    source: FileIdentity, engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsd.engine.engine.Waiter", _Late)
    layout = translated_layout(source)
    with engine_of().open(layout) as file:
        assert file.read(0, file.size) == layout.read(0, layout.size)


def test_a_view_is_what_a_read_gives(source: FileIdentity, engine_of: EngineOf) -> None:
    """In a chunk, across two, at the end and behind it; of what is computed and of what is read through."""
    for layout in (translated_layout(source), Layout((source,), (sliced(5, 3 * CHUNK),))):
        whole, size = layout.read(0, layout.size), layout.size
        for offset, length in (
            (0, CHUNK),
            (17, 100),
            (CHUNK - 9, 20),
            (size - 3, 9),
            (size, 1),
            (size + 9, 1),
        ):
            buffer = memoryview(bytearray(length))
            with engine_of().open(layout) as file:
                for _ in range(2):  # from a flight, and from the store
                    assert bytes(file.view(offset, buffer)) == whole[offset : offset + length]
                    assert file.settled(20)


def test_a_view_of_a_chunk_that_has_just_landed_is_no_copy(source: FileIdentity, engine_of: EngineOf) -> None:
    layout, buffer = translated_layout(source), memoryview(bytearray(CHUNK))
    with engine_of().open(layout) as file:
        found = file.view(0, buffer)
        assert found.readonly and found == layout.read(0, CHUNK) and not any(buffer)
        assert np.frombuffer(found, np.uint8).ctypes.data % 4096 == 0, "whole pages"
        assert file.settled(20)
        assert file.view(0, buffer).obj is found.obj and not any(buffer), "nor is one that memory keeps"


def test_a_complete_file_is_lent_while_its_handle_is_open(source: FileIdentity) -> None:
    store = _LendingStore()
    engine = Engine(store, workers=2)
    with engine.open(translated_layout(source)) as file:
        assert file.lend() is None
        store.lent = _LentFile(7)
    assert store.proved == [(file.identity, file.size)]
    with (
        engine.open(translated_layout(source)) as file,
        engine.open(Layout((source,), (sliced(0, 9),))) as slice,
    ):
        assert file.lend() == file.lend() == 7
        assert slice.lend() is None
        assert store.asked == [file.identity] * 2
    assert store.lent.closed
    assert file.lend() is None
    engine.close()


class _LentFile:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class _LendingStore(MemoryStore):
    """Lends what a test gives it."""

    def __init__(self) -> None:
        super().__init__(64 << 20)
        self.lent: _LentFile | None = None
        self.asked: list[str] = []
        self.proved: list[tuple[str, int]] = []

    def lend(self, identity: str, size: int) -> _LentFile | None:
        self.asked.append(identity)
        return self.lent

    def prove(self, identity: str, size: int) -> None:
        self.proved.append((identity, size))
