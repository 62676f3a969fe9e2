"""Any range of a virtual file is that part of the whole (I2), and costs little more source than it shows."""

from __future__ import annotations

import numpy as np
import pytest

import translators
from tests.oracle.conftest import Planned

RANGES = 5_000
REQUEST = 128 << 10

# Between them: permuted, cast, quantised, padded and fallback rows, shards, biases, a literal tensor.
_TARGETS = [
    ("Biased-llama-1.5b", "model.safetensors"),
    ("Biased-llama-1.5b", "model.gguf-bf16"),
    ("Biased-llama-1.5b", "model.gguf-f32"),
    ("Tiny-Llama-3-8B-Instruct-v0.2", "model.gguf-q8_0"),
    ("Qwen3-8B-Base", "model.gguf-f16"),
    ("Qwen3-8B-Base", "model.gguf-q4_k_m"),
    ("fallback-80", "model.gguf-q6_k"),
    ("fallback-288", "model.gguf-q3_k_m"),
    ("fallback-288", "model.gguf-iq4_xs"),
]


def _opened(planned: Planned, name: str, target: str) -> translators.Layout:
    plans = planned(name)
    plan = plans.get(target, plans.get("model.gguf-*"))
    assert isinstance(plan, translators.Plan), f"refused: {plan}"
    return plan.layout()


@pytest.mark.parametrize(("name", "target"), _TARGETS)
def test_any_range_is_that_part_of_the_whole(planned: Planned, name: str, target: str) -> None:
    layout = _opened(planned, name, target)
    whole = layout.read(0, layout.size)
    assert len(whole) == layout.size
    random = np.random.default_rng(seed=2)
    # Lengths from 0 to 64 KiB, most of them small; starts anywhere, and every boundary of a segment.
    lengths = (2.0 ** random.uniform(0, 16, RANGES)).astype(np.int64) - 1
    starts = random.integers(0, layout.size, RANGES)
    edges = np.cumsum([segment.length for segment in layout.segments])
    near = random.choice(edges, RANGES // 5) + random.integers(-40, 40, RANGES // 5)
    starts[: RANGES // 5] = np.clip(near, 0, layout.size)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        assert layout.read(start, length) == whole[start : start + length], (start, length)
    layout.close()


@pytest.mark.parametrize(("name", "target"), _TARGETS)
def test_a_request_reads_little_more_of_the_source_than_it_needs(
    planned: Planned, name: str, target: str
) -> None:
    """Sequential requests of 128 KiB: at most 1.25 times the tensors' own bytes are read of the sources."""
    layout = _opened(planned, name, target)
    stored = sum(source.size for source in layout.files if source.shown.endswith(".safetensors"))
    for start in range(0, layout.size, REQUEST):
        layout.read(start, REQUEST)
    assert 0.5 * stored < layout.sources.bytes_read <= 1.25 * stored
    layout.close()


def test_a_small_read_in_a_permuted_tensor_reads_rows_not_the_tensor(planned: Planned) -> None:
    """4 KiB anywhere in a file of 10 MB never costs more than 64 KiB of its source."""
    layout = _opened(planned, "Tiny-Llama-3-8B-Instruct-v0.2", "model.gguf-q8_0")
    for start in range(0, layout.size, 40_000):
        before = layout.sources.bytes_read
        layout.read(start, 4096)
        assert layout.sources.bytes_read - before <= 64 << 10, start
    layout.close()
