"""BERT and its kin: BERT, BGE, E5 and MiniLM, DistilBERT, RoBERTa, XLM-R and BGE-M3, Nomic Embed, ModernBERT.

Names change and bytes do not, but for RoBERTa's positions: their first rows, up to the padding token's, are
never looked up and are left out. Poolers and the heads that pre-training needed are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.parameters import COMMON, POOLING, Key, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import SAME, Custom, Place, Transform
from translators.gguf_file import GgufTensor
from translators.keyvalues import ValueType
from translators.recipes import Recipe, slice_


def labels(config: Mapping[str, Any]) -> list[str]:
    """The names of a classifier's outputs, none where they are those that transformers makes up for two."""
    named = config.get("id2label")
    if not isinstance(named, dict) or not named:
        return []
    try:
        texts = [str(text) for _, text in sorted((int(key), text) for key, text in named.items())]
    except ValueError as error:
        raise MalformedSource("no numbers of labels", path="config.json", place="id2label") from error
    return [] if len(texts) == 2 and texts[0] == "LABEL_0" else texts


def _not_causal(write: Parameters) -> None:
    write.bool("attention.causal", False)


def _labels(write: Parameters) -> None:
    if found := labels(write.config):
        write.array("classifier.output_labels", ValueType.STRING, found, "id2label")


def _judged(source: Checkpoint, tensors: Iterator[GgufTensor]) -> Iterable[GgufTensor]:
    """A classifier of one matrix is the output, where its labels are named, and else the layer before."""
    single = labels(source.config) and any(
        name.endswith(("classifier.weight", "classifier.bias")) and not name.endswith("pre_classifier.weight")
        for name in source.model.tensors
    )
    for tensor in tensors:
        if single and tensor.name in ("head.weight", "head.bias"):
            yield replace(tensor, name=tensor.name.replace("head", "cls.output"))
        else:
            yield replace(tensor, name=tensor.name.replace("head.", "cls."))


def _classifier(single: str) -> tuple[Rule, ...]:
    # "head" stands for what is decided when all names are known.
    return (
        Rule(single, "head", optional=True),
        Rule("classifier.dense", "cls", optional=True),
        Rule("classifier.out_proj", "cls.output", optional=True),
    )


_CHECKED = (COMMON, _not_causal, POOLING, _labels)
_DROPPED = (
    "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias", "cls.predictions*",
    "cls.seq_relationship*",
)  # fmt: skip
_OLD_NAMES = ((".gamma", ".weight"), (".beta", ".bias"))
_EMBEDDINGS = (
    Rule("embeddings.word_embeddings", "token_embd"),
    Rule("embeddings.token_type_embeddings", "token_types", optional=True),
    Rule("embeddings.LayerNorm", "token_embd_norm"),
)
_BLOCK = (
    Rule("encoder.layer.{}.attention.self.query", "blk.{}.attn_q"),
    Rule("encoder.layer.{}.attention.self.key", "blk.{}.attn_k"),
    Rule("encoder.layer.{}.attention.self.value", "blk.{}.attn_v"),
    Rule("encoder.layer.{}.attention.output.dense", "blk.{}.attn_output"),
    Rule("encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"),
    Rule("encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up"),
    Rule("encoder.layer.{}.output.dense", "blk.{}.ffn_down"),
    Rule("encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"),
)


def _rules(positions: Transform) -> tuple[Rule, ...]:
    where = Rule("embeddings.position_embeddings", "position_embd", positions)
    return (*_EMBEDDINGS, where, *_BLOCK, *_classifier("classifier"))


def _values(**others: Any) -> dict[str, Any]:
    return {
        "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "pad_token_id": 0, **others,
    }  # fmt: skip


BERT = Family(
    architectures=("BertModel", "BertForMaskedLM", "BertForSequenceClassification"),
    arch="bert",
    vocabulary="bert",
    rules=_rules(SAME),
    parameters=_CHECKED,
    prefix="",
    dropped=_DROPPED,
    replaced=(("bert.", ""), *_OLD_NAMES),
    finished=_judged,
    configurations=(ConfigClass("bert", _values(), kv_heads=False),),
)


def _offset(config: Mapping[str, Any]) -> int:
    """How many positions are never looked up."""
    pad = config.get("pad_token_id")
    if pad is None:
        return 0
    if isinstance(pad, bool) or not isinstance(pad, int) or not 0 <= pad < 1 << 31:
        raise MalformedSource(f"{pad!r:.40} is no id", path="config.json", place="pad_token_id")
    return pad + 1


def _fewer_positions(source: Checkpoint) -> dict[str, Any]:
    config = dict(source.config)
    if isinstance(config.get("max_position_embeddings"), int):
        config["max_position_embeddings"] -= _offset(config)
    return config


def _used(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    offset = _offset(at.config)
    if len(of.shape) != 2 or of.shape[0] <= offset:
        raise at.misfit(f"{of.shape[0] if of.shape else 0} positions, of which {offset} are never used")
    return (slice_(of, 0, offset, of.shape[0]),)


ROBERTA = Family(
    architectures=("RobertaModel", "RobertaForSequenceClassification"),
    arch="bert",
    vocabulary="roberta",
    rules=_rules(Custom(_used)),
    parameters=_CHECKED,
    prefix="",
    dropped=_DROPPED,
    replaced=(("roberta.", ""), *_OLD_NAMES),
    prepared=_fewer_positions,
    finished=_judged,
    configurations=(
        ConfigClass("roberta", _values(vocab_size=50265, pad_token_id=1, bos_token_id=0, eos_token_id=2),
                    kv_heads=False),
    ),
)  # fmt: skip


def _without_adapters(source: Checkpoint) -> dict[str, Any]:
    if source.config.get("lora_adaptations"):
        raise Unsupported(
            "adapters for tasks within a checkpoint", path="config.json", place="lora_adaptations",
            remedy="upstream writes them as files of their own",
        )  # fmt: skip
    return _fewer_positions(source)


XLM_ROBERTA = replace(
    ROBERTA,
    architectures=("XLMRobertaModel", "XLMRobertaForSequenceClassification"),
    vocabulary="xlm-roberta",
    prepared=_without_adapters,
    configurations=(
        ConfigClass("xlm-roberta", _values(pad_token_id=1, bos_token_id=0, eos_token_id=2), kv_heads=False),
    ),
)


def _distil_norm(write: Parameters) -> None:
    write.f32("attention.layer_norm_epsilon", 1e-12)


DISTILBERT = Family(
    architectures=("DistilBertModel", "DistilBertForMaskedLM", "DistilBertForSequenceClassification"),
    arch="bert",
    vocabulary="bert",
    rules=(
        *_EMBEDDINGS,
        Rule("embeddings.position_embeddings", "position_embd"),
        Rule("transformer.layer.{}.attention.q_lin", "blk.{}.attn_q"),
        Rule("transformer.layer.{}.attention.k_lin", "blk.{}.attn_k"),
        Rule("transformer.layer.{}.attention.v_lin", "blk.{}.attn_v"),
        Rule("transformer.layer.{}.attention.out_lin", "blk.{}.attn_output"),
        Rule("transformer.layer.{}.sa_layer_norm", "blk.{}.attn_output_norm"),
        Rule("transformer.layer.{}.ffn.lin1", "blk.{}.ffn_up"),
        Rule("transformer.layer.{}.ffn.lin2", "blk.{}.ffn_down"),
        Rule("transformer.layer.{}.output_layer_norm", "blk.{}.layer_output_norm"),
        Rule("pre_classifier", "cls", optional=True),
        Rule("classifier", "head", optional=True),
    ),
    parameters=(_distil_norm, *_CHECKED),
    prefix="",
    dropped=(*_DROPPED, "vocab_*"),
    replaced=(("distilbert.", ""), *_OLD_NAMES),
    finished=_judged,
    configurations=(
        ConfigClass(
            "distilbert",
            {
                "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12, "dim": 768,
                "hidden_dim": 3072, "pad_token_id": 0,
            },
            kv_heads=False,
            aliases={"hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers"},
        ),
    ),
)  # fmt: skip


# What Nomic's code can be told to do and its models do not: key, and the value that there must be.
_NOMIC = {
    "activation_function": "swiglu", "causal": False, "qkv_proj_bias": False, "mlp_fc1_bias": False,
    "mlp_fc2_bias": False, "prenorm": False, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
}  # fmt: skip
_NOMIC_POSITIONS = {8192: 2048, 2048: 512}  # told, and trained for


def _nomic(source: Checkpoint) -> dict[str, Any]:
    config = dict(source.config)
    if config.get("moe_every_n_layers"):
        raise Unsupported(
            "Nomic's mixture of experts has no GGUF translation yet", path="config.json",
            place="moe_every_n_layers", remedy="model.safetensors is available for every architecture",
        )  # fmt: skip
    wrong = [key for key, value in _NOMIC.items() if config.get(key, ()) != value]
    told = config.get("n_positions")
    if wrong or told not in _NOMIC_POSITIONS or config.get("max_trained_positions", 2048) != 2048:
        raise Unsupported(
            "a form of Nomic's model that llama.cpp does not know", path="config.json",
            place=wrong[0] if wrong else "n_positions",
        )  # fmt: skip
    return {**config, "n_positions": _NOMIC_POSITIONS[told]}


NOMIC_BERT = Family(
    architectures=("NomicBertModel",),
    arch="nomic-bert",
    vocabulary="nomic-bert",
    rules=(
        Rule("embeddings.word_embeddings", "token_embd"),
        Rule("embeddings.token_type_embeddings", "token_types", optional=True),
        Rule("emb_ln", "token_embd_norm"),
        Rule("encoder.layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        Rule("encoder.layers.{}.attn.out_proj", "blk.{}.attn_output"),
        Rule("encoder.layers.{}.norm1", "blk.{}.attn_output_norm"),
        Rule("encoder.layers.{}.mlp.fc11", "blk.{}.ffn_up"),
        Rule("encoder.layers.{}.mlp.fc12", "blk.{}.ffn_gate"),
        Rule("encoder.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
        Rule("encoder.layers.{}.norm2", "blk.{}.layer_output_norm"),
    ),
    parameters=_CHECKED,
    prefix="",
    dropped=_DROPPED,
    replaced=(("bert.", ""), *_OLD_NAMES),
    prepared=_nomic,
)


def _no_scaling(write: Parameters) -> None:
    write.string("rope.scaling.type", "none")


MODERN_BERT = Family(
    architectures=("ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"),
    arch="modern-bert",
    vocabulary="modern-bert",
    rules=(
        Rule("embeddings.tok_embeddings", "token_embd"),
        Rule("embeddings.norm", "token_embd_norm"),
        Rule("final_norm", "output_norm"),
        Rule("layers.{}.attn_norm", "blk.{}.attn_norm", optional=True),  # the first layer has none
        Rule("layers.{}.attn.Wqkv", "blk.{}.attn_qkv"),
        Rule("layers.{}.attn.Wo", "blk.{}.attn_output"),
        Rule("layers.{}.mlp_norm", "blk.{}.ffn_norm"),
        Rule("layers.{}.mlp.Wi", "blk.{}.ffn_up"),
        Rule("layers.{}.mlp.Wo", "blk.{}.ffn_down"),
        Rule("head.dense", "cls", optional=True),
        Rule("head.norm", "cls.norm", optional=True),
        *_classifier("classifier")[::2],
    ),
    parameters=(
        *_CHECKED,
        Key("attention.sliding_window", "local_attention"),
        Key("attention.sliding_window_pattern", "global_attn_every_n_layers", optional=True),
        _no_scaling,
        Key("vocab_size", "vocab_size"),
        Key("hidden_activation", "hidden_activation", "string", optional=True),
    ),
    prefix="",
    dropped=_DROPPED,
    replaced=(("model.", ""), *_OLD_NAMES),
    finished=_judged,
    configurations=(
        ConfigClass(
            "modernbert",
            {
                "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22,
                "num_attention_heads": 12, "hidden_activation": "gelu", "max_position_embeddings": 8192,
                "norm_eps": 1e-05, "pad_token_id": 50283, "eos_token_id": 50282, "bos_token_id": 50281,
                "cls_token_id": 50281, "sep_token_id": 50282, "global_rope_theta": 160000.0,
                "global_attn_every_n_layers": 3, "local_attention": 128, "local_rope_theta": 10000.0,
                "classifier_pooling": "cls",
            },
            kv_heads=False,
            aliases={"rope_theta": "global_rope_theta"},
        ),
    ),
)  # fmt: skip
