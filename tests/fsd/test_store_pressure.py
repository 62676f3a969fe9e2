"""The store against a working set of eight times its disk: small; `make store-pressure` is the full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.heavy import store_pressure


def test_limit_disk_and_inodes_under_pressure(tmp_path: Path) -> None:
    told: list[str] = []
    try:
        problems = store_pressure.run(tmp_path, disk=32, working_set=256, rounds=1, tell=told.append)
    except store_pressure.CannotMount as error:
        pytest.skip(f"STORE UNDER PRESSURE NOT TESTED: {error}")
    assert not problems, "\n".join(told)
