"""docs/FORMATS.md tells of every format that there is, and of no command that there is not."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from docs.generate.format_rows import Checked
from docs.generate.format_sources import SOURCES
from docs.generate.format_targets import TARGETS
from tests import tiny_adapters
from tests.oracle.families.variant import load, variants_by_name
from tests.tiny_models import build
from tests.tiny_variants import MODELS
from translators import Plan, folders, open_model, plans
from translators.plan import Folder
from translators.sources.recognise import FORMATS
from translators.targets import FOLDERS

ROOT = Path(__file__).resolve().parents[1]
TINY = "Qwen2.5-0.5B-Instruct"


def of_variant(name: str, directory: Path) -> Path:
    variant = variants_by_name()[name]
    return variant.build(directory, load(variant)["inventory"])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    work = tmp_path_factory.mktemp("formats")
    seeing = next(name for name, variant in sorted(variants_by_name().items()) if variant.mmproj)
    # Vocabularies of several kinds, and what embeds.
    kinds = ("ERNIE-4.5-0.3B-PT", "bge-m3", "flan-t5-small")
    found = [build(MODELS[TINY], work), *(of_variant(name, work) for name in (seeing, *kinds))]
    for source in tuple(found):
        own = [plan for plan in plans(open_model(source)).values() if isinstance(plan, Plan) and plan.own]
        layout = own[0].layout()
        target = work / f"{source.name}-gguf"
        target.mkdir()
        (target / "model.gguf").write_bytes(layout.read(0, layout.size))
        found.append(target)
    return [*found, tiny_adapters.build(tiny_adapters.ADAPTERS["single-precision"], work)]


def test_every_stored_format_has_its_row() -> None:
    told = [source.format for source in SOURCES if source.format]
    assert sorted(told) == sorted(each.name for each in FORMATS)


def test_every_directory_of_a_format_has_its_row() -> None:
    told = [target.folder for target in TARGETS if target.folder is not None]
    assert len(told) == len(FOLDERS)
    assert all(any(folder is each for folder in told) for each in FOLDERS)


def test_every_file_of_a_model_has_its_row(models: list[Path]) -> None:
    patterns = [pattern for target in TARGETS if target.folder is None for pattern in target.names]
    names = {name for path in models for name, plan in plans(open_model(path)).items()}
    assert {name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)} == set()
    # And no row tells of files that nobody gets.
    assert [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)] == []


def test_every_directory_of_a_model_is_that_of_one_row(models: list[Path]) -> None:
    for path in models:
        for name, found in folders(open_model(path)).items():
            if isinstance(found, Folder):
                rows = [row for row in TARGETS if any(fnmatchcase(f"{name}/x", each) for each in row.names)]
                assert len(rows) == 1, name
                assert rows[0].folder is not None


def checks() -> list[Checked]:
    return [each for row in (*SOURCES, *TARGETS) for each in row.checked]


def test_every_command_is_there() -> None:
    made = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for each in checks():
        if each.command.startswith("make "):
            assert each.command.removeprefix("make ") in made, each
        else:
            assert (ROOT / each.command).is_file(), each


def test_every_row_says_something() -> None:
    for row in (*SOURCES, *TARGETS):
        assert row.checked, row.title
        assert row.about.endswith("."), row.title
        assert all(reason.endswith(".") for reason in row.refused), row.title
    titles = [row.title for row in (*SOURCES, *TARGETS)]
    assert len(set(titles)) == len(titles)
