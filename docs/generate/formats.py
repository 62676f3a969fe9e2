"""docs/FORMATS.md: every format as a source and as a target, from `format_sources` and `format_targets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from docs.generate import markdown
from docs.generate.format_rows import Checked, Source, Target
from docs.generate.format_sources import SOURCES
from docs.generate.format_targets import TARGETS

_ABOUT = """
What each format is worth, as a source (a directory that lies in the mounted one) and as a target (files that
appear beside it). "Exact" means that the bytes of every weight are the source's, "rounded" that each is
rounded once to what the format or its name says, and "quantised" that it loses what that type loses. A format
that cannot be right for a model is not there, and `prismfs ls` says why: the usual reasons are below.

Sizes and offsets of every target are exact before a weight is read. Source files are never executed, written
or locked; nothing outside a model's directory is read; every length in a file is compared with what there is.
`make fuzz` feeds each parser with changed files for ten minutes, and `make test` those that were found to
matter.
"""
_SPLITS = """
## GGUF in splits

A GGUF is there in several files as well, as `llama-gguf-split --split-max-size` makes them of it, for file
systems, uploads and programs that want smaller ones:

    llama-server -m /mnt/models/X/gguf/X-Q4_K_M-00001-of-00003.gguf
    prismfs export ~/models/X gguf-q4_k_m-by-2000m -o splits/      # all of them, of at most 2000 MB

Any type of which `model.gguf-<type>` can be opened has them. They are not listed unless a size is configured,
but can be opened by name:

- A name says how many files there are. They are cut by the smallest size in whole megabytes that gives as
  many: what `llama-gguf-split --split-max-size <N>M` makes; `user.prismfs.target` tells the N. Where no size
  gives that number, the name is an error that says which numbers can be had.
- With `split_size = "2G"` in the configuration ([CONFIGURATION.md](CONFIGURATION.md)), `gguf/` lists every
  listed type that is larger in splits of at most that size too, beside the whole file. Where that size gives
  as many files as a name says, the name means these.

Sizes count as that tool counts them: tensors alone, a new file where the next tensor would not fit, G and M
in powers of 1000. The tool refuses a size that is smaller than the first tensor, and so does the mount. All
key-values are in the first file, so that every other one is of use only beside it.
"""


def text() -> str:
    """The page."""
    sources = [
        (f"[{each.title}](#{_anchor(each.title)})", each.files, each.values, each.checksums)
        for each in SOURCES
    ]
    targets = [
        (f"[{each.title}](#{_anchor(each.title)})", ", ".join(map(markdown.code, each.shown)), each.values,
         each.checksums)
        for each in TARGETS
    ]  # fmt: skip
    return markdown.page(
        "Formats",
        _ABOUT,
        "## Sources",
        markdown.table(("format", "files", "weights are read", "checksums"), sources),
        "## Targets",
        markdown.table(("format", "names in a model's directory", "weights", "checksums"), targets),
        _SPLITS,
        "## Each source",
        *(part for each in SOURCES for part in _of_source(each)),
        "## Each target",
        *(part for each in TARGETS for part in _of_target(each)),
    )


def _of_source(source: Source) -> Iterator[str]:
    yield f"### {source.title}"
    yield source.about
    yield from _checks(source.checked)
    yield from _refusals(source.refused)


def _of_target(target: Target) -> Iterator[str]:
    yield f"### {target.title}"
    yield target.about
    yield from _checks(target.checked)
    yield from _refusals(target.refused)


def _checks(checks: Iterable[Checked]) -> Iterator[str]:
    rows = [(each.by, each.what, markdown.code(each.command)) for each in checks]
    if rows:
        yield markdown.table(("run", "what was compared", "command"), rows)


def _refusals(reasons: Iterable[str]) -> Iterator[str]:
    lines = [f"- {reason}" for reason in reasons]
    if lines:
        yield "Refused:"
        yield "\n".join(lines)


def _anchor(title: str) -> str:
    """What GitHub calls a heading's place."""
    kept = (letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return "".join(kept).replace(" ", "-")
