"""Continue a text with onnxruntime-genai: genai_generate.py MOUNTPOINT/MODEL TEXT [FOLDER]

FOLDER is onnx-int4 by default; onnx-fp16 and onnx-fp32 are others. The graph is made by the mount, its
weights are external data that are read when the session wants them.
Run by `make examples-check` with onnxruntime-genai 0.18, where the model has such a folder.
"""

import sys

import onnxruntime_genai


def continued(folder: str, text: str, tokens: int = 16) -> str:
    """The text and what follows, greedily."""
    model = onnxruntime_genai.Model(folder)
    tokenizer = onnxruntime_genai.Tokenizer(model)
    asked = tokenizer.encode(text)
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(asked) + tokens, do_sample=False)
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(asked)
    while not generator.is_done():
        generator.generate_next_token()
    return str(tokenizer.decode(generator.get_sequence(0)))


if __name__ == "__main__":
    print(continued(f"{sys.argv[1]}/{(*sys.argv, 'onnx-int4')[3]}", sys.argv[2]))
