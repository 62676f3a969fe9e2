"""The formats that are read: `SOURCES`."""

from __future__ import annotations

from collections.abc import Iterable

from docs.generate.format_rows import Checked, Source
from translators.sources.renamed.kinds import FLAX_KINDS, KERAS_KINDS

_ALL = "every target of the model's family: GGUF in all types, Hugging Face folders, MLX, ..."
_NO_FAMILY = "Without a `config.json` of a known family: merged `model.safetensors` and weights alone."
_RENAMED = (
    "{} beside transformers' `config.json` appears in the names and shapes of its PyTorch classes, and so in "
    "every target of the family; `model_type` is one of {}."
)
_CERTAIN = (
    "PyTorch's names where one tensor's is not certain, by that tensor: another kind of model, layers "
    "stacked for a scan, an optimiser's state. What is left are the file's own names."
)


def _kinds(kinds: Iterable[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in sorted(kinds))


SOURCES = (
    Source(
        "Safetensors",
        "safetensors",
        "`model*.safetensors`, with an index or without; other names, each set of shards a model",
        "exact, all 22 types",
        "none in the format",
        f"Gives {_ALL} {_NO_FAMILY} Shards are visited as upstream's converter does, sorted by name. "
        f"Checkpoints "
        "that are quantised (FP8, GPTQ, AWQ, bitsandbytes, MXFP4, NVFP4, MLX, ...) are "
        "[QUANTISED.md](QUANTISED.md).",
        (
            Checked("safetensors", "every type, orders, thousands of random ranges", "make test"),
            Checked(
                "convert_hf_to_gguf, llama-quantize", "GGUFs of every family, byte for byte", "make families"
            ),
        ),
        (
            "Holes, overlaps or bytes behind the last tensor: the library refuses them as well.",
            "A header of more than 100 MB, which is the format's own limit; a key twice.",
            "An index and shards that do not name the same tensors; a shard that is missing, by its number.",
        ),
    ),
    Source(
        "PyTorch",
        "pytorch",
        "`pytorch_model*.bin`, `diffusion_pytorch_model*.bin`, `model*.bin`, with an index or without; "
        "`*.pt`, "
        "`*.pth`, `*.ckpt`, `*.jit`",
        "exact, views and shared storages too",
        "CRC-32 of zip, not looked at (nor does torch)",
        f"Zip files, the older form, TorchScript's, training checkpoints with nested state dicts. Gives "
        f"{_ALL} "
        f"{_NO_FAMILY} The pickle is walked by a machine that makes strings, numbers and views and calls "
        f"nothing: "
        "what would run is an opaque object, and the weights are still found.",
        (
            Checked("torch 2.13", "every way to save, against what torch reads (digests)", "make test"),
            Checked("hypothesis, atheris", "any pickle is read or refused", "make fuzz"),
        ),
        (
            "Compressed storages: they cannot be read by range (`zip -0` packs them again).",
            "Big-endian files, the tar archives of PyTorch before 0.1.10, tensors to be negated when read.",
            "More opcodes, strings or depth than any checkpoint has; members that overlap or lie elsewhere.",
        ),
    ),
    Source(
        "GGUF",
        "gguf",
        "`*.gguf`, also `-00001-of-00003.gguf`; several in a directory are several models",
        "exact, all types",
        "none in the format",
        "Versions 2 and 3. Gives every type as `llama-quantize --allow-requantize` makes it, and where its "
        "architecture has a way back ([MODELS.md](MODELS.md)) a Hugging Face folder, and what follows "
        "from that. "
        "Splits are one model: that each is there, in its place and with its tensors, is read from all of "
        "them. The "
        "file itself is `model.gguf-<its type>`; of splits that is the merged file.",
        (
            Checked("gguf-py", "every kind of value, every type's size, splits", "make test"),
            Checked("llama-quantize", "types made of quantised files, byte for byte", "make test"),
            Checked("llama-gguf-split", "its splits read back are the whole file", "make test"),
        ),
        (
            "Version 1, big endian, ggml's formats before GGUF (`ggml`, `ggmf`, `ggjt`), types that are "
            "unknown.",
            "A split that is missing (its number is told), or whose name and `split.*` keys disagree.",
            "A vocabulary without tensors; a tensor beyond the file's end; arrays of arrays where a file "
            "must be made.",
        ),
    ),
    Source(
        "llama.cpp before GGUF",
        "ggml",
        "`.bin` files called as those were: `ggml-model-q4_0.bin`, `*.ggmlv3.q4_0.bin`, ...",
        "exact, every type whose layout is still what it was",
        "none in the format",
        "`ggml`, `ggmf` and `ggjt` files of LLaMA, 2023. The model is the GGUF that upstream's script "
        "makes of "
        "such a file, so that every target of a GGUF follows. A `config.json` beside it tells what the "
        "file does "
        "not: the epsilon and the context length.",
        (
            Checked("convert_llama_ggml_to_gguf", "its GGUF, byte for byte (digests)", "make test"),
            Checked("the same", "run anew", "make legacy-check"),
        ),
        ("Blocks whose layout changed before ggjt 3, which upstream refuses as well; what is no LLaMA.",),
    ),
    Source(
        "Flax",
        "flax",
        "`flax_model.msgpack`, sharded with an index; `model.msgpack`",
        "exact",
        "none in the format",
        f"{_RENAMED.format('`flax_model.msgpack`', _kinds(FLAX_KINDS))} Otherwise the arrays by their ways "
        "through the tree, in merged `model.safetensors` and weights alone.",
        (
            Checked("flax 0.12", "what it wrote, in chunks too, as it reads it (digests)", "make test"),
            Checked(
                "transformers",
                "its PyTorch classes' tensors, made of Flax's folders (digests)",
                "make test",
            ),
            Checked("the same", "every kind and head anew, and their GGUFs", "make flax-check"),
        ),
        (
            "Arrays of another type than numbers; trees that are deeper or of more keys than any model's.",
            _CERTAIN,
        ),
    ),
    Source(
        "NumPy",
        "npz",
        "`model*.npz`, or the only `.npz` of a directory",
        "exact",
        "CRC-32 of zip: of compressed arrays by their length alone",
        f"`np.savez` and `np.savez_compressed`, in C's and in Fortran's order. With a `config.json` and "
        f"its names {_ALL} "
        "Two bytes without a type are bfloat16, as ml_dtypes saves it.",
        (Checked("numpy", "every type and order, against np.load", "make test"),),
        (
            "Arrays of objects, which are pickles; dates, records, big-endian numbers.",
            "Compressed arrays of more than 256 MiB: a range of them needs all of what comes before.",
        ),
    ),
    Source(
        "Keras and HDF5",
        "hdf5",
        "`.keras`, `*.weights.h5`, `tf_model.h5`, `model*.h5`, a directory's only `.h5` or `.hdf5`",
        "exact",
        "CRC-32 of zip in `.keras`, not looked at",
        "Read without libhdf5: a stranger's file reaches no C code. Datasets of numbers by their paths, "
        f"without the states of an optimiser. {_RENAMED.format('`tf_model.h5`', _kinds(KERAS_KINDS))} Other "
        "files of Keras give merged `model.safetensors` and weights alone; files of anybody else's that have "
        "a `config.json` and its names, every target of the family.",
        (
            Checked("h5py, Keras", "their files as h5py reads them (digests)", "make test"),
            Checked("h5py", "made and real files anew", "make hdf5-check"),
            Checked(
                "transformers",
                "its PyTorch classes' tensors, made of its TF folders (digests)",
                "make test",
            ),
            Checked("the same", "every kind and head anew, and their GGUFs", "make flax-check"),
        ),
        (
            "Data in other files and virtual datasets: nothing outside the file is opened.",
            "A `.keras` archive whose weights are compressed.",
            _CERTAIN,
            "Files whose description costs more to read than any model's: trees and heaps have budgets.",
        ),
    ),
    Source(
        "LoRA adapters",
        "peft",
        "`adapter_config.json` with `adapter_model.safetensors` or `adapter_model.bin`",
        "merged with the base in F32 in a fixed order, rounded once",
        "none in the format",
        "PEFT's LoRA, rank-stabilised and with patterns too, DoRA, biases, embeddings, saved modules, "
        "parameters of experts; over quantised bases too, dequantised (QLoRA). Gives the merged model in "
        "every form that the base has, and the adapter alone as a GGUF. How the base is found: "
        "[ADAPTERS.md](ADAPTERS.md).",
        (
            Checked("PEFT's merge_and_unload", "every kind, equal or one unit off (digests)", "make test"),
            Checked(
                "PEFT, convert_lora_to_gguf, llama.cpp", "anew: merged, alone, logits", "make lora-check"
            ),
        ),
        (
            "A base that cannot be found: where it was looked for is told; one of NVFP4.",
            "Kinds that cannot be merged exactly, by name: DoRA of embeddings, trainable tokens, ...",
        ),
    ),
    Source(
        "Meta's originals",
        "meta",
        "`consolidated.NN.pth` with `params.json` and `tokenizer.model`",
        "exact",
        "CRC-32 of zip, not looked at",
        "Llama 1 to 4 as Meta releases them, shards joined by range. Appears as the Hugging Face folder that "
        "transformers' converter makes, and as whatever follows from that: "
        "[ORIGINALS.md](ORIGINALS.md).",
        (
            Checked("transformers' converter", "of 1, 2 and 8 shards (digests)", "make test"),
            Checked("the same", "anew, and upstream's GGUF of its folder", "make meta-check"),
        ),
        (
            "Llama 3.2 Vision, quantised originals and adapters of Meta's, by name.",
            "Shards that disagree, and one that is missing, by its number.",
        ),
    ),
    Source(
        "Mistral's own form",
        "mistral",
        "`params.json` with `consolidated*.safetensors`, where no files in Hugging Face's form lie beside",
        "exact",
        "none in the format",
        "Gives GGUF as upstream's `--mistral-format` makes it, with mmproj files, and of models of text the "
        "forms in Hugging Face's names.",
        (Checked("convert_hf_to_gguf --mistral-format", "byte for byte (digests)", "make test"),),
        (
            "Mixtures of experts: upstream takes each for a DeepSeek-V2.",
            "Hugging Face's form of a model that sees.",
        ),
    ),
    Source(
        "ONNX",
        "onnx",
        "`*.onnx`, with external data in its directory",
        "exact; integers of two and four bits are unpacked to bytes",
        "none in the format",
        "Initialisers and constants, of functions and branches too, by their names in the graph. Nothing of "
        "it is run. Gives merged `model.safetensors` and weights alone.",
        (
            Checked("onnx", "tensors of every kind", "make test"),
            Checked("onnx", "published models, as onnx itself reads them", "make onnx-check"),
        ),
        (
            "External data behind `..`, an absolute path or a link that leaves the directory.",
            "Sparse tensors, complex numbers, floats of four bits.",
        ),
    ),
    Source(
        "TensorFlow checkpoint",
        "tensorflow",
        "`NAME.index` with `NAME.data-0000i-of-0000N`",
        "exact; partitioned variables joined",
        "CRC-32C of the index's blocks is compared; that of the tensors, which need a whole pass, is not",
        "Of TensorFlow 1 and 2, packed by Snappy or not; an optimiser's tensors too. Gives merged "
        "`model.safetensors` and weights alone, in TensorFlow's names: no GGUF. But Google's own BERT, with "
        "`bert_config.json` and `vocab.txt` (or a `config.json`), appears as transformers' BertForMaskedLM, "
        "an optimiser's tensors left out; small letters are those of a vocabulary without capitals.",
        (
            Checked("TensorFlow", "its own files as it reads them (digests)", "make test"),
            Checked("TensorFlow", "made anew, and published models", "make tensorflow-check"),
            Checked("transformers", "BERT as its converter loads it (digests), GGUFs", "make flax-check"),
        ),
        (
            "Slices that overlap, lie beyond the variable or are no grid; data that are missing.",
            "Blocks that overlap or say more than they hold.",
        ),
    ),
    Source(
        "TensorFlow SavedModel",
        "savedmodel",
        "`saved_model.pb`, with `variables/`",
        "exact",
        "those of its checkpoint",
        "Its variables; where it has none the constants of its graph. Nothing of the graph is run. Gives "
        "merged "
        "`model.safetensors` and weights alone.",
        (
            Checked("TensorFlow", "its own files as it reads them (digests)", "make test"),
            Checked("TensorFlow", "made anew, and published models", "make tensorflow-check"),
        ),
        ("What a checkpoint or a graph is refused for.",),
    ),
    Source(
        "TensorFlow frozen graph",
        "graphdef",
        "`.pb` files with `frozen` or `graph` in their names, `model.pb`, `*_model.pb`",
        "exact",
        "none in the format",
        "Every constant of numbers by its node's name. Gives merged `model.safetensors` and weights alone.",
        (
            Checked("TensorFlow", "tf.make_ndarray of each constant (digests)", "make test"),
            Checked("TensorFlow", "made anew, and published models", "make tensorflow-check"),
        ),
        ("Messages that are longer than what holds them; numbers without end.",),
    ),
    Source(
        "TensorFlow Lite",
        "tflite",
        "`*.tflite`",
        "exact: of quantised tensors what is stored, with `.scale` and `.zero_point` beside",
        "none in the format",
        "The constants, also behind the model as files of more than 2 GB have them; integers of two and "
        "four bits are unpacked to bytes, sparse tensors get their zeros. Gives merged `model.safetensors` "
        "and weights alone.",
        (
            Checked("its interpreter", "what it gives of each tensor (digests)", "make test"),
            Checked("its interpreter", "made anew, and published models", "make tensorflow-check"),
        ),
        ("Sparse tensors of more than 256 MiB, data in another file, tables that lie within themselves.",),
    ),
    Source(
        "Importance matrix",
        "",
        "`imatrix.gguf`, `imatrix.dat` and what else people call them, beside a model",
        "exact",
        "none in the format",
        "Both forms that llama-imatrix has written. Every GGUF type of the model is then made with it, and "
        "`model.gguf-<type>-noimat` without ([EQUALITY.md](EQUALITY.md)).",
        (
            Checked("llama-quantize --imatrix", "all types, byte for byte", "make test"),
            Checked("the same", "the slow types of two bits as well", "make imatrix-check"),
        ),
        (
            "Negative sums, counts that are none, entries of another size than the tensor's: the types "
            "that need no "
            "matrix stay.",
            "Several matrices beside a model, as nobody knows which is meant.",
        ),
    ),
)
