"""The formats that are made: `TARGETS`."""

from __future__ import annotations

from docs.generate.format_rows import Checked, Target
from translators.targets import gguf_splits, hf_folders, mlx, onnx, pytorch, weights_only

_NO_CONFIG = "A model without `config.json`: nothing says what its tensors are."
_NO_WAY_BACK = "A GGUF of an architecture without a way back ([MODELS.md](MODELS.md))."

TARGETS = (
    Target(
        "Merged safetensors",
        ("model.safetensors",),
        "exact; of a quantised GGUF rounded to bf16",
        "none in the format",
        "Byte for byte what the safetensors library writes of the same tensors: its sha256 is that of a "
        "person's own "
        "merge. Most of it is read through from the source. Where the source is that one file, it is that "
        "file.",
        (
            Checked("safetensors", "whole files against its own writer, thousands of ranges", "make test"),
            Checked("safetensors on a mount", "names, shapes and values", "tests/fsd/test_clients.py"),
        ),
        (
            "A GGUF of an architecture without a way back; tensors in types of blocks, which the format "
            "has not.",
        ),
    ),
    Target(
        "Hugging Face side of a GGUF",
        (
            "config.json",
            "generation_config.json",
            "tokenizer*",
            "spiece.model",
            "sentencepiece.bpe.model",
            "modules.json",
            "*_Pooling/*",
        ),
        "rounded to bf16 where the GGUF is quantised",
        "-",
        "A GGUF's `config.json` and tokenizer, rebuilt from its key-values; with `model.safetensors` a "
        "folder as "
        "transformers and upstream's converter take it.",
        (
            Checked(
                "tokenizers on a mount", "the same ids as the GGUF's vocabulary", "tests/fsd/test_clients.py"
            ),
            Checked("convert_hf_to_gguf", "of the folder: the GGUF again", "make families-back"),
            Checked("huggingface_hub on a mount", "offline, by the view", "tests/fsd/test_views_mount.py"),
        ),
        (_NO_WAY_BACK,),
        listed=("config.json", "tokenizer.json", "..."),
    ),
    Target(
        "GGUF of any type",
        ("model.gguf-*",),
        "exact in the source's own precision, else quantised",
        "none in the format",
        "Every type of llama-quantize, byte for byte that of upstream's converter and of llama-quantize "
        "(b11434), with an "
        "importance matrix where one lies beside the model. The same files are "
        "`gguf/<Model>-<TYPE>.gguf`. Views "
        "show them to Ollama and LM Studio ([VIEWS.md](VIEWS.md)).",
        (
            Checked(
                "convert_hf_to_gguf, llama-quantize", "every family, by digests of theirs", "make families"
            ),
            Checked("llama.cpp on a mount", "logits equal to upstream's file", "make families-run"),
            Checked(
                "llama.cpp on a mount",
                "SmolLM2: the same answer as from a plain file",
                "tests/fsd/test_clients.py",
            ),
            Checked("gguf-py on a mount", "every type that it knows", "tests/fsd/test_clients.py"),
            Checked(
                "a test that acts as Ollama does",
                "lists, loads, over an overlay",
                "tests/fsd/test_views_mount.py",
            ),
            Checked(
                "sentence-transformers", "the real MiniLM's embeddings by llama.cpp", "make minilm-check"
            ),
        ),
        (
            "An architecture or a pre-tokenizer that upstream does not know, by name.",
            "Types that upstream makes with an importance matrix only, where there is none; IQ1_M, of "
            "which libggml-python makes other bytes.",
            "A checkpoint that has not the tensors its configuration says.",
        ),
        listed=("model.gguf-<type>", "gguf/<Model>-<TYPE>.gguf"),
    ),
    Target(
        "GGUF splits",
        ("gguf-*/*",),
        "as the GGUF",
        "none in the format",
        "See [GGUF in splits](#gguf-in-splits).",
        (
            Checked(
                "llama-gguf-split", "the real SmolLM2 and a tiny model, byte for byte (digests)", "make test"
            ),
            Checked(
                "llama.cpp on a mount",
                "loads all from the first, the same answer",
                "tests/fsd/test_clients.py",
            ),
        ),
        ("A number of files that no size in whole megabytes gives; a size smaller than the first tensor.",),
        folder=gguf_splits.TARGET,
        listed=("gguf/<Model>-<TYPE>-00001-of-0000M.gguf",),
    ),
    Target(
        "Adapter as GGUF",
        ("adapter.gguf-*",),
        "as stored, or rounded once; scales folded in",
        "none in the format",
        "A LoRA adapter alone, for llama.cpp's `--lora`, as upstream's convert_lora_to_gguf writes it where "
        "that is right: it passes over rank-stabilised scales and patterns of alpha.",
        (
            Checked("convert_lora_to_gguf", "byte for byte", "make lora-check"),
            Checked("llama.cpp", "base and adapter beside the merged model", "make lora-check"),
        ),
        ("Kinds that llama.cpp does not apply: DoRA, biases, saved modules, tied embeddings.",),
        listed=("adapter.gguf-f16", "adapter.gguf-f32"),
    ),
    Target(
        "mmproj",
        ("mmproj-*",),
        "exact in the source's own precision, else rounded or Q8_0",
        "none in the format",
        "What a model sees or hears by, for llama.cpp's `--mmproj`: f32, f16, bf16 and q8_0, as "
        "upstream's converter "
        "writes them.",
        (Checked("convert_hf_to_gguf --mmproj", "byte for byte (digests)", "make families"),),
        ("A part that sees or hears and that no table knows, by name.",),
        listed=("mmproj-<type>.gguf", "gguf/mmproj-<Model>-<TYPE>.gguf"),
    ),
    Target(
        "Hugging Face folders",
        ("hf-*/*",),
        "exact, or rounded once to the name's type",
        "none in the format",
        "A complete folder of any source in that precision: weights in shards of at most 5 GB with an "
        "index, as "
        "transformers' save_pretrained cuts them, `config.json` that says the precision, tokenizer and "
        "the rest; of a model of sentence-transformers also what its `modules.json` names.",
        (
            Checked("safetensors", "each shard is what its own writer makes", "make test"),
            Checked("transformers on a mount", "from_pretrained, greedy tokens", "make examples-check"),
        ),
        (_NO_CONFIG, _NO_WAY_BACK),
        folder=hf_folders.TARGET,
        listed=("hf-bf16/", "hf-f16/", "hf-f32/"),
    ),
    Target(
        "PyTorch folder",
        ("pytorch/*",),
        "exact",
        "CRC-32 of the storages is 0, as torch writes where it is told so; torch.load never looks",
        "`pytorch_model.bin`, in shards of 5 GB with an index where it is larger, for programs that "
        "cannot read "
        "safetensors. Storages are aligned, so that the file can be mapped. `unzip -t` reports the "
        "storages: a "
        "true checksum would need the whole model read before the first byte.",
        (
            Checked(
                "torch.load", "weights_only or not, mapped or not: the source's tensors", "make pytorch-check"
            ),
            Checked("transformers", "from_pretrained: the source's logits", "make pytorch-check"),
            Checked("both", "SmolLM2, out of a mount", "make frameworks-check"),
            Checked("convert_hf_to_gguf", "the GGUF of the source", "make pytorch-check"),
        ),
        (_NO_CONFIG, _NO_WAY_BACK, "Types that torch has not."),
        folder=pytorch.TARGET,
        listed=("pytorch/",),
    ),
    Target(
        "MLX folders",
        ("mlx-*/*",),
        "quantised to 2, 3, 4, 5, 6 or 8 bits",
        "none in the format",
        "What `mlx_lm.convert -q` makes, bit for bit as MLX computes it on a processor, experts stacked. "
        "`mlx-4bit/` and "
        "`mlx-8bit/` (groups of 64) are told; other bits, `-g32` and `-g128` by name.",
        (
            Checked(
                "mlx, mlx-lm",
                "tensors bit for bit, logits, of every model_type that is offered",
                "make mlx-check",
            ),
            Checked("mlx-lm on a mount", "generate, greedy", "make examples-check"),
        ),
        (
            "A model_type whose folder was not compared with mlx-lm; models that are no language models.",
            _NO_CONFIG,
            _NO_WAY_BACK,
        ),
        folder=mlx.TARGET,
        listed=("mlx-4bit/", "mlx-8bit/"),
    ),
    Target(
        "ONNX folders",
        ("onnx-*/*",),
        "exact as float32, rounded as float16, quantised to four bits in blocks of 32",
        "none in the format",
        "A graph with all weights as external data: decoders of Llama, Mistral, Qwen2 and Qwen3 with "
        "`genai_config.json`, and BERT, RoBERTa, XLM-R and DistilBERT as `onnx-fp32/`. Four bits are those "
        "of onnxruntime's own quantiser.",
        (
            Checked("onnxruntime", "a decoder's logits", "tests/translators/test_target_onnx.py"),
            Checked(
                "onnxruntime, onnxruntime-genai, OpenVINO, onnx.checker",
                "logits and greedy tokens beside transformers'",
                "make onnx-check",
            ),
            Checked("onnxruntime-genai on a mount", "SmolLM2, greedy", "make examples-check"),
        ),
        (
            "Other architectures; encoders in other precisions; dynamic and long rope scalings, partial "
            "rotation, by name.",
            "Heads whose width is no multiple of 16: the runtime's attention refuses them.",
        ),
        folder=onnx.TARGET,
        listed=("onnx-fp32/", "onnx-fp16/", "onnx-int4/"),
    ),
    Target(
        "Weights only",
        ("weights-only/*",),
        "exact; NumPy and HDF5 have float32 for bfloat16",
        "npz: CRC-32, made to be known beforehand by four bytes behind each array; h5, msgpack: none",
        "Tensors without an architecture, for one's own code: `model.npz`, `model.h5`, "
        "`flax_model.msgpack`. The first is a plain zip archive that NumPy reads and zip programs test, the "
        "last is flax's own file byte for byte.",
        (
            Checked("numpy", "np.load: every type that it has, archives beyond 4 GiB", "make test"),
            Checked("zipfile", "testzip finds each checksum right", "make test"),
            Checked("h5py", "reads model.h5", "make hdf5-check"),
            Checked("flax 0.12", "its own bytes, in chunks too (digests)", "make test"),
            Checked("NumPy, h5py, flax", "SmolLM2's tensors, out of a mount", "make frameworks-check"),
        ),
        ("Types that NumPy or flax has not (FP8 for NumPy), by the tensor's name.", _NO_WAY_BACK),
        folder=weights_only.TARGET,
        listed=("weights-only/model.npz", "weights-only/model.h5", "weights-only/flax_model.msgpack"),
    ),
)
