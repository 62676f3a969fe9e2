"""Log lines: one an event, in three forms, with what was bound, and no traceback for somebody's mistake."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsd import logs
from fsd.errors import NoSuchEntry
from translators.errors import MalformedSource

log = logging.getLogger("tests.logs")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The test runner's own handlers, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:  # else `set_up` closes the test runner's
        root.removeHandler(handler)
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(format: str, act: Callable[[], None], level: str = "info") -> list[str]:
    """What is logged while `act` runs."""
    stream = io.StringIO()
    logs.set_up(level, format, stream)
    act()
    return stream.getvalue().splitlines()


def fail(error: BaseException) -> None:
    try:
        raise error
    except BaseException:
        log.exception("reading %s", "x")


def test_text_has_time_level_event_and_fields() -> None:
    (line,) = lines("text", lambda: log.info("planned %s", "a b", extra={"seconds": 1.5, "of": "x y"}))
    time, clock, rest = line.split(" ", 2)
    assert len(time) == 10
    assert len(clock) == 12
    assert rest == 'INFO planned a b seconds=1.5 of="x y"'


def test_json_is_an_object_a_line() -> None:
    def act() -> None:
        log.warning("full: %d", 3, extra={"bytes": 7, "level": "mine", "path": Path("/x")})
        log.info("ä\n\udcff")

    first, second = map(json.loads, lines("json", act))
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "warning", "logger": "tests.logs", "event": "full: 3", "bytes": 7, "path": "/x",
    }  # fmt: skip
    assert second["event"] == "ä\n\udcff"


@pytest.mark.parametrize("format", ["text", "auto", "json"])
def test_an_event_is_one_line_whatever_its_text(format: str) -> None:
    assert (
        len(lines(format, lambda: log.info("a\nb\r\x1b[31m\u2028%s", "\udcff\n", extra={"x": "1\n2"}))) == 1
    )
    (line,) = lines("text", lambda: log.info("a\nb\x1b", extra={"x": "1\n2"}))
    assert line.endswith(r'a\nb\x1b x="1\n2"')


@pytest.mark.parametrize(
    "error",
    [
        NoSuchEntry("no such model", path="/x"),
        MalformedSource("the header is cut off", path="/x"),
        OSError(errno.ENOSPC, "No space left on device", "/x"),
    ],
)
def test_a_mistake_brings_no_traceback(error: Exception) -> None:
    for format in ("text", "json"):
        (line,) = lines(format, lambda: fail(error))
        assert f"reading x: {error}" in line
        assert "raceback" not in line
    (line,) = lines("text", lambda: log.error("%s", error, exc_info=error))
    assert line.count(str(error)) == 1


def test_a_bug_brings_its_traceback() -> None:
    text = lines("text", lambda: fail(ZeroDivisionError("by zero")))
    assert text[0].endswith("ERROR reading x")
    assert text[1] == "Traceback (most recent call last):"
    assert text[-1] == "ZeroDivisionError: by zero"
    (line,) = lines("json", lambda: fail(ZeroDivisionError("by zero")))
    assert json.loads(line)["traceback"].splitlines() == text[1:]


def test_levels() -> None:
    def act() -> None:
        for level in ("debug", "info", "warning", "error"):
            log.log(getattr(logging, level.upper()), level)

    for number, level in enumerate(("debug", "info", "warning", "error")):
        assert len(lines("text", act, level)) == 4 - number


def test_bound_fields_belong_to_their_context() -> None:
    def act() -> None:
        with logs.bound(request_id="a"):
            with logs.bound(job="j"):
                log.info("inner")
            thread = threading.Thread(target=lambda: log.info("thread"))
            thread.start()
            thread.join()
            log.info("outer")
        log.info("outside")

    found = {
        line["event"]: (line.get("request_id"), line.get("job"))
        for line in map(json.loads, lines("json", act))
    }
    assert found == {
        "inner": ("a", "j"), "thread": (None, None), "outer": ("a", None), "outside": (None, None),
    }  # fmt: skip


def test_tasks_side_by_side_keep_their_own() -> None:
    async def request(name: str) -> None:
        with logs.bound(request_id=name):
            await asyncio.sleep(0)
            await asyncio.to_thread(log.info, "of %s", name)

    async def both() -> None:
        await asyncio.gather(request("a"), request("b"))

    found = {
        line["event"]: line["request_id"]
        for line in map(json.loads, lines("json", lambda: asyncio.run(both())))
    }
    assert found == {"of a": "a", "of b": "b"}


def test_priorities_for_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where JOURNAL_STREAM names the stream itself; not where it was inherited by what has another."""

    def act() -> None:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            log.log(level, "event")
        fail(ZeroDivisionError())

    journal = tmp_path / "journal"
    with journal.open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        logs.set_up("debug", "auto", stream)
        act()
    written = journal.read_text().splitlines()
    assert written[:6] == ["<7>event", "<6>event", "<4>event", "<3>event", "<2>event", "<3>reading x"]
    assert all(line.startswith("<3>") for line in written[6:])
    assert written[6] == "<3>Traceback (most recent call last):"
    for format, environment in (("text", f"{status.st_dev}:{status.st_ino}"), ("auto", "1:2")):
        monkeypatch.setenv("JOURNAL_STREAM", environment)
        with journal.open("w") as stream:
            logs.set_up("info", format, stream)
            log.info("event")
        assert journal.read_text().endswith(" INFO event\n")
        assert not journal.read_text().startswith("<")


def test_stderr_is_the_usual_stream_and_warnings_come_along(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "auto")
    log.info("one")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn_explicit("odd", UserWarning, "file.py", 1)
    logs.set_up("info", "json", sys.stderr)  # what was set up before ends
    log.info("two")
    first, *middle, last = capsys.readouterr().err.splitlines()
    assert first.endswith("INFO one")
    assert "odd" in "".join(middle)
    assert json.loads(last)["event"] == "two"
