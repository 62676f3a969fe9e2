"""The values of the metrics, from live objects, at the moment that somebody asks.

Nothing is asked of a mount or a source: what hangs cannot make a scrape hang. Counters are those of the
parts themselves, which start at zero with the daemon. Knows the parts' figures; not how they come about.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from fsd.engine import Engine
from fsd.metrics import declared as d
from fsd.mount import points
from fsd.mount.adapters import Adapter
from fsd.mount.observed import BOUNDS, Reads
from fsd.planner import Planner

_STORE = {
    d.MEMORY_BYTES: "memory_bytes",
    d.MEMORY_LIMIT: "memory_limit",
    d.STORE_BYTES: "disk_bytes",
    d.STORE_LIMIT: "disk_limit",
}
_FILES = {"all": "disk_files", "pinned": "disk_files_pinned", "lent": "disk_files_lent"}
_EVENTS = ("reads", "written", "evicted", "damaged", "refused")
CHANGES = ("appeared", "changed", "vanished")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount: where, what answers the kernel there, and how many models are known."""

    mountpoint: Path
    adapter: Adapter
    models: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Translated:
    """What was translated to one type: seconds, and bytes."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the values come from. What is a function is called for each scrape, and must not wait.

    build: the labels of the build.    by_type: what was translated so far, by GGUF or other type.
    changes: models of the sources so far, by CHANGES.    jobs: kind and state of each that is known.
    """

    engine: Engine
    planner: Planner
    mounts: Sequence[Mount]
    build: Mapping[str, str]
    by_type: Callable[[], Mapping[str, Translated]] = field(default=lambda: {})
    changes: Callable[[], Mapping[str, int]] = field(default=lambda: {})
    jobs: Callable[[], Iterable[tuple[str, str]]] = field(default=lambda: ())


class Noted:
    """How many models of sources appeared, changed and vanished. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(CHANGES, 0)

    def note(self, *, appeared: int, changed: int, vanished: int) -> None:
        """So many more."""
        with self._lock:
            for change, count in zip(CHANGES, (appeared, changed, vanished), strict=True):
                self._counts[change] += count

    def counts(self) -> dict[str, int]:
        """Since the start, by CHANGES."""
        with self._lock:
            return dict(self._counts)


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a metric, for the values of its labels, in their order."""

    metric: d.Metric
    value: float | Reads
    labels: tuple[str, ...] = ()


def registry(sources: Sources) -> CollectorRegistry:
    """A registry of its own for `sources`, and for this process."""
    own = CollectorRegistry(auto_describe=False)
    own.register(_Live(sources))
    ProcessCollector(registry=own)
    return own


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[bytes, str]:
    """All values now, and their content type, as who sent the header `accept` reads it."""
    encoder, content_type = choose_encoder(accept)
    return bytes(encoder(registry)), content_type


def sentence(sources: Sources) -> str:
    """The daemon in a line, for a person."""
    counters, store = sources.engine.counters(), sources.engine.store.figures()
    reads = [mount.adapter.observed.reads() for mount in sources.mounts]
    served = sum(read.bytes for read in reads) / (1 << 30)
    kept = store.get("disk_bytes", store.get("memory_bytes", 0)) / (1 << 30)
    failed = sum(sum(mount.adapter.observed.errors().values()) for mount in sources.mounts)
    return (
        f"{len(sources.mounts)} mount{'s' if len(sources.mounts) != 1 else ''};"
        f" reads: {sum(read.count for read in reads)}, {served:.2f} GiB;"
        f" chunks translated: {counters.translated}; kept: {kept:.2f} GiB; errors: {failed}"
    )


def samples(sources: Sources) -> Iterator[Sample]:
    """Every value, in no order."""
    yield Sample(d.BUILD, 1, tuple(sources.build.get(label, "") for label in d.BUILD.labels))
    yield from _mounts(sources.mounts)
    yield from _engine(sources)
    yield from _store(sources.engine.store.figures())
    changes = sources.changes()
    yield from (Sample(d.SOURCE_CHANGES, changes.get(change, 0), (change,)) for change in CHANGES)
    yield from (Sample(d.JOBS, count, labels) for labels, count in Counter(sources.jobs()).items())
    yield Sample(d.PLANNERS, sources.planner.started)
    failures = Counter(failure.kind for failure in sources.planner.failures())
    yield from (Sample(d.PLAN_FAILURES, count, (kind,)) for kind, count in failures.items())


class _Live(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Family]:
        """Every declared metric, also one that has no value yet."""
        by_metric: dict[d.Metric, list[Sample]] = {metric: [] for metric in d.METRICS}
        for sample in samples(self._sources):
            by_metric[sample.metric].append(sample)
        for metric, own in by_metric.items():
            yield _family(metric, own)

    def describe(self) -> Iterator[Family]:
        """The same, without values."""
        return (_family(metric, []) for metric in d.METRICS)


def _family(metric: d.Metric, own: Sequence[Sample]) -> Family:
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    if metric.kind == "histogram":
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    elif metric.kind == "counter":
        family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for sample in own:
        if isinstance(family, HistogramMetricFamily):
            assert isinstance(sample.value, Reads)
            bounds = [*map(str, BOUNDS), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(sample.value.buckets)), strict=True))
            family.add_metric(sample.labels, buckets=buckets, sum_value=sample.value.seconds)
        else:
            assert not isinstance(sample.value, Reads)
            family.add_metric(sample.labels, sample.value)
    return family


def _mounts(mounts: Sequence[Mount]) -> Iterator[Sample]:
    table = {mount.point for mount in points.mounts() if mount.is_ours}
    for mount in mounts:
        here = (shown(mount.mountpoint),)
        observed, reads = mount.adapter.observed, mount.adapter.observed.reads()
        passed = mount.adapter.counters().get("passthrough_opens", 0)
        yield Sample(d.MOUNT_UP, bytes(mount.mountpoint) in table, here)
        yield Sample(d.MODELS, mount.models(), here)
        yield Sample(d.READ_SECONDS, reads, here)
        yield Sample(d.READ_BYTES, reads.bytes, here)
        yield Sample(d.PASSED_OPENS, passed if isinstance(passed, int) else 0, here)
        yield from (Sample(d.ERRORS, count, (*here, code)) for code, count in observed.errors().items())


def _engine(sources: Sources) -> Iterator[Sample]:
    counters = sources.engine.counters()
    queued, under_way = sources.engine.pending()
    yield Sample(d.HITS, counters.hits)
    yield Sample(d.WAITS, counters.waits)
    yield Sample(d.MISSES, counters.translated - counters.ahead)
    yield Sample(d.AHEAD, counters.ahead)
    yield Sample(d.CALLED_OFF, counters.called_off)
    yield Sample(d.FAILED, counters.errors)
    yield Sample(d.QUEUE, queued)
    yield Sample(d.UNDER_WAY, under_way)
    yield Sample(d.ENGINE_SECONDS, counters.seconds)
    yield Sample(d.SERVED_BYTES, counters.bytes_served)
    yield Sample(d.SOURCE_BYTES, counters.source_bytes)
    yield Sample(d.AMPLIFICATION, counters.source_bytes / max(1, counters.bytes_served))
    yield Sample(d.SPARES, counters.spares)
    for kind, translated in sources.by_type().items():
        yield Sample(d.TARGET_SECONDS, translated.seconds, (kind,))
        yield Sample(d.TARGET_BYTES, translated.bytes, (kind,))


def _store(figures: Mapping[str, int]) -> Iterator[Sample]:
    """Of a daemon without a store on disk only what is in memory."""
    yield from (Sample(metric, figures[name]) for metric, name in _STORE.items() if name in figures)
    yield from (
        Sample(d.STORE_FILES, figures[name], (state,)) for state, name in _FILES.items() if name in figures
    )
    for event in _EVENTS:
        if f"disk_{event}" in figures:
            yield Sample(d.STORE_CHUNKS, figures[f"disk_{event}"], (event,))


def shown(mountpoint: Path) -> str:
    """A label's value: text, whatever bytes the path has."""
    return bytes(mountpoint).decode("utf-8", "backslashreplace")
