"""The Hugging Face folder that a GGUF appears as, written out for tools that know nothing of this project."""

from __future__ import annotations

from pathlib import Path

import translators

CHUNK = 8 << 20


def write_folder(source: Path, folder: Path) -> Path:
    """Write every file of the Hugging Face side of `source` into `folder`, and return it."""
    folder.mkdir(parents=True)
    plans = translators.plans(translators.open_model(source))
    for name, plan in plans.items():
        if name.startswith("model.gguf-"):
            continue
        assert isinstance(plan, translators.Plan), f"{name} is refused: {plan}"
        layout = plan.layout()
        with (folder / name).open("wb") as file:
            for at in range(0, layout.size, CHUNK):
                file.write(layout.read(at, CHUNK))
        layout.close()
    return folder
