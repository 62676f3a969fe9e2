"""Runs llama-quantize's library function in the oracle's environment: SOURCE OUT_DIRECTORY TYPE...

Writes OUT_DIRECTORY/TYPE.gguf for each type. A type that upstream refuses leaves no file. Source files that
are already quantised are requantised, as `--allow-requantize` has it.
Imports nothing of this project: it runs where only llama-cpp-python is installed.
"""

import sys
from pathlib import Path

import llama_cpp

# The numbers that llama.h gives to file types.
FILE_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k_s": 11,
    "q3_k_m": 12, "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18,
    "q2_k_s": 21, "iq3_xs": 22, "iq3_xxs": 23, "iq4_nl": 25, "iq3_s": 26, "iq3_m": 27,
    "iq2_s": 28, "iq4_xs": 30, "bf16": 32, "tq1_0": 36, "tq2_0": 37, "mxfp4_moe": 38, "q1_0": 40, "q2_0": 41,
}  # fmt: skip


def main(source: str, directory: str, *types: str) -> None:
    """Quantise `source` into `directory`, one file a type."""
    for name in types:
        target = Path(directory) / f"{name}.gguf"
        params = llama_cpp.llama_model_quantize_default_params()
        params.ftype = FILE_TYPES[name]
        params.nthread = 2
        params.allow_requantize = True
        if llama_cpp.llama_model_quantize(source.encode(), str(target).encode(), params) != 0:
            target.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
