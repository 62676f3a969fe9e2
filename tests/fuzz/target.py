"""The process that fuzzes one parser with atheris: PARSER SECONDS CORPUS FOUND LIBFUZZER_ARGUMENT...

It ends after so many seconds of its own processor time, which a busy machine does not shorten. Runs in the
environment that environment.sh makes. An input that shows a bug is written to the directory FOUND, the
smallest one for each bug, and fuzzing goes on; what ends the process (a fault in C code, a hang there) is
written there by libFuzzer.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["translators"]):
    from tests.fuzz import parsers

from tests.fuzz.folders import packed, unpacked
from tests.fuzz.judging import bounded, judge, kind_of
from tests.fuzz.mutation import changed


def main(name: str, seconds: str, corpus: str, found: str, *arguments: str) -> None:
    """Fuzz until the time is over, or libFuzzer ends the process."""
    end = time.process_time() + int(seconds)
    tried = 0
    parser = next(parser for parser in parsers.PARSERS if parser.name == name)
    directory = Path(tempfile.mkdtemp(prefix="prismfs-fuzz-"))
    smallest: dict[str, int] = {}

    def one(data: bytes) -> None:
        nonlocal tried
        fault = judge(parser, data, directory)
        kind = kind_of(fault)
        if fault and len(data) < smallest.get(kind, 1 << 40):
            smallest[kind] = len(data)
            name = Path(found, sha256(kind.encode()).hexdigest()[:12])
            name.write_bytes(data)
            name.with_suffix(".txt").write_text(fault.encode("utf-8", "backslashreplace").decode() + "\n")
        tried += 1
        if time.process_time() >= end:
            print(f"\n#{tried} ended", flush=True)
            os._exit(0)  # at once: libFuzzer would call an orderly exit a crash

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        files = unpacked(data, parser.names)
        if files and random.random() < 0.6:
            name = random.choice(list(files))
            content = changed(name, files[name], random)
            if content is None and len(files) > 1:
                content = atheris.Mutate(files[name], max(1, most - len(data) + len(files[name])))
            if content is not None:
                whole = packed({**files, name: content}, parser.names)
                if len(whole) <= most:
                    return whole
        return bytes(atheris.Mutate(data, most))

    libfuzzer = ["fuzz", *arguments, f"-artifact_prefix={found}/", corpus]
    atheris.Setup(libfuzzer, one, custom_mutator=mutated)
    bounded()
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
