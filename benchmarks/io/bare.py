"""Translation without a mount: no FUSE, no engine, no store. Usage: FOLDER NAME WORKERS WAY [FILE].

Prints seconds as JSON. Freed memory is kept, as the daemon keeps it. Threads take the next MiB of the layout
and fill a buffer of their own, as often as there is one; by WAY the bytes are then

    alone    thrown away: what a mount cannot be faster than with as many threads
    pipe     handed to another process in order, through a pipe: what any reader costs that keeps nothing
    file     written to FILE, which another process reads as it grows: what a converter and its user do
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import translators
from fsd.memory import keep_freed

_CHUNK = 1 << 20
# Readers are processes of their own, as those of a mount are.
_FROM_PIPE = "import os, sys; b = bytearray(1 << 20)\nwhile os.readv(0, [b]): pass"
_FROM_FILE = (
    "import os, sys; f = os.open(sys.argv[1], os.O_RDONLY); b = memoryview(bytearray(1 << 20))\n"
    "for line in sys.stdin.buffer:\n"
    "    if line == b'end\\n': break\n"
    "    os.preadv(f, [b], int(line))"
)

# Called with a chunk's offset and bytes, by the thread that made it.
Sink = Callable[[int, memoryview], None]


def seconds(layout: translators.Layout, workers: int, sink: Sink) -> float:
    """How long `workers` threads take for all of a layout."""
    offsets = iter(range(0, layout.size, _CHUNK))

    def work() -> None:
        buffer = memoryview(bytearray(_CHUNK))
        for offset in offsets:  # a range iterator's step is atomic under the GIL
            part = buffer[: min(_CHUNK, layout.size - offset)]
            layout.read_into(offset, part)
            sink(offset, part)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def piped(layout: translators.Layout, workers: int) -> float:
    """Seconds until a process has read all of it from a pipe."""
    started = time.perf_counter()
    reader = subprocess.Popen([sys.executable, "-Sc", _FROM_PIPE], stdin=subprocess.PIPE)
    assert reader.stdin is not None
    pipe = reader.stdin.fileno()
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)
    turn, at = threading.Condition(), 0

    def hand_over(offset: int, data: memoryview) -> None:
        nonlocal at
        with turn:
            turn.wait_for(lambda: at == offset)
        done = 0
        while done < len(data):
            done += os.write(pipe, data[done:])
        with turn:
            at += len(data)
            turn.notify_all()

    seconds(layout, workers, hand_over)
    reader.stdin.close()
    reader.wait()
    return time.perf_counter() - started


def filed(layout: translators.Layout, workers: int, path: Path) -> float:
    """Seconds until a process has read all of it from a plain file at `path`, which is written meanwhile."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    started = time.perf_counter()
    command = [sys.executable, "-Sc", _FROM_FILE, str(path)]
    reader = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)
    assert reader.stdin is not None
    tell = reader.stdin.write

    def write(offset: int, data: memoryview) -> None:
        os.pwrite(descriptor, data, offset)
        tell(b"%d\n" % offset)

    seconds(layout, workers, write)
    tell(b"end\n")
    reader.wait()
    took = time.perf_counter() - started
    os.close(descriptor)
    path.unlink()
    return took


def main() -> None:
    """Plan, translate, tell."""
    keep_freed()
    folder, name, workers, way, *file = sys.argv[1:]
    plan = translators.plans(translators.open_model(Path(folder)))[name]
    assert isinstance(plan, translators.Plan), plan
    layout = plan.layout()
    layout.read(layout.size // 2, 1)  # the kernels' library is loaded
    began = time.process_time()
    if way == "pipe":
        wall = piped(layout, int(workers))
    elif way == "file":
        wall = filed(layout, int(workers), Path(file[0]))
    else:
        wall = seconds(layout, int(workers), lambda offset, data: None)
    readers = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {"wall": wall, "cpu": time.process_time() - began, "bytes": layout.size}
    print(json.dumps(told | {"reader": readers.ru_utime + readers.ru_stime}))


if __name__ == "__main__":
    main()
