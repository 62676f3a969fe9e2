"""The lists of a tokenizer.json in C: what Python says of the same, and an answer whatever they hold."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from translators.joined import Joined
from translators.vocab import lists

_ALPHABET = 'abcĠé中🙂"\\]'


def _texts(chance: random.Random, count: int) -> list[str]:
    """Unlike texts, most of them short."""
    lengths = (chance.choice((1, 2, 3, 5, 40)) for _ in range(4 * count))
    return list(dict.fromkeys("".join(chance.choices(_ALPHABET, k=length)) for length in lengths))[:count]


def _joined(texts: list[str]) -> Joined:
    joined = Joined.of(texts)
    assert joined is not None
    return joined


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("count", [1, 2, 700])
def test_a_vocabulary_is_what_json_says(count: int, indent: int | None) -> None:
    texts = [*_texts(random.Random(count), count)[:-1], "with a space"]
    written = json.dumps(dict(zip(texts, range(count), strict=True)), ensure_ascii=False, indent=indent)
    found = lists.vocabulary_of(written.encode())
    assert found is not None
    assert [text.decode() for text in found.split()] == texts


@pytest.mark.parametrize(
    "written",
    [
        "", "{", "{}", "[]", '{"a": 0', '{"a": 0,}', '{"a": 1}', '{"a": 0, "b": 2}', '{"a": 0, "b": 0}',
        '{"a": -0}', '{"a": 0.0}', '{"a": 00}', '{"a": 0e1}', '{"a" 0}', '{"a": 0} x', '{"a\\n": 0}',
        '{"a\n": 0}', '{"\\u0120": 0}', '{"a": "0"}', '{"a', '{"a\\', '{"a\\"', '{"a": 0, "b": 01}',
        '{"a": null}', '{a: 0}', '{"a": 0}\0', '{"a": 9999999999999999999999}',
    ],
)  # fmt: skip
def test_another_vocabulary_is_not_taken(written: str) -> None:
    assert lists.vocabulary_of(written.encode()) is None


@pytest.mark.parametrize(
    "written",
    [
        "", "[", "[]", '["a b"', '["a b",]', '["a b"] x', '["a b", ["c", "d"]]', '[["a", "b"], "c d"]',
        '[["a"]]', '[["a", "b", "c"]]', '[["a b", "c"]]', '[["a", "b"]', '[["a", "b"', '[["a",', '["a\\',
        '["\\u0120 a"]', '["a\tb"]', "[7]", '{"a": "b"}', '[["a" "b"]]', '["a b"]]',
    ],
)  # fmt: skip
def test_other_merges_are_not_taken(written: str) -> None:
    assert lists.merges_of(written.encode()) is None


@pytest.mark.parametrize("written", [b'["a \xff"]', b'["\xc3"]', b'["\xed\xa0\x80"]'])
def test_what_is_no_utf8_is_an_error(written: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        lists.merges_of(written)


def test_utf8_is_seen_to_the_end() -> None:
    for size in range(lists._AT_ONCE - 5, lists._AT_ONCE + 5):
        found = lists.merges_of(f'["{"x" * size}🙂"]'.encode())
        assert found is not None
        assert found[0].decode() == "x" * size + "🙂"
        with pytest.raises(UnicodeDecodeError):
            lists.merges_of(b'["' + b"x" * size + b'\xf0\x9f"]')


@pytest.mark.parametrize("seed", range(5))
def test_texts_within_another_are_found(seed: int) -> None:
    chance = random.Random(seed)
    texts, whole = [*_texts(chance, 500), ""], "".join(chance.choices(_ALPHABET, k=300))
    for prefix in ("", "Ġ", "ab"):
        found = lists.within(_joined(texts), whole.encode(), prefix.encode())
        assert found is not None
        expected = [
            text in whole
            or (prefix != "" and text not in ("", prefix) and text.removeprefix(prefix) in whole)
            for text in texts
        ]
        expected[-1] = False  # the empty one is nowhere
        assert found.tolist() == [int(each) for each in expected]


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_those_of_the_texts(seed: int) -> None:
    chance = random.Random(seed)
    texts = _texts(chance, 900)
    asked = [*chance.sample(texts, 40), "no such text", "\ud800", ""]
    expected = {text: texts.index(text) for text in asked if text in texts}
    assert lists.numbered(_joined(texts), asked) == expected
    assert lists.numbered(_joined(texts), []) == {}


def _merges(chance: random.Random, count: int) -> tuple[list[str], list[str]]:
    """Tokens, and merges of two of them into a third, as a trainer makes them."""
    tokens = dict.fromkeys("abcdefgh")
    merges: dict[str, None] = {}
    while len(merges) < count:
        left, right = chance.choice(list(tokens)), chance.choice(list(tokens))
        if len(left + right) < 30:
            merges[f"{left} {right}"] = tokens[left + right] = None
    return list(tokens), list(merges)


@pytest.mark.parametrize("seed", range(5))
def test_merges_that_make_a_wanted_token_are_found(seed: int) -> None:
    chance = random.Random(seed)
    tokens, merges = _merges(chance, 400)
    wanted = np.array([chance.random() < 0.2 for _ in tokens], np.uint8)
    names = {token for token, marked in zip(tokens, wanted, strict=True) if marked}
    expected = [n for n, merge in enumerate(merges) if merge.replace(" ", "") in names]
    assert lists.making(wanted, _joined(tokens), _joined(merges)) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda tokens, merges: merges.insert(200, "a x"), lambda tokens, merges: merges.append("x a"),
        lambda tokens, merges: merges.insert(3, "ab"), lambda tokens, merges: merges.append("a b c"),
        lambda tokens, merges: merges.insert(0, " a"), lambda tokens, merges: merges.append(""),
        lambda tokens, merges: tokens.append("a"),
        lambda tokens, merges: tokens.remove(merges[7].replace(" ", "")),
    ],
)  # fmt: skip
def test_merges_of_what_is_no_token_are_noticed(change: Any) -> None:
    tokens, merges = _merges(random.Random(1), 400)
    change(tokens, merges)
    assert lists.making(np.zeros(len(tokens), np.uint8), _joined(tokens), _joined(merges)) is None


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_written_there_is_an_answer(seed: int) -> None:
    """And no byte outside is read, which `make kernels-asan` sees."""
    chance = random.Random(seed)
    parts = [bytes([each]) for each in b'[]{}",: 01\\a\xc4\0'] + [b'"a b"', b'["a","b"]', b'"a":1']
    for _ in range(300):
        written = b"".join(chance.choices(parts, k=chance.randrange(12)))
        for read in (lists.merges_of, lists.vocabulary_of):
            try:
                found = read(chance.choice((b"[", b"{", b'["a b",', b'{"a":0,')) + written)
            except UnicodeDecodeError:
                continue
            if found is not None and len(found):
                lists.making(np.ones(len(found), np.uint8), found, found)
                lists.within(found, written, b"a")
