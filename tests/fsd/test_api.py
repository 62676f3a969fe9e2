"""The API over its Unix socket: what each path asks of Control, and how each fault is told."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fsd import errors
from fsd.api import events, examples
from fsd.errors import FAULTS, hint_of, status_of
from tests.fsd.api_client import METRICS, FakeControl, offered, on_socket, short_directory
from tests.fsd.mounting import until
from translators import errors as translation

PATH = "SmolLM2/model.gguf-q4_k_m"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[FakeControl, Path]]:
    control = FakeControl()
    with short_directory() as directory, offered(control, api_socket=str(directory / "s")) as offer:
        assert offer.socket == directory / "s"
        yield control, directory / "s"


@pytest.fixture
def control(running: tuple[FakeControl, Path]) -> FakeControl:
    running[0].forget()
    return running[0]


@pytest.fixture
def socket(running: tuple[FakeControl, Path]) -> Path:
    return running[1]


@pytest.fixture
def client(socket: Path) -> Iterator[httpx.Client]:
    with on_socket(socket) as client:
        yield client


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, object]:
    """The problem document of a response, which has to be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = dict(response.json())
    assert set(document) == {"type", "title", "status", "detail", "kind", "path", "place", "hint"}
    assert (document["status"], document["kind"]) == (status, kind)
    assert str(document["type"]).startswith("urn:prismfs:problem:")
    assert document["title"]
    assert document["hint"]
    return document


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/mounts", ("mounts",)),
        ("/v1/models", ("models", None)),
        ("/v1/models?mountpoint=/mnt/models", ("models", "/mnt/models")),
        ("/v1/models/SmolLM2/files", ("files", "SmolLM2", None, False)),
        ("/v1/models/org/name/files?all=true", ("files", "org/name", None, True)),
        ("/v1/models/org%2Fname/files?mountpoint=/m", ("files", "org/name", "/m", False)),
        ("/v1/models/a%20b%C3%A9/files", ("files", "a bé", None, False)),
        ("/v1/models/files/files", ("files", "files", None, False)),
        ("/v1/files?path=/mnt/models/SmolLM2/config.json", ("file", "/mnt/models/SmolLM2/config.json")),
        ("/v1/cache", ("cache",)),
        ("/v1/config", ("options",)),
    ],
)
def test_what_is_asked(client: httpx.Client, control: FakeControl, path: str, asked: tuple[object]) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert control.asked == [asked]


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("/v1/pin", {"path": PATH}, ("pin", PATH, True)),
        ("/v1/unpin", {"path": PATH}, ("pin", PATH, False)),
        ("/v1/evict", {"path": PATH}, ("evict", PATH)),
        ("/v1/cache/clear", {}, ("cache_clear", False)),
        ("/v1/cache/clear", {"pinned": True}, ("cache_clear", True)),
        ("/v1/rescan", None, ("rescan",)),
    ],
)
def test_what_is_told(
    client: httpx.Client, control: FakeControl, path: str, body: object, asked: tuple[object]
) -> None:
    assert client.post(path, json=body).status_code == 200
    assert control.asked == [asked]


def test_answers_are_the_reports(client: httpx.Client) -> None:
    assert client.get("/v1/status").json()["mounts"][0]["mountpoint"] == "/mnt/models"
    files = client.get("/v1/models/SmolLM2/files").json()
    assert files["files"][0]["cost"] == {"cpu_seconds": 0.0, "source_bytes": 0, "cache_bytes": 0}
    assert files["refusals"][0]["reason"] == examples.FILES.refusals[0].reason


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"kind": "warm", "paths": [PATH]}, ("warm", [PATH])),
        ({"kind": "verify", "paths": [PATH, "x"]}, ("verify", [PATH, "x"], 1.0)),
        ({"kind": "verify", "paths": [PATH], "sample": 0.25}, ("verify", [PATH], 0.25)),
        ({"kind": "export", "paths": [PATH], "to": "out"}, ("export", PATH, "out", False)),
    ],
)
def test_a_job_is_started(
    client: httpx.Client, control: FakeControl, body: object, asked: tuple[object]
) -> None:
    response = client.post("/v1/jobs", json=body)
    assert response.status_code == 202
    assert response.headers["location"] == "/v1/jobs/1"
    assert response.json()["state"] == "queued"
    assert control.asked == [asked]
    assert client.get("/v1/jobs/1").json() == response.json()
    assert client.get("/v1/jobs").json() == [response.json()]
    assert client.delete("/v1/jobs/1").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "warm"},
        {"kind": "warm", "paths": []},
        {"kind": "warm", "paths": "x"},
        {"kind": "warm", "paths": [""]},
        {"kind": "warm", "paths": ["a\0b"]},
        {"kind": "warm", "paths": ["\ud800"]},
        {"kind": "warm", "paths": [PATH], "to": "x"},
        {"kind": "warm", "paths": ["x"] * 1001},
        {"kind": "verify", "paths": [PATH], "sample": 0},
        {"kind": "verify", "paths": [PATH], "sample": 2},
        {"kind": "export", "paths": [PATH]},
        {"kind": "export", "paths": [PATH, "x"], "to": "y"},
        {"kind": "format", "paths": [PATH]},
        [],
        None,
    ],
)
def test_a_body_that_is_wrong(client: httpx.Client, control: FakeControl, body: object) -> None:
    response = client.post("/v1/jobs", content=json.dumps(body), headers={"content-type": "application/json"})
    problem(response, 422, "InvalidRequest")
    assert control.asked == []


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[" * 60000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"path": "x"}', "text/plain", 422),
        (b"path=x", "application/x-www-form-urlencoded", 422),
        (b"", "application/json", 422),
    ],
)
def test_a_body_that_is_no_json(
    client: httpx.Client, control: FakeControl, content: bytes, media_type: str, status: int
) -> None:
    response = client.post("/v1/pin", content=content, headers={"content-type": media_type})
    problem(response, status, "BadRequest" if status == 400 else "InvalidRequest")
    assert control.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files",
        "/v1/files?path=",
        "/v1/files?path=a%00b",
        "/v1/files?path=" + "x" * 5000,
        "/v1/models/x/files?all=perhaps",
        "/v1/models/a%00b/files",
        "/v1/jobs/not%20an%20id",
    ],
)
def test_a_parameter_that_is_wrong(client: httpx.Client, control: FakeControl, path: str) -> None:
    problem(client.get(path), 422, "InvalidRequest")
    assert control.asked == []


def faults() -> list[BaseException]:
    ours = [kind for kind in FAULTS if issubclass(kind, errors.PrismError | translation.TranslationError)]
    told = [kind("it is so", path="/m/a", place="byte 8") for kind in ours]
    return [*told, PermissionError(13, "Permission denied", "/m/a"), MemoryError(), OSError(5, "I/O error")]


@pytest.mark.parametrize("failure", faults(), ids=lambda failure: type(failure).__name__)
def test_every_fault_of_the_table_is_told_alike(
    client: httpx.Client, control: FakeControl, failure: BaseException
) -> None:
    control.failure = failure
    for response in (
        client.get("/v1/files", params={"path": PATH}),
        client.post("/v1/jobs", json={"kind": "warm", "paths": [PATH]}),
    ):
        document = problem(response, status_of(failure), type(failure).__name__)
        assert document["hint"] == hint_of(failure)
        if isinstance(failure, errors.PrismError):
            assert (document["detail"], document["path"], document["place"]) == ("it is so", "/m/a", "byte 8")
        if isinstance(failure, PermissionError):
            assert (document["detail"], document["path"]) == ("Permission denied", "/m/a")


def test_a_bug_is_told_without_its_insides(
    client: httpx.Client, control: FakeControl, caplog: pytest.LogCaptureFixture
) -> None:
    control.failure = ZeroDivisionError("secret")
    response = client.get("/v1/files", params={"path": PATH}, headers={"X-Request-Id": "mine-1"})
    problem(response, 500, "InternalError")
    assert "secret" not in response.text
    assert response.headers["x-request-id"] == "mine-1"
    assert [record for record in caplog.records if record.exc_info and record.levelname == "ERROR"]


def test_a_name_that_is_no_text_can_be_told(client: httpx.Client, control: FakeControl) -> None:
    control.failure = errors.NoSuchEntry("nothing", path=os.fsdecode(b"/m/\xff"))
    assert problem(client.get("/v1/files?path=x"), 404, "NoSuchEntry")["path"] == "/m/\\udcff"


def test_what_is_not_there(client: httpx.Client) -> None:
    problem(client.get("/v1/nothing"), 404, "NoSuchRoute")
    problem(client.get("/docs"), 404, "NoSuchRoute")
    problem(client.get("/redoc"), 404, "NoSuchRoute")
    problem(client.get("/v1/jobs/7"), 404, "NoSuchEntry")
    problem(client.delete("/v1/jobs/7"), 404, "NoSuchEntry")
    response = client.put("/v1/jobs")
    problem(response, 405, "NoSuchMethod")
    assert response.headers["allow"] == "GET, POST"
    assert client.options("/v1/jobs/7").headers["allow"] == "DELETE, GET"


def test_probes(client: httpx.Client, control: FakeControl) -> None:
    assert client.get("/healthz").json()["alive"] is True
    assert client.get("/readyz").json() == {"ready": True}
    metrics = client.get("/metrics")
    assert (metrics.content, metrics.headers["content-type"]) == METRICS
    control.answers = False
    problem(client.get("/readyz"), 503, "NotReady")
    assert client.get("/healthz").status_code == 200


def test_probes_answer_while_every_worker_waits(socket: Path, control: FakeControl) -> None:
    control.gate.clear()
    with on_socket(socket) as client:
        asking = [threading.Thread(target=client.get, args=("/v1/cache",)) for _ in range(20)]
        for thread in asking:
            thread.start()
        until(lambda: len(control.asked) >= 8, "all workers wait")
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert len(control.asked) == 8  # and no more than there are workers
        control.gate.set()
        for thread in asking:
            thread.join(60)
    assert len(control.asked) == 20


def test_request_ids(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "a.b-C_9"}).headers["x-request-id"] == "a.b-C_9"
    made = {
        client.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"] for bad in ("", "a b")
    }
    assert len(made) == 2
    assert all(len(name) == 16 for name in made)


def test_the_openapi_document_is_served_and_kept(client: httpx.Client) -> None:
    response = client.get("/openapi.json")
    assert response.json()["openapi"].startswith("3.1")
    again = client.get("/openapi.json", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def read_events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and data of each event of a stream."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_events(client: httpx.Client, control: FakeControl) -> None:
    control.jobs.change(examples.QUEUED)
    with client.stream("GET", "/v1/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = read_events(response.iter_lines())
        assert next(seen)[1]["state"] == "queued"
        assert next(seen)[0] == "status"
        control.jobs.change(examples.JOB)
        states = []
        while "done" not in states:
            name, data = next(seen)
            if name == "job":
                states.append(data["state"])
                control.jobs.change(replace(examples.JOB, state="done", done=data["done"]))
        assert states == ["running", "done"]
        while next(seen)[0] != "status":
            pass


def test_a_client_that_reads_nothing_holds_nobody_up(
    socket: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PACE_SECONDS", 0.001)
    with on_socket(socket) as slow, on_socket(socket) as quick:
        with slow.stream("GET", "/v1/events"), quick.stream("GET", "/v1/events") as response:
            seen = read_events(response.iter_lines())
            for number in range(300):
                current = f"{number} " + "x" * 10_000
                control.jobs.change(replace(examples.JOB, done=number, current=current))
                while True:
                    name, data = next(seen)
                    if name == "job" and data["done"] == number:
                        break
        assert quick.get("/healthz").status_code == 200


def test_there_is_an_end_to_how_many_streams(
    socket: Path, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LISTENERS", 1)
    with client.stream("GET", "/v1/events") as first:
        lines = first.iter_lines()  # the response is closed with it
        next(lines)
        problem(client.get("/v1/events"), 503, "Busy")

    def left() -> bool:
        with client.stream("GET", "/v1/events") as response:
            return response.status_code == 200

    until(left, "the stream that was closed has left")


def test_the_end_comes_while_streams_are_open() -> None:
    before = threading.active_count()
    with short_directory() as directory, on_socket(directory / "s") as client, ExitStack() as streams:
        with offered(FakeControl(), api_socket=str(directory / "s")):
            response = streams.enter_context(client.stream("GET", "/v1/events"))
            lines = response.iter_lines()
            next(lines)
        assert not (directory / "s").exists()
        list(lines)  # it ends, and not with an error
    until(lambda: threading.active_count() <= before, "no thread is left")
