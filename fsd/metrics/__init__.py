"""Metrics: what a daemon did and holds, for Prometheus, counted where it happens and collected when asked.

    registry = metrics.registry(sources)                     # once a daemon
    body, content_type = metrics.exposition(registry, accept)  # for each scrape

    declared.py   every metric, once: name, kind, help, labels, unit
    collecting.py their values, from live objects
    document.py   docs/METRICS.md

Labels are of bounded number: mount points, types, kinds, states, codes; never a file's or a model's name.
Nothing runs between scrapes, and nothing is registered for the process at large.
"""

from fsd.metrics.collecting import Mount, Noted, Sources, Translated, exposition, registry, sentence
from fsd.metrics.declared import METRICS, Metric

__all__ = [
    "METRICS",
    "Metric",
    "Mount",
    "Noted",
    "Sources",
    "Translated",
    "exposition",
    "registry",
    "sentence",
]
