"""Metrics: each declared one is told, in a form that Prometheus reads, of real reads by both adapters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from fsd import metrics
from fsd.engine import Engine, MemoryStore
from fsd.metrics.declared import METRICS, PROCESS
from fsd.mount.observed import BOUNDS, Observed
from fsd.planner import Planner
from fsd.store import DiskStore, Tiered
from tests.fsd.mounting import ADAPTERS, ROOT, counters, fake_daemon, running

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
HERE = Path("/mnt/models")


class Silent:
    """An adapter that has served nothing but what a test notes."""

    name = "kernel"

    def __init__(self) -> None:
        self.observed = Observed()

    def serve(self, mountpoint: str, *, allow_other: bool, on_ready: Callable[[], None]) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def counters(self) -> dict[str, object]:
        return {"passthrough_opens": 3}


@pytest.fixture
def adapter() -> Silent:
    return Silent()


@pytest.fixture
def sources(tmp_path: Path, adapter: Silent) -> Iterator[metrics.Sources]:
    disk = DiskStore(tmp_path / "store", 1 << 30, 1 << 20)
    engine = Engine(Tiered(MemoryStore(1 << 20), disk), 1)
    planner = Planner(None, seconds=1, memory=1 << 30)
    noted = metrics.Noted()
    noted.note(appeared=2, changed=0, vanished=0)
    yield metrics.Sources(
        engine=engine,
        planner=planner,
        mounts=[metrics.Mount(HERE, adapter, lambda: 7)],
        build={"version": "1", "adapter": "kernel", "kernels": "some"},
        by_type=lambda: {"q4_k_m": metrics.Translated(2.0, 4096)},
        changes=noted.counts,
        jobs=lambda: [("warm", "done"), ("warm", "done"), ("verify", "running")],
    )
    engine.close()
    planner.close()
    disk.close()


def values(sources: metrics.Sources) -> Values:
    body, content_type = metrics.exposition(metrics.registry(sources))
    assert content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in plain(body.decode())
        for sample in family.samples
    }


def value(found: Values, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_every_declared_metric_is_told_and_no_other(sources: metrics.Sources, adapter: Silent) -> None:
    adapter.observed.failed("EIO")
    planner = sources.planner
    assert planner.failures() == []
    told = {family.name for family in metrics.registry(sources).collect()}
    assert told == {name.removesuffix("_total") for name in names()}
    samples = {name.removesuffix("_bucket") for name, _ in values(sources)}
    # What has no value before something failed.
    assert {metric.name for metric in METRICS} - samples == {"prismfs_planning_failures"}


def names() -> set[str]:
    return {metric.name for metric in (*METRICS, *PROCESS)}


def test_values_are_those_of_the_parts(sources: metrics.Sources, adapter: Silent) -> None:
    for seconds, count in ((0.00001, 4096), (0.003, 1 << 20), (90.0, 1)):
        adapter.observed.read(seconds, count)
    adapter.observed.failed("EIO")
    adapter.observed.failed("EIO")
    found = values(sources)
    here = str(HERE)
    assert value(found, "prismfs_read_seconds_count", mountpoint=here) == 3
    assert value(found, "prismfs_read_seconds_bucket", mountpoint=here, le="5e-05") == 1
    assert value(found, "prismfs_read_seconds_bucket", mountpoint=here, le="0.005") == 2
    assert value(found, "prismfs_read_seconds_bucket", mountpoint=here, le="60.0") == 2
    assert value(found, "prismfs_read_seconds_bucket", mountpoint=here, le="+Inf") == 3
    assert value(found, "prismfs_read_seconds_sum", mountpoint=here) == pytest.approx(90.00301)
    assert value(found, "prismfs_read_bytes_total", mountpoint=here) == 4096 + (1 << 20) + 1
    assert value(found, "prismfs_errors_total", mountpoint=here, code="EIO") == 2
    assert value(found, "prismfs_mount_up", mountpoint=here) == 0
    assert value(found, "prismfs_models_known", mountpoint=here) == 7
    assert value(found, "prismfs_passthrough_opens_total", mountpoint=here) == 3
    assert value(found, "prismfs_translation_bytes_total", type="q4_k_m") == 4096
    assert value(found, "prismfs_source_changes_total", change="appeared") == 2
    assert value(found, "prismfs_source_changes_total", change="vanished") == 0
    assert value(found, "prismfs_jobs", kind="warm", state="done") == 2
    assert value(found, "prismfs_store_limit_bytes") == 1 << 30
    assert value(found, "prismfs_build_info", version="1", adapter="kernel", kernels="some") == 1


def test_who_asks_for_openmetrics_gets_it(sources: metrics.Sources) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    body, content_type = metrics.exposition(metrics.registry(sources), accept)
    assert content_type.startswith("application/openmetrics-text")
    assert {family.name for family in open_metrics(body.decode())} >= {"prismfs_read_seconds"}


def test_a_daemon_without_a_store_on_disk_tells_of_none(sources: metrics.Sources) -> None:
    engine = Engine(MemoryStore(1 << 20), 1)
    try:
        found = values(replace(sources, engine=engine))
    finally:
        engine.close()
    assert ("prismfs_store_bytes", frozenset()) not in found
    assert value(found, "prismfs_memory_limit_bytes") == 1 << 20


def test_nothing_is_registered_for_the_process_at_large(sources: metrics.Sources) -> None:
    before = {family.name for family in prometheus_client.REGISTRY.collect()}
    metrics.registry(sources)
    metrics.registry(sources)  # and again: they know nothing of each other
    assert {family.name for family in prometheus_client.REGISTRY.collect()} == before
    assert not [name for name in before if name.startswith("prismfs")]


def test_names_follow_the_rules_of_prometheus() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"prismfs_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not metric.unit or metric.unit in metric.name
        assert metric.help.endswith(".")
        # What a label's values are counted by: mounts, types, codes, kinds. Never names of files or models.
        assert not {"file", "model", "path", "name", "job"} & set(metric.labels)


def test_a_read_falls_into_the_bucket_that_holds_it() -> None:
    observed = Observed()
    for bound in BOUNDS:
        observed.read(bound, 1)
    observed.read(BOUNDS[-1] + 1, 1)
    assert observed.reads().buckets == (1,) * (len(BOUNDS) + 1)


def test_the_line_for_people(sources: metrics.Sources, adapter: Silent) -> None:
    adapter.observed.read(0.1, 3 << 29)
    said = metrics.sentence(sources)
    assert said == "1 mount; reads: 1, 1.50 GiB; chunks translated: 0; kept: 0.00 GiB; errors: 0"


def test_the_dashboard_shows_what_is_declared() -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    used = {name for text in expressions for name in re.findall(r"\b(?:prismfs|process)_\w+", text)}
    histograms = {metric.name for metric in METRICS if metric.kind == "histogram"}
    parts = {f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")}
    assert used <= names() | parts
    shown = {name for metric in METRICS for name in used if name.startswith(metric.name)}
    assert names() - histograms - shown <= {metric.name for metric in PROCESS}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    assert variables["datasource"] == "datasource"
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        for label in re.findall(r"{{(\w+)}}", json.dumps(panel["targets"])):
            assert label == "instance" or any(label in metric.labels for metric in METRICS)


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_reads_and_faults_of_a_mount_are_observed(fuse: str, tmp_path: Path) -> None:
    base = tmp_path.resolve()
    (base / "source").mkdir()
    (base / "source" / "plain").write_bytes(b"p" * 300_000)
    (base / "source" / "fault").write_bytes(b"f")
    command = fake_daemon(base / "source", base / "mnt", fuse)
    with running(command, base / "source", base / "mnt", base / "home") as daemon:
        before = counters(daemon)
        assert (base / "mnt" / "plain").read_bytes() == b"p" * 300_000
        for _ in range(2):  # logged once, counted each time
            with pytest.raises(OSError, match="Input/output"):
                (base / "mnt" / "fault").read_bytes()
        with pytest.raises(FileNotFoundError):
            (base / "mnt" / "nothing").read_bytes()
        after: dict[str, Any] = dict(counters(daemon))
        read = after["answered_bytes"] - before["answered_bytes"]
        assert 300_000 <= read < 300_000 + 2 * (1 << 12)  # and the counters themselves
        assert after["answered"] > before["answered"]
        assert after["seconds"] > before["seconds"]
        assert set(after["errors"]) == {"EIO"}
        assert after["errors"]["EIO"] >= 2
    assert daemon.log.count("ZeroDivisionError: a bug") == 1
