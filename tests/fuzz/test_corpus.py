"""Every input that fuzzing kept, given to its parser again: what was a bug once stays none."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.folders import packed, unpacked, write
from tests.fuzz.judging import judge, kind_of
from tests.fuzz.mutation import changed
from tests.fuzz.parsers import PARSERS, Parser
from tests.fuzz.smaller import smaller
from translators.errors import MalformedSource, TranslationError
from translators.sources.recognise import FORMATS

ROOM = 300_000  # bytes: a repository is no store of inputs
EACH = [pytest.param(parser, id=parser.name) for parser in PARSERS]


@pytest.mark.parametrize("parser", EACH)
def test_what_was_kept_does_no_harm(parser: Parser, tmp_path: Path) -> None:
    inputs = sorted((CORPUS / parser.name).glob("*"))
    assert {
        path.name: fault for path in inputs if (fault := judge(parser, path.read_bytes(), tmp_path))
    } == {}


@pytest.mark.parametrize("parser", EACH)
def test_seeds_are_read(parser: Parser, tmp_path: Path) -> None:
    """A parser that refuses all that it is given would show nothing."""
    read = 0
    for files in list(parser.seeds())[:20]:
        data = packed(files, parser.names)
        assert unpacked(data, parser.names) == files
        write(files, parser.names, tmp_path)
        try:
            parser.parse(tmp_path)
            read += 1
        except TranslationError:
            continue
    assert read


def test_every_stored_format_is_fuzzed() -> None:
    assert {each.name for each in FORMATS} == {parser.format for parser in PARSERS} - {""}
    assert len({parser.name for parser in PARSERS}) == len(PARSERS)


def test_the_corpus_is_small_and_of_parsers_that_there_are() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= {parser.name for parser in PARSERS}
    assert sum(path.stat().st_size for path in CORPUS.glob("*/*")) < ROOM


def test_what_is_judged_wrong(tmp_path: Path) -> None:
    def parser(error: BaseException | None) -> Parser:
        def parse(directory: Path) -> None:
            if error is not None:
                raise error

        return Parser("x", parse, ("a",), lambda: ())

    assert judge(parser(None), b"", tmp_path) == ""
    assert judge(parser(MalformedSource("it lies")), b"", tmp_path) == ""
    assert judge(parser(MalformedSource(" ")), b"", tmp_path) == "an error that says nothing"
    assert judge(parser(KeyError("k")), b"", tmp_path).startswith("KeyError at ")
    assert kind_of(judge(parser(MemoryError()), b"", tmp_path)) == "MemoryError at no line of the translators"


def test_a_parser_that_does_not_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.judging.SECONDS", 0.05)

    def parse(directory: Path) -> None:
        while True:
            pass

    assert judge(Parser("x", parse, ("a",), lambda: ()), b"", tmp_path).startswith("Hang at ")


def test_files_are_packed_and_none_is_written_outside(tmp_path: Path) -> None:
    names = ("config.json", "tokenizer.model")
    files = {"config.json": b"{}\n-- x", "tokenizer.model": b"\0\n-- y --\n"}
    assert unpacked(packed({"config.json": b"{}"}, names), names) == {"config.json": b"{}"}
    assert set(unpacked(packed(files, names), names)) == set(names)
    assert unpacked(b"\n-- ../x --\nabc\n-- /etc/x --\n\n-- config.json --\n1", names) == {
        "config.json": b"1"
    }
    assert unpacked(b"anything", ("model.gguf",)) == {"model.gguf": b"anything"}
    write({"config.json": b"1"}, names, tmp_path)
    write({"tokenizer.model": b"2"}, names, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.model"]


def test_inputs_become_smaller() -> None:
    assert smaller(b"0123456789bug!0123456789", lambda data: b"bug" in data) == b"bug"


def test_json_is_changed_as_json() -> None:
    for seed in range(50):
        content = changed("config.json", b'{"a": [1, {"b": "c"}], "d": 2.5}', Random(seed))
        assert content is not None
        json.loads(content)
        header = changed("model.safetensors", b"\x08" + bytes(7) + b'{"a": 1}data', Random(seed))
        assert header is not None
        assert header.endswith(b"data")
    assert changed("config.json", b"{", Random(0)) is None
    assert changed("model.gguf", b"{}", Random(0)) is None
