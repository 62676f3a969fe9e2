"""The API is as its OpenAPI document says: schemathesis against a real daemon, examples, the reference."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from fsd.api import reference
from tests.fsd.api_client import on_socket
from tests.fsd.mounting import ROOT, environment
from tests.fsd.served_api import MODEL, Api, daemon_with_api

DOCUMENT = reference.document()
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
REAL = {"name": MODEL, "path": f"{MODEL}/config.json"}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with daemon_with_api() as api:
        yield api


# A stream of events has no end to wait for; `test_api` has it.
CHECKS = schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))
described = schemathesis.openapi.from_dict(DOCUMENT, config=CHECKS).exclude(operation_id="stream_events")


@described.parametrize()
@settings(
    max_examples=6, deadline=None, derandomize=True, database=None,
    phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_request_gets_an_answer_that_is_not_documented(case: Any, api: Api) -> None:
    case.call_and_validate(base_url=api.address, headers=api.headers, timeout=60)


def test_the_daemon_serves_this_document(api: Api) -> None:
    with on_socket(api.socket) as client:
        assert client.get("/openapi.json").json() == DOCUMENT


def test_what_is_there_is_answered_as_documented(api: Api) -> None:
    """Requests at random rarely name what exists; these do."""
    with on_socket(api.socket) as client:
        for path, method, operation in OPERATIONS.values():
            if method != "get" or operation["operationId"] in ("stream_events", "get_metrics", "get_job"):
                continue
            names = {parameter["name"] for parameter in operation.get("parameters", [])} & REAL.keys()
            query = {name: REAL[name] for name in names if f"{{{name}}}" not in path}
            response = client.get(path.format(name=MODEL), params=query)
            assert response.status_code == 200, (path, response.text)
            conforms(response.json(), operation, "200")


def test_a_job_runs_to_its_end(api: Api) -> None:
    with on_socket(api.socket) as client:
        file = f"{MODEL}/model.gguf-q8_0"
        asked = {"kind": "export", "paths": [file], "to": "q8_0.gguf"}
        started = client.post("/v1/jobs", json=asked)
        conforms(started.json(), OPERATIONS["start_job"][2], "202")
        with client.stream("GET", "/v1/events") as events:
            ended = f'"id":"{started.json()["id"]}","kind":"export","state":"done"'
            assert any(ended in line for line in events.iter_lines())
        job = client.get(started.headers["location"]).json()
        conforms(job, OPERATIONS["get_job"][2], "200")
        assert (job["state"], job["done"]) == ("done", job["total"])
        again = client.post("/v1/jobs", json=asked)
        conforms(again.json(), OPERATIONS["start_job"][2], "403")
        for asked_of in ("pin", "unpin", "evict"):
            response = client.post(f"/v1/{asked_of}", json={"path": file})
            conforms(response.json(), OPERATIONS[asked_of][2], "200")


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "/etc/passwd", "/", f"{MODEL}/../../etc/passwd", f"{MODEL}/../{MODEL}/config.json",
     f"/mnt/../{MODEL}", ".", "./.", f"{MODEL}/./config.json/..", "~", f"{MODEL}//../x"],
)  # fmt: skip
def test_no_path_leads_out_of_the_mounts(api: Api, path: str) -> None:
    with on_socket(api.socket) as client:
        answers = [
            client.get("/v1/files", params={"path": path}),
            client.get(f"/v1/models/{path.replace('/', '%2F').replace('.', '%2E')}/files"),
            *(client.post(f"/v1/{asked}", json={"path": path}) for asked in ("pin", "unpin", "evict")),
            client.post("/v1/jobs", json={"kind": "warm", "paths": [path]}),
            client.post("/v1/jobs", json={"kind": "verify", "paths": [path]}),
            client.post("/v1/jobs", json={"kind": "export", "paths": [path], "to": "x"}),
        ]
        assert {answer.json()["kind"] for answer in answers} <= {"NoSuchEntry", "NoSuchRoute"}
        assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize("to", ["../x", "/etc/x", "a/../../x", "..", "/"])
def test_no_export_leads_out_of_its_directory(api: Api, to: str) -> None:
    with on_socket(api.socket) as client:
        asked = {"kind": "export", "paths": [f"{MODEL}/config.json"], "to": to}
        answer = client.post("/v1/jobs", json=asked)
        conforms(answer.json(), OPERATIONS["start_job"][2], "403")
        assert (answer.status_code, answer.json()["kind"]) == (403, "ExportRefused")


# The document itself.


def conforms(value: object, operation: dict[str, Any], status: str) -> None:
    """Raise unless `value` is what `operation` answers with `status`."""
    (content,) = operation["responses"][status]["content"].values()
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_described_with_an_example(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    (status, success), *failures = operation["responses"].items()
    assert status[0] == "2"
    (content,) = success["content"].values()
    conforms(content["example"], operation, status)
    for status, failure in failures:
        assert int(status) >= 400
        assert failure["description"]
        assert set(failure["content"]) == {"application/problem+json"}


def test_operation_ids_are_stable() -> None:
    """Clients are generated from these: none may change."""
    assert set(OPERATIONS) == {
        "get_health", "get_readiness", "get_metrics", "get_status", "list_mounts", "list_models",
        "list_files", "get_file", "get_cache", "list_options", "pin", "unpin", "evict", "clear_cache",
        "rescan", "list_jobs", "start_job", "get_job", "cancel_job", "stream_events",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [("API.md", reference.page), ("openapi.json", reference.schema)])
def test_the_committed_reference_is_current(name: str, text: Any) -> None:
    path = Path(ROOT, "docs", name)
    assert path.read_text(encoding="utf-8") == text(), f"docs/{name} is stale: run make docs"


def test_only_a_daemon_imports_the_framework(tmp_path: Path) -> None:
    code = (
        "import sys, fsd.api, fsd.daemon, fsd.cli.ls, fsd.cli.mount\n"
        "print(*({'fastapi', 'uvicorn', 'starlette', 'pydantic'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=True)
    assert done.stdout.strip() == ""
