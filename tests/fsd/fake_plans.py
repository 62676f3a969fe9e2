"""Plans without formats, for tests of the tree and the planner: what a planning process may do, by file name.

A model's directory that holds a file `stall`, `bomb`, `exit`, `abort`, `bug`, `unsupported`, `malformed` or
`missing` makes planning do that. Every other model appears as `model.gguf-<type>` for a few types, whose
bytes are a header, the weight file's own bytes and the same bytes with their rows swapped; as
`model.safetensors`, which is the weight file's bytes; and as `mlx-4bit/config.json`. One that holds a
file `sees` has two projectors as well. One that holds a file `folders` has the directories `pytorch` and
`pytorch-zip`, which is not listed, with files of their own, and cannot have `onnx-int4`. Each planning is
noted in the file that FAKE_PLANS_LOG names.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from fsd.planner.worker import Provided
from translators.errors import MalformedSource, MissingSource, Unsupported
from translators.layout import Layout, LiteralBytes, Segment, TensorBytes, Zeros
from translators.model import Extent, FileIdentity
from translators.plan import Folder, Plan, Refusal
from translators.recipes import Recipe, Stored, SwapRows
from translators.sources.recognise import recognise

PROVIDER = "tests.fsd.fake_plans:provide"
TYPES = ("f16", "q8_0", "q4_k_m", "q4_0")
ROWS = 64


def header(kind: str) -> bytes:
    """The first bytes of a fake GGUF of a type."""
    return f"GGUF {kind} ".encode() * 10


def whole(kind: str, weights: bytes) -> bytes:
    """What a fake GGUF of a type must hold, for a weight file of these bytes."""
    rows = len(weights) // ROWS
    swapped = b"".join(
        weights[(number % ROWS) * rows : (number % ROWS + 1) * rows] for number in _swapped_order()
    )
    return header(kind) + weights[: rows * ROWS] + bytes(32) + swapped


def provide(path: Path) -> Provided:
    """The files and plans of the model at `path`."""
    _note(os.fsencode(path))
    root = path if path.is_dir() else path.parent
    _misbehave(root)
    names = [entry.name for entry in root.iterdir() if entry.is_file()]
    weights = root / recognise(names)[0].files[-1] if path.is_dir() else path
    identity = FileIdentity.of(weights)
    found: list[Plan | Refusal] = [Plan("model.safetensors", "merged", lambda: _layout(identity, []))]
    for kind in TYPES:
        found.append(_plan(f"model.gguf-{kind}", identity, header(kind)))
    for kind in ("q8_0", "f16") if (root / "sees").exists() else ():
        found.append(_plan(f"mmproj-{kind}.gguf", identity, header(f"mmproj {kind}")))
    found.append(Refusal("model.gguf-iq1_s", "it needs an importance matrix", "choose q2_k"))
    found.append(
        Plan("mlx-4bit/config.json", "side file", lambda: Layout((identity,), (LiteralBytes(b"{}"),)))
    )
    files = tuple(FileIdentity.of(path) for path in sorted([weights, *root.glob("config.json")]))
    folders: tuple[Folder | Refusal, ...] = ()
    if (root / "folders").exists():
        folders = (
            Folder("pytorch", "weights"), Folder("pytorch-zip", "the same", listed=False),
            Refusal("onnx-int4/", "no such graph", "wait"),
        )  # fmt: skip

    def inside(folder: str) -> dict[str, Plan | Refusal]:
        _note(folder.encode())
        plan = Plan(f"{folder}/deep/weights.bin", "weights", lambda: _layout(identity, []))
        return {plan.name: plan, f"{folder}/x": Refusal(f"{folder}/x", "no such tensor")}

    return Provided(files, {plan.name: plan for plan in found}, {each.name: each for each in folders}, inside)


def _note(what: bytes) -> None:
    log = os.environ.get("FAKE_PLANS_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{what!r}\n")


def print_and_provide(path: Path) -> Provided:
    """As `provide`, from a library that prints."""
    print("noise " * 100, flush=True)
    os.write(1, b"noise of C code\n")
    return provide(path)


def _plan(name: str, identity: FileIdentity, head: bytes) -> Plan:
    def make() -> Layout:
        rows = identity.size // ROWS
        stored = Stored(Extent(0, 0, rows * ROWS), "U8", (ROWS, rows))
        return _layout(identity, [LiteralBytes(head), TensorBytes("a", stored), Zeros(32), _swapped(stored)])

    return Plan(name, f"{name.rpartition('-')[2]} of a fake", make)


def _layout(identity: FileIdentity, segments: list[Segment]) -> Layout:
    whole = TensorBytes("all", Stored(Extent(0, 0, identity.size), "U8", (identity.size,)))
    return Layout((identity,), tuple(segments) if segments else (whole,))


def _swapped(stored: Recipe) -> TensorBytes:
    return TensorBytes("b", SwapRows(stored, 1, 2, ROWS // 2))


def _swapped_order() -> list[int]:
    """Row n of the swapped tensor is this row of the stored one: (2, ROWS / 2) read as (ROWS / 2, 2)."""
    return [half * (ROWS // 2) + row for row in range(ROWS // 2) for half in range(2)]


def _misbehave(root: Path) -> None:
    def told(name: str) -> bool:
        return (root / name).exists()

    if told("stall"):
        time.sleep(600)
    if told("bomb"):
        hoard = [bytearray(64 << 20) for _ in range(1000)]
        raise AssertionError(f"{len(hoard)} times 64 MiB were there")
    if told("exit"):
        os._exit(3)
    if told("abort"):
        os.abort()
    if told("bug"):
        raise ZeroDivisionError("a bug")
    if told("unsupported"):
        raise Unsupported("no such family", path=str(root), place="config.json", remedy="wait")
    if told("malformed"):
        raise MalformedSource("the header lies", path=os.fsdecode(os.fsencode(root)), place="byte 8")
    if told("missing"):
        raise MissingSource("shard 2 is missing", path=str(root))
