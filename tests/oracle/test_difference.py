"""The comparison with golden digests itself: it must notice, and say where."""

from __future__ import annotations

from typing import Any

import pytest

import translators
from tests.oracle.conftest import Planned
from tests.oracle.goldens import difference, load

_NAME, _TARGET = "gte-Qwen2-1.5B-instruct", "model.gguf-q4_k_m"


@pytest.fixture(scope="module")
def upstream(planned: Planned) -> tuple[dict[str, Any], bytes]:
    """Golden digests and a file that agrees with them."""
    plan = planned(_NAME)[_TARGET]
    assert isinstance(plan, translators.Plan)
    return load(_NAME), plan.layout().read(0, plan.size)


def test_equal_files_have_no_difference(upstream: tuple[dict[str, Any], bytes]) -> None:
    golden, data = upstream
    assert difference(golden, _TARGET, data) == ""


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b"general.architecture", b"general.architectura", 'key 0 is "general.architectura'),
        (b"token_embd.weight", b"token_embt.weight", "tensor 1 is 'token_embt.weight"),
        (b"blk.0.attn_q.bias", b"blk.0.attn_r.bias", "blk.0.attn_r.bias"),
    ],
)
def test_a_changed_header_is_named(
    upstream: tuple[dict[str, Any], bytes], before: bytes, after: bytes, says: str
) -> None:
    golden, data = upstream
    assert says in difference(golden, _TARGET, data.replace(before, after, 1))


def test_a_changed_tensor_is_named(upstream: tuple[dict[str, Any], bytes]) -> None:
    golden, data = upstream
    changed = data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]
    assert difference(golden, _TARGET, changed) == "data of 1 tensors differ: blk.0.ffn_up.weight"


def test_a_longer_file_is_noticed(upstream: tuple[dict[str, Any], bytes]) -> None:
    golden, data = upstream
    assert difference(golden, _TARGET, data + b"\0").startswith(f"size {len(data) + 1}, upstream {len(data)}")
