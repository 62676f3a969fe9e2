"""schemathesis, at length, against the live API of a real daemon: every phase and every check it has.

    python -m tests.heavy.api --examples 200 --seed 7

Its report goes to stdout; the exit code is its own. What it asks for on the way is real work: jobs run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.fsd.mounting import ROOT
from tests.fsd.served_api import daemon_with_api

PROGRAM = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with daemon_with_api() as api:
        headers = [word for name, value in api.headers.items() for word in ("--header", f"{name}:{value}")]
        command = [
            *(
                sys.executable,
                "-c",
                PROGRAM,
                "--config-file",
                str(ROOT / "tests" / "fsd" / "schemathesis.toml"),
            ),
            *("run", f"{api.address}/openapi.json", "--checks", "all"),
            *("--exclude-operation-id", "stream_events", "--max-examples", str(arguments.examples)),
            *("--seed", str(arguments.seed), *headers),
        ]
        code = subprocess.run(command, check=False).returncode
        print(f"the daemon is {'alive' if api.daemon.process.poll() is None else 'DEAD'}")
        return code or (api.daemon.process.poll() is not None)


if __name__ == "__main__":
    sys.exit(main())
