"""Tokenizer files <-> the tokenizer.* key-values of a GGUF, both ways, without transformers or sentencepiece.

`write_tokenizer(kv, root, config, style=...)` reads a Hugging Face directory and writes what llama.cpp's
converter would write; `huggingface_files` makes the files of a Hugging Face tokenizer out of a GGUF's
key-values. Neither runs anything that a directory contains. Knows nothing of tensors or the rest of a GGUF.

Styles (`STYLES`), by what a family's `set_vocab` does in upstream's converter:

    gpt2            byte-level BPE of tokenizer.json: the default, whatever defines nothing else (Llama 4,
                    OLMo, gpt-oss, Command-R, StarCoder, BLOOM, GPT-NeoX, Falcon, Falcon-H1, EXAONE, LFM2,
                    Phi-2, MiniMax-M2, Seed-OSS, Bailing, PLM, HunYuan V3, Jais, ...)
    qwen            tokenizer.model, else gpt2: Qwen2 and later, Qwen-VL text, DeepSeek-V1, Dream
    sentencepiece   tokenizer.model only: Baichuan, MiniCPM, MiniCPM3, BitNet, Orion
    llama           tokenizer.model, BPE with byte fallback, or gpt2; tekken.json where alone: Llama, Mistral,
                    Mixtral, Granite, SmolLM3, Arcee, Mistral 3
    mistral         Mistral's own format (params.json): tekken.json or tokenizer.model.vN
    gemma gemma2 gemma3 gemma3n gemma4
    phi3            Phi-3, Phi-3.5-MoE, Phi-4
    deepseek2       DeepSeek V2, V3, R1; Kimi-K2 and Moonlight by ranks      deepseek32   V3.2: bos is needed
    glm             GLM-4.5 and later, GLM-4.7-Flash, GLM-DSA                glm4         GLM-4-0414, GLM-4.1V
    chatglm         GlmForCausalLM, ChatGLM (4-9B)                           solar-open dots3
    granite-hybrid mamba mamba2 jamba nemotron nemotron-h                    some padded to whole eights
    hunyuan-moe hunyuan-dense kimi-linear qwen1 stablelm                     rank files, or tokenizer.json
    internlm2 internlm3 xverse ernie4.5 (and openPangu) grok mpt openelm refact minimax-text qwen3-omni
    bert            WordPiece (BERT, BGE, E5, MiniLM, DistilBERT)            roberta      RoBERTa
    xlm-roberta     Unigram (XLM-R, BGE-M3, multilingual E5)                 t5           T5, Flan, MT5, UMT5
    nomic-bert jina-bert-v2 modern-bert eurobert
    none            no tokenizer
    rwkv plamo interns1 hybriddna                                            refused by name
"""

from translators.vocab.from_huggingface import STYLES, write_tokenizer
from translators.vocab.to_huggingface import huggingface_files

__all__ = ["STYLES", "huggingface_files", "write_tokenizer"]
