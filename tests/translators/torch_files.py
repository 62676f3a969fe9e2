"""torch.save's files written by hand for tests: pickles opcode by opcode, archives with any lie in them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

STOP = b"."


def text(value: str) -> bytes:
    """A string."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """An integer, which may be negative or of 128 bits."""
    data = value.to_bytes(17, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def several(*values: bytes) -> bytes:
    """A tuple of values."""
    return b"(" + b"".join(values) + b"t"


def named(module: str, name: str) -> bytes:
    """A class or function."""
    return f"c{module}\n{name}\n".encode()


def called(module: str, name: str, *arguments: bytes) -> bytes:
    """A call."""
    return named(module, name) + several(*arguments) + b"R"


def items(**values: bytes) -> bytes:
    """A dictionary."""
    return b"}(" + b"".join(text(name) + value for name, value in values.items()) + b"u"


def storage(key: str = "0", elements: int = 4, kind: str = "FloatStorage") -> bytes:
    """A storage, by its persistent id."""
    parts = (text("storage"), named("torch", kind), text(key), text("cpu"), number(elements))
    return several(*parts) + b"Q"


def tensor(
    shape: tuple[int, ...] = (4,),
    steps: tuple[int, ...] = (1,),
    offset: int = 0,
    *,
    of: bytes = b"",
    more: bytes = b"",
    function: str = "_rebuild_tensor_v2",
) -> bytes:
    """A tensor of a storage of four floats, or of another."""
    arguments = (
        of or storage(), number(offset), several(*map(number, shape)), several(*map(number, steps)),
        b"\x89", called("collections", "OrderedDict"), more,
    )  # fmt: skip
    return called("torch._utils", function, *arguments)


def pickled(value: bytes) -> bytes:
    """A whole pickle."""
    return b"\x80\x02" + value + STOP


def archive(
    pickle: bytes = b"",
    storages: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
    **more: bytes,
) -> bytes:
    """A zip file as torch.save lays it out, of this pickle and these storages, and other members."""
    members = {"data.pkl": pickle or pickled(items(w=tensor())), "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{key}": data for key, data in (storages or {"0": bytes(range(16))}).items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, data in (members | more).items():
            target.writestr(zipfile.ZipInfo(f"archive/{name}"), data, compression)
    return file.getvalue()


MAGIC = pickled(number(0x1950A86A20F9469CFC6C))
SYSTEM = pickled(b"}" + text("little_endian") + b"\x88s")


def legacy(
    value: bytes = b"", keys: bytes = b"", data: bytes = b"", system: bytes = SYSTEM, version: int = 1001
) -> bytes:
    """A file as torch.save wrote it before 1.6."""
    head = MAGIC + pickled(number(version)) + system + pickled(value or items(w=tensor()))
    return head + pickled(keys or b"]" + text("0") + b"a") + (data or struct.pack("<q", 4) + bytes(range(16)))
