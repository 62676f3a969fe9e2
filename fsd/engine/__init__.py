"""The engine: a range of a virtual file -> chunks -> bytes.

    engine = Engine(MemoryStore(128 << 20), workers=2)
    file = engine.open(layout)
    file.read_into(offset, buffer)

A layout is cut into chunks of 1 MiB, counted from its start. A chunk is translated once: whoever wants
it while it is being translated waits for the same work (single flight), and gets its bytes or its error;
an error is not kept. Of a layout that is mostly a slice of a source only what is computed is kept, and the
rest read straight through. What will be read next is translated ahead; what a reader waits for goes first,
and files take turns.

    chunks.py    what a chunk is called, and where finished ones are kept
    opened.py    a layout in use: what of it is kept, whether its source is still the same
    lanes.py     what waits for a worker: the urgent first, files in turn
    flights.py   the chunks that are on their way, each once, and who wants them
    engine.py    Engine: open layouts, workers, the lock
    patterns.py  from where a handle was read, where it will be read next
    files.py     EngineFile: a handle; cuts a read into pieces
    interrupt.py how a read learns that nobody waits for it any more
    counters.py  what was done

Locks: one condition in `Engine` guards the flights, the open layouts and the counters, and is never held
while a source is read, a chunk translated or a store read or written (it may be asked what it has). A store
has a lock of its own, taken last; a handle has one for its pattern, taken first. docs/ENGINE.md has the whole
contract. Memory is bounded by the store's limit, one chunk a worker, and the window of chunks that a read has
in hand. Knows nothing of names, of FUSE, or of what a layout holds beyond which parts are translated.
"""

from fsd.engine.chunks import CHUNK, ChunkKey, ChunkStore, Lent, MemoryStore
from fsd.engine.counters import Counters
from fsd.engine.engine import Engine
from fsd.engine.files import EngineFile
from fsd.engine.interrupt import Interrupt

__all__ = [
    "CHUNK",
    "ChunkKey",
    "ChunkStore",
    "Counters",
    "Engine",
    "EngineFile",
    "Interrupt",
    "Lent",
    "MemoryStore",
]
