"""Ask a mounted model a question with onnxruntime-genai: pip install onnxruntime-genai.

    python examples/onnx_genai.py /mnt/models/SmolLM2-135M-Instruct/onnx-int4 "Why is the sky blue?"

The graph and the tokenizer are in the directory; weights are computed as they are read. `onnx-fp32` and
`onnx-fp16` are the same model in other precisions.
"""

import json
import sys

import onnxruntime_genai


def answer(folder: str, question: str, length: int = 256) -> str:
    """What the model says, up to `length` tokens with the question."""
    model = onnxruntime_genai.Model(folder)
    tokenizer = onnxruntime_genai.Tokenizer(model)
    messages = json.dumps([{"role": "user", "content": question}])
    tokens = tokenizer.encode(tokenizer.apply_chat_template(messages, add_generation_prompt=True))
    settings = onnxruntime_genai.GeneratorParams(model)
    settings.set_search_options(max_length=length)
    generator = onnxruntime_genai.Generator(model, settings)
    generator.append_tokens(tokens)
    while not generator.is_done():
        generator.generate_next_token()
    return str(tokenizer.decode(generator.get_sequence(0)[len(tokens) :]))


if __name__ == "__main__":
    print(answer(*sys.argv[1:3]))
