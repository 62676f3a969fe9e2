"""docs/CLI.md: every command with its words, from the parsers; exit codes, from the table of errors."""

from __future__ import annotations

from collections.abc import Iterator

from docs.generate.markdown import block, code, page, table
from fsd.cli.command import INTERRUPTED, whole_parser
from fsd.cli.outline import Argument, Command, outline
from fsd.config import OPTIONS
from fsd.errors import FAULTS

_ABOUT = """
Data goes to stdout and messages to stderr, so that a pipe gets nothing but data: columns with tabs between
them, or JSON with `--json`. An error is a sentence, what to do about it, and an exit code. Every option of
the daemon is also an environment variable and a key of a configuration file:
[CONFIGURATION.md](CONFIGURATION.md).
"""
_COMPLETION = """
`eval "$(prismfs completion bash)"` in `~/.bashrc`, the same with `zsh` in `~/.zshrc` after `compinit`, and
for fish `prismfs completion fish > ~/.config/fish/completions/prismfs.fish`.
"""
# One code stands for several errors; these are its sentences. A test holds that none is missing.
EXIT_CODES = {
    0: "it was done",
    1: "anything else: an error of the system, a bug, a check that failed",
    2: "the command, an option or a configuration file cannot be understood",
    3: "there is no such name",
    4: "the model cannot appear in this form",
    5: "the source is damaged or incomplete; for `verify`: something was damaged",
    6: "the source changed meanwhile",
    7: "planning was stopped, or failed",
    INTERRUPTED: "Ctrl-C",
}
_DAEMON = {option.flag for option in OPTIONS}


def text() -> str:
    """The page."""
    prismfs = outline(whole_parser())
    verbs = [(f"[`{verb.words[0]}`](#prismfs-{verb.words[0]})", verb.about) for verb in prismfs.commands]
    parts = [part for command in prismfs.all()[1:] for part in _command(command)]
    return page(
        "The command line",
        _ABOUT,
        table(("verb", "does"), verbs),
        *parts,
        "## Shell completion",
        _COMPLETION,
        "## Exit codes",
        table(("code", "means", "errors"), _exit_codes()),
    )


def _command(command: Command) -> Iterator[str]:
    yield f"{'#' * (1 + len(command.words))} prismfs {' '.join(command.words)}"
    yield f"{command.about[:1].upper()}{command.about[1:]}."
    yield block(command.usage)
    flags = [flag for flag in command.flags if "--help" not in flag.names]
    own = [flag for flag in flags if not _DAEMON & set(flag.names)]
    rows = [_row(argument) for argument in (*command.places, *own)]
    if rows:
        yield table(("argument", "is"), rows)
    if len(own) < len(flags):
        shared = [flag for flag in flags if flag not in own]
        names = ", ".join(map(_names, shared))
        yield f"Options of the daemon ([CONFIGURATION.md](CONFIGURATION.md)): {names}."


def _row(argument: Argument) -> tuple[str, str]:
    return _names(argument) if argument.names else code(argument.metavar), argument.help


def _names(flag: Argument) -> str:
    value = f" {flag.metavar}" if flag.metavar else ""
    return code(", ".join(flag.names) + value)


def _exit_codes() -> Iterator[tuple[str, str, str]]:
    for number, meaning in EXIT_CODES.items():
        errors = [kind.__name__ for kind, fault in FAULTS.items() if fault.exit_code == number]
        yield str(number), meaning, ", ".join(map(code, errors))
