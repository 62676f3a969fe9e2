"""The reference pages: as the code is, the same everywhere, and well-formed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import PAGES
from docs.generate.command_line import EXIT_CODES
from fsd.cli.command import VERBS, whole_parser
from fsd.cli.outline import outline
from fsd.config import CONFIG_VARIABLE, OPTIONS, resolve
from fsd.errors import FAULTS
from tests.fsd.mounting import ROOT, environment


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_makes(name: str) -> None:
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == PAGES[name](), f"{name} is stale: run `make docs`"


def test_pages_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    """Another user, another terminal, one processor: the same text."""
    script = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    script += "from docs.generate import PAGES\nprint('\\0'.join(page() for page in PAGES.values()), end='')"
    other = environment(tmp_path) | {"COLUMNS": "30", "LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", env=other, cwd=ROOT, check=True
    )
    assert done.stdout.split("\0") == [page() for page in PAGES.values()]


def test_every_option_verb_and_exit_code_is_there() -> None:
    configuration, commands = PAGES["docs/CONFIGURATION.md"](), PAGES["docs/CLI.md"]()
    manual = PAGES["docs/prismfs.1"]().replace("\\-", "-")
    assert CONFIG_VARIABLE in configuration
    for option in OPTIONS:
        assert f"| `{option.flag}` | `{option.variable}` | `{option.name}` |" in configuration
        assert f".B {option.flag}" in manual
    for verb in VERBS:
        assert f"\n## prismfs {verb}\n" in commands
    for command in outline(whole_parser()).all()[1:]:
        assert command.usage in commands
    assert {fault.exit_code for fault in FAULTS.values()} <= set(EXIT_CODES)


def test_the_manual_page_is_good_roff() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", "-"]
    page = PAGES["docs/prismfs.1"]()
    done = subprocess.run(command, input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_pages_are_not_imported_at_run_time() -> None:
    modules = [path.read_text() for path in (ROOT / "fsd").rglob("*.py")]
    assert len(modules) > 50
    assert not [text for text in modules if "docs.generate" in text]


def test_the_example_of_a_configuration_is_valid_and_shows_defaults() -> None:
    path = ROOT / "examples" / "prismfs.toml"
    options = resolve({"config": str(path)}, {})
    assert options.cache_size == 20 << 30
    (mount,) = options.mounts
    assert mount.source.name == "models"
    shown = {option.name: option.default_shown for option in OPTIONS}
    commented = [line.removeprefix("# ").split(" = ") for line in path.read_text().splitlines()]
    pairs = [pair for pair in commented if len(pair) == 2 and pair[0] in shown]
    assert len(pairs) > 8
    for name, value in pairs:  # what is commented out is the default, or has none
        if f"# {name} = " in path.read_text() and shown[name]:
            assert value.strip('"') == shown[name]
