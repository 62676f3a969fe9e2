"""What jobs do with a file: warm it, verify it, export it. One function each, for one file.

All of them read at the lowest urgency, so that no reader waits for them, and a piece at a time. Whoever sees
all bytes of a file in order computes its sha256 on the way. States, as the results have them:

    warm      read (translated and kept) · whole (there was nothing to do) · not kept (read, but the disk did
              not take all of it) · read through (a source, or a slice of one: nothing is kept of it)
    verify    right · repaired (the store's bytes differed, and were replaced) · wrong (differs from the
              digest that its publisher gave)
    export    written
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import cast

from fsd.control.digests import Digests
from fsd.control.published import published
from fsd.control.work import Outcome, Work
from fsd.engine import CHUNK, ChunkKey, ChunkStore, EngineFile
from fsd.errors import Different
from fsd.export import Content, export
from fsd.store import DiskStore
from fsd.tree import FileNode, Handle, Tree
from translators.errors import SourceChanged

PIECE = 4 * CHUNK
_FLUSH_SECONDS = 30.0
# Differing chunks that are listed one by one.
_SHOWN = 1000

Hash = Callable[[memoryview], object]


@dataclass(frozen=True)
class Task:
    """A file and all that is needed to do something with it. `path` is what it is called in results."""

    tree: Tree
    file: FileNode
    path: str
    store: ChunkStore
    disk: DiskStore | None
    digests: Digests

    def note(self, sha256: str) -> None:
        """The digest of all of the file is known."""
        self.digests.note(self.file.identity, sha256)


def warm(task: Task, work: Work, outcome: Outcome) -> None:
    """Have the file translated and kept."""
    entry = task.file.entry
    if entry is None or not entry.translated:
        outcome.state = "read through"
        return
    if task.store.held(entry.identity) >= entry.size:
        outcome.state = "whole"
        return
    with task.tree.engine_file(task.file.ino, warm=True) as file:
        expected = sum(file.where(number).length for number in file.kept_chunks())
        if task.store.held(entry.identity) >= expected:
            outcome.state = "whole"
            return
        task.note(_read(file, work, outcome))
        file.settled(_FLUSH_SECONDS)
    if task.disk is not None:
        task.disk.flush(_FLUSH_SECONDS)
    kept = task.disk.held(entry.identity) if task.disk is not None else task.store.held(entry.identity)
    outcome.state = "read"
    if kept < expected:
        outcome.state = "not kept"
        outcome.error = f"the cache took {kept:,} of {expected:,} bytes: it is too small, or the disk full"


def verify(task: Task, work: Work, outcome: Outcome, sample: float) -> None:
    """Compute the file anew, or a part of it, and compare that with what is kept and what was published."""
    whole = sample >= 1
    if task.file.entry is None:
        digest: str | None = _of_source(task, work, outcome)
    else:
        digest = _compared(task, work, outcome, sample)
    if digest is not None:
        task.note(digest)
        outcome.more["sha256"] = digest
    known = published(task.file) if whole else None
    if known is not None:
        outcome.more |= {"published": known[0], "published_by": known[1]}
        if known[0] != digest:
            outcome.state = "wrong"
            reason = f"its sha256 is {digest}, and should be {known[0]} by {known[1]}"
            outcome.error = reason
            work.wrong(Different(reason, path=task.path))


def to_be_verified(file: FileNode, sample: float) -> int:
    """How many bytes `verify` looks at."""
    if sample >= 1 or file.entry is None:
        return file.size
    return sum(min(CHUNK, file.size - number * CHUNK) for number in sampled(file.identity, file.size, sample))


def sampled(identity: str, size: int, share: float) -> list[int]:
    """The chunks of a sample: the first, the last, and others evenly spread, the same each time."""
    chunks = -(-size // CHUNK)
    if not chunks:
        return []
    count = min(chunks, max(1, round(chunks * share)))
    step = chunks / count
    begin = Random(identity).random() * step
    return sorted({0, chunks - 1, *(min(chunks - 1, int(begin + step * at)) for at in range(count))})


def exported(task: Task, work: Work, outcome: Outcome, target: Path, *, workers: int, replace: bool) -> None:
    """Write the file to `target`, which appears complete or not at all."""
    digest = hashlib.sha256()

    def progress(count: int) -> None:
        outcome.bytes += count
        work.advance(count)

    content: EngineFile | Handle
    if task.file.entry is None:
        content = task.tree.open(task.file.ino)
    else:
        content = task.tree.engine_file(task.file.ino, warm=True)
    with content:
        export(
            cast(Content, content), target, workers=workers, progress=progress, replace=replace, digest=digest
        )
    task.note(digest.hexdigest())
    outcome.state = "written"
    outcome.more |= {"to": str(target), "sha256": digest.hexdigest()}


def _read(file: EngineFile | Handle, work: Work, outcome: Outcome) -> str:
    """Read a file from front to back; its sha256."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(PIECE, file.size)))
    while outcome.bytes < file.size:
        part = buffer[: file.size - outcome.bytes]
        count = file.read_into(outcome.bytes, part, work.interrupt())
        if not count:
            raise SourceChanged("the file became shorter while it was read")
        digest.update(part[:count])
        outcome.bytes += count
        work.advance(count)
    return digest.hexdigest()


def _of_source(task: Task, work: Work, outcome: Outcome) -> str:
    """The sha256 of a source file of this very version."""
    with task.tree.open(task.file.ino) as handle:
        digest = _read(handle, work, outcome)
    now = task.tree.catalogue.file(task.tree.catalogue.find(task.file.path))
    if now.identity != task.file.identity:
        raise SourceChanged("the file was changed while it was read", path=task.path)
    outcome.state = "right"
    return digest


def _compared(task: Task, work: Work, outcome: Outcome, sample: float) -> str | None:
    """Compare what the store holds with what is computed anew; the sha256 where that is all of it."""
    identity, size = task.file.identity, task.file.size
    whole = sample >= 1
    numbers = list(range(-(-size // CHUNK))) if whole else sampled(identity, size, sample)
    held = {number for number in numbers if ChunkKey(identity, number) in task.store}
    digest, differing, compared = hashlib.sha256(), list[int](), 0
    with task.tree.engine_file(task.file.ino, warm=True) as file:
        for number, data in zip(numbers, file.anew(numbers, work.interrupt), strict=True):
            if whole:
                digest.update(data)
            if number in held:
                compared += len(data)
                key = ChunkKey(identity, number)
                same = task.store.compare(key, data)
                if same is False:
                    differing.append(number * CHUNK)
                if not same:  # also what went with it, where the store let go of the file as a whole
                    task.store.put(key, data)
            outcome.bytes += len(data)
            work.advance(len(data))
    outcome.more |= {"compared": compared, "differing": len(differing), "offsets": differing[:_SHOWN]}
    outcome.state = "right"
    if differing:
        outcome.state = "repaired"
        outcome.error = f"{len(differing)} chunks in the cache were not what is computed, and were replaced"
        work.wrong(Different(outcome.error, path=task.path))
    return digest.hexdigest() if whole else None


def export_target(directory: Path, to: str) -> Path:
    """The path below `directory` that an export to `to` writes; directories on the way are made.

    Raises ValueError for what would be elsewhere, OSError.
    """
    given = Path(to)
    if "\0" in to or not given.name or ".." in given.parts or to.endswith("/"):
        raise ValueError("it must name a file below the directory of exports, without ..")
    root = directory.resolve()
    target = given if given.is_absolute() else root / given
    if given.is_absolute() and directory in given.parents:
        target = root / given.relative_to(directory)
    if root not in target.parents:
        raise ValueError("it is not below the directory of exports")
    # A link on the way may lead elsewhere: what is there is resolved, what is not is made by us.
    at = root
    for part in target.parent.relative_to(root).parts:
        at = at / part
        if at.is_symlink() or (at.exists() and not at.is_dir()):
            raise ValueError(f"{part} on the way is a link, or no directory")
        at.mkdir(exist_ok=True)
    return Path(os.path.join(at, target.name))
