"""Test support: a daemon with an API on a socket and on TCP, over tiny models, one of which is refused."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fsd.mounting import PRISMFS, Daemon, running
from tests.tiny_models import build
from tests.tiny_variants import MODELS

MODEL, OTHER, STRANGE = "llama-mha", "Qwen3-0.6B", "strange"
REFUSED = "StrangeForCausalLM"
TOKEN = "correct-horse-battery-staple"


@dataclass(frozen=True)
class Steered:
    """A daemon, its socket, its address as http://127.0.0.1:PORT, and its user's home."""

    daemon: Daemon
    socket: Path
    address: str
    home: Path

    @property
    def mountpoint(self) -> Path:
        return self.daemon.mountpoint

    def form(self, kind: str, model: str = MODEL) -> Path:
        """The path of a GGUF of a type."""
        return self.mountpoint / model / f"model.gguf-{kind}"


def models(source: Path) -> Path:
    """Two models, one that cannot be translated, and one that is broken and has a hostile name."""
    for name in (MODEL, OTHER):
        build(MODELS[name], source)
    strange = build(MODELS[MODEL], source.parent / "built").rename(source / STRANGE)
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps(config | {"architectures": [REFUSED]}))
    broken = source / "bro<b>ken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"\xff" * 100)
    return source


@contextmanager
def serving(base: Path, *flags: str, source: Path | None = None) -> Iterator[Steered]:
    """The daemon, until the block ends. A socket's path is short by nature: it has a directory of its own."""
    source, home = source or models(base / "models"), base / "home"
    token = base / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    short = Path(tempfile.mkdtemp(prefix="prismfs-"))
    address = f"127.0.0.1:{_free_port()}"
    command = (
        *(*PRISMFS, "mount", "--api-socket", str(short / "s"), "--api-listen", address),
        *("--api-token-file", str(token), "--cache-dir", str(base / "store"), *flags),
        *(str(source), str(base / "mnt")),
    )
    try:
        with running(command, source, base / "mnt", home) as daemon:
            yield Steered(daemon, short / "s", f"http://{address}", home)
    finally:
        shutil.rmtree(short)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
