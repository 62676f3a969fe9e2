"""Variants: tiny checkpoints of every family, each for something that decides a byte of its GGUF.

    Variant("mixtral-grouped", 2, config, files=pieces())          # in a module of variants/, in its VARIANTS

A variant is a configuration, side files, and which tensors there are: their names and shapes come from
transformers' own class (`regenerate` keeps them in golden/<name>.json), so the folder can be built with NumPy
alone. Values follow from the names, as in `tests.tiny_models`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.oracle.families import variants
from tests.tiny_models import TinyModel, write_safetensors

GOLDEN = Path(__file__).resolve().parent / "golden"
TYPES = ("q8_0", "q4_k_m", "q2_k")

Inventory = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Variant:
    """A tiny checkpoint.

    name:      of its directory, which is itself part of the metadata.
    family:    its number in the table of families.
    config:    config.json.
    files:     side files by their path.
    dtype:     of tensors of two or more dimensions; `dtypes` overrides it by the end of a name.
    vectors:   of tensors of one dimension; that of the others where empty.
    shards:    how many safetensors files.
    types:     the GGUF types compared besides that of the own precision.
    inventory: every tensor, where transformers has no class for the configuration.
    changed:   what a published checkpoint's tensors differ by from those of transformers' class.
    made_as:   transformers' class, where the configuration names one of the checkpoint's own code.
    close:     ends of GGUF names whose values go through exp: they may be off by the last bit.
    options:   of upstream's converter, without which it fails.
    note:      what upstream does wrong with it, if it does.
    mmproj:    the types compared of the side file of what sees or hears.
    """

    name: str
    family: int
    config: Mapping[str, Any]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    dtype: str = "BF16"
    dtypes: Mapping[str, str] = field(default_factory=dict)
    vectors: str = ""
    shards: int = 1
    types: tuple[str, ...] = TYPES
    inventory: Inventory | None = None
    changed: Callable[[Inventory], Inventory] | None = None
    made_as: str = ""
    close: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    note: str = ""
    mmproj: tuple[str, ...] = ()

    @property
    def golden(self) -> Path:
        """Where its golden digests lie."""
        return GOLDEN / f"{self.name}.json"

    def own(self, inventory: Inventory) -> str:
        """The GGUF type of its own precision: that of the first matrix in upstream's order."""
        first = min(
            (self._shard(name, inventory), name) for name, shape in inventory.items() if len(shape) > 1
        )[1]
        return self.dtype_of(first, inventory[first]).lower()

    def build(self, directory: Path, inventory: Inventory) -> Path:
        """Write the folder into `directory` and return its path."""
        folder = directory / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=2) + "\n")
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        writer = TinyModel(self.name, self.config)
        for number in range(self.shards):
            tensors = {
                name: (self.dtype_of(name, shape), shape)
                for name, shape in inventory.items()
                if self._shard(name, inventory) == number
            }
            many = f"model-{number + 1:05d}-of-{self.shards:05d}.safetensors"
            write_safetensors(folder / (many if self.shards > 1 else "model.safetensors"), writer, tensors)
        if self.shards > 1:
            total = f"of-{self.shards:05d}.safetensors"
            where = {name: f"model-{self._shard(name, inventory) + 1:05d}-{total}" for name in inventory}
            index = {"metadata": {}, "weight_map": where}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
        return folder

    def dtype_of(self, name: str, shape: tuple[int, ...]) -> str:
        """The dtype of a tensor."""
        found = next((dtype for end, dtype in self.dtypes.items() if name.endswith(end)), None)
        return found or ((self.vectors or self.dtype) if len(shape) < 2 else self.dtype)

    def _shard(self, name: str, inventory: Inventory) -> int:
        return list(inventory).index(name) * self.shards // len(inventory)


@cache
def variants_by_name() -> dict[str, Variant]:
    """Every variant of every module in variants/."""
    found: dict[str, Variant] = {}
    for module in pkgutil.iter_modules(variants.__path__):
        for each in importlib.import_module(f"{variants.__name__}.{module.name}").VARIANTS:
            assert each.name not in found, f"two variants are called {each.name}"
            found[each.name] = each
    return found


def load(variant: Variant) -> dict[str, Any]:
    """The golden digests of a variant, with its `inventory`."""
    golden: dict[str, Any] = json.loads(variant.golden.read_text())
    golden["inventory"] = {name: tuple(shape) for name, shape in golden["inventory"].items()}
    return golden


def targets(golden: Mapping[str, Any]) -> list[str]:
    """The files that golden digests are of: of the model, and of what it sees or hears with."""
    side = golden.get("mmproj", {"files": {}})["files"]
    return [*golden["files"], *(name.replace("model.gguf-", "mmproj-") + ".gguf" for name in side)]


def digests_of(golden: Mapping[str, Any], target: str) -> tuple[dict[str, Any], str]:
    """The digests that a file is compared by, and what it is called there."""
    if not target.startswith("mmproj-"):
        return dict(golden), target
    kind = target.removeprefix("mmproj-").removesuffix(".gguf")
    return golden["mmproj"], f"model.gguf-{kind}"
