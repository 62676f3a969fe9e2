"""Every golden digest of a file made with an importance matrix, the slow types too: make imatrix-check

The types of two bits and less take libggml some ten seconds each before the first block, for their grids.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import translators
from tests.oracle.goldens import difference, load
from tests.oracle.weighing import plans_with
from tests.real_weights import smollm2
from tests.tiny_imatrices import MATRICES
from tests.tiny_models import TinyModel
from tests.tiny_smollm2 import with_smollm2
from tests.tiny_variants import MODELS


def _model(name: str) -> TinyModel:
    return MODELS[name] if name in MODELS else with_smollm2(smollm2())[name]


def main() -> None:
    """Compare all; exit with 1 where something differs."""
    failed = compared = 0
    for name in MATRICES:
        golden = load(name)
        with tempfile.TemporaryDirectory() as directory:
            plans = plans_with(name, _model, Path(directory))
            for target in golden["files"]:
                plan = plans[target]
                if isinstance(plan, translators.Refusal):
                    wrong = f"refused: {plan.reason}"
                else:
                    wrong = difference(golden, target, plan.layout().read(0, plan.size))
                compared += 1
                failed += bool(wrong)
                print(f"{name} {target}: {wrong or 'equal'}", flush=True)
    print(f"{compared} files compared with upstream's, {failed} differ")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
