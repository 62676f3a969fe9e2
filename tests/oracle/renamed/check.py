"""Folders of transformers' Flax and TensorFlow classes as they appear here, against what transformers'
PyTorch classes make of them: `make flax-check`.

    python -m tests.oracle.renamed.check [--regenerate] [--made DIRECTORY]

Of every kind in `sources.renamed.kinds`, with several heads: each name, shape and byte of its tensors must be
those of the PyTorch class's state, and nothing may be missing but what shares its storage with another. Of
the families' variants the GGUF of the folder must be the GGUF of the folder that PyTorch saved, byte for
byte. `--regenerate` writes the folders and digests that the test suite compares with; `--made` keeps what was
made.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests import tiny_variants
from tests.oracle.families.comparison import plans_in
from tests.oracle.families.side_files import word_pieces
from tests.oracle.families.variant import load, variants_by_name
from tests.tiny_models import build
from translators import Plan, open_model
from translators.dtypes import F32
from translators.model import Model
from translators.reading import SourceFiles
from translators.recipes import cast, nbytes, read_bytes, stored
from translators.sources.renamed.kinds import FLAX_KINDS, GOOGLE_KINDS, KERAS_KINDS
from translators.sources.side_files import config_of

HERE = Path(__file__).resolve().parent
ORACLE = Path(os.environ.get("PRISMFS_ORACLE", HERE.parents[2] / ".oracle"))
GOLDEN = HERE.parents[1] / "translators" / "golden_renamed"
UPSTREAM = [ORACLE / "renamed/bin/python", HERE / "upstream.py"]
# Of these the GGUFs are compared.
VARIANTS = (
    "all-MiniLM-L6-v2", "bert-base-uncased", "bge-reranker-tiny", "distilbert-base-sst", "stsb-roberta-base",
    "bge-m3", "flan-t5-small", "t5-small", "gpt2-medium", "bloom-560m", "gemma-7b-f16",
)  # fmt: skip
MODELS = ("Tiny-Llama-3-8B-Instruct-v0.2", "Mistral-7B-Instruct-v0.1")
_GOOGLE = {
    "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 256,
    "initializer_range": 0.02, "intermediate_size": 512, "max_position_embeddings": 64,
    "num_attention_heads": 4, "num_hidden_layers": 2, "type_vocab_size": 2,
}  # fmt: skip
# Flax's classes of these keep masks of so many squared bytes.
_LONGEST = 512
# What the suite compares with: small, and of each rule one.
SMALL = (
    "flax/BertForPreTraining", "flax/BertForMaskedLM-shards", "flax/BertModel-bf16", "flax/GPT2LMHeadModel",
    "flax/T5ForConditionalGeneration", "flax/OPTForCausalLM", "flax/LlamaForCausalLM",
    "flax/BartForConditionalGeneration", "tf/BertModel", "tf/BertForMaskedLM", "tf/BertForMaskedLM-shards",
    "tf/T5Model-shards", "tf/GPT2LMHeadModel", "tf/T5ForConditionalGeneration", "tf/MistralForCausalLM",
    "tf/RobertaForSequenceClassification", "google/BertForPreTraining",
)  # fmt: skip

State = dict[str, list[Any]]


def state_of(model: Model) -> State:
    """A model's tensors as `upstream.py` tells of them: the digest of their values in F32, their shape."""
    found: State = {}
    with closing(SourceFiles(model.files)) as files:
        for name, tensor in model.tensors.items():
            recipe = cast(stored(tensor), F32)
            data = bytes(read_bytes(recipe, 0, nbytes(recipe), files))
            found[name] = [hashlib.sha256(data).hexdigest()[:24], list(tensor.shape)]
    return found


def differing(found: State, expected: State) -> list[str]:
    """Names that are not there, are there beside the class's own, or have other values or shapes.

    What shares its storage with another need not be there.
    """
    wrong = [name for name, its in found.items() if expected.get(name, [])[:2] != its]
    held = {expected[name][2] or name for name in found if name in expected}
    wrong += [name for name, its in expected.items() if name not in found and (its[2] or name) not in held]
    return sorted(wrong)


def ggufs(folder: Path) -> Iterator[tuple[str, str]]:
    """Digests of a folder's GGUFs, by their names."""
    found = plans_in(folder)
    for name in ("model.safetensors", *sorted(each for each in found if each.startswith("model.gguf-"))):
        plan = found[name]
        if isinstance(plan, Plan) and (plan.own or name.endswith(("safetensors", "q8_0", "q4_k_m", "q2_k"))):
            with closing(plan.layout()) as layout:
                yield name, hashlib.sha256(layout.read(0, layout.size)).hexdigest()


def checked(made: Path, name: str, expected: State, *, gguf: bool) -> bool:
    """Compare one folder, and print a line."""
    model = open_model(made / name)
    kinds = {"flax": FLAX_KINDS, "tf": KERAS_KINDS, "google": GOOGLE_KINDS}[name.partition("/")[0]]
    if config_of(made / name).get("model_type", "bert") not in kinds:
        print("refused" if model.unrenamed is not None else "DIFFERS", name, model.unrenamed)
        return model.unrenamed is not None
    wrong = differing(state_of(model), expected) if model.unrenamed is None else [str(model.unrenamed)]
    files = dict(ggufs(made / name))
    framework, _, own = name.partition("/")
    torch = made / f"{framework}-torch" / own.removesuffix("-shards")
    if torch.exists():
        theirs = dict(ggufs(torch))
        theirs.pop("model.safetensors")
        ours = {each: digest for each, digest in files.items() if each != "model.safetensors"}
        wrong += sorted(each for each in {*ours, *theirs} if ours.get(each) != theirs.get(each))
        if gguf and not ours:
            wrong.append("no GGUF")
    forms = ", ".join(each.removeprefix("model.") for each in files)
    print("DIFFERS" if wrong else "equal  ", name, f"{len(model.tensors)} tensors; {forms}", wrong[:4] or "")
    return not wrong


def specs(directory: Path) -> None:
    """Variants of the families, without their weights."""
    directory.mkdir()
    google = directory / "uncased_L-2_H-256_A-4"
    google.mkdir()
    words = json.loads(word_pieces()["tokenizer.json"])["model"]["vocab"]
    (google / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    (google / "bert_config.json").write_text(json.dumps({**_GOOGLE, "vocab_size": len(words)}))
    for name in (*VARIANTS, *MODELS):
        folder = directory / name
        if name in VARIANTS:
            variants_by_name()[name].build(directory, load(variants_by_name()[name])["inventory"])
        else:
            build(tiny_variants.MODELS[name], directory)
        for path in folder.glob("*.safetensors*"):
            path.unlink()
        config = json.loads((folder / "config.json").read_text())
        for key in ("max_position_embeddings", "n_positions"):
            if key in config:
                config[key] = min(config[key], _LONGEST)
        config.setdefault("torch_dtype", "float32")
        (folder / "config.json").write_text(json.dumps(config, indent=2))


def main(arguments: list[str]) -> int:
    """Compare, and print a line for each folder; 1 if one differs."""
    subprocess.run([HERE / "environment.sh"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        made = Path(arguments[arguments.index("--made") + 1] if "--made" in arguments else directory)
        if not (made / "kinds").exists():
            subprocess.run([*UPSTREAM, "kinds", made / "kinds"], check=True)
        if "--regenerate" in arguments:
            regenerate(made / "kinds")
            return 0
        if not (made / "variants").exists():
            specs(made / "specs")
            subprocess.run([*UPSTREAM, "folders", made / "specs", made / "variants"], check=True)
        good = []
        for part in ("kinds", "variants"):
            expected = json.loads((made / part / "expected.json").read_text())
            good += [
                checked(made / part, name, its, gguf=part == "variants") for name, its in expected.items()
            ]
    print(f"{sum(good)} of {len(good)} are equal")
    return 0 if all(good) else 1


def regenerate(made: Path) -> None:
    """The golden folders, in an archive, and what PyTorch's classes make of them."""
    expected = json.loads((made / "expected.json").read_text())
    GOLDEN.mkdir(exist_ok=True)
    with zipfile.ZipFile(GOLDEN / "folders.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in SMALL:
            for path in sorted((made / name).iterdir()):
                member = zipfile.ZipInfo(f"{name}/{path.name}")
                archive.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(expected[name], sort_keys=True)}" for name in SMALL)
    (GOLDEN / "states.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
