"""Test support: a real daemon over a tiny model, with its API on a socket and on a loopback address."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fsd.api_client import on_socket, short_directory
from tests.fsd.mounting import PRISMFS, Daemon, running, until
from tests.tiny_models import build
from tests.tiny_variants import MODELS

MODEL = "Qwen2.5-0.5B-Instruct"


@dataclass(frozen=True)
class Api:
    """Where a daemon's API is: its socket, its address, and the headers that changes need there."""

    daemon: Daemon
    socket: Path
    address: str
    headers: dict[str, str]


@contextmanager
def daemon_with_api(*words: str) -> Iterator[Api]:
    """The daemon, with more `words` for `prismfs mount`, once /readyz says so."""
    with short_directory() as base:
        build(MODELS[MODEL], base / "models")
        (base / "exports").mkdir()
        token = base / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex())
        command = [
            *(*PRISMFS, "mount", "--api-socket", str(base / "s"), "--api-listen", "127.0.0.1:0"),
            *("--api-token-file", str(token), "--export-dir", str(base / "exports"), *words),
            *(str(base / "models"), str(base / "mnt")),
        ]
        with running(command, base / "models", base / "mnt", base / "home", timeout=90) as daemon:
            with on_socket(base / "s") as client:
                until(lambda: client.get("/readyz").status_code == 200, "it is ready")
            told = json.loads((base / "mnt" / ".prismfs" / "status.json").read_bytes())["api"]
            assert told["socket"] == str(base / "s")
            headers = {"Authorization": f"Bearer {token.read_text()}"}
            yield Api(daemon, base / "s", told["address"], headers)
