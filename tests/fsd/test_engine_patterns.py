"""Patterns: what is wanted ahead of each way of reading."""

from __future__ import annotations

import random

from fsd.engine import CHUNK
from fsd.engine.patterns import Pattern
from translators.ranges import ByteRange

LIMIT = 8


def wanted(reads: list[tuple[int, int]], limit: int = LIMIT) -> list[list[int]]:
    """The chunks wanted after each read (offset, length)."""
    pattern = Pattern()
    return [list(pattern.follow(ByteRange(*read), limit).numbers) for read in reads]


def flat(answers: list[list[int]]) -> list[int]:
    return [number for answer in answers for number in answer]


def test_a_sequence_wants_each_chunk_once_and_ever_further() -> None:
    step = 128 << 10
    answers = wanted([(offset, step) for offset in range(0, 40 * CHUNK, step)])
    assert flat(answers) == list(range(1, flat(answers)[-1] + 1))
    assert answers[0] == []
    assert answers[1] == [1, 2]
    for number, answer in enumerate(answers):
        frontier = (number + 1) * step // CHUNK
        assert all(chunk <= frontier + LIMIT for chunk in answer)
    reached = [max(flat(answers[: number + 1]), default=0) for number in range(len(answers))]
    # Once it is at its widest, at least half of the window is always ahead.
    assert all(
        reach >= number * step // CHUNK + LIMIT // 2 for number, reach in enumerate(reached) if number > 100
    )


def test_requests_of_the_kernel_come_in_any_order() -> None:
    order = [0, 2, 1, 3, 5, 4, 7, 6, 8, 9, 11, 10]
    answers = flat(wanted([(number * CHUNK, CHUNK) for number in order]))
    assert len(answers) == len(set(answers))
    assert set(range(6, 12)) <= set(answers)


def test_two_readers_of_one_handle_are_two_sequences() -> None:
    reads = [(base + step * CHUNK, CHUNK) for step in range(6) for base in (0, 100 * CHUNK)]
    answers = flat(wanted(reads))
    assert {2, 3, 4, 5, 6} <= set(answers)
    assert {102, 103, 104, 105, 106} <= set(answers)


def test_scattered_reads_want_nothing() -> None:
    chance = random.Random(5)
    reads = [(chance.randrange(1 << 36), 4096) for _ in range(300)]
    assert flat(wanted(reads)) == []
    small = [(chance.randrange(5 * CHUNK), 4096) for _ in range(30)]
    assert len(flat(wanted(small))) <= 6


def test_small_reads_from_chunk_to_chunk_are_a_sequence() -> None:
    answers = wanted([(number * CHUNK + 77, 4096) for number in range(12)])
    assert answers[:3] == [[], [], []]
    assert set(flat(answers)) >= {4, 5, 6, 7, 8, 9, 10, 11}


def test_equal_strides_want_the_next_ones_also_backwards() -> None:
    stride = 10 * CHUNK
    forward = wanted([(number * stride, 1000) for number in range(4)], limit=3)
    assert forward == [[], [], [30, 40, 50], [40, 50, 60]]
    backward = wanted([(number * stride, 2 * CHUNK) for number in (9, 8, 7)], limit=4)
    assert backward[-1] == [60, 61, 50, 51]
    assert wanted([(number * stride, 1) for number in (2, 1, 0)])[-1] == []
    assert flat(wanted([(number * stride, 1000) for number in (0, 1, 3, 4, 6)])) == []


def test_rereading_one_place_wants_what_follows_once() -> None:
    assert len(flat(wanted([(0, 4096)] * 50))) == 0
    assert flat(wanted([(0, 4096), (4096, 4096)] * 50)) == [1, 2]


def test_runs_that_are_forgotten_are_told() -> None:
    pattern = Pattern()
    for offset in (0, 1000):
        first = pattern.follow(ByteRange(offset, 1000), LIMIT)
    assert list(first.numbers) == [1, 2]
    chance = random.Random(1)
    over = [pattern.follow(ByteRange(chance.randrange(1 << 40), 1), LIMIT).over for _ in range(40)]
    assert [run for run in over if run] == [first.run]
    assert pattern.sequences == 0
