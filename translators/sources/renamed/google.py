"""Google's own BERT: a checkpoint of TensorFlow 1, `bert_config.json` and `vocab.txt`.

    bert/encoder/layer_0/attention/self/query/kernel    -> bert.encoder.layer.0.attention.self.query.weight
    cls/seq_relationship/output_weights                 -> cls.seq_relationship.weight

Names are those of transformers' classes but for their last parts and the layers' numbers. The configuration
is bert_config.json with what marks it as transformers'; the class is the one that these models are published
as there. Whether the tokenizer makes small letters of capitals is told by no file: a vocabulary without any
of A to Z is of small letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from translators.sources.renamed.kinds import Kind
from translators.sources.renamed.names import Leaf, Named, leaf_of
from translators.sources.side_files import is_there, json_object
from translators.sources.stored_file import StoredFile

CONFIG, VOCABULARY, TOKENIZER = "bert_config.json", "vocab.txt", "tokenizer_config.json"
_HEAD = "cls/predictions/"
_LAYER = re.compile(r"layer_(0|[1-9][0-9]{0,5})")
# Of training; they have the names of weights with one part more, or one of their own.
_TRAINING = frozenset(
    ("adam_m", "adam_v", "global_step", "AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1")
)
_TABLE = Leaf("weight", (2,))
_LEAVES = {
    "kernel": Leaf("weight", (2,), turned=True),
    "gamma": Leaf("weight", (1,)),
    "beta": Leaf("bias", (1,)),
    "bias": Leaf("bias", (1,)),
    "output_bias": Leaf("bias", (1,)),
    "output_weights": _TABLE,
}
_TABLES = ("word_embeddings", "token_type_embeddings", "position_embeddings")
# What is written in Google's code, and transformers writes into config.json.
_TOLD_ELSEWHERE = {"layer_norm_eps": 1e-12, "pad_token_id": 0}
_LARGEST = 64 << 20
_CAPITAL, _SPECIAL = re.compile("[A-Z]"), ("[", "<")


def named(name: str, shape: tuple[int, ...]) -> Named | None:
    """What PyTorch calls the variable `name`; None for what only training needed. Raises Unsupported."""
    parts = name.split("/")
    if not _TRAINING.isdisjoint(parts):
        return None
    way = [_LAYER.sub(r"layer.\1", part) if _LAYER.fullmatch(part) else part for part in parts]
    if parts[-1] in _TABLES:
        leaf_of(parts[-1], shape, dict.fromkeys(_TABLES, _TABLE))
        return Named(".".join((*way, "weight")))
    leaf = leaf_of(parts[-1], shape, _LEAVES)
    return Named(".".join((*way[:-1], leaf.name)), leaf.turned)


def placed(names: Mapping[str, str], kind: Kind, base: bool) -> Mapping[str, str]:
    """`names` without the base model's, if PyTorch's class is that model."""
    prefix = f"{kind.prefix}."
    return {own: name.removeprefix(prefix) if base else name for own, name in names.items()}


def configuration(root: Path, names: Iterable[str]) -> dict[str, Any]:
    """config.json's content, of a model of variables of these names; {} where there is no bert_config.json.

    Raises MalformedSource, MissingSource.
    """
    if not is_there(str(root / CONFIG)):
        return {}
    head = any(name.startswith(_HEAD) for name in names)
    marks = {"architectures": ["BertForMaskedLM" if head else "BertModel"], "model_type": "bert"}
    return {**marks, **_TOLD_ELSEWHERE, **json_object(root / CONFIG), **marks}


def made(root: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """The files that a folder of transformers' has beside: config.json, and the tokenizer's configuration."""
    files = {"config.json": config}
    if is_there(str(root / VOCABULARY)) and not is_there(str(root / TOKENIZER)):
        with StoredFile(root / VOCABULARY) as file:
            if file.size > _LARGEST:
                raise file.malformed(f"{file.size:,} bytes are too many for a vocabulary")
            words = file.read(0, file.size).decode("utf-8", "replace").splitlines()
        small = not any(_CAPITAL.search(word) for word in words if not word.startswith(_SPECIAL))
        special = {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "mask", "pad", "sep", "unk")}
        files[TOKENIZER] = {**special, "do_lower_case": small, "tokenizer_class": "BertTokenizer"}
    return {name: (json.dumps(content, indent=2) + "\n").encode() for name, content in files.items()}
