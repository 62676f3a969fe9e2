"""The engine: a range of a virtual file -> chunks -> bytes.

    engine = Engine(MemoryStore(128 << 20), workers=2)
    file = engine.open(layout)
    file.read(offset, size)

A layout is cut into chunks of 1 MiB, counted from its start. A chunk is translated once: whoever wants
it while it is being translated waits for the same work (single flight), and gets its bytes or its error;
an error is not kept. What is only a slice of a source, literal or padding is read straight through and
never stored. A handle that reads on and on has the next chunks translated ahead of it; what a reader
waits for goes first.

    chunks.py    what a chunk is called, and where finished ones are kept
    opened.py    a layout in use: what of it is translated, whether its source is still the same
    flights.py   Engine: queue, workers, single flight, counters
    files.py     EngineFile: a handle; cuts a read into pieces, sees when it is sequential

Locks: one condition in `Engine` guards the queue, the flights, the open layouts and the counters, and is
never held while a source is read or a chunk is translated. A store has a lock of its own, taken last.
Memory is bounded by the store's limit, one chunk a worker, and the window of chunks that a read has in
hand. Knows nothing of names, of FUSE, or of what a layout holds beyond which parts are translated.
"""

from fsd.engine.chunks import CHUNK, ChunkKey, ChunkStore, Lent, MemoryStore
from fsd.engine.files import EngineFile
from fsd.engine.flights import Counters, Engine

__all__ = ["CHUNK", "ChunkKey", "ChunkStore", "Counters", "Engine", "EngineFile", "Lent", "MemoryStore"]
