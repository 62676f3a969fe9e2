"""Prints a configuration class of transformers as `ConfigClass` of translators/families/configuration.py.

    $PRISMFS_ORACLE/conv/bin/python -m tests.oracle.families.configuration gemma phi3

What its signature tells is printed; what its constructor derives besides must be read and added by hand.
Runs where transformers is installed and imports nothing of this project.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any


def shown(model_type: str) -> str:
    """The class of one model_type as Python."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: PLC0415

    kind: Any = CONFIG_MAPPING[model_type]
    signature = inspect.signature(kind.__init__).parameters
    values = {
        name: parameter.default
        for name, parameter in signature.items()
        if name not in ("self", "kwargs") and parameter.default is not inspect.Parameter.empty
    }
    made = kind().to_dict()
    told = {name: made.get(name, "<gone>") for name in values}
    derived = {name: told[name] for name in values if told[name] != values[name]}
    lines = [f'ConfigClass("{model_type}", {values!r}']
    if kind.attribute_map:
        lines.append(f"aliases={kind.attribute_map!r}")
    text = ", ".join(lines) + ")"
    return text + f"\n  # derived from defaults: {derived!r}\n  # source: {inspect.getsourcefile(kind)}"


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(shown(each))
