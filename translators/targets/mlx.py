"""`mlx-4bit/`, `mlx-8bit/` and the like: a folder that mlx-lm loads, quantised as its own converter does it.

    mlx-<bits>bit            groups of 64, mlx-lm's default; bits 2, 3, 4, 5, 6, 8
    mlx-<bits>bit-g<group>   groups of 32, 64 or 128

Tensors are those of `mlx_lm.convert`, bit for bit as MLX computes them on a processor: every linear layer,
embedding and stack of experts whose rows are whole groups, in the precision that config.json names. 4 and 8
bits are listed, the others are opened by name. A model_type is there once its folders were compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.families import to_huggingface
from translators.families.defaults import completed
from translators.mlx_names import TYPES, Type, stack_of
from translators.model import Model
from translators.plan import Folder, Plan, Refusal
from translators.quants.affine import BITS, GROUPS
from translators.recipes import Recipe, stack
from translators.recipes.affine import affine
from translators.targets import checkpoint
from translators.targets.folder import FolderTarget
from translators.targets.hf_folders import index_of, sharded
from translators.targets.safetensors import WRITER, layout_of
from translators.torch_types import TORCH_NAMES

METADATA = {"format": "mlx"}
_USUAL = 64
_LISTED = ("mlx-4bit", "mlx-8bit")
_FORMS = {
    f"mlx-{bits}bit" + (f"-g{group}" if group else ""): (bits, group or _USUAL)
    for bits in (4, 8, *(bits for bits in BITS if bits not in (4, 8)))
    for group in (0, *GROUPS)
}
_DTYPES = {TORCH_NAMES[name]: DTYPES[name] for name in ("F32", "F16", "BF16")}
# What mlx-lm insists on, or takes for something else than transformers, where config.json does not say it.
_FILLED = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "max_position_embeddings",
    "tie_word_embeddings", "query_pre_attn_scalar", "layer_norm_eps", "norm_epsilon", "logit_scale",
    "num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size",
    "num_local_experts", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers", "attention_bias",
    "mlp_bias", "logits_scaling", "attention_multiplier", "embedding_multiplier", "residual_multiplier",
)  # fmt: skip
_UNUSED = "rotary_emb.inv_freq"


def folders(model: Model) -> Iterator[Folder | Refusal]:
    """One for each form; where the model has none, a refusal for each that would be listed."""
    reason = _refused(model)
    if reason:
        yield from (Refusal(f"{name}/", reason) for name in _LISTED)
        return
    for name, (bits, group) in _FORMS.items():
        yield Folder(name, f"for mlx-lm, {bits} bits in groups of {group}", listed=name in _LISTED)


def plans(model: Model, folder: str) -> Iterator[Plan | Refusal]:
    """config.json, tokenizer and what else there is, then the weights."""
    if folder not in _FORMS or _refused(model):
        return
    bits, group = _FORMS[folder]
    found = checkpoint.checkpoint(model, _precision(model))
    kind, config = TYPES[found.config["model_type"]], _completed(found.config)
    form: dict[str, Any] = {"group_size": group, "bits": bits, "mode": "affine"}
    tensors = _quantised(_stacked(found.tensors, kind, config), kind, form)
    config |= {"quantization": form, "quantization_config": form}
    told = checkpoint.HuggingFace(model, found.own, config, tensors, found.companions)
    yield from checkpoint.companion_plans(told, folder)
    shards = sharded(tensors, "model", "safetensors")
    for name, part in shards.items():
        make = partial(layout_of, found.files, list(part.items()), METADATA)
        equals = f"{WRITER} makes of the tensors of mlx_lm.convert"
        yield Plan(f"{folder}/{name}", f"weights of {bits} bits for mlx-lm", make, equals=equals)
    if len(shards) > 1:
        index = checkpoint.in_json(index_of(shards))
        name = f"{folder}/model.safetensors.index.json"
        yield Plan(name, "which shard holds which tensor", partial(checkpoint.literal, found.files, index))


def _refused(model: Model) -> str:
    """Why there is no folder for mlx-lm; "" where there is one."""
    reason = checkpoint.refused(model)
    if reason:
        return reason
    config: Mapping[str, Any] = model.config
    if model.key_values is not None:
        try:
            config = to_huggingface.config(model)
        except TranslationError as error:
            return error.reason
    kind, architectures = config.get("model_type"), config.get("architectures")
    if not isinstance(kind, str) or kind not in TYPES:
        return f"no MLX form of model_type {kind!r:.60} was checked against mlx-lm"
    if TYPES[kind].untied and config.get("tie_word_embeddings"):
        return f"mlx-lm's {kind} has a head of its own, this model has none"
    names = architectures if isinstance(architectures, list) else []
    if not all(isinstance(name, str) and name.endswith("ForCausalLM") for name in names):
        return f"mlx-lm runs language models only, not {names!r:.80}"
    return ""


def _precision(model: Model) -> DType | None:
    """What mlx-lm casts to: the precision that config.json names; else each tensor keeps its own."""
    named = model.config.get("torch_dtype", model.config.get("dtype"))
    return _DTYPES.get(named) if isinstance(named, str) else None


def _completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with what mlx-lm wants to be told."""
    made = dict(config)
    rope = made.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        # transformers 5 has in one place what mlx-lm looks for in two.
        made.setdefault("rope_theta", rope["rope_theta"])
        if rope.get("rope_type", "default") != "default":
            made.setdefault("rope_scaling", {key: rope[key] for key in rope if key != "rope_theta"})
    whole = {**TYPES[made["model_type"]].absent, **completed(made)}
    for key in _FILLED:
        if made.get(key) is None and whole.get(key) is not None:
            made[key] = whole[key]
    if made.get("head_dim") is None:
        made.pop("head_dim", None)
    return made


def _stacked(tensors: Mapping[str, Recipe], kind: Type, config: Mapping[str, Any]) -> dict[str, Recipe]:
    """The tensors by mlx-lm's names, experts stacked, without those that it does not load."""
    made: dict[str, Recipe] = {}
    stacks: dict[str, dict[int, Recipe]] = {}
    for name, recipe in tensors.items():
        place = stack_of(kind, name)
        if place is not None:
            stacks.setdefault(place[0], {})[place[1]] = recipe
        elif name.endswith(_UNUSED) or (name == "lm_head.weight" and config.get("tie_word_embeddings")):
            continue
        elif not name.startswith(("model.", "lm_head.")) or ".experts." in name:
            raise Unsupported("mlx-lm has no such tensor", place=f"tensor {name}")
        else:
            made[name] = recipe
    for name, experts in stacks.items():
        if sorted(experts) != list(range(len(experts))):
            raise MalformedSource("experts are missing", place=f"tensor {name}")
        made[name] = stack([experts[number] for number in range(len(experts))])
    return made


def _quantised(tensors: Mapping[str, Recipe], kind: Type, form: dict[str, Any]) -> dict[str, Recipe]:
    """Codes, scales and biases for the weights; `form` learns which layers have a form of their own."""
    made: dict[str, Recipe] = {}
    for name, recipe in tensors.items():
        layer = name.removesuffix(".weight")
        bits, group = form["bits"], form["group_size"]
        fits = layer != name and len(recipe.shape) > 1 and recipe.shape[-1] % group == 0
        for end, own in kind.settled.items():
            if fits and layer.endswith(end):
                bits, group = own
                fits = recipe.shape[-1] % group == 0
                if fits:
                    form[layer] = {"group_size": group, "bits": bits}
        if not fits:
            made[name] = recipe
            continue
        try:
            parts = affine(recipe, bits, group)
        except ValueError as error:
            raise Unsupported(str(error), place=f"tensor {name}") from error
        made |= zip((name, f"{layer}.scales", f"{layer}.biases"), parts, strict=True)
    return made


TARGET = FolderTarget(folders, plans)
