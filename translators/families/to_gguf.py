"""A checkpoint as the GGUF that upstream's converter makes of it, in the source's own precision.

Same tensors in the same order under the same types, same key-values (llama.cpp b11434,
`convert_hf_to_gguf.py --outtype <own precision>`). Every other type starts from this file.
Reads side files while planning, never tensor data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from translators.dtypes import F32, DType
from translators.errors import MalformedSource, Unsupported
from translators.families import architecture_of, family_of
from translators.families.defaults import completed
from translators.families.hparams import BLOCK_COUNT, rope_parameters, write_hparams, write_llama
from translators.families.multimodal import is_multimodal
from translators.families.pooling import is_qwen3_reranker, write_qwen3_reranker, write_qwen_pooling
from translators.families.rope import Llama3Scaling
from translators.families.table import Family, pairwise
from translators.gguf_file import GgufFile, GgufTensor
from translators.keyvalues import KeyValues
from translators.metadata import count_parameters, write_general
from translators.model import Model, Tensor
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.recipes import Literal, cast, gather, stored
from translators.vocab import write_tokenizer

QUANTIZATION_VERSION = 2  # ggml's GGML_QNT_VERSION
_LANGUAGE_MODEL = "language_model."  # what multimodal checkpoints put before or within a name
# Buffers of old checkpoints that are no weights.
_DROPPED = (".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq")


def own_file_type(model: Model) -> FileType:
    """The type of a checkpoint's own precision: that of its first tensor of two or more dimensions.

    Raises Unsupported for weights that are no plain floats.
    """
    for tensor in model.tensors.values():
        if len(tensor.shape) < 2:
            continue
        name = "f32" if tensor.dtype.name == "F64" else tensor.dtype.name.lower()
        if name not in ("f32", "f16", "bf16"):
            break
        return FILE_TYPES[name]
    else:
        raise MalformedSource("no tensor has two dimensions", path=str(model.root))
    raise Unsupported(
        f"weights stored as {tensor.dtype.name} have no GGUF translation yet", place=f"tensor {tensor.name}",
        remedy="use the checkpoint in BF16, F16 or F32",
    )  # fmt: skip


def converted(model: Model) -> GgufFile:
    """The GGUF of a Hugging Face checkpoint in its own precision.

    Raises Unsupported (architecture, tokenizer, tensor, quantised checkpoint), MalformedSource.
    """
    family, file_type = family_of(model.config), own_file_type(model)
    if model.config.get("quantization_config"):
        raise Unsupported(
            "a quantised checkpoint has no GGUF translation yet", path="config.json",
            place="quantization_config", remedy="use the checkpoint in BF16, F16 or F32",
        )  # fmt: skip
    config = completed(model.config, model.root)
    reranks = family.arch == "qwen3" and is_qwen3_reranker(model.root, model.name, config)
    # First of all, as it says best what is wrong with a config.json.
    hyper_parameters = _hyper_parameters(model, family, config, file_type)
    if reranks:
        write_qwen3_reranker(hyper_parameters)
    vocabulary = KeyValues()
    write_tokenizer(vocabulary, model.root, config, style=family.vocabulary)
    weights = _weights(model, family, config, file_type.dtype)
    if reranks:
        weights = _with_judgement(weights, vocabulary, tied=bool(config.get("tie_word_embeddings")))
    tensors = (*_rope_factors(family, config), *weights)
    _check_complete(family, config, {tensor.name for tensor in tensors})
    key_values = KeyValues()
    parameters = count_parameters((tensor.name, tensor.shape) for tensor in tensors)
    key_values.string("general.architecture", family.arch)
    write_general(key_values, model.root, model.name, model.config, parameters)
    for key, value in hyper_parameters.items():
        key_values.set(key, value)
    key_values.u32("general.quantization_version", QUANTIZATION_VERSION)
    for key, value in vocabulary.items():
        key_values.set(key, value)
    return GgufFile(key_values, tensors)


def _hyper_parameters(
    model: Model, family: Family, config: Mapping[str, Any], file_type: FileType
) -> KeyValues:
    key_values = KeyValues()
    write_hparams(key_values, family.arch, config, file_type.number)
    if family.vocabulary == "llama":
        write_llama(key_values, config)
    else:
        write_qwen_pooling(key_values, model.root, config, family.arch)
    return key_values


def _with_judgement(
    weights: Iterator[GgufTensor], vocabulary: KeyValues, *, tied: bool
) -> Iterator[GgufTensor]:
    """The weights of a reranker: of the head only the rows of "yes" and "no" are left.

    Raises Unsupported for a vocabulary without these words.
    """
    tokens = vocabulary["tokenizer.ggml.tokens"].strings
    if b"yes" not in tokens or b"no" not in tokens:
        raise Unsupported("a reranker's vocabulary must have yes and no", path="tokenizer.json")
    rows = (tokens.index(b"yes"), tokens.index(b"no"))
    for tensor in weights:
        if tensor.name == ("token_embd.weight" if tied else "output.weight"):
            judgement = gather(tensor.recipe, 0, rows)
            yield GgufTensor("cls.output.weight", judgement.shape, judgement)
        if tied or tensor.name != "output.weight":
            yield tensor


def _rope_factors(family: Family, config: Mapping[str, Any]) -> Iterator[GgufTensor]:
    """`rope_freqs.weight` of Llama 3's scaling; it comes before all else.

    Upstream has it for LlamaForCausalLM and fails on it for LlamaModel, whose prefix it gives to this tensor
    too; here both have it.
    """
    if family.arch != "llama":
        return
    parameters = rope_parameters(config)
    parameters = parameters.get("full_attention", parameters)
    scaling = Llama3Scaling.of(parameters)
    if scaling is None:
        return
    head_dim = _count(config, "head_dim" if config.get("head_dim") else "hidden_size")
    if not config.get("head_dim"):
        head_dim //= _count(config, "num_attention_heads")
    factors = scaling.factors(parameters.get("rope_theta", 10000.0), head_dim)
    shape = factors.shape
    yield GgufTensor("rope_freqs.weight", shape, Literal(factors.tobytes(), "F32", shape))


def _weights(model: Model, family: Family, config: Mapping[str, Any], own: DType) -> Iterator[GgufTensor]:
    prefix = "model." if architecture_of(model.config) in family.bare else ""
    heads = _heads(family, config)
    taken: set[str] = set()
    for tensor in model.tensors.values():
        if tensor.name.endswith(_DROPPED) or is_multimodal(tensor.name):
            continue
        match = family.to_gguf(prefix + tensor.name.replace(_LANGUAGE_MODEL, ""))
        if match is None:
            raise Unsupported(f"the {family.arch} family has no such tensor", place=f"tensor {tensor.name}")
        name, rule = match
        if name in taken:
            raise MalformedSource(f"another tensor is {name} as well", place=f"tensor {tensor.name}")
        taken.add(name)
        recipe = pairwise(stored(tensor), rule, heads, f"tensor {tensor.name}")
        yield GgufTensor(name, tensor.shape, cast(recipe, _stored_type(tensor, name, own)))


def _heads(family: Family, config: Mapping[str, Any]) -> dict[str, int]:
    """How many heads a rule's `rotary` stands for."""
    if not any(rule.rotary for rule in family.rules):
        return {}
    query = _count(config, "n_heads" if "n_heads" in config else "num_attention_heads")
    place = "n_kv_heads" if "n_kv_heads" in config else "num_key_value_heads"
    # As many as there are query heads if null; a configuration that says nothing has been completed.
    shared = place not in config or config[place] is not None
    return {"num_attention_heads": query, "num_key_value_heads": _count(config, place) if shared else query}


def _stored_type(tensor: Tensor, gguf_name: str, own: DType) -> DType:
    """llama.cpp computes with norms, biases and other vectors in F32 only."""
    if len(tensor.shape) <= 1 or gguf_name.endswith("_norm.weight") or not gguf_name.endswith(".weight"):
        return F32
    return own


def _check_complete(family: Family, config: Mapping[str, Any], present: set[str]) -> None:
    """Refuse a checkpoint that lacks layers or parts of them: its GGUF could not be loaded."""
    layers = _count(config, next((key for key in BLOCK_COUNT if key in config), "num_hidden_layers"))
    stems = [rule.gguf for rule in family.rules if rule.gguf != "output"]
    # One layer beyond what there can be is enough to find one missing, whatever the number claims.
    numbers = range(min(layers, len(present) + 1))
    wanted = {
        f"{stem.format(layer)}.weight" for stem in stems for layer in (numbers if "{}" in stem else [0])
    }
    missing = sorted(wanted - present)
    if missing:
        found = family.to_huggingface(missing[0])
        first = found[0] if found else missing[0]
        raise MalformedSource(
            f"{len(missing)} tensors of {len(wanted)} are missing", place=f"tensor {first}",
            remedy="fetch the missing shards, or check num_hidden_layers in config.json",
        )  # fmt: skip
    number = max((int(name.split(".")[1]) for name in present if name.startswith("blk.")), default=-1) + 1
    if number > layers:
        raise MalformedSource(
            f"there are {number} layers of weights, here it says {layers}", path="config.json",
            place="num_hidden_layers", remedy="take config.json from the model's original repository",
        )  # fmt: skip


def _count(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
        raise MalformedSource(
            f"{value!r:.40} is no count", path="config.json", place=key,
            remedy="take config.json from the model's original repository",
        )  # fmt: skip
    return value
