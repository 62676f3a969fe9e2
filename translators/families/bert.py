"""BERT and its kin: BERT, BGE, E5 and MiniLM, DistilBERT, RoBERTa, XLM-R and BGE-M3.

Names change and bytes do not, but for RoBERTa's positions: their first rows, up to the padding token's, are
never looked up and are left out; on the way back they are zeros. Poolers and the heads that pre-training
needed are dropped: a BERT comes back without a pooler, and a classifier that needs it not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass
from translators.families.described import Told
from translators.families.parameters import COMMON, POOLING, Parameters
from translators.families.table import Family, Rule
from translators.families.transforms import SAME, Custom, Place, Transform
from translators.gguf_file import GgufTensor
from translators.keyvalues import ValueType
from translators.model import Model
from translators.recipes import Recipe, pad, reshape, slice_


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


def judged(source: Checkpoint, tensors: Iterator[GgufTensor]) -> Iterable[GgufTensor]:
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


def classifier(single: str) -> tuple[Rule, ...]:
    # "head" stands for what is decided when all names are known.
    return (
        Rule(single, "head", optional=True),
        Rule("classifier.dense", "cls", optional=True),
        Rule("classifier.out_proj", "cls.output", optional=True),
    )


CHECKED = (COMMON, _not_causal, POOLING, _labels)
DROPPED = (
    "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias", "cls.predictions*",
    "cls.seq_relationship*",
)  # fmt: skip
OLD_NAMES = ((".gamma", ".weight"), (".beta", ".bias"))


def _rows(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    """A GGUF does not tell a matrix of one row from a vector."""
    return reshape(parts[0], (-1, parts[0].shape[-1]))


TYPES = Rule(
    "embeddings.token_type_embeddings", "token_types", Custom(lambda of, at: (of,), _rows), optional=True
)
_EMBEDDINGS = (
    Rule("embeddings.word_embeddings", "token_embd"),
    TYPES,
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
    return (*_EMBEDDINGS, where, *_BLOCK, *classifier("classifier"))


def encoder(told: Told, model_type: str, name: str) -> dict[str, Any]:
    """What encoders of BERT's sizes have in common: of a classifier where there is one, else of the model.

    name: of the classes, without what they end in.
    """
    judges = told.kept("cls.weight") or told.kept("cls.output.weight")
    found = told.frame(model_type, f"{name}{'ForSequenceClassification' if judges else 'Model'}")
    if judges:
        outputs = told.model.tensors.get("cls.output.weight", told.model.tensors.get("cls.weight"))
        assert outputs is not None
        known = told.key_values.get(f"{told.arch}.classifier.output_labels")
        named = known if isinstance(known, list) else [f"LABEL_{n}" for n in range(outputs.shape[0])]
        found["id2label"] = {str(n): text for n, text in enumerate(named)}
        found["label2id"] = {text: n for n, text in enumerate(named)}
    return found


def _sizes(told: Told) -> dict[str, Any]:
    return {
        "hidden_size": told.integer("embedding_length"),
        "intermediate_size": told.integer("feed_forward_length"),
        "num_hidden_layers": told.integer("block_count"),
        "num_attention_heads": told.integer("attention.head_count"),
        "max_position_embeddings": told.integer("context_length"),
        "layer_norm_eps": told.number("attention.layer_norm_epsilon"),
        "type_vocab_size": told.rows("token_types.weight"),
        "hidden_act": "gelu",
        "pad_token_id": told.tokens.get("pad_token_id", 0),
    }


def _described(told: Told) -> dict[str, Any]:
    found = encoder(told, "bert", "Bert") | _sizes(told)
    if "id2label" in found:
        raise Unsupported("the pooler, which this classifier needs, is not in a GGUF")
    return found


def prefixed(name: str, config: Mapping[str, Any], prefix: str) -> str:
    """What a classifier calls a tensor: all but its own have a prefix."""
    own = name.startswith(("classifier", "pre_classifier", "head"))
    return name if own or config["architectures"][0].endswith("Model") else prefix + name


def _has_tokenizer(model: Model, kind: str) -> bool:
    return model.key_values is not None and model.key_values.get("tokenizer.ggml.model") == kind


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
    parameters=CHECKED,
    prefix="",
    dropped=DROPPED,
    replaced=(("bert.", ""), *OLD_NAMES),
    finished=judged,
    described=_described,
    claims=lambda model: _has_tokenizer(model, "bert") and "token_types.weight" in model.tensors,
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


def _with_unused(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    (of,) = parts
    return pad(of, 0, _offset(at.config), 0)


def _described_roberta(told: Told, model_type: str, name: str) -> dict[str, Any]:
    """The padding token, which positions are counted from, is 1 in all of them."""
    found = encoder(told, model_type, name) | _sizes(told) | {"pad_token_id": 1}
    return found | {"max_position_embeddings": told.integer("context_length") + _offset(found)}


ROBERTA = Family(
    architectures=("RobertaModel", "RobertaForSequenceClassification"),
    arch="bert",
    vocabulary="roberta",
    rules=_rules(Custom(_used, _with_unused)),
    parameters=CHECKED,
    prefix="",
    dropped=DROPPED,
    replaced=(("roberta.", ""), *OLD_NAMES),
    prepared=_fewer_positions,
    finished=judged,
    described=lambda told: _described_roberta(told, "roberta", "Roberta"),
    returned=lambda name, config: prefixed(name, config, "roberta."),
    claims=lambda model: _has_tokenizer(model, "gpt2"),
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
    described=lambda told: _described_roberta(told, "xlm-roberta", "XLMRoberta"),
    claims=lambda model: _has_tokenizer(model, "t5"),
    configurations=(
        ConfigClass("xlm-roberta", _values(pad_token_id=1, bos_token_id=0, eos_token_id=2), kv_heads=False),
    ),
)


def _distil_norm(write: Parameters) -> None:
    write.f32("attention.layer_norm_epsilon", 1e-12)


def _described_distil(told: Told) -> dict[str, Any]:
    return encoder(told, "distilbert", "DistilBert") | {
        "dim": told.integer("embedding_length"),
        "hidden_dim": told.integer("feed_forward_length"),
        "n_layers": told.integer("block_count"),
        "n_heads": told.integer("attention.head_count"),
        "max_position_embeddings": told.integer("context_length"),
        "activation": "gelu",
        "pad_token_id": told.tokens.get("pad_token_id", 0),
    }


def _returned_distil(name: str, config: Mapping[str, Any]) -> str:
    return prefixed(name.replace("classifier.out_proj", "classifier"), config, "distilbert.")


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
        Rule("classifier.out_proj", "cls.output", optional=True),  # the way back alone
    ),
    parameters=(_distil_norm, *CHECKED),
    prefix="",
    dropped=(*DROPPED, "vocab_*"),
    replaced=(("distilbert.", ""), *OLD_NAMES),
    finished=judged,
    described=_described_distil,
    returned=_returned_distil,
    claims=lambda model: _has_tokenizer(model, "bert"),
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
