"""`prismfs export MODEL NAME -o FILE`: one form of a model as a plain file: the bytes that a mount shows.

A form that is a directory (hf-bf16) is written as one, its files one after the other.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from fsd.cli.sources import located, model_path
from fsd.cli.terminal import print_json, printable, progress, say
from fsd.config import Options, count, resolve
from fsd.errors import BadOption, NoSuchEntry, PlanRefused
from fsd.export import export, stream
from fsd.figures import human
from fsd.memory import keep_freed
from fsd.splits import SplitName, by_count, by_size
from translators import Model, Plan, Refusal, folders, open_model, plans
from translators.errors import TranslationError
from translators.sources.bases import bases

GGUF, NOIMAT, SIDE = "model.gguf-", "-noimat", "mmproj-"


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a model: directory or weights, also in a mount")
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a form, as `prismfs ls MODEL` lists it, or just q4_k_m; a directory: hf-bf16",
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        required=True,
        help="file (of a directory: directory) to write; - is stdout",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON; not with -o -")
    parser.add_argument("--workers", metavar="N", help="threads that translate; one a processor by default")


def run(arguments: argparse.Namespace) -> int:
    """Plan, check, write."""
    keep_freed()
    gc.disable()  # a plan is many objects and no cycles, and the process ends with it
    workers = _workers(arguments.workers)
    options = resolve({}, os.environ)
    source = Path(model_path(arguments.model, options))
    # Adapters have their base models where mounts have theirs.
    roots = (located(arguments.model).source, *(str(mount.source) for mount in options.mounts))
    base = bases(roots, options.bases)
    model = open_model(source, imatrix=options.imatrix_of(os.path.abspath(source)), base=base)
    inside, within = _inside(model, arguments.name, source)
    if inside is not None and not within:
        return _export_folder(inside, arguments, workers)
    if inside is not None:
        plan = _file_of(inside, within, source)
    else:
        plan = _split(model, arguments.name, source, options) or chosen(plans(model), arguments.name, source)
    if arguments.output == "-":
        with _interruptible(), closing(plan.layout()) as layout, progress(plan.name, layout.size) as advance:
            stream(layout, sys.stdout.buffer, workers=workers, progress=advance)
        return 0
    _write(plan, Path(arguments.output), arguments, workers)
    return 0


def _write(plan: Plan, target: Path, arguments: argparse.Namespace, workers: int) -> None:
    with _interruptible(), closing(plan.layout()) as layout, progress(plan.name, layout.size) as advance:
        export(layout, target, workers=workers, progress=advance, replace=arguments.force)
    if arguments.json:
        print_json({"file": str(target), "form": plan.name, "bytes": layout.size, "describe": plan.describe})
    else:
        say(f"{printable(str(target))}: {human(layout.size)} ({layout.size:,} bytes), {plan.describe}")


def _inside(model: Model, name: str, source: Path) -> tuple[Mapping[str, Plan | Refusal] | None, str]:
    """What is in the directory that `name` begins with, and the rest of it; None where it names none.

    Raises PlanRefused for a directory that the model cannot have.
    """
    folder, _, rest = name.removesuffix("/").partition("/")
    found = folders(model)
    refused = found.get(f"{folder}/")
    if isinstance(refused, Refusal):
        raise PlanRefused(refused.reason, path=str(source), place=refused.name, remedy=refused.remedy)
    inside = plans(model, folder) if folder else {}  # also of one that is in no listing
    return (inside, rest) if inside or folder in found else (None, rest)


def _split(model: Model, name: str, source: Path, options: Options) -> Plan | None:
    """The split of a GGUF that `name` means, the same as in a mount; None where it means none.

    Raises TranslationError where the GGUF cannot be split so, and what `chosen` raises.
    """
    split = SplitName.of(name)
    if split is None:
        return None
    kind = chosen(plans(model), split.whole, source).name.removeprefix(GGUF)
    found: Mapping[str, Plan | Refusal] = {}
    if options.split_size is not None:
        with suppress(TranslationError):
            found = plans(model, by_size(kind, options.split_size))
    if len(found) != split.total:
        found = plans(model, by_count(kind, split.total))
    plan = list(found.values())[split.number - 1]
    return plan if isinstance(plan, Plan) else None


def _file_of(inside: Mapping[str, Plan | Refusal], name: str, source: Path) -> Plan:
    form = next((form for key, form in inside.items() if key.partition("/")[2] == name), None)
    if isinstance(form, Plan):
        return form
    if form is not None:
        raise PlanRefused(form.reason, path=str(source), place=form.name, remedy=form.remedy)
    remedy = f"there are: {', '.join(key.partition('/')[2] for key in inside)}"
    raise NoSuchEntry(f"it does not appear as {name}", path=str(source), remedy=remedy)


def _export_folder(inside: Mapping[str, Plan | Refusal], arguments: argparse.Namespace, workers: int) -> int:
    """Write every file of a directory, below the output."""
    if arguments.output == "-":
        raise BadOption(f"{arguments.name} is a directory: name one to write with -o")
    for plan in inside.values():
        if isinstance(plan, Plan):
            target = Path(arguments.output, *plan.name.split("/")[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(plan, target, arguments, workers)
    return 0


def chosen(found: Mapping[str, Plan | Refusal], name: str, source: Path) -> Plan:
    """The plan that `name` means: a form's name in any case, a bare type, or the name under gguf/.

    Raises NoSuchEntry, or PlanRefused with the refusal's reason.
    """
    asked = Path(name).name.lower()
    side = asked.startswith(SIDE)
    names = {asked, GGUF + asked}
    people = re.fullmatch(r".+?-(\w+(?:-noimat)?)\.gguf", asked)
    if people is not None:
        names.add(f"{SIDE}{people[1]}.gguf" if side else GGUF + people[1])
    form = found.get(name) or next((form for key, form in found.items() if key.lower() in names), None)
    if form is None:  # without a matrix there is nothing that could be made without it as well
        names = {name.removesuffix(NOIMAT) for name in names}
        form = next((form for key, form in found.items() if key.lower() in names), None)
    if form is None and (asked.startswith(GGUF) or "." not in asked or people is not None):
        form = found.get(f"{SIDE}*.gguf" if side else f"{GGUF}*")  # one refusal may stand for all types
    if isinstance(form, Plan):
        return form
    if form is not None:
        raise PlanRefused(form.reason, path=str(source), place=form.name, remedy=form.remedy)
    near = difflib.get_close_matches(asked, found, n=3, cutoff=0.5)
    remedy = f"near: {', '.join(near)}; " if near else ""
    remedy += f"`prismfs ls --all {source}` lists what there is"
    raise NoSuchEntry(f"it does not appear as {name}", path=str(source), remedy=remedy)


def _workers(text: str | None) -> int:
    try:
        return count(text) if text else len(os.sched_getaffinity(0))
    except ValueError as error:
        raise BadOption(f"--workers cannot be {text!r}: {error}") from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP act as Ctrl-C: nothing may be left behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
