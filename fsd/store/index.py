"""Index: what is present, in SQLite.

    file    identity, pinned, when it was last used (wall clock) and what it is of (both for people only),
            its size once it is whole, else 0
    chunk   file, number, length, xxh3-64 (signed), the count of its last use
    digest  the sha256 of a file by its identity, whether or not anything of it is kept; the last ones noted


In WAL mode a commit is atomic and needs no sync of its own: after power loss the index is that of an earlier
moment. Then a chunk is missing from it, which costs a translation, or is in it though its bytes are gone,
which its checksum tells. Used by one thread at a time. Knows nothing of the bytes.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fsd.engine import CHUNK, ChunkKey
from fsd.store.ledger import Chunks, Kept

log = logging.getLogger(__name__)

_Value = TypeVar("_Value", float, int, str)

_BUSY_SECONDS = 5.0
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)
_TABLES = """
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE,
    pinned INTEGER NOT NULL DEFAULT 0, seen REAL NOT NULL DEFAULT 0,
    label TEXT NOT NULL DEFAULT '', whole INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS chunk (
    file INTEGER NOT NULL REFERENCES file(id), number INTEGER NOT NULL, length INTEGER NOT NULL,
    checksum INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (file, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digest (
    noted INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL
) STRICT;
"""
_FILE = "INSERT INTO file (identity) VALUES (?) ON CONFLICT DO NOTHING"
_CHUNK = (
    "INSERT OR REPLACE INTO chunk SELECT id, ?, ?, ?, ? FROM file WHERE identity = ?",
    "DELETE FROM chunk WHERE number = ? AND file = (SELECT id FROM file WHERE identity = ?)",
    "UPDATE chunk SET used = ? WHERE number = ? AND file = (SELECT id FROM file WHERE identity = ?)",
)
_UNUSED = "DELETE FROM file WHERE NOT pinned AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.file = file.id)"
_DIGEST = (
    "INSERT OR REPLACE INTO digest (identity, sha256) VALUES (?, ?)",
    "DELETE FROM digest WHERE noted <= (SELECT MAX(noted) FROM digest) - ?",
)
# Digests that are kept: 200 bytes each.
_DIGESTS = 1 << 16
_FILES = """
SELECT identity, label, pinned, seen, COUNT(number), COALESCE(SUM(length), 0) FROM file
LEFT JOIN chunk ON chunk.file = file.id GROUP BY file.id ORDER BY seen DESC, identity
"""


@dataclass(frozen=True)
class ListedFile:
    """A file as the index has it: what it is of ("" if unknown), when it was used (seconds since 1970)."""

    identity: str
    label: str
    pinned: bool
    seen: float
    chunks: int
    held: int


@dataclass(frozen=True)
class Content:
    """What an index has: the pinned files, the sizes of the whole ones, and chunks by their last use.

    labels: what files are of. digests: the sha256 of files, by identity as well.
    """

    pins: list[str]
    whole: dict[str, int]
    chunks: Chunks
    labels: dict[str, str]
    digests: dict[str, str]


class Index:
    """The index at `path`, made if it is missing. Raises sqlite3.Error for what is none, as all else here."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_TABLES)
        except BaseException:
            self._connection.close()
            raise

    def content(self) -> Content:
        """All that it has."""
        pins = [name for (name,) in self._connection.execute("SELECT identity FROM file WHERE pinned")]
        whole = dict(self._connection.execute("SELECT identity, whole FROM file WHERE whole"))
        labels = dict(self._connection.execute("SELECT identity, label FROM file WHERE label <> ''"))
        digests = dict(self._connection.execute("SELECT identity, sha256 FROM digest"))
        return Content(pins, whole, self._chunks(), labels, digests)

    def change(
        self,
        *,
        added: Iterable[tuple[ChunkKey, Kept]] = (),
        gone: Iterable[ChunkKey] = (),
        unlinked: Iterable[str] = (),
        whole: Mapping[str, int] | None = None,
        uses: Mapping[ChunkKey, int] | None = None,
        pins: Mapping[str, bool] | None = None,
        seen: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        """All of it, or nothing, in one transaction: first what is gone, then the rest."""
        insert, delete, update = _CHUNK
        chunks = [(key, kept) for key, kept in added]
        with _Transaction(self._connection) as run:
            run.executemany(delete, [(key.number, key.identity) for key in gone])
            run.executemany("UPDATE file SET whole = 0 WHERE identity = ?", [(name,) for name in unlinked])
            names = {key.identity for key, _ in chunks} | set(pins or ())
            run.executemany(_FILE, [(name,) for name in names])
            run.executemany(
                insert,
                [(key.number, kept.length, kept.checksum, kept.used, key.identity) for key, kept in chunks],
            )
            run.executemany(update, [(used, key.number, key.identity) for key, used in (uses or {}).items()])
            run.executemany("UPDATE file SET pinned = ? WHERE identity = ?", _flipped(pins))
            run.executemany("UPDATE file SET seen = ? WHERE identity = ?", _flipped(seen))
            run.executemany("UPDATE file SET whole = ? WHERE identity = ?", _flipped(whole))
            run.executemany("UPDATE file SET label = ? WHERE identity = ?", _flipped(labels))
            if digests:
                run.executemany(_DIGEST[0], list(digests.items()))
                run.execute(_DIGEST[1], (_DIGESTS,))
            run.execute(_UNUSED)

    def close(self) -> None:
        """Close it; SQLite folds the log into the index."""
        self._connection.close()

    def _chunks(self) -> Chunks:
        """Every chunk, the least recently used first. A row that no store writes is damage."""
        found = []
        rows = self._connection.execute(
            "SELECT identity, number, length, checksum, used FROM chunk JOIN file ON id = file ORDER BY used"
        )
        for identity, number, length, checksum, used in rows:
            if number < 0 or not 0 < length <= CHUNK or used < 0:
                raise sqlite3.DatabaseError(f"chunk {number} of {length} bytes")
            found.append((ChunkKey(identity, number), Kept(length, checksum, used, present=True)))
        return found


def opened(path: Path) -> tuple[Index, Content]:
    """The index at `path`, and what it has; a damaged one is renamed aside, and one is begun anew."""
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise OSError(f"{path}: {error}") from error
        log.warning("%s: the index is damaged (%s); it is put aside, and the store begins anew", path, error)
    path.replace(path.with_suffix(".damaged"))
    remove_logs(path)
    try:
        return _read(path)
    except sqlite3.DatabaseError as error:
        raise OSError(f"{path}: {error}") from error


def listed(path: Path) -> list[ListedFile]:
    """What the index at `path` has, also while a daemon writes it. Raises sqlite3.Error."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    try:
        return [
            ListedFile(identity, label, bool(pinned), seen, chunks, held)
            for identity, label, pinned, seen, chunks, held in connection.execute(_FILES)
        ]
    finally:
        connection.close()


def remove_logs(path: Path) -> None:
    """Remove what SQLite keeps beside an index: of another index it would be taken for this one's."""
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the index is at fault, rather than the disk or another process."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _DAMAGE


def _read(path: Path) -> tuple[Index, Content]:
    index = Index(path)
    try:
        return index, index.content()
    except BaseException:
        index.close()
        raise


def _flipped(values: Mapping[str, _Value] | None) -> list[tuple[_Value, str]]:
    return [(value, name) for name, value in (values or {}).items()]


class _Transaction:
    """`with` block: begun at once, committed at its end, undone by an error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:  # SQLite has undone it itself after some errors
            self._connection.execute("ROLLBACK")
