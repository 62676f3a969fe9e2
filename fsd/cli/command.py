"""The command line: one module a verb.

A verb's module has `configure(parser)`, which declares its arguments, and `run(arguments) -> int`, its exit
code. Only the chosen verb's module is imported, so that what one verb needs can keep no other from running.
Data goes to stdout and messages to stderr. An error ends with a sentence, what to do about it, and the exit
code of `fsd.errors`; a traceback means a bug.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from importlib import import_module

from fsd.cli.terminal import tell
from fsd.errors import PrismError, exit_code_of
from translators.errors import TranslationError

VERBS = {
    "mount": "mount a directory of models",
    "umount": "unmount it",
    "status": "tell of the daemon: its mounts, cache and jobs",
    "ls": "list each model's forms with their exact sizes, and why a form is refused",
    "export": "write one form of a model to a file, without a mount",
    "warm": "have forms under a mount translated and kept, ahead of their use",
    "pin": "keep what is translated of forms, whatever else has to go",
    "unpin": "let it go again when room is needed",
    "evict": "give back the disk that forms' translated bytes take",
    "verify": "compute forms again, and compare with what is kept",
    "jobs": "list a daemon's long work, look at it, or call it off",
    "cache": "list, trim, clear or verify the translated bytes that are kept on disk",
    "config": "show every option in force and what set it, or check a configuration file",
    "completion": "print a script by which a shell completes prismfs's words",
    "doctor": "check what this machine has, and say what it lacks",
}
EPILOG = "`prismfs VERB --help` lists a verb's options. Start with: prismfs mount ~/models /mnt/models"
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # A file's name need not be text: what comes in as bytes goes out as the same bytes.
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(errors="surrogateescape")
    parser, verb = _parser(words)
    arguments = parser.parse_args(words)
    try:
        return int(import_module(f"fsd.cli.{verb}").run(arguments))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit fails again
        return 1
    except (PrismError, TranslationError, OSError) as error:
        tell(error)
        return exit_code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED


class _Version(argparse.Action):
    """argparse's own, but the version is looked up only if asked for: that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from importlib import metadata  # noqa: PLC0415

        print(f"prismfs {metadata.version('prismfs')}")
        parser.exit()


def whole_parser() -> argparse.ArgumentParser:
    """The parser, complete for every verb: for who describes the command line."""
    return _built(VERBS)


def _parser(words: Sequence[str]) -> tuple[argparse.ArgumentParser, str]:
    """The parser, complete for the verb that `words` name."""
    chosen = next((word for word in words if not word.startswith("-")), "")
    return _built({chosen}), chosen


def _built(complete: Collection[str]) -> argparse.ArgumentParser:
    """The parser; verbs that are not to be `complete` have no arguments, and are not imported."""
    about = "One model in, every format out."
    parser = argparse.ArgumentParser(prog="prismfs", description=about, epilog=EPILOG)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, help in VERBS.items():
        verb = verbs.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        if name in complete:
            import_module(f"fsd.cli.{name}").configure(verb)
    return parser
