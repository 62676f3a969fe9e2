"""GGUF -> Hugging Face, judged by transformers: does it load the folder that a variant's GGUF appears as?

    python -m tests.oracle.families.returning [NAME ...]      # `make families-back`

AutoConfig reads config.json, the class that it names loads the weights: none may be missing or unknown, and
each is the one that the folder holds. What a GGUF cannot give back is allowed (`_LOST`). Variants of classes
that transformers has no code for are told and passed over. Needs what environment.sh builds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.oracle.families.comparison import plans_of
from tests.oracle.families.regenerate import Failed, Upstream
from tests.oracle.families.test_families_back import BACK, write_returned
from tests.oracle.families.variant import load, variants_by_name

# A BERT's pooler, which converters leave out and nobody who asks for embeddings needs.
_LOST = ("pooler.",)
_NO_CODE = ("does not recognize this architecture", "custom code", "Unrecognized configuration")


def judged(name: str, upstream: Upstream) -> str:
    """What transformers says against a variant's folder, "" for nothing. Raises Failed."""
    variant = variants_by_name()[name]
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        plans = plans_of(variant, load(variant), work)
        folder = write_returned(plans, name, work).folder
        answer = upstream.ask(name, {"load": str(folder)})
    missing = [each for each in answer["missing"] if not any(part in each for part in _LOST)]
    # Layers that predict further tokens, which transformers passes over by their published numbers.
    behind = f".layers.{variant.config.get('num_hidden_layers')}."
    unknown = [each for each in answer["unknown"] if behind not in each]
    found = {"missing": missing, "unknown": unknown, "other values": answer["other"]}
    return "; ".join(f"{kind}: {', '.join(names[:3])}" for kind, names in found.items() if names)


def main(names: list[str]) -> int:
    """Judge the variants whose names begin with one of `names`, or all; 1 where anything is amiss."""
    amiss = loaded = passed = 0
    with Upstream() as upstream:
        for name in BACK:
            if names and not name.startswith(tuple(names)):
                continue
            try:
                found = judged(name, upstream)
            except Failed as error:
                found = str(error)
                if any(part in found for part in _NO_CODE):
                    passed += 1
                    print(f"{name}: transformers has no code for it")
                    continue
            loaded += not found
            amiss += bool(found)
            print(f"{name}: {found or 'loaded whole'}", flush=True)
    print(f"{loaded} folders loaded whole, {amiss} amiss, {passed} of classes without code")
    return 1 if amiss or not loaded else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
