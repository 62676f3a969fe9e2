"""tokenizer.json taken apart: merges are the same however they are written, and never what they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from translators.errors import MalformedSource
from translators.joined import Joined
from translators.keyvalues import ValueType, array
from translators.vocab.document import document_of
from translators.vocab.folder import Folder
from translators.vocab.special import read_merges

_PAIRS = [["Ġ", "a"], ['\\"', "\\"], ["é\u4e2d", "\U0001f642"], ["]", ", ["], ["x", "y"]]
_TEXTS = ["Ġ a", '\\" \\', "é\u4e2d \U0001f642", "] [", "x y"]
_OUTER = {"version": "1.0", "normalizer": None, "added_tokens": [{"id": 0, "content": "]}"}]}


def _folder(root: Path, merges: Any, **how: Any) -> Folder:
    document = {**_OUTER, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": merges}}
    (root / "tokenizer.json").write_text(json.dumps(document, **how), encoding="utf-8")
    return Folder(root)


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}])
@pytest.mark.parametrize("merges", [_TEXTS, _TEXTS[:1], _PAIRS[:3] + _PAIRS[4:], _PAIRS[:1]])
def test_merges_are_the_same_however_they_are_written(
    tmp_path: Path, merges: list[Any], how: dict[str, Any], ascii: bool
) -> None:
    folder = _folder(tmp_path, merges, ensure_ascii=ascii, **how)
    document, joined, tokens = document_of(folder)
    assert joined is not None
    assert [text.decode() for text in joined.split()] == read_merges(folder)
    assert array(ValueType.STRING, joined) == array(ValueType.STRING, read_merges(folder))
    assert {key: value for key, value in document.items() if key != "model"} == _OUTER
    if tokens is None:
        assert document["model"]["vocab"] == {"a": 0}
    else:
        assert "vocab" not in document["model"]
        assert tokens.split() == [b"a"]


@pytest.mark.parametrize(
    "merges",
    [
        [], ["a\0 b", "c d"], _PAIRS[3:], [["a b", "c"]], [["a", "b"], ["c"]], [["a", "b", "c"], ["d"]],
        ["a b", ["c", "d"]], [["a", "b"], "c d"], ["a b", None], ["a b", 3, "c d"], {"a": "b"}, None, 7,
        ["a b", '", "'], [["a", "b"], ["c", 'd"],["e']], ["a b", ["]"]],
    ],
)  # fmt: skip
def test_what_is_unusual_is_read_with_care(tmp_path: Path, merges: Any) -> None:
    folder = _folder(tmp_path, merges)
    document, joined, _ = document_of(folder)
    if joined is None:
        assert document["model"]["merges"] == merges
    else:
        assert [text.decode() for text in joined.split()] == read_merges(folder)


@pytest.mark.parametrize(
    "text", ['{"model": {"merges": ["a\xff b"]}}', '{"model": {"merges": ["a b", "c d]}}', "[]", '{"model": ']
)
def test_what_is_no_json_of_text_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(MalformedSource):
        document_of(Folder(tmp_path))


def test_numbers_and_halves_of_characters_are_left_to_the_patient_parser(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"x": NaN, "y": "\\ud800", "model": {"merges": ["a b"]}}')
    document, joined, _ = document_of(Folder(tmp_path))
    assert document["y"] == "\ud800"
    assert joined is not None
    assert joined.split() == [b"a b"]


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a", "", "é"], [b"\xff", b""], ["x" * 70_000, "y"]])
def test_joined_texts_are_those_they_were_made_of(texts: list[Any]) -> None:
    joined = Joined.of(texts)
    assert joined is not None
    assert len(joined) == len(texts)
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    assert joined.split() == encoded == [joined[number] for number in range(len(texts))]
    assert joined.packed() == b"".join(len(text).to_bytes(8, "little") + text for text in encoded)


def test_texts_with_a_nul_cannot_be_joined() -> None:
    assert Joined.of(["a\0", "b"]) is None
    assert Joined.of(["\0"]) is None
