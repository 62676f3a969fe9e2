"""Continue a text with transformers: transformers_generate.py MOUNTPOINT/MODEL TEXT [TOKENS]

Of a GGUF too: `hf-bf16/` is a complete Hugging Face folder in that precision, as are `hf-f16/` and `hf-f32/`.
Run by `make examples-check` with transformers 4.57.
"""

import sys

from transformers import AutoModelForCausalLM, AutoTokenizer


def continued(folder: str, text: str, tokens: int = 16) -> str:
    """The text and what follows, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    asked = tokenizer(text, return_tensors="pt")
    answer = model.generate(**asked, max_new_tokens=tokens, do_sample=False)
    return str(tokenizer.decode(answer[0], skip_special_tokens=True))


if __name__ == "__main__":
    print(continued(f"{sys.argv[1]}/hf-bf16", sys.argv[2], *map(int, sys.argv[3:])))
