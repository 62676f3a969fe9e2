"""Translation alone: no FUSE, no engine, no store. Usage: FOLDER NAME WORKERS; prints seconds as JSON.

Freed memory is kept, as the daemon keeps it. Threads take the next MiB of the layout and fill a buffer of
their own, as often as there is one. It is what a mount cannot be faster than with as many threads.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import translators
from fsd.memory import keep_freed

_CHUNK = 1 << 20


def seconds(layout: translators.Layout, workers: int) -> float:
    """How long `workers` threads take for all of a layout."""
    offsets = iter(range(0, layout.size, _CHUNK))

    def work() -> None:
        buffer = memoryview(bytearray(_CHUNK))
        for offset in offsets:  # a range iterator's step is atomic under the GIL
            layout.read_into(offset, buffer[: min(_CHUNK, layout.size - offset)])

    threads = [threading.Thread(target=work) for _ in range(workers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def main() -> None:
    """Plan, translate, tell."""
    keep_freed()
    folder, name, workers = sys.argv[1:]
    plan = translators.plans(translators.open_model(Path(folder)))[name]
    assert isinstance(plan, translators.Plan), plan
    layout = plan.layout()
    layout.read(layout.size // 2, 1)  # the kernels' library is loaded
    began = time.process_time()
    wall = seconds(layout, int(workers))
    print(json.dumps({"wall": wall, "cpu": time.process_time() - began, "bytes": layout.size}))


if __name__ == "__main__":
    main()
