"""TensorFlow's names: variables of transformers' Keras models, "tf_bert_model/bert/encoder/layer_._0/...:0".

The first level is the model's own name and says nothing. "a___b" stands for b, "_._" for a level more. In
every saved model the base model is a layer with a name, which PyTorch's class of just that model lacks.
Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping

from translators.errors import Unsupported
from translators.sources.renamed.kinds import Kind
from translators.sources.renamed.names import Leaf, Named, leaf_of

# GPT-2's have a first axis, of one.
_BIAS = Leaf("bias", (1, 2))
_LEAVES = {
    "kernel": Leaf("weight", (2,), turned=True),
    "embeddings": Leaf("weight", (2,)),
    "gamma": Leaf("weight", (1,)),
    "beta": Leaf("bias", (1,)),
    "weight": Leaf("weight", (1, 2)),
    "bias": _BIAS,
}


def named(name: str, shape: tuple[int, ...]) -> Named:
    """What PyTorch calls the variable `name`, whose first level is the model's. Raises Unsupported."""
    levels = name.removesuffix(":0").split("/")
    way = [part for level in levels[1:-1] for part in level.rpartition("___")[2].split("_._") if part]
    leaf = leaf_of(levels[-1], shape, _LEAVES)
    flat = leaf is _BIAS and len(shape) == 2
    if flat and shape[0] != 1:
        raise Unsupported(f"a bias of {shape[0]:,} rows")
    return Named(".".join((*way, leaf.name)), leaf.turned, flat)


def placed(names: Mapping[str, str], kind: Kind, base: bool) -> Mapping[str, str]:
    """`names` without the base model's, if PyTorch's class is that model."""
    prefix = kind.prefix and f"{kind.prefix}."
    return {own: name.removeprefix(prefix) if base else name for own, name in names.items()}
