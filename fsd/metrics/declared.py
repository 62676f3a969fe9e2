"""Every metric, once: its name, kind, help, labels and unit. docs/METRICS.md is made of this.

Names are as Prometheus wants them: seconds and bytes, counters end with `_total`. Knows no values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: `name` is what a query names (of a histogram without `_bucket`, `_sum`, `_count`).

    topic: the heading that it stands under in the docs.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    topic: str = ""


_MOUNT, _TYPE = ("mountpoint",), ("type",)

READ_SECONDS = Metric(
    "prismfs_read_seconds",
    "histogram",
    "How long reads took that the daemon answered; `prismfs_read_seconds_count` is how many.",
    _MOUNT,
    "seconds",
    "Readers",
)
READ_BYTES = Metric(
    "prismfs_read_bytes_total", "counter", "Bytes given to readers by the daemon.", _MOUNT, "bytes", "Readers"
)
PASSED_OPENS = Metric(
    "prismfs_passthrough_opens_total",
    "counter",
    "Opens that the kernel reads by itself; of these reads the daemon hears nothing.",
    _MOUNT,
    topic="Readers",
)
ERRORS = Metric(
    "prismfs_errors_total",
    "counter",
    "Requests that failed, by errno; names that are not there and writes are no faults and do not count.",
    ("mountpoint", "code"),
    topic="Readers",
)
MOUNT_UP = Metric(
    "prismfs_mount_up",
    "gauge",
    "1 while the mount is in the kernel's table; whether it answers is what /readyz asks.",
    _MOUNT,
    topic="Mounts and sources",
)
MODELS = Metric(
    "prismfs_models_known",
    "gauge",
    "Models that were looked up or listed so far.",
    _MOUNT,
    topic="Mounts and sources",
)
SOURCE_CHANGES = Metric(
    "prismfs_source_changes_total",
    "counter",
    "Models of the source that appeared, changed or vanished.",
    ("change",),
    topic="Mounts and sources",
)
HITS = Metric(
    "prismfs_chunk_hits_total", "counter", "Chunks that reads found in the store.", topic="Translation"
)
WAITS = Metric(
    "prismfs_chunk_waits_total",
    "counter",
    "Chunks that reads found on their way, and waited for.",
    topic="Translation",
)
MISSES = Metric(
    "prismfs_chunk_misses_total",
    "counter",
    "Chunks translated for a reader that waited, by the end of its translation.",
    topic="Translation",
)
AHEAD = Metric(
    "prismfs_chunks_ahead_total", "counter", "Chunks translated before anyone waited.", topic="Translation"
)
CALLED_OFF = Metric(
    "prismfs_chunks_called_off_total",
    "counter",
    "Chunks that were queued, and that nobody wanted any more.",
    topic="Translation",
)
FAILED = Metric(
    "prismfs_chunk_failures_total", "counter", "Chunks whose translation failed.", topic="Translation"
)
QUEUE = Metric("prismfs_chunks_queued", "gauge", "Chunks that wait for a worker.", topic="Translation")
UNDER_WAY = Metric(
    "prismfs_chunks_under_way",
    "gauge",
    "Chunks that are translated, or on their way to the store.",
    topic="Translation",
)
ENGINE_SECONDS = Metric(
    "prismfs_engine_seconds_total",
    "counter",
    "Seconds spent translating, summed over the workers.",
    (),
    "seconds",
    "Translation",
)
TARGET_SECONDS = Metric(
    "prismfs_translation_seconds_total",
    "counter",
    "Seconds spent translating, by the type that it was translated to.",
    _TYPE,
    "seconds",
    "Translation",
)
TARGET_BYTES = Metric(
    "prismfs_translation_bytes_total",
    "counter",
    "Bytes translated, by the type that they were translated to.",
    _TYPE,
    "bytes",
    "Translation",
)
SERVED_BYTES = Metric(
    "prismfs_virtual_bytes_total",
    "counter",
    "Bytes of virtual files given to readers.",
    (),
    "bytes",
    "Translation",
)
SOURCE_BYTES = Metric(
    "prismfs_source_bytes_total",
    "counter",
    "Bytes read from sources to make virtual files.",
    (),
    "bytes",
    "Translation",
)
AMPLIFICATION = Metric(
    "prismfs_read_amplification_ratio",
    "gauge",
    "Source bytes read for each byte of a virtual file that was given to a reader, since the start.",
    topic="Translation",
)
SPARES = Metric(
    "prismfs_spare_workers_total",
    "counter",
    "Workers started in the place of some that a source kept waiting.",
    topic="Translation",
)
MEMORY_BYTES = Metric(
    "prismfs_memory_bytes", "gauge", "Translated bytes that are held in memory.", (), "bytes", "Store"
)
MEMORY_LIMIT = Metric("prismfs_memory_limit_bytes", "gauge", "The limit of these.", (), "bytes", "Store")
STORE_BYTES = Metric("prismfs_store_bytes", "gauge", "Disk that kept chunks take.", (), "bytes", "Store")
STORE_LIMIT = Metric("prismfs_store_limit_bytes", "gauge", "The limit of these.", (), "bytes", "Store")
STORE_FILES = Metric(
    "prismfs_store_files",
    "gauge",
    "Files of which chunks are kept: all, those that are pinned, those that readers have on loan.",
    ("state",),
    topic="Store",
)
STORE_CHUNKS = Metric(
    "prismfs_store_chunks_total",
    "counter",
    "Chunks read from disk, written to it, evicted for others, found damaged, or refused for want of room.",
    ("event",),
    topic="Store",
)
JOBS = Metric(
    "prismfs_jobs", "gauge", "Jobs that are known, by kind and state.", ("kind", "state"), topic="Jobs"
)
PLANNERS = Metric(
    "prismfs_planning_processes_total", "counter", "Planning processes that were started.", topic="Planning"
)
PLAN_FAILURES = Metric(
    "prismfs_planning_failures",
    "gauge",
    "Models and forms that lately could not be planned, by the class of the error.",
    ("error",),
    topic="Planning",
)
BUILD = Metric(
    "prismfs_build_info",
    "gauge",
    "Always 1; what runs is in the labels.",
    ("version", "adapter", "kernels"),
    topic="Process",
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

# Of the client library's own collector, for this process alone.
PROCESS: tuple[Metric, ...] = (
    Metric("process_cpu_seconds_total", "counter", "Processor time of the daemon.", (), "seconds"),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory.", (), "bytes"),
    Metric("process_virtual_memory_bytes", "gauge", "Virtual memory.", (), "bytes"),
    Metric("process_start_time_seconds", "gauge", "When the process began, in Unix time.", (), "seconds"),
    Metric("process_open_fds", "gauge", "Open descriptors."),
    Metric("process_max_fds", "gauge", "The limit of these."),
)
