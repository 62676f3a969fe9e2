"""Completion scripts, in the shells themselves."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from fsd.cli.command import VERBS, whole_parser
from fsd.cli.completion import SCRIPTS
from fsd.cli.outline import Command, Kind, outline

SHELLS = tuple(SCRIPTS)


@pytest.fixture(scope="module")
def prismfs() -> Command:
    return outline(whole_parser())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "some dir").mkdir()
    (tmp_path / "some.toml").touch()
    return tmp_path


def bash(prismfs: Command, directory: Path, *words: str) -> set[str]:
    """What bash offers for the last of `words`, as when Tab is pressed behind it."""
    script = SCRIPTS["bash"](prismfs) + (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _prismfs; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "--norc", "-u", "-c", script, "bash", "prismfs", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=directory, check=True)
    assert done.stderr == ""
    return set(done.stdout.splitlines()) - {""}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_its_script(prismfs: Command, shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell](prismfs))
    command = {"bash": ["bash", "-n"], "zsh": ["zsh", "-f", "-n"], "fish": ["fish", "--no-execute"]}[shell]
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_verbs_actions_and_flags(prismfs: Command, directory: Path) -> None:
    assert bash(prismfs, directory, "") == set(VERBS)
    assert bash(prismfs, directory, "co") == {"config", "completion"}
    assert bash(prismfs, directory, "cache", "") == {"ls", "gc", "clear", "verify"}
    assert bash(prismfs, directory, "cache", "clear", "--p") == {"--pinned"}
    assert bash(prismfs, directory, "mount", "--cache-m") == {"--cache-memory", "--cache-min-free"}
    assert bash(prismfs, directory, "config", "show", "--") == {"--help", "--json", "--config"}
    assert "--version" in bash(prismfs, directory, "--")


def test_bash_completes_what_a_flag_or_a_place_takes(prismfs: Command, directory: Path) -> None:
    assert bash(prismfs, directory, "mount", "--log-format", "") == {"auto", "text", "json"}
    assert bash(prismfs, directory, "completion", "") == set(SHELLS)
    assert bash(prismfs, directory, "mount", "--cache-dir", "some") == {"some dir"}
    assert bash(prismfs, directory, "mount", "--config", "some") == {"some dir", "some.toml"}
    assert bash(prismfs, directory, "config", "check", "some") == {"some dir", "some.toml"}
    assert bash(prismfs, directory, "umount", "some") == {"some dir"}
    assert bash(prismfs, directory, "mount", "--workers", "") == set()


def test_the_loaded_script_is_what_bash_uses_for_prismfs(prismfs: Command) -> None:
    script = SCRIPTS["bash"](prismfs) + "complete -p prismfs"
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "complete -F _prismfs prismfs\n"


def test_fish_completes(prismfs: Command, tmp_path: Path) -> None:
    """fish can be asked what it would offer."""

    def offered(line: str) -> dict[str, str]:
        script = f"{SCRIPTS['fish'](prismfs)}\ncomplete -C {line!r}"
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["fish", "--no-config", "-c", script],
            capture_output=True, text=True, check=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
        assert done.stderr == ""
        return dict((*line.split("\t"), "")[:2] for line in done.stdout.splitlines())

    assert offered("prismfs ") == VERBS
    assert set(offered("prismfs cache ")) == {"ls", "gc", "clear", "verify"}
    assert set(offered("prismfs mount --log-format ")) == {"auto", "text", "json"}
    assert "--pinned" in offered("prismfs cache clear --")
    assert "--pinned" not in offered("prismfs cache ls --")


def test_zsh_completes(prismfs: Command, tmp_path: Path) -> None:
    """The function is called as zsh calls it, with what it calls in turn replaced by its name."""

    def offered(*words: str) -> list[str]:
        asked = " ".join(f"'{word}'" for word in words)
        stubs = '_files() { print -- files "$@" }; _describe() { print -rl -- "${(@P)2}" }\n'
        script = stubs + SCRIPTS["zsh"](prismfs) + f"\nwords=(prismfs {asked}); CURRENT=$#words; _prismfs"
        done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return [line.partition(":")[0] for line in done.stdout.splitlines()]

    assert offered("") == list(VERBS)
    assert offered("cache", "") == ["ls", "gc", "clear", "verify"]
    assert offered("mount", "--log-format", "") == ["auto", "text", "json"]
    assert "--pinned" in offered("cache", "clear", "-")
    assert offered("umount", "") == ["files -/"]
    assert offered("mount", "--config", "") == ["files"]


def test_zsh_takes_the_script_by_eval_and_from_its_path(prismfs: Command, tmp_path: Path) -> None:
    (tmp_path / "_prismfs").write_text(SCRIPTS["zsh"](prismfs))
    begin = f"autoload -U compinit; compinit -u -d {tmp_path}/dump;"
    for script in (
        f"{begin} source {tmp_path}/_prismfs; print $_comps[prismfs]",
        f"fpath=({tmp_path} $fpath); {begin} print $_comps[prismfs]",
    ):
        done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("_prismfs\n", "")


def test_every_verb_is_outlined(prismfs: Command) -> None:
    assert [command.words for command in prismfs.commands] == [(verb,) for verb in VERBS]
    for command in prismfs.all()[1:]:
        assert command.about, command.words
        for argument in command.flags:
            assert argument.help, (command.words, argument.names)


def test_an_outline_of_every_sort_of_argument() -> None:
    parser = argparse.ArgumentParser(prog="prismfs")
    parser.add_argument("file", metavar="FILE", nargs="*", help="100%% of %(metavar)s")
    parser.add_argument("--dir", metavar="DIR")
    parser.add_argument("--word", choices=["a", "b"], default="a", help="or %(default)s")
    made = outline(parser)
    (place,), (_, directory, word) = made.places, made.flags
    assert (place.optional, place.many, place.kind, place.help) == (True, True, Kind.FILE, "100% of FILE")
    assert (directory.kind, word.words, word.help) == (Kind.DIRECTORY, ("a", "b"), "or a")
    assert made.usage == "prismfs [OPTION...] [FILE...]"


@pytest.mark.parametrize("required", [True, False])
def test_an_outline_of_actions(required: bool) -> None:
    parser = argparse.ArgumentParser(prog="prismfs")
    parser.add_subparsers(required=required).add_parser("go", help="be off")
    made = outline(parser)
    assert (made.alone, made.commands[0].about, made.commands[0].words) == (not required, "be off", ("go",))
    assert made.usage == ("prismfs COMMAND" if required else "prismfs [COMMAND]")
