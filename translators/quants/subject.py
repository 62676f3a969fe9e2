"""What llama-quantize reads of a model before it chooses types: its architecture and a few numbers.

Facts of upstream's loader (b11434). A model that the tool cannot open is refused here, as it is there.
Knows nothing of tensors' types.
"""

from __future__ import annotations

from dataclasses import dataclass

from translators.errors import Unsupported
from translators.keyvalues import KeyValues

# The architectures that upstream's build opens.
_ARCHITECTURES = """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bert bitnet bloom chameleon
    chatglm clef clip codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr
    deepseek32 deepseek4 dflash dots1 dots3note dream eagle3 ernie4_5 ernie4_5-moe eurobert exaone exaone-moe
    exaone4 falcon falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n gemma4 gemma4-assistant glm-dsa glm4
    glm4moe glm5-next gpt-oss gpt2 gptj gptneox granite granite_swa granitehybrid granitemoe graniteswitch
    grok grovemoe hrm_text hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 jamba
    jina-bert-v2 jina-bert-v3 kimi-k3 kimi-linear laguna lfm2 lfm2moe llada llada-moe llama llama-embed llama4
    maincoder mamba mamba2 maple mellum mimo2 minicpm minicpm3 minimax-01 minimax-m2 minimax-m3 mistral3
    mistral4 modern-bert mpt muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe neo-bert nomic-bert
    nomic-bert-moe olmo olmo2 olmoe openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2
    plamo3 plm pockettts qwen qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3tts
    qwen3vl qwen3vlmoe qwen4exp refact rnd1 rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 spark2_5
    stablelm starcoder starcoder2 step35 t5 t5encoder talkie wavtokenizer-dec xverse
"""
_KNOWN = frozenset(_ARCHITECTURES.split())
_PROJECTOR = "clip"  # opened by llama-quantize without any hyper-parameter
_MOST_LAYERS = 512
# Layers that mark a model as one of 70 billion weights, whose value weights get more bits.
_LAYERS_OF_70B = {"llama": 80, "llama-embed": 80, "qwen2": 80, "olmo": 80, "deci": 80, "jais2": 68}
_DENSE_WITH_ONE_EXPERT = frozenset({"hunyuan-dense", "hunyuan_vl"})
# Which are not opened without the sections of their rotary positions.
_SECTIONS = "rope.dimension_sections"
_IN_SECTIONS = frozenset({"qwen2vl", "qwen35", "qwen35moe", "qwen3vl", "qwen3vlmoe", "qwen4exp"})


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as llama-quantize sees it.

    layers:         all of them, those for multi-token prediction included.
    experts:        0 for a dense model.
    heads, kv_heads of the first layer.
    prediction_layers: how many of `layers` are for multi-token prediction.
    """

    architecture: str
    layers: int
    experts: int
    heads: int
    kv_heads: int
    prediction_layers: int

    @staticmethod
    def of(key_values: KeyValues) -> Subject:
        """The subject that a GGUF's key-values describe. Raises Unsupported where llama-quantize fails."""
        architecture = key_values.get("general.architecture")
        if architecture not in _KNOWN:
            raise Unsupported(
                f"llama-quantize does not know the architecture {architecture!r}",
                place="general.architecture",
            )
        if architecture == _PROJECTOR:
            return Subject(architecture, layers=0, experts=0, heads=0, kv_heads=0, prediction_layers=0)
        layers = _number(key_values, f"{architecture}.block_count")
        if not 0 < layers <= _MOST_LAYERS:
            raise Unsupported(
                f"llama-quantize needs 1 to {_MOST_LAYERS} layers", place=f"{architecture}.block_count"
            )
        if architecture in _IN_SECTIONS and f"{architecture}.{_SECTIONS}" not in key_values:
            raise Unsupported("llama-quantize needs it of such a model", place=f"{architecture}.{_SECTIONS}")
        experts = _number(key_values, f"{architecture}.expert_count")
        if architecture in _DENSE_WITH_ONE_EXPERT and experts <= 1:
            experts = 0
        heads = _number(key_values, f"{architecture}.attention.head_count")
        return Subject(
            architecture,
            layers,
            experts,
            heads,
            _number(key_values, f"{architecture}.attention.head_count_kv", heads),
            _number(key_values, f"{architecture}.nextn_predict_layers"),
        )

    @property
    def group(self) -> int:
        """Query heads that share one key and value head, in the first layer; 0 without attention there."""
        if self.architecture == _PROJECTOR:
            raise Unsupported(
                "llama-quantize needs attention heads for this type, and a projector names none"
            )
        return self.heads // self.kv_heads if self.kv_heads else 0

    @property
    def is_70b(self) -> bool:
        """True for what upstream takes for a model of 70 billion weights."""
        if self.layers - self.prediction_layers != _LAYERS_OF_70B.get(self.architecture):
            return False
        if self.architecture in ("llama", "llama-embed"):
            return self.heads != self.kv_heads and self.experts != 8
        return True


def _number(key_values: KeyValues, key: str, default: int = 0) -> int:
    """An integer, or the first layer's where every layer has its own."""
    value = key_values.get(key, default)
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, int):
        raise Unsupported("llama-quantize needs an integer here", place=key)
    return value
