"""read-fsx: random reads by every call, five targets at once; `make soak` does a million."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.fsd.mounting import ADAPTERS
from tests.heavy import fsx, subject
from tests.heavy.calls import CALLS, drawn
from tests.heavy.subject import NAME, Subject, Target

OPERATIONS = 50_000
MEGABYTES = 12
SEED = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject.made(tmp_path_factory.getbasetemp().resolve(), MEGABYTES)


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_every_call_reads_what_was_exported(fuse: str, model: Subject, tmp_path: Path) -> None:
    count = OPERATIONS // len(ADAPTERS)
    print(fsx.mounted(model, tmp_path.resolve(), fuse, operations=count, seed=SEED))


@pytest.fixture
def plain(model: Subject, tmp_path: Path) -> fsx.Run:
    """A run over copies in a plain directory: what the operations expect is what a file system does."""
    directory = tmp_path / NAME
    directory.mkdir()
    for target in model.targets:
        shutil.copyfile(target.reference, directory / target.name)
    return fsx.Run(model, directory, tmp_path, "1")


def test_plain_files_pass(plain: fsx.Run) -> None:
    fsx.fsx(plain, 3000)
    assert set(plain.counts) == set(CALLS)
    assert plain.counts.total() == 3000


@pytest.mark.parametrize("skip", [0, 100])
def test_a_wrong_byte_is_found_and_told(plain: fsx.Run, skip: int) -> None:
    plain.skip = skip
    for target in plain.subject.targets:
        with (plain.directory / target.name).open("r+b") as file:
            for chunk in range(target.chunks):
                file.seek(chunk << 20)
                file.write(b"wrong")
    with pytest.raises(AssertionError, match="wrong bytes of") as caught:
        fsx.fsx(plain, 3000)
    assert "the last operations" in str(caught.value)
    assert all(number >= skip for _, number, _ in plain.last)


def test_a_file_that_is_cut_short_is_found(plain: fsx.Run) -> None:
    for target in plain.subject.targets:
        with (plain.directory / target.name).open("r+b") as file:
            file.truncate(target.size - 1)
    with pytest.raises(AssertionError):
        fsx.fsx(plain, 3000)


def test_a_seed_draws_the_same_operations() -> None:
    sizes = [10_000, 5_000_000]
    first, second = ([drawn(chance, sizes) for _ in range(500)] for chance in map(random.Random, "aa"))
    assert first == second
    assert all(0 <= op.offset < sizes[op.target] and op.length > 0 for op in first)


def test_targets_are_of_every_kind(model: Subject) -> None:
    assert [target.name for target in model.targets] == list(subject.TARGETS)
    assert all(isinstance(target, Target) and target.chunks > 3 for target in model.targets)
