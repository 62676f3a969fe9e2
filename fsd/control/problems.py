"""Faults as they are told of work that nobody waits for: the same words as everywhere (invariant I8)."""

from __future__ import annotations

from fsd.control.reports import Problem
from fsd.errors import PrismError, hint_of
from fsd.planner import Failure
from fsd.planner.messages import shown
from translators.errors import TranslationError


def problem_of(error: BaseException) -> Problem:
    """An error as data; its class says in `fsd.errors` what it is to whom."""
    kind, hint = type(error).__name__, hint_of(error)
    if isinstance(error, PrismError | TranslationError):
        return Problem(kind, *(shown(text) for text in (error.reason, error.path, error.place, hint)))
    if isinstance(error, OSError):
        path = error.filename if isinstance(error.filename, str) else ""
        return Problem(kind, shown(error.strerror or str(error)), shown(path), "", hint)
    return Problem(kind, shown(f"{kind}: {error}"), "", "", hint)


def problem_of_failure(failure: Failure) -> Problem:
    """What planning failed with."""
    return problem_of(failure.error())


def sentence(error: BaseException) -> str:
    """An error in one line."""
    problem = problem_of(error)
    where = ", ".join(part for part in (problem.path, problem.place) if part)
    return f"{where}: {problem.reason}" if where else problem.reason
