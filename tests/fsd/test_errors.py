"""The one table of errors."""

from __future__ import annotations

import errno

import pytest

from fsd import errors
from fsd.errors import FAULTS, PrismError, errno_of, exit_code_of, hint_of, status_of
from translators import errors as translation


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_error_of_both_trees_has_a_row_of_its_own() -> None:
    ours = {kind for kind in subclasses(PrismError) if kind.__module__ == "fsd.errors"}
    theirs = {
        kind for kind in subclasses(translation.TranslationError) if kind.__module__ == "translators.errors"
    }
    assert ours | theirs <= set(FAULTS)


def test_every_row_says_what_to_do() -> None:
    for kind, fault in FAULTS.items():
        assert fault.hint, kind
        assert 400 <= fault.status < 600
        assert 0 < fault.exit_code < 126
        assert fault.errno in errno.errorcode


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (translation.SourceChanged("x"), errno.ESTALE),
        (translation.MalformedSource("x"), errno.EIO),
        (translation.MissingSource("x"), errno.EIO),
        (translation.BadValues("x"), errno.EIO),
        (translation.Unsupported("x"), errno.ENOENT),
        (errors.PlanRefused("x"), errno.ENOENT),
        (errors.NoSuchEntry("x"), errno.ENOENT),
        (errors.NotADirectory("x"), errno.ENOTDIR),
        (errors.IsADirectory("x"), errno.EISDIR),
        (errors.ReadOnly("x"), errno.EROFS),
        (errors.StaleHandle("x"), errno.ESTALE),
        (errors.PlanningTimeout("x"), errno.EIO),
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (PermissionError(errno.EACCES, "no"), errno.EACCES),
        (OSError("without a number"), errno.EIO),
        (ZeroDivisionError(), errno.EIO),
        (KeyboardInterrupt(), errno.EIO),
    ],
)
def test_errno(error: BaseException, number: int) -> None:
    assert errno_of(error) == number


def test_an_unlisted_class_has_its_parents_row() -> None:
    class Stranger(errors.PlanningFailed):
        pass

    assert errno_of(Stranger("x")) == errno.EIO
    assert exit_code_of(Stranger("x")) == exit_code_of(errors.PlanningFailed("x"))
    assert status_of(ConnectionResetError()) == 500


def test_own_remedy_goes_before_the_tables() -> None:
    assert hint_of(translation.MissingSource("x", remedy="plug it in")) == "plug it in"
    assert hint_of(translation.MissingSource("x")) == FAULTS[translation.MissingSource].hint


def test_text_reads_like_a_translation_error() -> None:
    told = {"path": "/m/a", "place": "byte 8", "remedy": "fetch it again"}
    assert str(errors.PlanRefused("no", **told)) == str(translation.Unsupported("no", **told))
    assert str(errors.PlanRefused("no")) == "no"
