"""Llama: Llama 1 to 3.x, Mistral, Yi, TinyLlama, SmolLM2, the R1 distills on Llama.

llama.cpp's llama graph rotates neighbouring pairs, Hugging Face's code the two halves of a head: the
rows of q and k (and their biases) are reordered.
"""

from translators.families.table import Family, Rule

# The layer's modules that Qwen's families share with Llama's, under the same names.
EMBEDDINGS = (
    Rule("model.embed_tokens", "token_embd"),
    Rule("model.norm", "output_norm"),
    Rule("lm_head", "output"),
)
BLOCK = (
    Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    Rule("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    Rule("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    Rule("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
    Rule("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    Rule("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    Rule("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
)

LLAMA = Family(
    architectures=("LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM", "LlamaModel"),
    arch="llama",
    vocabulary="llama",
    rules=(
        *EMBEDDINGS,
        *BLOCK,
        Rule("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", rotary="num_attention_heads"),
        Rule("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", rotary="num_key_value_heads"),
    ),
    bare=frozenset({"LlamaModel"}),
)
