"""BERT, DistilBERT, RoBERTa, XLM-R, Nomic Embed, ModernBERT, T5 and MT5."""

from __future__ import annotations

import json
from typing import Any

from tests.oracle.families.side_files import END, VOCABULARY, byte_level, unigram, word_pieces
from tests.oracle.families.variant import Inventory, Variant

_NAMED = ("cls_token", "sep_token", "pad_token", "mask_token")
_POOLING = {
    "modules.json": json.dumps(
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ]
    ),
    "1_Pooling/config.json": json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}),
}


def _bert(architecture: str, model_type: str, **changes: Any) -> dict[str, Any]:
    base = {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": "gelu",
        "hidden_size": 256,
        "intermediate_size": 512,
        "max_position_embeddings": 128,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        "vocab_size": VOCABULARY,
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def _old(inventory: Inventory) -> Inventory:
    """As the first BERT was published: in a class with heads, gamma and beta for norms, and its positions."""
    names = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): shape
        for name, shape in inventory.items()
    }
    heads = {"cls.predictions.bias": (VOCABULARY,), "cls.seq_relationship.weight": (2, 256)}
    return {**{f"bert.{name}": shape for name, shape in names.items()}, **heads}


_NOMIC = {
    "architectures": ["NomicBertModel"],
    "model_type": "nomic_bert",
    "activation_function": "swiglu",
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "n_embd": 256,
    "n_head": 4,
    "n_inner": 512,
    "n_layer": 2,
    "n_positions": 8192,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "type_vocab_size": 2,
    "vocab_size": VOCABULARY,
}


def _nomic() -> Inventory:
    shapes: Inventory = {"embeddings.word_embeddings.weight": (VOCABULARY, 256)}
    shapes |= {
        "embeddings.token_type_embeddings.weight": (2, 256),
        "emb_ln.weight": (256,),
        "emb_ln.bias": (256,),
    }
    for layer in range(2):
        stem = f"encoder.layers.{layer}"
        shapes |= {f"{stem}.attn.Wqkv.weight": (768, 256), f"{stem}.attn.out_proj.weight": (256, 256)}
        shapes |= {f"{stem}.mlp.fc11.weight": (512, 256), f"{stem}.mlp.fc12.weight": (512, 256)}
        shapes |= {f"{stem}.mlp.fc2.weight": (256, 512)}
        shapes |= {
            f"{stem}.{norm}.{part}": (256,) for norm in ("norm1", "norm2") for part in ("weight", "bias")
        }
    return shapes


_MODERN = {
    "architectures": ["ModernBertModel"],
    "model_type": "modernbert",
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 1024,
    "layer_norm_eps": 1e-5,
    "norm_eps": 1e-5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
_T5 = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "d_model": 256,
    "d_kv": 64,
    "d_ff": 512,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": VOCABULARY,
    "n_positions": 512,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": 1,
}


def _several_embeddings(inventory: Inventory) -> Inventory:
    return {
        **inventory,
        "encoder.embed_tokens.weight": (VOCABULARY, 256),
        "decoder.embed_tokens.weight": (VOCABULARY, 256),
    }


VARIANTS = (
    Variant("all-MiniLM-L6-v2", 32, _bert("BertModel", "bert"), {**word_pieces(), **_POOLING}, dtype="F32"),
    Variant(
        "bert-base-uncased",
        32,
        _bert("BertForMaskedLM", "bert"),
        word_pieces(),
        dtype="F16",
        made_as="BertModel",
        changed=_old,
    ),
    Variant(
        "bge-reranker-tiny",
        32,
        _bert("BertForSequenceClassification", "bert", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}),
        word_pieces(),
        dtype="BF16",
    ),
    Variant(
        "distilbert-base-sst",
        32,
        {
            "architectures": ["DistilBertForSequenceClassification"],
            "model_type": "distilbert",
            "dim": 256,
            "hidden_dim": 512,
            "n_heads": 4,
            "n_layers": 2,
            "max_position_embeddings": 128,
            "vocab_size": VOCABULARY,
            "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
        },
        word_pieces(tokenizer_class="DistilBertTokenizer"),
        dtype="F32",
    ),
    Variant(
        "stsb-roberta-base",
        32,
        _bert(
            "RobertaForSequenceClassification",
            "roberta",
            pad_token_id=1,
            id2label={"0": "LABEL_0"},
            max_position_embeddings=130,
            type_vocab_size=1,
        ),
        byte_level(tokenizer_class="RobertaTokenizer", **dict.fromkeys(_NAMED, END)),
        dtype="F32",
    ),
    Variant(
        "bge-m3",
        32,
        _bert(
            "XLMRobertaModel",
            "xlm-roberta",
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
            max_position_embeddings=130,
            type_vocab_size=1,
        ),
        {**unigram("sentencepiece.bpe.model", tokenizer_class="XLMRobertaTokenizer"), **_POOLING},
        dtype="F16",
    ),
    Variant("nomic-embed-text-v1.5", 32, _NOMIC, word_pieces(), dtype="F32", inventory=_nomic()),
    Variant("ModernBERT-base", 32, _MODERN, byte_level(), dtype="BF16"),
    Variant(
        "flan-t5-small",
        32,
        {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        unigram("spiece.model"),
        dtype="F32",
    ),
    Variant(
        "t5-small",
        32,
        {**_T5, "num_decoder_layers": 1},
        unigram("spiece.model"),
        dtype="F32",
        changed=_several_embeddings,
    ),
)
