"""A made-up tokenizer directory: files, configuration, and the style that reads it.

Only the standard library is used, for `regenerate.py` runs this with upstream's own environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.translators.golden_vocab.parts import SIZE

# Of each style: a Hugging Face class that upstream gives it, its model type, and the architecture in a GGUF.
STYLES = {
    "bert": ("BertModel", "bert", "bert"),
    "chatglm": ("GlmForCausalLM", "glm", "chatglm"),
    "deepseek2": ("DeepseekV3ForCausalLM", "deepseek_v3", "deepseek2"),
    "deepseek32": ("DeepseekV32ForCausalLM", "deepseek_v32", "deepseek32"),
    "dots3": ("Dots3NoteForCausalLM", "dots3", "dots3"),
    "ernie4.5": ("Ernie4_5ForCausalLM", "ernie4_5", "ernie4_5"),
    "eurobert": ("EuroBertModel", "eurobert", "eurobert"),
    "gemma": ("GemmaForCausalLM", "gemma", "gemma"),
    "gemma2": ("Gemma2ForCausalLM", "gemma2", "gemma2"),
    "gemma3": ("Gemma3ForCausalLM", "gemma3_text", "gemma3"),
    "gemma3n": ("Gemma3nForCausalLM", "gemma3n_text", "gemma3n"),
    "gemma4": ("Gemma4ForCausalLM", "gemma4_text", "gemma4"),
    "glm": ("Glm4MoeForCausalLM", "glm4_moe", "glm4moe"),
    "glm4": ("Glm4ForCausalLM", "glm4", "glm4"),
    "gpt2": ("OlmoForCausalLM", "olmo", "olmo"),
    "granite-hybrid": ("GraniteMoeHybridForCausalLM", "granitemoehybrid", "granitehybrid"),
    "grok": ("GrokForCausalLM", "grok", "grok"),
    "hunyuan-dense": ("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", "hunyuan-dense"),
    "hunyuan-moe": ("HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe", "hunyuan-moe"),
    "internlm2": ("InternLM2ForCausalLM", "internlm2", "internlm2"),
    "internlm3": ("InternLM3ForCausalLM", "internlm3", "llama"),
    "jamba": ("JambaForCausalLM", "jamba", "jamba"),
    "jina-bert-v2": ("JinaBertModel", "bert", "jina-bert-v2"),
    "kimi-linear": ("KimiLinearForCausalLM", "kimi_linear", "kimi-linear"),
    "llama": ("LlamaForCausalLM", "llama", "llama"),
    "mamba": ("MambaForCausalLM", "mamba", "mamba"),
    "mamba2": ("Mamba2ForCausalLM", "mamba2", "mamba2"),
    "minimax-text": ("MiniMaxM1ForCausalLM", "minimax_m1", "minimax-text-01"),
    "mistral": ("LlamaForCausalLM", "llama", "llama"),
    "modern-bert": ("ModernBertModel", "modernbert", "modern-bert"),
    "mpt": ("MPTForCausalLM", "mpt", "mpt"),
    "nemotron": ("NemotronForCausalLM", "nemotron", "nemotron"),
    "nemotron-h": ("NemotronHForCausalLM", "nemotron_h", "nemotron_h"),
    "nomic-bert": ("NomicBertModel", "nomic_bert", "nomic-bert"),
    "openelm": ("OpenELMForCausalLM", "openelm", "openelm"),
    "phi3": ("Phi3ForCausalLM", "phi3", "phi3"),
    "qwen": ("Qwen2ForCausalLM", "qwen2", "qwen2"),
    "qwen1": ("QWenLMHeadModel", "qwen", "qwen"),
    "qwen3-omni": ("Qwen3OmniMoeForConditionalGeneration", "qwen3_omni", "qwen3vlmoe"),
    "refact": ("GPTRefactForCausalLM", "gpt_refact", "refact"),
    "roberta": ("RobertaModel", "roberta", "bert"),
    "sentencepiece": ("BaichuanForCausalLM", "baichuan", "baichuan"),
    "solar-open": ("SolarOpenForCausalLM", "solar_open", "glm4moe"),
    "stablelm": ("StableLmForCausalLM", "stablelm", "stablelm"),
    "t5": ("T5ForConditionalGeneration", "t5", "t5"),
    "xlm-roberta": ("XLMRobertaModel", "xlm-roberta", "bert"),
    "xverse": ("XverseForCausalLM", "xverse", "xverse"),
}


@dataclass(frozen=True)
class Variant:
    """Files by name (bytes, text, or what becomes JSON), the configuration, and which family's rules hold."""

    files: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    style: str = "llama"

    def write(self, root: Path) -> None:
        """Write the files below `root`."""
        for name, content in {"config.json": self.full_config, **self.files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not isinstance(content, str | bytes):
                content = json.dumps(content, ensure_ascii=False)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    @property
    def arch(self) -> str:
        """The architecture of its GGUF."""
        return STYLES[self.style][2]

    @property
    def full_config(self) -> dict[str, Any]:
        """config.json: enough for AutoConfig."""
        name, kind, _ = STYLES[self.style]
        return {"architectures": [name], "model_type": kind, "vocab_size": SIZE, **self.config}
