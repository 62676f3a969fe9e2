"""What transformers' Flax and TensorFlow classes save, and what its PyTorch classes make of that; run in
their own environment, nothing of ours is imported.

    python upstream.py kinds OUT             # the small models below, by their names
    python upstream.py folders SPECS OUT     # of every directory in SPECS, by its config.json

In OUT are `flax/NAME`, `tf/NAME` and `google/NAME` as saved, `flax-torch/NAME` and so on as PyTorch then
saves them, and `expected.json`: by "flax/NAME" each entry of the PyTorch class's state, as SHA-256 of its
values in F32, its shape, and the entry whose storage it shares, "" for none. Shards have what the same model
in one file has.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu")

import jax.numpy as jnp
import numpy as np
import tensorflow as tf
import torch
import transformers
from flax.traverse_util import flatten_dict, unflatten_dict
from transformers.modeling_flax_pytorch_utils import load_flax_checkpoint_in_pytorch_model
from transformers.modeling_tf_pytorch_utils import load_tf2_checkpoint_in_pytorch_model
from transformers.models.bert.modeling_bert import load_tf_weights_in_bert

transformers.logging.set_verbosity_error()
_BERT = {
    "vocab_size": 13, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 6, "max_position_embeddings": 9,
}  # fmt: skip
_LLAMA = {**_BERT, "num_key_value_heads": 1, "head_dim": 2}
_GPT = {"vocab_size": 13, "n_embd": 4, "n_layer": 2, "n_head": 2, "n_positions": 9, "n_ctx": 9}
_T5 = {"vocab_size": 13, "d_model": 4, "d_kv": 3, "d_ff": 6, "num_layers": 2, "num_heads": 2}
_DISTIL = {
    "vocab_size": 13, "dim": 4, "hidden_dim": 6, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 9,
}  # fmt: skip
_OPT = {**_BERT, "ffn_dim": 6, "word_embed_proj_dim": 4}
_BART = {
    "vocab_size": 13, "d_model": 4, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 6, "decoder_ffn_dim": 6, "max_position_embeddings": 9,
}  # fmt: skip
# Every class of each kind that has something of its own: (model_type, configuration, classes).
KINDS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("albert", {**_BERT, "embedding_size": 3}, ("AlbertForPreTraining", "AlbertModel")),
    ("bert", _BERT, ("BertModel", "BertForPreTraining", "BertForMaskedLM", "BertForSequenceClassification",
                     "BertForQuestionAnswering")),
    ("distilbert", _DISTIL, ("DistilBertModel", "DistilBertForMaskedLM",
                             "DistilBertForSequenceClassification")),
    ("electra", {**_BERT, "embedding_size": 3}, ("ElectraForPreTraining", "ElectraForMaskedLM",
                                                 "ElectraForSequenceClassification")),
    ("gpt2", _GPT, ("GPT2LMHeadModel", "GPT2Model", "GPT2ForSequenceClassification")),
    ("gptj", {**_GPT, "rotary_dim": 2}, ("GPTJForCausalLM", "GPTJModel")),
    ("mistral", _LLAMA, ("MistralForCausalLM", "MistralModel")),
    ("t5", _T5, ("T5ForConditionalGeneration", "T5Model", "T5EncoderModel")),
    ("mt5", {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
     ("MT5ForConditionalGeneration",)),
    ("opt", _OPT, ("OPTForCausalLM", "OPTModel")),
    ("roberta", _BERT, ("RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification")),
    ("xlm-roberta", _BERT, ("XLMRobertaModel", "XLMRobertaForMaskedLM")),
    ("camembert", _BERT, ("CamembertModel", "CamembertForMaskedLM")),
    ("bart", _BART, ("BartForConditionalGeneration", "BartModel", "BartForSequenceClassification")),
    ("bloom", {"vocab_size": 13, "hidden_size": 4, "n_layer": 2, "n_head": 2},
     ("BloomForCausalLM", "BloomModel")),
    ("gemma", _LLAMA, ("GemmaForCausalLM", "GemmaModel")),
    ("gpt_neo", {"vocab_size": 13, "hidden_size": 4, "num_layers": 2, "num_heads": 2, "intermediate_size": 6,
                 "max_position_embeddings": 9, "attention_types": [[["global", "local"], 1]]},
     ("GPTNeoForCausalLM", "GPTNeoModel")),
    ("llama", _LLAMA, ("LlamaForCausalLM", "LlamaModel")),
)  # fmt: skip


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that follow from a name; F16 and BF16 have them, and an archive makes them short."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64) * (zlib.crc32(name.encode()) % 59 * 2 + 1)
    return ((numbers + zlib.crc32(name.encode()) % 101) % 119 / 64 - 1).astype(np.float32).reshape(shape)


def flax_model(name: str, config: Any, dtype: Any) -> Any:
    """A model of transformers' Flax class, with values of ours."""
    model = getattr(transformers, f"Flax{name}")(config, input_shape=(1, 2))
    found = {way: values("/".join(way), its.shape) for way, its in flatten_dict(model.params).items()}
    model.params = unflatten_dict({way: jnp.asarray(its, dtype) for way, its in found.items()})
    return model


def tf_model(name: str, config: Any) -> Any:
    """The same of its TensorFlow class."""
    model = getattr(transformers, f"TF{name}")(config)
    model(model.dummy_inputs)
    for weight in model.weights:
        weight.assign(values(weight.name, tuple(weight.shape)))
    return model


def state_of(model: Any) -> dict[str, list[Any]]:
    """Every entry of a PyTorch model's state."""
    found: dict[str, list[Any]] = {}
    first: dict[int, str] = {}
    for name, tensor in model.state_dict().items():
        data = tensor.float().contiguous().numpy().tobytes()
        shared = first.setdefault(tensor.data_ptr(), name)
        found[name] = [
            hashlib.sha256(data).hexdigest()[:24], list(tensor.shape), shared if shared != name else "",
        ]  # fmt: skip
    return found


def back(folder: Path, torch_folder: Path, name: str, framework: str, dtype: Any) -> dict[str, list[Any]]:
    """What PyTorch's class makes of a folder, saved beside it with the same other files.

    By the functions that from_flax and from_tf call: from_pretrained gives them a model without memory, which
    they leave as it is.
    """
    model = getattr(transformers, name)(transformers.AutoConfig.from_pretrained(folder))
    if framework == "flax":
        load_flax_checkpoint_in_pytorch_model(model, folder / "flax_model.msgpack")
    else:
        load_tf2_checkpoint_in_pytorch_model(model, str(folder / "tf_model.h5"), allow_missing_keys=True)
    model.tie_weights()
    state = state_of(model)
    model.to(dtype).save_pretrained(torch_folder)
    weights = shutil.ignore_patterns("*.msgpack", "*.h5", "*.index.json")
    shutil.copytree(folder, torch_folder, ignore=weights, dirs_exist_ok=True)
    return state


def made(
    out: Path, name: str, config: Any, dtype: str = "float32", *, sharded: bool = False
) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """One model in both frameworks, as far as they have its class, the configuration's."""
    (class_name,) = config.architectures
    for framework, prefix in (("flax", "Flax"), ("tf", "TF")):
        if not hasattr(transformers, prefix + class_name) or (framework == "tf" and dtype != "float32"):
            continue
        folder, torch_folder = out / framework / name, out / f"{framework}-torch" / name
        for each in (folder, torch_folder):
            each.mkdir(parents=True, exist_ok=True)
        model = flax_model(class_name, config, dtype) if prefix == "Flax" else tf_model(class_name, config)
        model.save_pretrained(folder, safe_serialization=False)
        state = back(folder, torch_folder, class_name, framework, getattr(torch, dtype))
        yield f"{framework}/{name}", state
        if sharded:
            parts = out / framework / f"{name}-shards"
            model.save_pretrained(parts, safe_serialization=False, max_shard_size=600)
            assert len(list(parts.iterdir())) > 3, list(parts.iterdir())
            yield f"{framework}/{name}-shards", state
        del model
        gc.collect()


def google(out: Path, name: str, told: dict[str, Any], words: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Google's form of a BERT, and what transformers' own converter loads from it."""
    folder, torch_folder = out / "google" / name, out / "google-torch" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bert_config.json").write_text(json.dumps(told, indent=2))
    (folder / "vocab.txt").write_text(words)
    config = transformers.BertConfig(**told, architectures=["BertForMaskedLM"])
    model = transformers.BertForPreTraining(config)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        shapes = {called(each): tuple(its.shape) for each, its in model.named_parameters()}
        shapes = {each: shape[::-1] if each.endswith("kernel") else shape for each, shape in shapes.items()}
        shapes |= {f"{each}/adam_m": shape for each, shape in shapes.items()}
        for each, shape in shapes.items():
            tf.compat.v1.Variable(values(each, shape), name=each, use_resource=False)
        tf.compat.v1.Variable(np.int64(3), name="global_step", use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "bert_model.ckpt"))
    (folder / "checkpoint").unlink()
    load_tf_weights_in_bert(model, config, str(folder / "bert_model.ckpt"))
    model.tie_weights()
    state = state_of(model)
    model.save_pretrained(torch_folder)
    transformers.BertTokenizer(folder / "vocab.txt", do_lower_case=True).save_pretrained(torch_folder)
    saved = json.loads((torch_folder / "config.json").read_text())
    (torch_folder / "config.json").write_text(json.dumps({**saved, "architectures": ["BertForMaskedLM"]}))
    yield f"google/{name}", state


def called(name: str) -> str:
    """What Google called a tensor of BertForPreTraining."""
    *way, last = re.sub(r"layer[.](\d+)", r"layer_\1", name).split(".")
    if way[-1].endswith("_embeddings"):
        return "/".join(way)
    norm, pair = {"weight": "gamma", "bias": "beta"}, {"weight": "output_weights", "bias": "output_bias"}
    own = norm if way[-1] == "LayerNorm" else pair if way[-1] in ("predictions", "seq_relationship") else {}
    return "/".join((*way, own.get(last, {"weight": "kernel"}.get(last, last))))


def kinds(out: Path) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """The small models."""
    for kind, told, names in KINDS:
        for name in names:
            config = transformers.AutoConfig.for_model(kind, architectures=[name], **told)
            yield from made(out, name, config, sharded=name in ("BertForMaskedLM", "T5Model"))
            if name == "BertForPreTraining":
                words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##d\ne\nf\ng\nh\n"
                yield from google(out, name, told, words)
            if name == "BertModel":
                yield from made(out, f"{name}-bf16", config, "bfloat16")
                yield from made(out, f"{name}-f16", config, "float16")


def folders(specs: Path, out: Path) -> Iterator[tuple[str, dict[str, list[Any]]]]:
    """Models of given configurations."""
    for spec in sorted(specs.iterdir()):
        if (spec / "bert_config.json").exists():
            told = json.loads((spec / "bert_config.json").read_text())
            yield from google(out, spec.name, told, (spec / "vocab.txt").read_text())
            continue
        told = json.loads((spec / "config.json").read_text())
        config = transformers.AutoConfig.from_pretrained(spec)
        dtype = told.get("torch_dtype", "float32")
        for framework in ("flax", "tf"):
            shutil.copytree(spec, out / framework / spec.name, dirs_exist_ok=True)
        yield from made(out, spec.name, config, dtype)


def main(arguments: list[str]) -> None:
    command, *paths = arguments
    out = Path(paths[-1])
    found = kinds(out) if command == "kinds" else folders(Path(paths[0]), out)
    expected = {}
    for name, state in found:
        print(name, len(state), flush=True)
        expected[name] = state
    (out / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(sys.argv[1:])
