"""The command line as data: every command with its words, read from the parsers themselves.

Completion scripts and the reference pages are made from this; so they know a verb as soon as it has a parser.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from enum import Enum

from fsd.config import OPTIONS

_DIRECTORIES, _FILES = {"DIR", "MOUNTPOINT"}, {"FILE", "PATH", "SOURCE", "MODEL", "SOCKET"}


class Kind(Enum):
    """What stands for an argument: nothing (the flag stands alone), a path, or some text."""

    NONE = "none"
    FILE = "file"
    DIRECTORY = "directory"
    TEXT = "text"


@dataclass(frozen=True)
class Argument:
    """A flag with its names, or a word that is known by its place (no names).

    words: all that it can be, where these are few. optional and many are about the word itself.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    kind: Kind
    words: tuple[str, ...]
    optional: bool
    many: bool


@dataclass(frozen=True)
class Command:
    """`prismfs WORDS...`. One with further `commands` takes one of them; `alone`: it also does without."""

    words: tuple[str, ...]
    about: str
    flags: tuple[Argument, ...]
    places: tuple[Argument, ...]
    commands: tuple[Command, ...]
    alone: bool

    def all(self) -> tuple[Command, ...]:
        """This command and all below it."""
        return (self, *(below for command in self.commands for below in command.all()))

    @property
    def usage(self) -> str:
        """One line, as `prismfs ls [OPTION...] PATH`."""
        words = ["prismfs", *self.words, "[OPTION...]"] if len(self.flags) > 1 else ["prismfs", *self.words]
        words += [_usage(place) for place in self.places]
        if self.commands:
            words.append("[COMMAND]" if self.alone else "COMMAND")
        return " ".join(words)


def outline(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), about: str = "") -> Command:
    """All that `parser` takes."""
    flags, places, commands, alone = [], [], [], True
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            alone = not action.required
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            commands += [
                outline(below, (*words, name), helps.get(name, "")) for name, below in action.choices.items()
            ]
        elif action.option_strings:
            flags.append(_argument(action))
        else:
            places.append(_argument(action))
    return Command(
        words, about or parser.description or "", tuple(flags), tuple(places), tuple(commands), alone
    )


def _argument(action: argparse.Action) -> Argument:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    names = tuple(action.option_strings)
    option = next((option for option in OPTIONS if option.flag in names), None)
    words = tuple(map(str, action.choices)) if action.choices else option.words if option else ()
    kind = Kind.TEXT
    if action.nargs == 0:
        kind, metavar = Kind.NONE, ""
    elif metavar in _DIRECTORIES:
        kind = Kind.DIRECTORY
    elif metavar in _FILES:
        kind = Kind.FILE
    help = (action.help or "") % {"default": action.default, "prog": "prismfs", "metavar": metavar}
    many = action.nargs in ("*", "+")
    return Argument(names, metavar, help, kind, words, action.nargs in ("?", "*"), many)


def _usage(place: Argument) -> str:
    word = place.metavar + ("..." if place.many else "")
    return f"[{word}]" if place.optional else word
