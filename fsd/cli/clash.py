"""Another distribution on PyPI also has a top-level package `translators`: is it in our way?

Imports the standard library alone, so that it can tell where nothing else of ours can be imported.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

PACKAGE, DISTRIBUTION = "translators", "prismfs"
REMEDY = "install prismfs in an environment of its own: pipx install prismfs"


def clash() -> str | None:
    """What hides or overwrites our package, in a sentence; None if nothing does."""
    ours = Path(__file__).parents[2]
    spec = find_spec(PACKAGE)
    found = Path(spec.origin).parents[1] if spec and spec.origin else None
    if found != ours:
        return f"the package `{PACKAGE}` is found in {found}, not beside `fsd` in {ours}"
    others = set(metadata.packages_distributions().get(PACKAGE, ())) - {DISTRIBUTION}
    if others:
        return f"the package `{PACKAGE}` also belongs to another distribution: {', '.join(sorted(others))}"
    return None
