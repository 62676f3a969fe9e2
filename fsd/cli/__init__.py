"""The command `prismfs`; `command.py` has the verbs' parser, and each verb its module.

Only this module and `clash.py` work where another distribution's `translators` hides ours: they import
nothing but the standard library, and say what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        command = import_module("fsd.cli.command")
    except ImportError:
        from fsd.cli.clash import REMEDY, clash  # noqa: PLC0415  (only now: reading metadata takes a while)

        reason = clash()
        if reason is None:
            raise
        print(f"prismfs: {reason}\n  try: {REMEDY}", file=sys.stderr)
        return 1
    return int(command.run(argv))
