"""Asks upstream's converter for what the tests expect, and writes it to metadata.json beside this file.

    PYTHON tests/translators/golden_metadata/upstream.py LLAMA_CPP

PYTHON has torch and transformers 4.57.6; LLAMA_CPP is the source tree of b11434. The converter's own classes
run, without weights: `prepare_metadata` on a writer that was told tensor shapes, `set_gguf_parameters` on
model objects, and for the tiny models of the tests everything up to the tokenizer.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), sys.argv[1], str(Path(sys.argv[1], "gguf-py"))]

import gguf  # noqa: E402
import numpy as np  # noqa: E402
from conversion import ModelBase, ModelType, get_model_architecture, get_model_class  # noqa: E402

from tests.tiny_models import build  # noqa: E402
from tests.tiny_variants import MODELS  # noqa: E402
from tests.translators.golden_metadata import cases  # noqa: E402

FTYPE = gguf.LlamaFileType.MOSTLY_F16


def told(writer: Any) -> list[list[Any]]:
    """The key-values of a writer, in order: key, type, and the value as it comes out of the file."""
    rows = []
    for key, value in writer.kv_data[0].items():
        packed = writer._pack_val(value.value, value.type, add_vtype=False)
        shown: Any = value.value
        if value.type == gguf.GGUFValueType.FLOAT32:
            shown = struct.unpack("<f", packed)[0]
        elif value.type == gguf.GGUFValueType.ARRAY:
            kind = gguf.GGUFValueType.get_type(shown[0])
            shown = [float(np.float32(each)) if kind == 6 else each for each in shown]
            rows.append([key, f"ARRAY {kind.name}", shown])
            continue
        elif value.type != gguf.GGUFValueType.STRING:
            shown = bool(shown) if value.type == gguf.GGUFValueType.BOOL else int(shown)
        rows.append([key, value.type.name, shown])
    return rows


def folder_of(case: dict[str, Any]) -> Path:
    """The case's directory, made in the working directory."""
    folder = Path(tempfile.mkdtemp(dir=".")) / case["name"]
    folder.mkdir()
    for path, text in {"config.json": json.dumps(case["config"]), **case["files"]}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(text.encode("utf-8", "surrogatepass"))
    return folder


def general(case: dict[str, Any]) -> Any:
    """`general.*` of a directory and tensor shapes; None where upstream fails."""
    writer = gguf.GGUFWriter(None, "llama")
    for name, shape in case["tensors"]:
        writer.add_tensor_info(name, shape, np.dtype(np.float16), 0)
    folder = folder_of(case)
    state = SimpleNamespace(
        gguf_writer=writer, metadata_override=None, dir_model_card=folder, model_name=None, dir_model=folder,
        remote_hf_model_id=None, ftype=FTYPE, _is_nvfp4=False, _is_mxfp4=False, _prec_a4={},
        set_type=lambda: writer.add_type("model"), set_gguf_parameters=lambda: None,
    )  # fmt: skip
    try:
        ModelBase.prepare_metadata(state, False)  # type: ignore[arg-type]
        return told(writer)[:-1]  # the last is the quantization version
    except Exception as error:
        print("general", case["name"], type(error).__name__, file=sys.stderr)
        return None


def model_of(folder: Path, ftype: Any = FTYPE) -> Any:
    """Upstream's model object for a directory."""
    hparams = ModelBase.load_hparams(folder, False)
    model_class = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
    if hasattr(model_class, "_find_rerank_config"):
        model_class._find_rerank_config = lambda self: setattr(self, "is_rerank", True)
    return model_class(folder, ftype, Path("unused.gguf"))


def hparams(case: dict[str, Any]) -> Any:
    """The hyper-parameters' key-values; None where upstream fails."""
    try:
        model = model_of(folder_of(case))
        model.set_gguf_parameters()
        return told(model.gguf_writer)
    except Exception as error:
        print("hparams", type(error).__name__, error, file=sys.stderr)
        return None


def tiny(name: str) -> dict[str, Any]:
    """Everything before the tokenizer, of a tiny model of the tests, in its own precision."""
    model = model_of(build(MODELS[name], Path(tempfile.mkdtemp(dir="."))), gguf.LlamaFileType.GUESSED)
    model.prepare_tensors()
    counts = model.gguf_writer.get_total_parameter_count()
    model.set_vocab = lambda: None
    model.prepare_metadata(vocab_only=False)
    return {"parameters": counts, "file_type": int(model.ftype), "key_values": told(model.gguf_writer)}


def main() -> None:
    """Ask everything, write one line for each answer."""
    components = gguf.Metadata.get_model_id_components
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        answers = {
            "names": [
                [name, count, [*components(name, count), gguf.Metadata.id_to_title(name)]]
                for name, count in cases.IDENTIFIERS
            ],
            "sizes": [[list(counts), gguf.size_label(*counts)] for counts in cases.COUNTS],
            "general": [[key, general(case)] for key, case in cases.GENERAL.items()],
            "hparams": [[key, hparams(case)] for key, case in cases.HPARAMS.items()],
            "tiny": [[name, tiny(name)] for name in MODELS],
        }
    sections = [
        f"{json.dumps(section)}: [\n"
        + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        + "\n]"
        for section, rows in answers.items()
    ]
    (HERE / "metadata.json").write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    main()
