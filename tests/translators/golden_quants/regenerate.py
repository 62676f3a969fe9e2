"""Makes this folder's golden files with upstream's own quantiser: python regenerate.py

Runs where llama-cpp-python is installed (`llama_model_quantize` of its libllama is llama-quantize itself)
and imports nothing of this project. Writes, beside itself:

    policy.json      synthetic models, and the types that every file type gives their tensors
    key_values.json  a header before and after
    bytes.json       sha256 of quantised and dequantised data, and which data is refused

Data comes from PCG64's raw stream by exact arithmetic, so every NumPy makes the same.
"""

import ctypes
import hashlib
import json
import struct
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np
from data import ENCODED, REFUSED, TYPES, blocks, edges, numbers, stored, worst

HERE = Path(__file__).parent
FILE_TYPES = {
    "f32": 0, "f16": 1, "bf16": 32, "q8_0": 7, "q6_k": 18, "q5_k_m": 17, "q5_k_s": 16, "q5_1": 9, "q5_0": 8,
    "q4_k_m": 15, "q4_k_s": 14, "q4_1": 3, "q4_0": 2, "iq4_nl": 25, "iq4_xs": 30, "q3_k_l": 13, "q3_k_m": 12,
    "q3_k_s": 11, "iq3_m": 27, "iq3_s": 26, "iq3_xs": 22, "iq3_xxs": 23, "q2_k": 10, "q2_k_s": 21,
    "iq2_m": 29, "iq2_s": 28, "iq2_xs": 20, "iq2_xxs": 19, "iq1_m": 31, "iq1_s": 24, "tq2_0": 37, "tq1_0": 36,
    "mxfp4_moe": 38, "q2_0": 41, "q1_0": 40,
}  # fmt: skip
NAMES = {number: name for name, (number, *_) in TYPES.items()}
U32, F32, STRING, ARRAY = 4, 6, 8, 9
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


# GGUF, as much of it as is needed here; shapes are row-major.


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def u32(value):
    return [U32, struct.pack("<I", value).hex()]


def f32(value):
    return [F32, struct.pack("<f", value).hex()]


def string(value):
    return [STRING, text(value).hex()]


def write(path, key_values, tensors):
    """`key_values`: [key, type, raw in hex]; `tensors`: [name, shape, type, data]."""
    infos, data = b"", b""
    for name, shape, kind, raw in tensors:
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        infos += text(name) + dimensions + struct.pack("<IQ", TYPES[kind][0], len(data))
        data += raw + bytes(-len(raw) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(key_values))
    for key, kind, raw in key_values:
        head += text(key) + struct.pack("<I", kind) + bytes.fromhex(raw)
    head += infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def read(path):
    """What `write` takes, of a file that upstream wrote."""
    raw, at = path.read_bytes(), 24
    count, pairs = struct.unpack_from("<QQ", raw, 8)

    def sized(kind, at):
        if kind == STRING:
            return 8 + struct.unpack_from("<Q", raw, at)[0]
        if kind == ARRAY:
            element, members = struct.unpack_from("<IQ", raw, at)
            size = 12
            for _ in range(members):
                size += sized(element, at + size)
            return size
        return SCALARS[kind]

    key_values, tensors = [], []
    for _ in range(pairs):
        size = sized(STRING, at)
        key, at = raw[at + 8 : at + size].decode(), at + size
        (kind,) = struct.unpack_from("<I", raw, at)
        size = sized(kind, at + 4)
        key_values.append([key, kind, raw[at + 4 : at + 4 + size].hex()])
        at += 4 + size
    for _ in range(count):
        size = sized(STRING, at)
        name, at = raw[at + 8 : at + size].decode(), at + size
        (rank,) = struct.unpack_from("<I", raw, at)
        *shape, kind, offset = struct.unpack_from(f"<{rank}QIQ", raw, at + 4)
        at += 4 + 8 * rank + 12
        tensors.append([name, shape[::-1], NAMES[kind], offset])
    base = at + -at % 32
    for tensor in tensors:
        _, block, size, _ = TYPES[tensor[2]]
        length = int(np.prod(tensor[1])) // block * size
        tensor[3] = raw[base + tensor[3] : base + tensor[3] + length]
    return key_values, tensors


def quantise(source, target, file_type, weighted=None, **options):
    """Run upstream on a file; False where it fails. `weighted`: {tensor name: columns} of an imatrix."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = FILE_TYPES[file_type], 2, True
    for option, value in options.items():
        setattr(params, option, value)
    if weighted is not None:
        entries = (llama_cpp.llama_model_imatrix_data * (len(weighted) + 1))()
        kept = []
        for entry, (name, columns) in zip(entries, weighted.items(), strict=False):
            kept.append((ctypes.c_float * columns)(*([1.0] * columns)))
            entry.name, entry.data, entry.size = name.encode(), kept[-1], columns
        params.imatrix = entries
    return llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) == 0


# Models: only names, shapes and types matter, so all data is zero.


def header(arch, layers, heads, kv_heads, experts=0, **more):
    keys = {
        "general.architecture": string(arch),
        f"{arch}.context_length": u32(128),
        f"{arch}.embedding_length": u32(256),
        f"{arch}.block_count": u32(layers),
        f"{arch}.feed_forward_length": u32(512),
        f"{arch}.attention.head_count": heads if isinstance(heads, list) else u32(heads),
        f"{arch}.attention.head_count_kv": kv_heads if isinstance(kv_heads, list) else u32(kv_heads),
        f"{arch}.attention.layer_norm_rms_epsilon": f32(1e-6),
        f"{arch}.attention.layer_norm_epsilon": f32(1e-6),
        **({f"{arch}.expert_count": u32(experts), f"{arch}.expert_used_count": u32(2)} if experts else {}),
        **more,
    }
    return [[key, *value] for key, value in keys.items()]


def transformer(
    layers, kind, row=256, wide=512, rows=2, *, tied=False, experts=0, qkv=False, extra=(), only=""
):
    """Tensors of a transformer, in the order of its layers.

    `extra` are (part, shape, type) of each layer; `only` names the parts that a layer has, by default all.
    """
    tensors = [["token_embd.weight", [rows, row], kind], ["output_norm.weight", [row], "F32"]]
    if not tied:
        tensors.append(["output.weight", [rows, row], kind])
    attention = ("qkv",) if qkv else ("q", "k", "v")
    for layer in range(layers):
        parts = [(f"attn_{part}.weight", [rows, row], kind) for part in attention]
        parts += [("attn_norm.weight", [row], "F32"), ("attn_output.weight", [rows, row], kind)]
        if experts:
            parts.append(("ffn_gate_inp.weight", [experts, row], "F32"))
            parts += [(f"ffn_{part}_exps.weight", [experts, 2, row], kind) for part in ("up", "gate", "down")]
        else:
            parts += [(f"ffn_{part}.weight", [rows, row], kind) for part in ("up", "gate")]
            parts.append(("ffn_down.weight", [rows, wide], kind))
        kept = (part for part in (*parts, *extra) if not only or part[0].split(".")[0] in only.split())
        tensors += [[f"blk.{layer}.{name}", shape, of] for name, shape, of in kept]
    return tensors


def odd(kind):
    """Names and shapes that are exceptions to some rule."""
    names = (
        "attn_qkv.weight attn_kv_b.weight cross_attn_q.weight ffn_down_shexp.weight ffn_gate_up_exps.weight "
        "ffn_up.bias attn_k_norm.weight ssm_conv1d.weight time_mix_w1.weight time_mix_key.weight "
        "shortconv.conv.weight attn_rel_b.weight ffn_gate_tid2eid.weight indexer.k_proj.weight "
        "altup_proj.weight"
    )
    tensors = [[f"blk.{layer}.{name}", [4, 256], kind] for layer in (0, 2, 10) for name in names.split()]
    tensors += [[name, [4, 256], kind] for name in (
        "abcde", "abcd", "blk.1x", "blk.+1.z.weight", "blk.-5.z.weight", "blk. 3.z.weight", "blks.0.weight",
        "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight", "v.patch_embd.weight",
        "Zeta.weight", "zeta.weight", "mm.a.code_embd.weight", "output.weight.x", "weights",
        "v.\u00e9.weight",
    )]  # fmt: skip
    tensors += [
        ["blk.0.attn_v.weight", [1, 256], kind],
        ["blk.1.attn_v.weight", [1, 4, 256], kind],
        ["blk.2.attn_v.weight", [256, 1], "F32"],
        ["blk.3.attn_v.weight", [3, 1, 256], kind],
        ["blk.4.ids.weight", [256], "I32"],
        ["token_embd.weight", [4, 256], kind],
    ]
    return tensors[::-1]


def heads_by_layer(layers, first):
    return [ARRAY, struct.pack(f"<IQ{layers}I", U32, layers, *([first] + [1] * (layers - 1))).hex()]


MODELS = {
    "llama gqa f32": (header("llama", 18, 8, 2), transformer(18, "F32")),
    "llama mha tied f16": (header("llama", 9, 4, 4), transformer(9, "F16", tied=True)),
    "llama gqa3 bf16": (header("llama", 16, 6, 2), transformer(16, "BF16", tied=True)),
    "llama rows 288 bf16": (header("llama", 8, 4, 1), transformer(8, "BF16", 288, 320)),
    "llama rows 32 f16": (header("llama", 4, 4, 1), transformer(4, "F16", 32, 96, tied=True)),
    "llama rows 48 f32": (header("llama", 3, 4, 1), transformer(3, "F32", 48, 128)),
    "llama 128 and 64 f16": (header("llama", 3, 4, 1), transformer(3, "F16", 128, 64)),
    "llama 70b f16": (header("llama", 80, 64, 8), transformer(80, "F16", only="attn_v ffn_down")),
    "llama 65b f16": (header("llama", 80, 64, 64), transformer(80, "F16", only="attn_v attn_k")),
    "llama heads by layer": (
        header("llama", 4, heads_by_layer(4, 8), heads_by_layer(4, 2)), transformer(4, "F16"),
    ),
    "mixtral 8 f16": (header("llama", 17, 8, 2, 8), transformer(17, "F16", experts=8)),
    "qwen2 bf16": (
        header("qwen2", 12, 14, 2), transformer(12, "BF16", extra=[("attn_q.bias", [256], "F32")]),
    ),
    "qwen2 80 layers bf16": (
        header("qwen2", 80, 8, 8), transformer(80, "BF16", tied=True, only="attn_v attn_q"),
    ),
    "qwen3 bf16": (
        header("qwen3", 14, 16, 8),
        transformer(14, "BF16", tied=True, extra=[("attn_q_norm.weight", [128], "F32")]),
    ),
    "qwen3moe 16 bf16": (header("qwen3moe", 10, 8, 1, 16), transformer(10, "BF16", experts=16)),
    "falcon f16": (header("falcon", 32, 8, 1), transformer(32, "F16", qkv=True)),
    "odd names f16": (header("llama", 11, 8, 2), odd("F16")),
    "llama of q8_0": (header("llama", 8, 8, 2), transformer(8, "Q8_0")),
    "llama of q4_k": (header("llama", 8, 8, 2), transformer(8, "Q4_K")),
    "llama of iq4_nl": (header("llama", 8, 4, 4), transformer(8, "IQ4_NL", 288, 320)),
    "projector f16": ([["general.architecture", *string("clip")]], [
        ["v.blk.0.ffn_down.weight", [4, 256], "F16"], ["v.patch_embd.weight", [4, 256], "F32"],
        ["mm.0.weight", [4, 512], "F16"], ["v.position_embd.weight", [4, 256], "F16"],
    ]),
}  # fmt: skip
UNKNOWN = {
    "no such architecture": (header("nosuch", 2, 4, 4), transformer(2, "F32")),
    "no layer count": ([["general.architecture", *string("llama")]], transformer(1, "F32")),
    "integers to convert": (header("llama", 2, 4, 4), [["a.weight", [4, 256], "I32"]]),
    "experts without a layer": (header("llama", 2, 4, 4, 4), [["ffn_down.weight", [4, 256], "F32"]]),
    "experts in a layer too many": (header("llama", 2, 4, 4, 4), [["blk.2.ffn_up.weight", [4, 256], "F32"]]),
}


def zeros(shape, kind):
    _, block, size, _ = TYPES[kind]
    return bytes(int(np.prod(shape)) // block * size)


def run_lengths(types):
    """'Q4_K*3 Q6_K' for three of one and one of another."""
    runs = []
    for kind in types:
        if runs and runs[-1][0] == kind:
            runs[-1][1] += 1
        else:
            runs.append([kind, 1])
    return " ".join(kind if count == 1 else f"{kind}*{count}" for kind, count in runs)


def policy(work):
    models = {}
    for model, (key_values, tensors) in (MODELS | UNKNOWN).items():
        source, target = work / "source.gguf", work / "target.gguf"
        write(source, key_values, [[*tensor, zeros(tensor[1], tensor[2])] for tensor in tensors])
        # In one model a tensor has no weights: types that cannot do without are refused for it alone.
        missing = ["blk.1.attn_q.weight"] if model == "llama gqa f32" else []
        weights = {
            name: shape[-1] * (shape[-3] if len(shape) > 2 else 1)
            for name, shape, _ in tensors
            if name not in missing
        }
        entry = {"key_values": key_values, "tensors": tensors, "order": None, "missing": missing}
        entry |= {"plain": {}, "weighted": {}}
        places = {tensor[0]: place for place, tensor in enumerate(tensors)}
        for results, weighted in (("plain", None), ("weighted", weights)):
            for file_type in FILE_TYPES:
                if model in UNKNOWN and file_type not in ("q8_0", "q4_k_m"):
                    continue
                entry[results][file_type] = None
                if quantise(source, target, file_type, weighted):
                    made = read(target)[1]
                    entry[results][file_type] = run_lengths(tensor[2] for tensor in made)
                    order = [places[tensor[0]] for tensor in made]
                    assert entry["order"] in (None, order)
                    entry["order"] = order
        models[model] = entry
        print(model, sum(types is not None for types in entry["plain"].values()))
    return models


def key_values(work):
    strings = struct.pack("<IQ", STRING, 4) + b"".join(map(text, (b"plain", b"cut\0here", b"", b"\0")))
    given = header("llama", 1, 4, 4)
    given[1:1] = [
        ["general.file_type", *u32(1)],
        ["general.name", *string(b"name\0and more")],
        ["split.no", 2, "0000"],
        ["general.quantization_version", *u32(2)],
        ["split.count", 2, "0100"],
        ["split.tensors.count", 5, "07000000"],
    ]
    given += [
        ["tokenizer.ggml.tokens", ARRAY, strings.hex()],
        ["a.bool", 7, "01"], ["a.u8", 0, "ff"], ["an.i8", 1, "80"], ["an.i64", 11, "ff" * 8],
        ["an.f64", 12, struct.pack("<d", 0.1).hex()], ["a.u16", 2, "0102"], ["a.u64", 10, "0102030405060708"],
        ["bools", ARRAY, (struct.pack("<IQ", 7, 3) + b"\1\0\1").hex()],
        ["none", ARRAY, struct.pack("<IQ", F32, 0).hex()],
        ["last", *string("\u00e9\u4e2d")],
    ]  # fmt: skip
    tensors = [[*tensor, zeros(tensor[1], tensor[2])] for tensor in transformer(1, "F32")]
    source, target = work / "source.gguf", work / "target.gguf"
    write(source, given, tensors)
    made = {}
    for file_type in ("f16", "q8_0", "q4_k_m"):
        assert quantise(source, target, file_type)
        made[file_type] = read(target)[0]
    return {"given": given, "made": made}


# Data


def converted(work, kind, target_kind, raw, elements):
    """The bytes that upstream makes of one tensor, or None where it refuses it."""
    source, target = work / "source.gguf", work / "target.gguf"
    shape = [elements // 256, 256]
    write(source, header("llama", 1, 4, 4), [["token_embd.weight", shape, kind, raw]])
    if not quantise(source, target, "q8_0", token_embedding_type=TYPES[target_kind][0]):
        return None
    ((_, _, made, data),) = read(target)[1]
    assert made == target_kind
    return data


# Upstream's process ends on numbers beyond this for IQ3_S, so it cannot be asked.
LARGEST_ASKED = {"IQ3_S": 1e10}


def data(work):
    values = np.concatenate([numbers(1, 256 * 96), edges()])
    result = {"encoded": {}, "decoded": {}, "requantised": {}, "refused": {}}
    for kind in ("F32", "F16", "BF16"):
        raw = stored(values, kind)
        for target in ENCODED:
            if target != kind:
                made = converted(work, kind, target, raw, values.size)
                result["encoded"][f"{kind} {target}"] = hashlib.sha256(made).hexdigest()
    for seed, kind in enumerate(TYPES):
        if TYPES[kind][1] == 1:
            continue
        count = 512 * 256 // TYPES[kind][1] // 8
        raw = blocks(kind, seed, count)
        made = converted(work, kind, "F32", raw, count * TYPES[kind][1])
        result["decoded"][kind] = [seed, count, hashlib.sha256(made).hexdigest()]
        for target in ("Q4_0", "Q5_K"):
            made = converted(work, kind, target, raw, count * TYPES[kind][1]) if target != kind else raw
            result["requantised"][f"{kind} {target}"] = made and hashlib.sha256(made).hexdigest()
    for reason in REFUSED:
        values = worst(reason)
        able = (t for t in ENCODED if not np.nanmax(np.abs(values)) > LARGEST_ASKED.get(t, np.inf))
        result["refused"][reason] = [
            target
            for target in able
            if target != "F32" and converted(work, "F32", target, values.tobytes(), 512) is None
        ]
    return result


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def main():
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for name, make in (("key_values", key_values), ("bytes", data), ("policy", policy)):
            golden = make(work)
            lines = ",\n".join(f"{json.dumps(k)}: {compact(v)}" for k, v in golden.items())
            (HERE / f"{name}.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    silence = llama_cpp.llama_log_callback(lambda *_: None)  # kept: ctypes does not
    llama_cpp.llama_log_set(silence, None)
    main()
