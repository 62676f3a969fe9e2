"""What is told of a format: a row of `format_sources`, or of `format_targets`.

A test holds that every format of `recognise.FORMATS`, every directory of `targets.FOLDERS` and every file
that a model gets has its row, and that the commands exist. Whoever adds a format adds its row; sentences say
only what was run or compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from translators.targets.folder import FolderTarget


@dataclass(frozen=True)
class Checked:
    """What a client or a library was run for; `command` shows it, a target of make or a test's file."""

    by: str
    what: str
    command: str


@dataclass(frozen=True)
class Source:
    """A stored format. `format` is its name in `recognise.FORMATS`, "" for what lies beside a model.

    files: which names are recognised. values: whether each weight is read as it is. checksums: those that the
    format has, and who looks at them. about: what it gives. refused: what, and why.
    """

    title: str
    format: str
    files: str
    values: str
    checksums: str
    about: str
    checked: tuple[Checked, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A virtual format. `names` are patterns (fnmatch) of its files in a model's directory.

    folder: its directories, None for files. listed: how the names are told to a person, where not as the
    patterns are. The other fields are those of a source.
    """

    title: str
    names: tuple[str, ...]
    values: str
    checksums: str
    about: str
    checked: tuple[Checked, ...] = ()
    refused: tuple[str, ...] = ()
    folder: FolderTarget | None = None
    listed: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The names as a person reads them."""
        return self.listed or self.names
