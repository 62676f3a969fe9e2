"""Which models a directory holds, from names alone."""

from __future__ import annotations

import pytest

from translators.sources.recognise import Found, format_of, recognise, set_of

ST, PT, GG = "safetensors", "pytorch", "gguf"
BINS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
CHECKPOINT = ("c-2.index", "c-2.data-00000-of-00001")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["README.md", "config.json", "tokenizer.json", "vocab.bin", "training_args.bin"], []),
        (["pytorch_model.bin", "optimizer.bin", "x.gguf"], [Found(PT, "", ("pytorch_model.bin",))]),
        (["pytorch_model.bin", "model.safetensors"], [Found(ST, "", ("model.safetensors",))]),
        (
            [BINS[1], "pytorch_model.bin.index.json", BINS[0]],
            [Found(PT, "", ("pytorch_model.bin.index.json", *BINS))],
        ),
        (["net.pth", "optimizer.pt", "rng_state.pth"], [Found(PT, "", ("net.pth",))]),
        (["a.pt", "b.ckpt"], [Found(PT, "a", ("a.pt",)), Found(PT, "b", ("b.ckpt",))]),
        (["consolidated.00.pth", "params.json"], []),
        (["adapter_model.safetensors", "adapter_config.json"], []),
        (["optimizer.safetensors", "mmproj.safetensors", "._model.safetensors"], []),
        (["model.safetensors", "config.json"], [Found(ST, "", ("model.safetensors",))]),
        (["model.safetensors.index.json"], [Found(ST, "", ("model.safetensors.index.json",))]),
        ([SHARDS[1], INDEX, SHARDS[0]], [Found(ST, "", (INDEX, *SHARDS))]),
        (["model.safetensors", "consolidated.safetensors"], [Found(ST, "", ("model.safetensors",))]),
        (["model.safetensors", "a-q4.gguf", "b-q4.gguf"], [Found(ST, "", ("model.safetensors",))]),
        (["consolidated.safetensors", "a.gguf"], [Found(ST, "", ("consolidated.safetensors",))]),
        (
            ["w-00001-of-00001.safetensors", "w.safetensors.index.json"],
            [Found(ST, "", ("w.safetensors.index.json", "w-00001-of-00001.safetensors"))],
        ),
        (
            ["vae.safetensors", "unet.safetensors"],
            [Found(ST, "unet", ("unet.safetensors",)), Found(ST, "vae", ("vae.safetensors",))],
        ),
        (["m.gguf"], [Found(GG, "", ("m.gguf",))]),
        (["M.GGUF"], [Found(GG, "", ("M.GGUF",))]),
        (
            ["m-00002-of-00002.gguf", "m-00001-of-00002.gguf"],
            [Found(GG, "", ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"))],
        ),
        (
            ["m-q8.gguf", "m-q4-00001-of-00002.gguf", "m-q4-00002-of-00002.gguf"],
            [
                Found(GG, "m-q4", ("m-q4-00001-of-00002.gguf", "m-q4-00002-of-00002.gguf")),
                Found(GG, "m-q8", ("m-q8.gguf",)),
            ],
        ),
        (["m.gguf", "mmproj-m-f16.gguf"], [Found(GG, "", ("m.gguf",))]),
        (["net.npz", "config.json"], [Found("npz", "", ("net.npz",))]),
        (["a.npz", "b.npz"], []),
        (
            ["a.npz", "model.npz", "model-b.npz"],
            [Found("npz", "model", ("model.npz",)), Found("npz", "model-b", ("model-b.npz",))],
        ),
        (["model.npz", "m.gguf"], [Found(GG, "", ("m.gguf",))]),
        (
            ["b.ckpt.index", "b.ckpt.data-00000-of-00001", "b.ckpt.meta", "checkpoint", "faiss.index"],
            [Found("tensorflow", "", ("b.ckpt.index", "b.ckpt.data-00000-of-00001"))],
        ),
        (
            ["c-1.index", "c-1.data-00001-of-00002", "c-1.data-00000-of-00002", *CHECKPOINT],
            [
                Found(
                    "tensorflow", "c-1", ("c-1.index", "c-1.data-00000-of-00002", "c-1.data-00001-of-00002")
                ),
                Found("tensorflow", "c-2", CHECKPOINT),
            ],
        ),
        (["faiss.index", "x.data-00000-of-00001", "a.data-1"], []),
        (["saved_model.pb", "fingerprint.pb", "a.tflite"], [Found("savedmodel", "", ("saved_model.pb",))]),
        (["fingerprint.pb", "keras_metadata.pb", "input_0.pb", "init_net.pb", "saved_model.pbtxt"], []),
        (
            ["frozen_inference_graph.pb", "fingerprint.pb"],
            [Found("graphdef", "", ("frozen_inference_graph.pb",))],
        ),
        (
            ["model.pb", "a_frozen.pb"],
            [Found("graphdef", "a_frozen", ("a_frozen.pb",)), Found("graphdef", "model", ("model.pb",))],
        ),
        (["llama.ggmlv3.q4_0.bin", "README.md"], [Found("ggml", "", ("llama.ggmlv3.q4_0.bin",))]),
        (
            ["ggml-model-f16.bin", "x.ggml.bin", "ggml-base.en.bin"],
            [
                Found("ggml", "ggml-model-f16", ("ggml-model-f16.bin",)),
                Found("ggml", "x.ggml", ("x.ggml.bin",)),
            ],
        ),
        (["pytorch_model.bin", "ggml-model-f16.bin"], [Found(PT, "", ("pytorch_model.bin",))]),
        (["ggml-base.en.bin"], []),
        (["net.tflite"], [Found("tflite", "", ("net.tflite",))]),
        (
            ["a.tflite", "b.tflite"],
            [Found("tflite", "a", ("a.tflite",)), Found("tflite", "b", ("b.tflite",))],
        ),
        (["mmproj-m-f16.gguf"], [Found(GG, "", ("mmproj-m-f16.gguf",))]),
        (["bad\udcff.gguf"], [Found(GG, "", ("bad\udcff.gguf",))]),
    ],
)
def test_recognise(names: list[str], expected: list[Found]) -> None:
    assert recognise(names) == expected
    assert recognise(reversed(names)) == expected


def test_a_shard_stands_for_its_set() -> None:
    siblings = ["m-00002-of-00002.gguf", "m-00001-of-00002.gguf", "m-00001-of-00003.gguf", "m.gguf", "n.gguf"]
    assert set_of("m-00002-of-00002.gguf", siblings) == Found(
        GG, "m", ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    )
    assert set_of("m.gguf", siblings) == Found(GG, "m", ("m.gguf",))


def test_a_safetensors_shard_brings_its_index() -> None:
    siblings = ["x-00001-of-000002.safetensors", "x-00002-of-000002.safetensors", "x.safetensors.index.json"]
    found = set_of(siblings[0], siblings)
    assert found == Found(ST, "x", (siblings[2], siblings[0], siblings[1]))
    assert set_of(siblings[2], siblings) == found


def test_an_index_and_its_data_are_one_checkpoint() -> None:
    siblings = [
        "c-1.index", "c-1.data-00001-of-00002", "c-1.data-00000-of-00002", *CHECKPOINT,
        "c-1.data-00000-of-00001", "faiss.index",
    ]  # fmt: skip
    whole = ("c-1.index", "c-1.data-00000-of-00002", "c-1.data-00001-of-00002")
    assert set_of(whole[1], siblings) == set_of(whole[2], siblings) == Found("tensorflow", "c-1", whole)
    assert set_of("c-2.index", siblings) == Found("tensorflow", "c-2", CHECKPOINT)
    assert set_of("faiss.index", siblings) == Found("tensorflow", "faiss", ("faiss.index",))
    assert format_of("a.pb") != format_of("saved_model.pb") != format_of("b.index")
