"""Write every page anew."""

from __future__ import annotations

from pathlib import Path

from docs.generate import PAGES

ROOT = Path(__file__).resolve().parents[2]

for name, text in PAGES.items():
    (ROOT / name).write_text(text(), encoding="utf-8")
    print(name)
