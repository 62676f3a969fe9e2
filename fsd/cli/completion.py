"""`prismfs completion bash|zsh|fish`: a script by which the shell completes prismfs's words.

Each script finds the place on the line (the verb, and its action), and then looks into tables: which flags
there are, what comes after one, and whether a word by itself is a path.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator

from fsd.cli.command import whole_parser
from fsd.cli.outline import Argument, Command, Kind, outline

_BASH = """\
# bash completion for prismfs: eval "$(prismfs completion bash)"
_prismfs() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD - 1]}}" place="" i
    local flags="" words="" kind="none"
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$place ${{COMP_WORDS[i]}}" in
            {entered}) place="${{place:+$place }}${{COMP_WORDS[i]}}" ;;
        esac
    done
    case "$place" in
{places}
    esac
    case "$place $before" in
{values}
    esac
    COMPREPLY=()
    [[ $word == -* ]] && words="$flags" kind="none"
    case "$kind" in
        file) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        directory) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    esac
    [[ $kind == none ]] || compopt -o filenames 2>/dev/null
}}
complete -F _prismfs prismfs
"""

_ZSH = """\
#compdef prismfs
# zsh completion for prismfs: a file _prismfs in a directory of $fpath, or: eval "$(prismfs completion zsh)"
_prismfs() {{
    local word="${{words[CURRENT]}}" before="${{words[CURRENT-1]}}" place="" kind="none" given
    local -a flags choices
    for given in "${{(@)words[2,CURRENT-1]}}"; do
        case "$place $given" in
            ({entered}) place="${{place:+$place }}$given" ;;
        esac
    done
    case "$place" in
{places}
    esac
    case "$place $before" in
{values}
    esac
    if [[ $word == -* ]]; then
        kind="none" choices=("${{flags[@]}}")
    fi
    case "$kind" in
        (file) _files ;;
        (directory) _files -/ ;;
        (*) _describe 'prismfs' choices ;;
    esac
}}
if [[ $funcstack[1] == _prismfs ]]; then
    _prismfs "$@"
elif (( $+functions[compdef] )); then
    compdef _prismfs prismfs
fi
"""

_FISH = """\
# fish completion for prismfs: prismfs completion fish > ~/.config/fish/completions/prismfs.fish
function __prismfs_at
    set -l place
    for word in (commandline -opc)[2..-1]
        switch "$place $word"
            case {entered}
                set place (string trim -- "$place $word")
        end
    end
    test "$place" = "$argv"
end
complete -c prismfs -f
{lines}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's argument."""
    about = "whose script; each begins with a line that says where it goes"
    parser.add_argument("shell", metavar="SHELL", choices=SCRIPTS, help=f"{about}: {', '.join(SCRIPTS)}")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(SCRIPTS[arguments.shell](outline(whole_parser())), end="")
    return 0


def bash(prismfs: Command) -> str:
    """For bash 4 and newer; needs no bash-completion."""

    def place(command: Command) -> str:
        names = " ".join(name for flag in command.flags for name in flag.names)
        words = " ".join([below.words[-1] for below in command.commands] or _words(command))
        return f'"{_place(command)}") flags="{names}" words="{words}" kind={_kind(command).value} ;;'

    def value(flag: Argument) -> str:
        return f'words="{" ".join(flag.words)}" kind={_shell_kind(flag)} flags="" ;;'

    return _filled(_BASH, prismfs, place, value, bracket="")


def zsh(prismfs: Command) -> str:
    """For zsh, with what each word is for."""

    def place(command: Command) -> str:
        flags = " ".join(_zsh_word(name, flag.help) for flag in command.flags for name in flag.names)
        words = [_zsh_word(below.words[-1], below.about) for below in command.commands] or _words(command)
        choices, kind = " ".join(words), _kind(command).value
        return f'("{_place(command)}") flags=({flags}) choices=({choices}) kind={kind} ;;'

    def value(flag: Argument) -> str:
        return f"choices=({' '.join(flag.words)}) kind={_shell_kind(flag)} flags=() ;;"

    return _filled(_ZSH, prismfs, place, value, bracket="(")


def fish(prismfs: Command) -> str:
    """For fish, with what each word is for."""
    lines = []
    for command in prismfs.all():
        start = f"complete -c prismfs -n {_quoted(' '.join(('__prismfs_at', *command.words)))}"
        lines += [
            f"{start} -a {_quoted(below.words[-1])} -d {_quoted(below.about)}" for below in command.commands
        ]
        for flag in command.flags:
            names = " ".join(
                f"-l {name.removeprefix('--')}" if name.startswith("--") else f"-s {name.removeprefix('-')}"
                for name in flag.names
            )
            lines.append(f"{start} {names}{_fish_value(flag)} -d {_quoted(flag.help)}")
        if words := _words(command):
            lines.append(f"{start} -a {_quoted(' '.join(words))}")
        elif _kind(command) is Kind.FILE:
            lines.append(f"{start} -F")
        elif _kind(command) is Kind.DIRECTORY:
            lines.append(f"{start} -a '(__fish_complete_directories)'")
    entered = " ".join(_quoted(word) for word in _entered(prismfs))
    return _FISH.format(entered=entered, lines="\n".join(lines))


SCRIPTS: dict[str, Callable[[Command], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _filled(
    script: str,
    prismfs: Command,
    place: Callable[[Command], str],
    value: Callable[[Argument], str],
    *,
    bracket: str,
) -> str:
    """A script with its tables: `place` says what is at a place, `value` what comes after a flag."""
    after: dict[str, list[str]] = {}  # what comes -> after which flags
    for command in prismfs.all():
        for flag, name in _with_value(command):
            after.setdefault(value(flag), []).append(f'"{_place(command)} {name}"')
    return script.format(
        entered=" | ".join(f'"{word}"' for word in _entered(prismfs)),
        places=_block([place(command) for command in prismfs.all()]),
        values=_block([f"{bracket}{' | '.join(flags)}) {does}" for does, flags in after.items()]),
    )


def _entered(prismfs: Command) -> list[str]:
    """Place and word of each step deeper: " cache", "cache ls"."""
    return [f"{' '.join(c.words[:-1])} {c.words[-1]}" for c in prismfs.all() if c.words]


def _place(command: Command) -> str:
    return " ".join(command.words)


def _words(command: Command) -> list[str]:
    """What a word by itself can be, where that is known."""
    return [word for place in command.places for word in place.words]


def _kind(command: Command) -> Kind:
    """Files where any of the words is one; directories where all are."""
    kinds = {place.kind for place in command.places if not place.words}
    found = [kind for kind in (Kind.FILE, Kind.DIRECTORY) if kind in kinds]
    return found[0] if found else Kind.NONE


def _with_value(command: Command) -> Iterator[tuple[Argument, str]]:
    for flag in command.flags:
        if flag.kind is not Kind.NONE:
            yield from ((flag, name) for name in flag.names)


def _shell_kind(flag: Argument) -> str:
    return flag.kind.value if flag.kind in (Kind.FILE, Kind.DIRECTORY) else "none"


def _fish_value(flag: Argument) -> str:
    if flag.kind is Kind.NONE:
        return ""
    if flag.words:
        return f" -x -a {_quoted(' '.join(flag.words))}"
    if flag.kind is Kind.DIRECTORY:
        return " -x -a '(__fish_complete_directories)'"
    return " -r -F" if flag.kind is Kind.FILE else " -x"


def _zsh_word(word: str, help: str) -> str:
    return "'" + f"{word}:{help}".replace("'", "'\\''") + "'"


def _quoted(text: str) -> str:
    """In single quotes, as fish reads them."""
    return "'" + re.sub(r"([\\'])", r"\\\1", text) + "'"


def _block(lines: list[str]) -> str:
    return "\n".join(f"        {line}" for line in lines)
