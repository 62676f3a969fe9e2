"""The chat template of a model directory, in all the places where one may be.

tokenizer_config.json's `chat_template` decides if the key is there, even with null; else
chat_template.jinja (with additional_chat_templates/*.jinja), else chat_template.json. Without a
tokenizer_config.json none is used. Several templates have names; upstream writes the list of names in a
random order (a set's), here it is the order of appearance, the additional files sorted by name. Facts:
gguf-py's `SpecialVocab` and `add_chat_template`.
"""

from __future__ import annotations

import re
from typing import Any

from translators.keyvalues import KeyValues, ValueType
from translators.vocab.folder import Folder

_KEY = "tokenizer.chat_template"
_SETTINGS = "tokenizer_config.json"
_EXTRA = "additional_chat_templates"


def write_templates(kv: KeyValues, folder: Folder) -> None:
    """Set the template's keys. Raises MalformedSource for a template that is not text."""
    if not folder.json(_SETTINGS):
        return
    found = _found(folder)
    if isinstance(found, str):
        _write(kv, folder, _KEY, found)
    elif isinstance(found, list):
        _write_named(kv, folder, found)


def _found(folder: Folder) -> Any:
    """A template, a list of named ones, or None."""
    settings = folder.json(_SETTINGS)
    if "chat_template" in settings:
        return settings["chat_template"]
    if folder.has("chat_template.jinja"):
        default = folder.text("chat_template.jinja")
        names = sorted(path.stem for path in (folder.root / _EXTRA).glob("*.jinja"))
        extra = [{"name": name, "template": folder.text(f"{_EXTRA}/{name}.jinja")} for name in names]
        return [{"name": "default", "template": default}, *extra] if extra else default
    return folder.json("chat_template.json").get("chat_template")


def _write_named(kv: KeyValues, folder: Folder, choices: list[Any]) -> None:
    default = None
    names: dict[str, None] = {}
    for choice in choices:
        name = choice.get("name", "") if isinstance(choice, dict) else None
        if not isinstance(name, str):
            raise folder.malformed(_SETTINGS, "a chat template without a name", "chat_template")
        name = re.sub("[^a-zA-Z0-9]", "_", name)
        template = choice.get("template")
        if not name or template is None:
            continue
        if name == "default":
            default = template
        else:
            names[name] = None
            _write(kv, folder, f"{_KEY}.{name}", template)
    if names:
        kv.array("tokenizer.chat_templates", ValueType.STRING, list(names))
    if default is not None:
        _write(kv, folder, _KEY, default)


def _write(kv: KeyValues, folder: Folder, key: str, template: Any) -> None:
    if not isinstance(template, str):
        raise folder.malformed(_SETTINGS, "a chat template that is not text", "chat_template")
    if template:
        try:
            kv.string(key, template.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise folder.malformed(
                _SETTINGS, "a chat template that is not Unicode", "chat_template"
            ) from error
