"""What is in force: flags before variables before the file before defaults, and which of them it was.

A name that nobody knows is an error, whether a key or a PRISMFS_ variable: a setting that is silently ignored
is found out much later. An empty variable counts as not set.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from fsd.config.file import File, read
from fsd.config.options import OPTIONS, Given, Option, Options
from fsd.errors import BadOption

CONFIG_FLAG, CONFIG_VARIABLE = "--config", "PRISMFS_CONFIG"
CONFIG_HELP = f"a TOML file with options, and mounts [{CONFIG_VARIABLE}]"
# What is no option, but read elsewhere: by the kernels and their build, by the tests, and by the scripts that
# build upstream's tools.
_OTHER_VARIABLES = {
    CONFIG_VARIABLE, "PRISMFS_KERNELS", "PRISMFS_KERNEL_FLAGS", "PRISMFS_TEST_CACHE", "PRISMFS_ORACLE",
    "PRISMFS_TORCH_INDEX", "PRISMFS_FUZZ",
}  # fmt: skip


def resolve(flags: Mapping[str, object], environment: Mapping[str, str]) -> Options:
    """The options in force. `flags` maps names to text (or True, for a switch); None means not given.

    The file is that of the flag or variable `config`, if any; nothing else is looked for. Raises BadOption.
    """
    _prove_known(environment)
    named = flags.get("config") or environment.get(CONFIG_VARIABLE)
    file = read(str(named)) if named else None
    if file is not None:
        _prove_keys(file)
    values: dict[str, object] = {}
    given: dict[str, Given] = {}
    for option in OPTIONS:
        given[option.name], values[option.name] = _set(option, flags.get(option.name), environment, file)
    tables = (
        {"mounts": file.mounts, "imatrices": file.imatrices, "bases": file.bases} if file is not None else {}
    )
    return Options(**cast(dict[str, Any], values | tables), given=given)


def _set(
    option: Option, flag: object, environment: Mapping[str, str], file: File | None
) -> tuple[Given, object]:
    """How an option is set, and its value."""
    variable = environment.get(option.variable)
    if flag is not None:
        text, origin = flag if isinstance(flag, str) else ("yes" if flag else "no"), option.flag
    elif variable:
        text, origin = variable, option.variable
    elif file is not None and option.name in file.values:
        return _set_by_file(option, file)
    else:
        value = option.value(option.default_text, option.flag)
        return Given(_shown(option, option.default_text, value), "default"), value
    value = option.value(text, origin)
    return Given(_shown(option, text, value), origin), value


def _set_by_file(option: Option, file: File) -> tuple[Given, object]:
    text = _text(option, file)
    if option.is_path and text:
        text = file.located(text)
    try:
        value = option.parse(text)
    except ValueError as error:
        raise _wrong(option, file, f"cannot be {text!r}: {error}") from None
    return Given(_shown(option, text, value), str(file.path)), value


def _text(option: Option, file: File) -> str:
    """A value of TOML as the text that a person would type for it."""
    value = file.values[option.name]
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        if option.is_switch:
            return "yes" if value else "no"
    elif isinstance(value, int | float):
        if option.is_number:
            return str(value)
    elif isinstance(value, list) and option.is_list and all(isinstance(word, str) for word in value):
        return ",".join(value)
    kinds = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "a table"}
    raise _wrong(option, file, f"cannot be {kinds.get(type(value), 'a date or time')}")


def _wrong(option: Option, file: File, reason: str) -> BadOption:
    if option.is_switch:
        example = "true"
    else:
        example = f'"{option.default_shown}"' if option.default_shown else f'"{option.metavar}"'
    remedy = f"write it as {option.name} = {example}"
    return BadOption(
        f"{option.name} {reason}", path=str(file.path), place=file.place(option.name), remedy=remedy
    )


def _shown(option: Option, text: str, value: object) -> str:
    if option.is_switch:
        return "yes" if value else "no"
    return text if value is None or not option.is_path else str(value)


def _prove_known(environment: Mapping[str, str]) -> None:
    known = {option.variable for option in OPTIONS} | _OTHER_VARIABLES
    names = [option.name for option in OPTIONS] + ["config"]
    for variable, value in environment.items():
        if variable.startswith("PRISMFS_") and value and variable not in known:
            near = _nearest(variable.removeprefix("PRISMFS_").lower(), names)
            remedy = f"did you mean PRISMFS_{near.upper()}?" if near else f"unset {variable}"
            raise BadOption(f"{variable} is no variable of prismfs", remedy=remedy)


def _prove_keys(file: File) -> None:
    names = [option.name for option in OPTIONS]
    for key in file.values:
        if key not in names:
            near = _nearest(key.replace("-", "_"), [*names, "mount", "imatrix", "base"])
            remedy = f"did you mean {near}?" if near else "`prismfs config show` lists the options"
            raise BadOption(
                f"{key!r} is no option", path=str(file.path), place=file.place(key), remedy=remedy
            )


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), 1)), "")
