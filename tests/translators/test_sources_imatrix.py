"""Importance matrices as files: which they are, what is read of them, and what is wrong with bad ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import translators
from tests.tiny_imatrices import as_dat, as_gguf, sums, write_experts
from tests.translators.handmade import gguf, info, string, u32
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.sources import imatrix
from translators.sources.matrices import imatrices, is_imatrix
from translators.sources.recognise import recognise

GIVEN = {"blk.0.a.weight": sums("a", 8), "blk.0.b_exps.weight": sums("b", 12)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imatrix.gguf", True),
        ("IMATRIX.DAT", True),
        ("imatrix_unsloth.dat", True),
        ("imatrix_unsloth.gguf_file", True),
        ("imatrix-Model-Q8_0.dat", True),
        ("Model.imatrix", True),
        ("Model.imatrix.dat", True),
        ("Model-imatrix.gguf", True),
        ("Model-Q8_0.imatrix.gguf", True),
        ("Model-Q4_K_M-imatrix.gguf", False),
        ("Model-bf16_imatrix.gguf", False),
        ("Model-imatrix-Q4_K_M.gguf", False),
        ("Model.i1-Q4_K_M.gguf", False),
        ("imatrix", False),
        ("imatrix.txt", False),
        ("notimatrix.dat", False),
    ],
)
def test_a_matrix_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_imatrix(name) is expected
    assert bool(recognise([name])) is (name.endswith(".gguf") and not expected)


@pytest.mark.parametrize(
    ("names", "model", "expected"),
    [
        (["m.gguf"], "", ()),
        (["imatrix.dat", "imatrix.gguf", "m.gguf"], "", ("imatrix.gguf",)),
        (["imatrix.dat", "m.imatrix"], "", ("imatrix.dat",)),
        (["m.imatrix", "m.imatrix.gguf"], "", ("m.imatrix.gguf",)),
        (["m.imatrix", "imatrix_unsloth.dat"], "", ("imatrix_unsloth.dat", "m.imatrix")),
        ([".imatrix.dat", "._imatrix.gguf"], "", ()),
        (["m.imatrix", "imatrix.gguf"], "m-Q8_0", ("m.imatrix",)),
        (["m.imatrix", "m-Q8_0.imatrix"], "m-q8_0", ("m-Q8_0.imatrix",)),
        (["mo.imatrix", "imatrix.gguf"], "model", ()),
    ],
)
def test_which_matrix_is_a_models(names: list[str], model: str, expected: tuple[str, ...]) -> None:
    assert imatrices(names, model) == expected


def read(tmp_path: Path, content: bytes, name: str = "imatrix.gguf") -> imatrix.ImportanceMatrix:
    path = tmp_path / name
    path.write_bytes(content)
    return imatrix.read(path, 4)


def test_a_gguf_is_read(tmp_path: Path) -> None:
    matrix = read(tmp_path, as_gguf(GIVEN, {"blk.0.b_exps.weight": 3}))
    assert list(matrix.entries) == list(GIVEN)
    assert [(entry.size, entry.counts) for entry in matrix.entries.values()] == [
        (8, (512,)),
        (12, (512, 0, 712)),
    ]
    assert (matrix.chunks, matrix.dataset) == (77, b"calibration " + b"and more " * 20)
    entry = matrix.entries["blk.0.a.weight"]
    assert entry.extent.file == 4
    content = matrix.identity.path
    raw = Path(content.decode()).read_bytes()[entry.extent.offset :][: entry.extent.length]
    assert raw == GIVEN["blk.0.a.weight"].tobytes()


def test_a_dat_is_read(tmp_path: Path) -> None:
    matrix = read(tmp_path, as_dat(GIVEN), "x.imatrix")
    assert [(entry.size, entry.counts) for entry in matrix.entries.values()] == [(8, (1,)), (12, (37,))]
    assert (matrix.chunks, matrix.dataset) == (123, b"groups_me")
    assert read(tmp_path, as_dat(GIVEN)[:-17], "y.dat").dataset is None
    assert read(tmp_path, as_dat(GIVEN)[:-13], "z.dat").chunks == 123


def keys(*without: str) -> list[bytes]:
    given = {
        "imatrix.datasets": b"",
        "imatrix.chunk_count": u32("imatrix.chunk_count", 1),
        "imatrix.chunk_size": u32("imatrix.chunk_size", 512),
    }
    given["imatrix.datasets"] = string("imatrix.datasets", "text")
    return [pair for key, pair in given.items() if key not in without]


def matrix(
    values: list[float], counts: list[float], *, names: tuple[str, str] = (".in_sum2", ".counts")
) -> bytes:
    """A GGUF with one entry."""
    data = np.array(values, "<f4").tobytes()
    data += bytes(-len(data) % 32)
    infos = [
        info("t" + names[0], [len(values)], 0, 0),
        info("t" + names[1], [len(counts)], 0, len(data)),
    ]
    return gguf(keys(), infos, data + np.array(counts, "<f4").tobytes())


def entry(name: bytes, calls: int, values: list[float], claimed: int | None = None) -> bytes:
    count = len(values) if claimed is None else claimed
    return struct.pack("<i", len(name)) + name + struct.pack(f"<ii{len(values)}f", calls, count, *values)


def one(content: bytes) -> bytes:
    return struct.pack("<i", 1) + content


def test_no_text_for_a_data_set_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, matrix([1, 2], [3])).dataset is None


_NAN, _INF = float("nan"), float("inf")
_HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "the number of entries", "byte 0"),
    "no entries": (struct.pack("<i", 0), "it would have 0 entries", "byte 0"),
    "a billion entries": (struct.pack("<i", 10**9), "1,000,000,000 entries", "byte 0"),
    "fewer than announced": (struct.pack("<i", 2) + entry(b"a", 1, [1.0]), "a name's length", "entry 1"),
    "a huge name": (struct.pack("<ii", 1, 1 << 30), "a name of 1,073,741,824 bytes", "entry 0"),
    "a negative name": (struct.pack("<ii", 1, -1), "a name of -1 bytes", "entry 0"),
    "a name past the end": (struct.pack("<ii", 1, 99) + b"a", "the file ends", "entry 0"),
    "sums past the end": (one(entry(b"a", 1, [1.0], 1 << 30)), "the file ends", "entry 0, 'a'"),
    "no sums": (one(entry(b"a", 1, [])), "0 sums", "entry 0, 'a'"),
    "negative calls": (one(entry(b"a", -3, [1.0])), "-3 calls", "entry 0, 'a'"),
    "a NaN": (one(entry(b"a", 1, [1.0, _NAN])), "a weight of nan", "entry 'a', value 1 (byte 21)"),
    "a negative sum": (one(entry(b"a", 2, [-4.0])), "a weight of -2", "entry 'a', value 0"),
    "half a trailer": (one(entry(b"a", 2, [4.0])) + b"\1", "number of chunks", "the end"),
    "GGUF, truncated": (as_gguf(GIVEN, {})[:300], "the header runs past the end", ""),
    "GGUF, data cut off": (as_gguf(GIVEN, {})[:-64], "the file ends", "b_exps.weight.in_sum2'"),
    "GGUF, of something else": (gguf([string("general.type", "model")], [], b""), "is missing", "datasets"),
    "GGUF, no sums": (gguf(keys(), [], b""), "it holds no sums", ""),
    "GGUF, chunks are text": (
        gguf([*keys("imatrix.chunk_count"), string("imatrix.chunk_count", "7")],
             [info("t.in_sum2", [1], 0, 0), info("t.counts", [1], 0, 32)], bytes(64)),
        "no unsigned 32-bit number", "imatrix.chunk_count",
    ),
    "GGUF, no counts": (matrix([1.0], [1.0], names=(".in_sum2", ".other")), "is missing", "'t.counts'"),
    "GGUF, counts alone": (matrix([1.0], [1.0], names=(".other", ".counts")), "missing", "'t.in_sum2'"),
    "GGUF, counts do not divide": (matrix([1.0] * 8, [1.0] * 3), "8 sums have 3 counts", "'t.in_sum2'"),
    "GGUF, more counts than sums": (matrix([1.0] * 2, [1.0] * 4), "2 sums have 4 counts", "'t.in_sum2'"),
    "GGUF, a negative count": (matrix([1.0], [-1.0]), "a count of -1", "tensor 't.counts', value 0"),
    "GGUF, an endless count": (matrix([1.0, 1.0], [1.0, _INF]), "a count of inf", "'t.counts', value 1"),
    "GGUF, a NaN": (matrix([1.0, _NAN], [1.0]), "a weight of nan", "entry 't', value 1 (byte"),
    "GGUF, infinite": (matrix([_INF, 1.0], [1.0]), "a weight of inf", "entry 't', value 0"),
    "GGUF, negative": (matrix([1.0, -8.0], [4.0]), "a weight of -2", "entry 't', value 1"),
    "GGUF, beyond measure": (matrix([1e30], [1.0]), "a weight of 1e+30", "entry 't', value 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", _HOSTILE)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, what: str) -> None:
    content, reason, place = _HOSTILE[what]
    with pytest.raises(MalformedSource) as caught:
        read(tmp_path, content)
    assert reason in caught.value.reason
    assert place in caught.value.place
    assert caught.value.path == str(tmp_path / "imatrix.gguf")


def test_what_nothing_was_observed_of_may_be_anything(tmp_path: Path) -> None:
    assert read(tmp_path, matrix([1.0, _NAN], [1.0, 0.0])).entries["t"].counts == (1, 0)


def test_damage_anywhere_is_an_error_or_a_matrix(tmp_path: Path) -> None:
    for make in (as_gguf(GIVEN, {"blk.0.b_exps.weight": 3}), as_dat(GIVEN)):
        damage = np.random.Generator(np.random.PCG64(5))
        for _ in range(150):
            content = bytearray(make[: damage.integers(len(make) // 2, len(make) + 1)])
            for at in damage.integers(0, len(content), 3):
                content[at] = damage.integers(0, 256)
            try:
                read(tmp_path, bytes(content))
            except TranslationError as error:
                assert error.path == str(tmp_path / "imatrix.gguf")


Folder = Callable[[bytes], Path]


@pytest.fixture
def beside(tmp_path: Path) -> Folder:
    """A model's folder with a matrix of this content."""

    def make(content: bytes) -> Path:
        write_experts(tmp_path)
        (tmp_path / "imatrix.gguf").write_bytes(content)
        return tmp_path

    return make


ATTENTION = {
    f"blk.{layer}.{part}.weight": sums(part, 256)
    for layer in range(4)
    for part in ("attn_q", "attn_k", "attn_v", "attn_output")
}


def test_a_model_and_its_matrix_are_one_model(beside: Folder) -> None:
    model = translators.open_model(beside(as_gguf(ATTENTION, {})))
    assert model.imatrices[0].path.endswith(b"/imatrix.gguf")
    plans = translators.plans(model)
    made, without = plans["model.gguf-q4_k_m"], plans["model.gguf-q4_k_m-noimat"]
    assert isinstance(made, translators.Plan)
    assert isinstance(without, translators.Plan)
    assert "imatrix.gguf" in made.describe
    assert made.layout().files == (*without.layout().files, *model.imatrices)
    assert "model.gguf-bf16-noimat" not in plans
    refused = plans["model.gguf-iq2_xxs"]
    assert isinstance(refused, translators.Refusal)
    assert "the one here has no weights for this tensor" in refused.reason
    assert refused.reason.startswith("tensor blk.0.ffn_gate_exps.weight")


def test_without_a_matrix_the_reason_says_what_to_do(tmp_path: Path) -> None:
    refused = translators.plans(translators.open_model(write_experts(tmp_path)))["model.gguf-iq2_xxs"]
    assert isinstance(refused, translators.Refusal)
    assert refused.reason.endswith("needs an importance matrix")
    assert "imatrix.gguf" in refused.remedy


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            as_gguf({**ATTENTION, "blk.2.attn_v.weight": sums("v", 512)}, {}),
            "512 columns are weighed, the tensor has 256",
        ),
        (matrix([1.0, -1.0], [1.0]), "a weight of -1"),
        (b"GGUF", "too few"),
    ],
)  # fmt: skip
def test_a_bad_matrix_leaves_what_needs_none(beside: Folder, content: bytes, reason: str) -> None:
    plans = translators.plans(translators.open_model(beside(content)))
    refused = plans["model.gguf-q4_k_m"]
    assert isinstance(refused, translators.Refusal)
    assert reason in refused.reason
    assert "imatrix.gguf" in refused.reason
    assert refused.remedy.endswith("model.gguf-q4_k_m-noimat is made without it")
    assert isinstance(plans["model.gguf-q4_k_m-noimat"], translators.Plan)
    assert isinstance(plans["model.gguf-bf16"], translators.Plan)
    assert isinstance(plans["model.gguf-f16"], translators.Refusal)


def test_of_several_matrices_none_is_taken(beside: Folder) -> None:
    folder = beside(as_gguf(ATTENTION, {}))
    (folder / "imatrix.gguf").rename(folder / "a.imatrix")
    (folder / "b.imatrix").write_bytes((folder / "a.imatrix").read_bytes())
    refused = translators.plans(translators.open_model(folder))["model.gguf-q8_0"]
    assert isinstance(refused, translators.Refusal)
    assert "several importance matrices lie beside the model: a.imatrix, b.imatrix" in refused.reason
    named = translators.open_model(folder, imatrix=folder / "b.imatrix")
    assert isinstance(translators.plans(named)["model.gguf-q8_0"], translators.Plan)


def test_a_matrix_that_leads_nowhere_is_told(beside: Folder) -> None:
    folder = beside(b"")
    (folder / "imatrix.gguf").unlink()
    (folder / "imatrix.gguf").symlink_to("nowhere")
    plans = translators.plans(translators.open_model(folder))
    refused = plans["model.gguf-q4_0"]
    assert isinstance(refused, translators.Refusal)
    assert "symbolic link to nowhere" in refused.reason
    assert isinstance(plans["model.gguf-q4_0-noimat"], translators.Plan)


def test_a_matrix_is_no_model(tmp_path: Path) -> None:
    for name in ("imatrix.gguf", "weights.gguf"):
        (tmp_path / name).write_bytes(as_gguf(GIVEN, {}))
        with pytest.raises(Unsupported, match="is an importance matrix, no model"):
            translators.open_model(tmp_path / name)


def test_iq1_m_is_refused_as_its_bytes_would_be_others(beside: Folder) -> None:
    plans = translators.plans(
        translators.open_model(
            beside(as_gguf({**ATTENTION, **{
                f"blk.{layer}.ffn_{part}_exps.weight": sums(part, 4 * (288 if part == "down" else 256))
                for layer in range(4) for part in ("up", "gate", "down")
            }}, {}))
        )
    )  # fmt: skip
    refused = plans["model.gguf-iq1_m"]
    assert isinstance(refused, translators.Refusal)
    assert "IQ1_M cannot be made here with llama-quantize's bytes" in refused.reason
    assert isinstance(plans["model.gguf-iq1_s"], translators.Plan)
