"""Freed memory is kept: buffers that come and go cost no page faults."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNT = """
import resource
from fsd.memory import keep_freed
{keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    # Filled, so that every page is touched; released from the last on, as the heap shrinks from its end.
    buffers = [bytearray(b"x") * (1 << 20) for _ in range(40)]
    while buffers:
        buffers.pop()
use()
before = faults()
for _ in range(5):
    use()
print(faults() - before)
"""


@pytest.mark.parametrize(("keep", "are_few"), [("keep_freed()", True), ("", False)])
def test_buffers_that_come_and_go(keep: str, are_few: bool) -> None:
    code = _COUNT.format(keep=keep)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pages = 5 * 40 * 256
    assert (int(done.stdout) < pages // 20) is are_few
