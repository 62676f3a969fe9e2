"""Gemma 3 (text, and the text of one that sees), EmbeddingGemma, Gemma 3n."""

from __future__ import annotations

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, pieces
from tests.oracle.families.variant import Variant

_TEXT = {
    "head_dim": 64,
    "rms_norm_eps": 1e-6,
    "hidden_activation": "gelu_pytorch_tanh",
    "tie_word_embeddings": None,
    "sliding_window": 512,
    "rope_theta": None,
    "hidden_act": None,
}
_SEEING = {
    key: value
    for key, value in config("", "gemma3_text", **_TEXT, num_hidden_layers=3).items()
    if key not in ("architectures", "torch_dtype")
}
_EYES = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}

_GEMMA3 = (
    Variant("gemma-3-1b-it", 12, config("Gemma3ForCausalLM", "gemma3_text", **_TEXT), pieces()),
    # A tokenizer of its own in tokenizer.json, smaller than the embedding; linear scaling; seven layers.
    Variant(
        "gemma-3-cropped",
        12,
        config(
            "Gemma3ForCausalLM",
            "gemma3_text",
            **_TEXT,
            num_hidden_layers=7,
            vocab_size=VOCABULARY + 64,
            rope_scaling={"rope_type": "linear", "factor": 8.0},
            torch_dtype="float32",
        ),
        byte_level(),
        dtype="F32",
    ),
    Variant(
        "gemma-3-4b-it",
        12,
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "text_config": _SEEING,
            "vision_config": _EYES,
            "mm_tokens_per_image": 16,
            "image_token_index": 7,
            "boi_token_index": 5,
            "eoi_token_index": 6,
            "torch_dtype": "bfloat16",
        },
        pieces(),
    ),
    Variant(
        "embeddinggemma-300m",
        12,
        config("Gemma3TextModel", "gemma3_text", **_TEXT, use_bidirectional_attention=True),
        {
            **pieces(),
            "modules.json": '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},'
            ' {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]',
            "1_Pooling/config.json": '{"word_embedding_dimension": 256, "pooling_mode_mean_tokens": true}',
        },
        dtype="F32",
    ),
)

VARIANTS = (*_GEMMA3,)
