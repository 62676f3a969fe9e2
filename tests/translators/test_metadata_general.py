"""`general.*` against upstream's own answers, byte for byte, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.translators.golden_metadata import cases
from tests.translators.golden_metadata.rows import folder, golden, key_values
from translators.errors import MalformedSource
from translators.keyvalues import KeyValues
from translators.metadata import ParameterCount, count_parameters, write_general
from translators.metadata.modelcard import FRONT_MATTER_LIMIT, model_card
from translators.metadata.naming import name_of, size_label, titled

# Upstream fails at what it cannot pack into any file; told here with the file's name.
_GENERAL = dict(golden("general"))


def _written(root: Path, config: dict[str, Any], tensors: Any) -> KeyValues:
    kv = KeyValues()
    kv.string("general.architecture", "llama")
    parameters = count_parameters((name, tuple(shape)) for name, shape in tensors)
    write_general(kv, root, root.name, config, parameters)
    return kv


@pytest.mark.parametrize("key", cases.GENERAL)
def test_general_keys_are_upstreams(key: str, tmp_path: Path) -> None:
    case, expected = cases.GENERAL[key], _GENERAL[key]
    root = folder(tmp_path, case)
    if expected is None:
        with pytest.raises(MalformedSource) as refused:
            _written(root, case["config"], case["tensors"])
        assert refused.value.path.startswith(str(root))
        return
    assert _written(root, case["config"], case["tensors"]).encoded() == key_values(expected).encoded()


def test_names_are_taken_apart_as_upstream_does() -> None:
    rows = golden("names")
    assert len(rows) == len(cases.IDENTIFIERS)
    for identifier, count, expected in rows:
        name = name_of(identifier, count)
        parts = [name.full, name.organization, name.basename, name.finetune, name.version, name.size_label]
        assert [*parts, titled(identifier)] == expected, (identifier, count)


def test_size_labels_are_upstreams() -> None:
    for counts, expected in golden("sizes"):
        assert size_label(ParameterCount(*counts)) == expected


def test_parameters_of_experts_are_counted_for_one() -> None:
    tensors = [
        ("a.weight", (3, 4)),
        ("blk.0.ffn_up_exps.weight", (8, 5, 6)),
        ("blk.0.ffn_up_exps.bias", (8, 5)),
    ]
    assert count_parameters(tensors) == ParameterCount(12 + 240 + 40, 12 + 40, 30, 8)
    assert count_parameters([("x_exps.weight", (0, 2, 2))]) == ParameterCount(0, 0, 0, 0)
    assert count_parameters([]) == ParameterCount(0, 0, 0, 0)


def _card(root: Path, text: str | bytes) -> Path:
    (root / "README.md").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def test_a_card_is_read_no_further_than_its_front_matter(tmp_path: Path) -> None:
    _card(tmp_path, b"---\nname: x\n---\n" + b"\xff\xfe" + b"text " * FRONT_MATTER_LIMIT)
    assert model_card(tmp_path) == {"name": "x"}


def test_front_matter_without_end_is_refused(tmp_path: Path) -> None:
    _card(tmp_path, "---\n" + "# a comment, again and again\n" * (FRONT_MATTER_LIMIT // 20))
    with pytest.raises(MalformedSource, match="longer than"):
        model_card(tmp_path)


def test_front_matter_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedSource, match=r"README\.md"):
        model_card(_card(tmp_path, b"---\nname: \xff\n---\n"))


def test_nested_aliases_stay_small_and_are_refused_where_they_would_be_written(tmp_path: Path) -> None:
    lines = ["x0: &x0 [lol, lol]"] + [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 40)]
    text = "---\n" + "\n".join(lines) + "\ntags: *x39\n---\n"
    with pytest.raises(MalformedSource, match=r"README\.md, tags"):
        _written(_card(tmp_path, text), {}, [])


def test_multiplying_merge_keys_are_refused(tmp_path: Path) -> None:
    lines = ["x0: &x0 {a: 1, b: 2}"]
    lines += [f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}]}}" for n in range(1, 40)]
    with pytest.raises(MalformedSource, match="too many merge keys"):
        model_card(_card(tmp_path, "---\n" + "\n".join(lines) + "\n---\n"))


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedSource, match=r"README\.md"):
        model_card(_card(tmp_path, "---\nx: " + "[" * 50_000 + "\n---\n"))


def test_nothing_of_a_card_is_executed(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    call = f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{ran}]]"
    text = f"---\nx: {call}\n---\n"
    with pytest.raises(MalformedSource, match="line 2"):
        model_card(_card(tmp_path, text))
    assert not ran.exists()


def test_a_directory_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedSource, match="its name"):
        write_general(KeyValues(), tmp_path, "caf\udce9", {}, ParameterCount(0, 0, 0, 0))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "[1]", '"x"', "{}"])
def test_sampling_parameters_that_are_no_numbers_are_refused(value: str, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(f'{{"top_p": {value}}}')
    with pytest.raises(MalformedSource, match=r"generation_config\.json, top_p"):
        write_general(KeyValues(), tmp_path, "m", {}, ParameterCount(0, 0, 0, 0))


@pytest.mark.parametrize("text", ['{"top_k": ' + "9" * 5000 + "}", "[" * 100_000])
def test_sampling_parameters_beyond_measure_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(MalformedSource, match=r"generation_config\.json"):
        write_general(KeyValues(), tmp_path, "m", {}, ParameterCount(0, 0, 0, 0))


def test_golden_answers_cover_every_case() -> None:
    assert list(_GENERAL) == list(cases.GENERAL)
    assert sum(rows is None for rows in _GENERAL.values()) >= 15
    assert json.dumps(_GENERAL).count("general.base_model.0.name") >= 3
