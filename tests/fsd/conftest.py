"""What tests of the verbs that steer a daemon share: one daemon with an API, over tiny models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fsd.command_line import Run, in_process
from tests.fsd.steering import Steered, serving


@pytest.fixture(scope="session")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steered]:
    """A daemon for all of them: each test has forms of its own."""
    with serving(tmp_path_factory.mktemp("steered").resolve()) as steered:
        yield steered


@pytest.fixture
def run(steered: Steered, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command line, as the user whose daemon that is."""
    return in_process(steered.home, monkeypatch, capfd)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A socket at which nobody listens."""
    return tmp_path / "none.sock"
