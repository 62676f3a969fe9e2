"""What sentence-transformers makes of sentences: run in an environment of its own.

    $PRISMFS_ORACLE/sentences/bin/python sentences.py FOLDER OUT < sentences.json      # a list of strings

Prints the token ids of each as JSON; their embeddings, float32 of length 1, go to OUT, a row each.
One sentence at a time, so that none is padded. Imports nothing of this project.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer


def main() -> None:
    """One answer."""
    folder, out = sys.argv[1:]
    model = SentenceTransformer(folder, device="cpu", local_files_only=True, trust_remote_code=False)
    sentences = json.load(sys.stdin)
    made = model.encode(sentences, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
    Path(out).write_bytes(np.ascontiguousarray(made, np.float32).tobytes())
    tokens = [model.tokenize([each])["input_ids"][0].tolist() for each in sentences]
    json.dump(tokens, sys.stdout)


if __name__ == "__main__":
    main()
