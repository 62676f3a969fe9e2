"""Write golden.json: what upstream's converter makes of each variant.

    cd REPOSITORY && ORACLE_PYTHON tests/translators/golden_vocab/regenerate.py LLAMA_CPP_TREE

ORACLE_PYTHON is a Python with torch, transformers 4.57.6, sentencepiece, mistral-common and numpy;
LLAMA_CPP_TREE is the source of llama.cpp b11434. Only `set_vocab` runs, on a converter without a model. Since
made-up vocabularies have made-up fingerprints, the look-up of the pre-tokenizer's name is replaced by the
fingerprint itself; tokenizers that are code of a checkpoint's own are stood in for (`stand_ins`).
A value is kept as its sha256; an error of upstream's as its type.
"""

# ruff: noqa: PLC0415 (upstream is importable only once its path is known)

from __future__ import annotations

import hashlib
import json
import logging
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main(tree: str) -> None:
    """Write golden.json, from the llama.cpp source at `tree`."""
    sys.path[:0] = [str(HERE.parents[2]), tree, f"{tree}/gguf-py"]
    quiet()
    from conversion.base import TextModel

    from tests.translators.golden_vocab.variants import VARIANTS

    TextModel.get_vocab_base_pre = _fingerprint
    found = {name: _written(name, variant) for name, variant in VARIANTS.items()}
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    (HERE / "golden.json").write_text("{\n" + text + "\n}\n")


def quiet() -> None:
    """Nothing is fetched, and nothing said."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    logging.disable(logging.CRITICAL)
    from transformers import logging as chatter

    chatter.set_verbosity_error()


def _written(name: str, variant: Any) -> list[list[Any]] | str:
    with tempfile.TemporaryDirectory() as folder:
        variant.write(Path(folder))
        try:
            return key_values(Path(folder), variant.style, variant.arch)
        except BaseException as error:  # a panic in the tokenizers library is no Exception
            print(type(error).__name__, str(error)[:100], name)
            return type(error).__name__


def key_values(folder: Path, style: str, arch: str) -> list[list[Any]]:
    """Name, type and digest of each key-value that upstream writes of `folder`'s tokenizer, in order."""
    return described(written(folder, style, arch))


def described(writer: Any) -> list[list[Any]]:
    """Name, type and digest of each key-value that a writer of upstream's holds."""
    return [
        [key, int(value.type), hashlib.sha256(_packed(writer, value)).hexdigest()[:16]]
        for key, value in writer.kv_data[0].items()
    ]


def written(folder: Path, style: str, arch: str) -> Any:
    """Upstream's writer of a GGUF, with the key-values of `folder`'s tokenizer and no others."""
    import gguf
    from conversion.base import ModelBase

    hparams = ModelBase.load_hparams(folder, False)
    model = object.__new__(_class_of(style, hparams["architectures"][0]))
    model.dir_model, model.origin_hf_arch = folder, None
    model.is_mistral_format = style == "mistral"
    model.hparams = {**hparams, **hparams.get("text_config", {})}
    # What the constructors would have set, as far as the vocabulary asks for it.
    kinds = model.hparams.get("layer_types") or ["mamba"]
    model._ssm_layers = [at for at, kind in enumerate(kinds) if kind != "attention"]
    model.gguf_writer = gguf.GGUFWriter(path=None, arch=arch)
    model.gguf_writer.kv_data[0].clear()
    if style == "nomic-bert":
        model._tokenizer_is_xlmroberta = model._is_tokenizer_xlmroberta()
    model.set_vocab()
    return model.gguf_writer


def _class_of(style: str, architecture: str) -> type:
    from conversion import get_model_class
    from conversion.mistral import MistralModel
    from transformers import AutoTokenizer

    from tests.translators.golden_vocab.stand_ins import loader

    if not hasattr(AutoTokenizer, "with_files"):
        AutoTokenizer.with_files = AutoTokenizer.from_pretrained
        AutoTokenizer.from_pretrained = loader(AutoTokenizer.with_files)
    return MistralModel if style == "mistral" else get_model_class(architecture)


def _packed(writer: Any, value: Any) -> bytes:
    return writer._pack_val(value.value, value.type, add_vtype=False, sub_type=value.sub_type)


def _fingerprint(self: Any, tokenizer: Any) -> str:
    # By path: the package itself needs more than upstream's environment has.
    facts = runpy.run_path(str(HERE.parents[2] / "translators/vocab/pretokenizers.py"))
    from tests.translators.golden_vocab.stand_ins import passing

    found = hashlib.sha256(str(tokenizer.encode(facts["CHECK_TEXT"])).encode()).hexdigest()
    return passing(found)


if __name__ == "__main__":
    main(sys.argv[1])
