"""What ONNX Runtime, onnxruntime-genai and OpenVINO make of our folders: runs in their own environment.

    python upstream.py digests CASES.PY         digests of onnxruntime's quantiser for every case, as JSON
    python upstream.py decoder SOURCE FOLDER ...   a line of JSON for each folder
    python upstream.py encoder SOURCE FOLDER ...
    python upstream.py make DIRECTORY           tiny encoders of other types
    python upstream.py tensors FILE.onnx ...    digests of its tensors, a line of JSON for each

A source is a Hugging Face folder that transformers runs; of a folder in float16 or in four bits it runs the
weights that are stored there.
"""

import hashlib
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxruntime_genai
import openvino
import torch
from onnx import numpy_helper
from onnxruntime.capi._pybind_state import quantize_matmul_4bits
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    BertConfig,
    DistilBertConfig,
    RobertaConfig,
)

BLOCK, NEW, SHOWN = 32, 16, 16


def digests(path: str) -> None:
    """sha256 of codes and scales of onnxruntime's quantiser, by type and columns."""
    sys.path.append(str(Path(path).parents[3]))
    cases = runpy.run_path(path)
    made = {}
    for name in cases["TYPES"]:
        for columns in cases["LENGTHS"]:
            weight = np.ascontiguousarray(cases["weights"](name)[:, :columns])
            rows, blocks = weight.shape[0], -(-columns // BLOCK)
            whole = np.ascontiguousarray(np.pad(weight, ((0, 0), (0, blocks * BLOCK - columns))).T)
            codes = np.zeros((rows, blocks, BLOCK // 2), np.uint8)
            scales = np.zeros((rows, blocks), np.float32)
            zeros = np.zeros((rows, (blocks + 1) // 2), np.uint8)
            quantize_matmul_4bits(codes, whole, scales, zeros, BLOCK, rows, columns, True)
            made[f"{name} {columns}"] = [_digest(codes), _digest(scales)]
    print(json.dumps(made, indent=1))


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def tokens(vocab: int, rows: int, length: int) -> np.ndarray:
    """Some tokens, the same every time."""
    numbers = np.arange(3, 3 + rows * length, dtype=np.int64)
    return (numbers * 7919 % vocab).reshape(rows, length)


def decoder(source: str, folders: list[str]) -> None:
    """Compare each folder of a decoder with what transformers makes of its source."""
    torch.manual_seed(0)
    for name in folders:
        folder = Path(name)
        try:
            told = _decoder(source, folder)
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"[:400]}
        print("ANSWER " + json.dumps({"folder": name, **told}), flush=True)


def _decoder(source: str, folder: Path) -> dict[str, Any]:
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    graph = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(str(folder / "model.onnx"))
    if "int4" in folder.name:
        _quantised(model, graph)
    if "fp16" in folder.name:
        for weight in model.parameters():
            weight.data = weight.data.half().float()
    length = _length(model.config)
    ids = tokens(model.config.vocab_size, 2, length)
    with torch.no_grad():
        expected = model(torch.from_numpy(ids)).logits.numpy()
        greedy = _greedy(model, ids[:1])
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    found = _whole(session, ids)
    apart = _in_steps(session, ids)
    told = {
        "frequencies": _frequencies(model, graph, folder),
        "logits": _difference(expected, found),
        "in steps": _difference(expected, apart),
        "same choice": float(np.mean(expected.argmax(-1) == found.argmax(-1))),
        "largest": float(np.abs(expected).max()),
        "tokens": length,
    }
    told["last"] = [round(float(each), 4) for each in expected[0, -1, :SHOWN]]
    told["genai"] = _genai(folder, ids[0]) == greedy
    told["openvino"] = _difference(expected[:1], _openvino(folder, ids[:1], session))
    return told


def _length(config: Any) -> int:
    """Longer than a window, where there is one that short."""
    window = getattr(config, "sliding_window", None) or 0
    return min(window + 40, 700) if 0 < window < 660 else 48


def _quantised(model: torch.nn.Module, graph: onnx.ModelProto) -> None:
    """Put the numbers that codes stand for where the linear layers' weights were."""
    held = {tensor.name: tensor for tensor in graph.graph.initializer}
    state = model.state_dict()
    with torch.no_grad():
        if "lm_head.weight" in state and model.config.tie_word_embeddings:
            model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
            state = model.state_dict()
        for name, tensor in held.items():
            if not name.endswith("_Q4"):
                continue
            codes = numpy_helper.to_array(tensor)
            scales = numpy_helper.to_array(held[name.replace("_Q4", "_scales")])
            pairs = np.stack([codes & 15, codes >> 4], axis=-1).reshape(codes.shape[0], -1, BLOCK)
            values = ((pairs.astype(np.float32) - 8) * scales[..., None]).reshape(codes.shape[0], -1)
            place = name.removesuffix("_Q4")
            if place == "model.embed_tokens.weight":
                place = "lm_head.weight"
            state[place].copy_(torch.from_numpy(values[:, : state[place].shape[1]]))


def _whole(session: Any, ids: np.ndarray) -> np.ndarray:
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), **_empty(session, len(ids))}
    return session.run(["logits"], feeds)[0].astype(np.float32)


def _empty(session: Any, rows: int) -> dict[str, np.ndarray]:
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        each.name: np.zeros((rows, each.shape[1], 0, each.shape[3]), kinds[each.type])
        for each in session.get_inputs()
        if each.name.startswith("past")
    }


def _in_steps(session: Any, ids: np.ndarray) -> np.ndarray:
    """The logits, half of the tokens at once and then one after the other."""
    half = ids.shape[1] // 2
    past, made = _empty(session, len(ids)), []
    names = [each.name for each in session.get_outputs()]
    at = 0
    for count in (half, *([1] * (ids.shape[1] - half))):
        mask = np.ones((len(ids), at + count), np.int64)
        feeds = {"input_ids": ids[:, at : at + count], "attention_mask": mask, **past}
        answer = dict(zip(names, session.run(names, feeds), strict=True))
        made.append(answer.pop("logits").astype(np.float32))
        past = {name.replace("present", "past_key_values"): each for name, each in answer.items()}
        at += count
    return np.concatenate(made, axis=1)


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(expected - found).max())


def _greedy(model: Any, ids: np.ndarray) -> list[int]:
    made = torch.from_numpy(ids)
    past = None
    for _ in range(NEW):
        answer = model(made if past is None else made[:, -1:], past_key_values=past, use_cache=True)
        past = answer.past_key_values
        made = torch.cat([made, answer.logits[:, -1:].argmax(-1)], dim=1)
    return made[0].tolist()


def _genai(folder: Path, ids: np.ndarray) -> list[int]:
    # The end of a text is a token like any other here.
    config = onnxruntime_genai.Config(str(folder))
    config.overlay(
        json.dumps(
            {"model": {"eos_token_id": json.loads((folder / "config.json").read_text())["vocab_size"] - 1}}
        )
    )
    model = onnxruntime_genai.Model(config)
    settings = onnxruntime_genai.GeneratorParams(model)
    settings.set_search_options(do_sample=False, max_length=len(ids) + NEW)
    generator = onnxruntime_genai.Generator(model, settings)
    generator.append_tokens([ids.astype(np.int32).tolist()])
    while not generator.is_done():
        generator.generate_next_token()
    return [int(token) for token in generator.get_sequence(0)]


def _openvino(folder: Path, ids: np.ndarray, session: Any) -> np.ndarray:
    core = openvino.Core()
    model = core.read_model(folder / "model.onnx")
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    )
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), **_empty(session, len(ids))}
    return np.asarray(compiled(feeds)["logits"]).astype(np.float32)


def _frequencies(model: Any, graph: onnx.ModelProto, folder: Path) -> bool:
    """Whether the tables are those of transformers' frequencies, to a bit of float32 (or of float16)."""
    rotary = model.model.rotary_emb
    held = {tensor.name: tensor for tensor in graph.graph.initializer}
    same = True
    for name in ("cos_cache", "sin_cache"):
        table = numpy_helper.to_array(held[name], str(folder)).astype(np.float32)
        positions = np.arange(len(table), dtype=np.float32)
        angles = positions[:, None] * rotary.inv_freq.numpy()[None, :]
        turned = getattr(np, name[:3])(angles.astype(np.float64)).astype(np.float32)
        expected = turned * np.float32(rotary.attention_scaling)
        if held[name].data_type == onnx.TensorProto.FLOAT16:
            expected = expected.astype(np.float16).astype(np.float32)
        same = same and bool(np.mean(table == expected) > 1 - 1e-6)
    return same


def encoder(source: str, folders: list[str]) -> None:
    """Compare each folder of an encoder, with padding on the right."""
    config = AutoConfig.from_pretrained(source)
    model = AutoModel.from_pretrained(source, dtype=torch.float32, attn_implementation="eager").eval()
    ids, mask = padded(config.vocab_size, config.pad_token_id or 0)
    for name in folders:
        path = Path(name) / "model.onnx"
        onnx.checker.check_model(str(path))
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in {each.name for each in session.get_inputs()}:
            feeds["token_type_ids"] = (np.arange(ids.size).reshape(ids.shape) % 24 > 12).astype(np.int64)
        with torch.no_grad():
            given = {key: torch.from_numpy(array) for key, array in feeds.items()}
            expected = model(**given).last_hidden_state.numpy()
        found = session.run(["last_hidden_state"], feeds)[0]
        core = openvino.Core()
        read = core.read_model(path)
        other = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feeds)
        real = mask == 1
        told = {
            "folder": name,
            "logits": _difference(expected[real], found[real]),
            "openvino": _difference(expected[real], np.asarray(other["last_hidden_state"])[real]),
            "largest": float(np.abs(expected).max()),
            "last": [round(float(each), 4) for each in expected[0, -1, :SHOWN]],
        }
        print("ANSWER " + json.dumps(told), flush=True)


def padded(vocab: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Three texts of different lengths, and their mask."""
    ids = tokens(vocab, 3, 24)
    mask = np.ones_like(ids)
    mask[1, 17:] = 0
    mask[2, 5:] = 0
    ids[mask == 0] = padding
    return ids, mask


def tensors(paths: list[str]) -> None:
    """Shape and digest of the initialisers and constants of each file, texts left out."""
    for path in paths:
        made = {}
        for name, tensor in _held(onnx.load(path).graph, ""):
            if tensor.data_type != onnx.TensorProto.STRING:
                array = numpy_helper.to_array(tensor)
                made[name] = f"{list(array.shape)} {_digest(np.ascontiguousarray(array))}"
        print(json.dumps(made), flush=True)


def _held(graph: onnx.GraphProto, prefix: str) -> Iterator[tuple[str, onnx.TensorProto]]:
    for node in graph.node:
        own = node.name or (node.output[0] if node.output else node.op_type)
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield prefix + node.output[0], attribute.t
            within = [attribute.g] if attribute.HasField("g") else attribute.graphs
            for each in within:
                yield from _held(each, f"{prefix}{own}/{attribute.name}/")
    for tensor in graph.initializer:
        yield prefix + tensor.name, tensor


def make(directory: str) -> None:
    """Tiny encoders of types that no tiny model has, with weights as transformers first makes them."""
    common = {"vocab_size": 99, "pad_token_id": 1, "max_position_embeddings": 70}
    usual = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(3)
    for config in (
        DistilBertConfig(dim=64, hidden_dim=96, n_layers=2, n_heads=4, **{**common, "pad_token_id": 0}),
        RobertaConfig(type_vocab_size=1, **common, **usual),
        BertConfig(hidden_act="gelu_new", **{**common, "pad_token_id": 0}, **usual),
    ):
        model = AutoModel.from_config(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
        model.save_pretrained(Path(directory) / config.model_type)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "digests":
        digests(rest[0])
    elif kind == "tensors":
        tensors(rest)
    elif kind == "make":
        make(rest[0])
    else:
        {"decoder": decoder, "encoder": encoder}[kind](rest[0], rest[1:])
