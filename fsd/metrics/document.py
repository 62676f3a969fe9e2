"""docs/METRICS.md, made of the declarations. Knows no values."""

from __future__ import annotations

from itertools import groupby

from fsd.metrics.declared import METRICS, PROCESS, Metric
from fsd.mount.observed import BOUNDS

_HEAD = """\
# Metrics

<!-- Made by `make docs` from fsd/metrics/declared.py: change it there. -->

`GET /metrics` of the control API (docs/API.md) answers with these, in Prometheus's text format or, to who
asks for it, in OpenMetrics. Counters begin at zero with the daemon. They are collected when they are asked
for, from figures that the parts of the daemon keep anyway; no scrape asks a mount or a source for anything,
so none can hang with one. No label holds the name of a file or of a model.

[grafana-dashboard.json](grafana-dashboard.json) shows most of them.
"""

_TAIL = f"""
## Worth knowing

- Buckets of `prismfs_read_seconds`, in seconds: {", ".join(f"{bound:g}" for bound in BOUNDS)}.
- Reads are those that come to the daemon. What the kernel has in its page cache, or reads by itself
  (passthrough), it never asks for: the bytes that programs got are more.
- Share of chunks that were there in time: `rate(prismfs_chunk_hits_total[5m])` by that and the rates of
  `prismfs_chunk_waits_total` and `prismfs_chunk_misses_total`.
- Speed of translation, in bytes a second of one worker, by type: `rate(prismfs_translation_bytes_total[5m])`
  by `rate(prismfs_translation_seconds_total[5m])`.
- Read amplification lately: `rate(prismfs_source_bytes_total[5m])` by
  `rate(prismfs_virtual_bytes_total[5m])`.
- Worth an alert: `prismfs_mount_up == 0`; `rate(prismfs_errors_total[5m]) > 0`, of EIO above all;
  `increase(prismfs_store_chunks_total{{event="damaged"}}[1h]) > 0`, a disk that fails;
  `prismfs_chunks_queued` high while `rate(prismfs_virtual_bytes_total[5m])` is zero, a source that hangs.
"""


def text() -> str:
    """The whole file."""
    parts = [_HEAD]
    for topic, metrics in groupby(METRICS, key=lambda metric: metric.topic):
        parts.append(_section(topic, list(metrics)))
    own = "Of the daemon's process alone, as every client library of Prometheus tells them.\n\n"
    parts.append(_section("The process", list(PROCESS), own))
    return "\n".join(parts) + _TAIL


def _section(topic: str, metrics: list[Metric], words: str = "") -> str:
    lines = ["| metric | kind | labels | unit | |", "|---|---|---|---|---|"]
    lines += [_row(metric) for metric in metrics]
    return f"## {topic}\n\n{words}" + "\n".join(lines) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.help} |"
