"""Who made a model, from what, under which licence: `general.name` to `general.languages`.

Three sources, the first that knows wins: the model card, `_name_or_path` of config.json (if it is a name
and no path), the directory's name. Keys, order and rules are gguf-py's (metadata.py:
apply_metadata_heuristic, set_gguf_meta_model).
Knows nothing of how a card is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from translators.metadata.checked import Checked
from translators.metadata.naming import ModelName, name_of, size_label
from translators.metadata.parameters import ParameterCount

# In the order of the file: the key after `general.`, and the card's keys for it, best first.
_FIELDS: dict[str, tuple[str, ...]] = {
    "name": ("name", "model_name"),
    "author": ("author", "model_author", "model_creator"),
    "version": ("version", "model_version"),
    "organization": ("organization", "model_organization"),
    "finetune": ("finetune", "model_finetune"),
    "basename": ("basename", "model_basename", "model_type"),
    "description": ("description", "model_description"),
    "size_label": ("size_label", "model_size_label"),
    "license": ("license",),
    "license.name": ("license_name",),
    "license.link": ("license_link",),
    "source.url": ("url", "model_url"),
    "source.doi": ("doi", "model_doi"),
    "source.uuid": ("uuid", "model_uuid"),
    "source.repo_url": ("repo_url", "model_repo_url"),
}
# What a base model or a dataset may have, in the order of the file.
_ENTRY = ("name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url")
_LISTS = {
    "base_model": ("base_model", "base_models", "base_model_sources"),
    "dataset": ("datasets", "dataset", "dataset_sources"),
}
_ARRAYS = {"tags": ("tags", "pipeline_tag"), "languages": ("languages", "language")}
_HUB = re.compile(r"https?://huggingface.co/([^/]+/[^/]+)$")


def write_authorship(
    card: Checked, model_card: Mapping[str, Any], origin: str | None, name: str, parameters: ParameterCount
) -> None:
    """Append the keys through `card`, which names README.md in its errors.

    origin: `_name_or_path` of config.json as the file has it. name: the directory's name.
    Raises MalformedSource for values of the card that a GGUF cannot hold.
    """
    fields = {key: _first(model_card, keys) for key, keys in _FIELDS.items()}
    identifiers = [name] if origin is None or origin.count("/") > 1 else [origin, name]
    for identifier in identifiers:
        for key, value in _named(name_of(identifier, parameters.total)).items():
            if fields[key] is None:
                fields[key] = value
    if fields["size_label"] is None and parameters.total > 0:
        fields["size_label"] = size_label(parameters)
    for key, value in fields.items():
        joined = key == "license" and isinstance(value, list)
        text = ",".join(card.text(each, key) for each in value) if joined else value
        card.string(f"general.{key}", text, key)
    for key, names in _LISTS.items():
        _write_entries(card, key, model_card, names, parameters.total)
    for key, (many, one) in _ARRAYS.items():
        members = [*_listed(model_card.get(many)), *_listed(model_card.get(one))]
        card.array(f"general.{key}", members, key)


def _first(model_card: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((model_card[key] for key in keys if model_card.get(key) is not None), None)


def _named(name: ModelName) -> dict[str, str | None]:
    return {
        "name": name.title, "organization": name.owner, "basename": name.basename,
        "finetune": name.finetune, "version": name.version, "size_label": name.size_label,
    }  # fmt: skip


def _listed(value: object) -> list[Any]:
    """A card's list, or its only member written without one; anything else counts as empty."""
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else []


def _write_entries(
    card: Checked, kind: str, model_card: Mapping[str, Any], names: tuple[str, ...], parameters: int
) -> None:
    """Append a numbered list of models or datasets: its count (0 too), and what is known of each."""
    place = next((name for name in names if name in model_card), None)
    if place is None:
        return
    entries = _listed(model_card[place])
    card.u32(f"general.{kind}.count", len(entries), place)
    for number, entry in enumerate(entries):
        known = _described(entry, parameters) if isinstance(entry, str) else entry
        for key in _ENTRY if isinstance(known, dict) else ():
            if key in known:
                card.string(f"general.{kind}.{number}.{key}", known[key], f"{place}, {key} of item {number}")


def _described(identifier: str, parameters: int) -> dict[str, str | None]:
    """What a hub's `organization/name`, or an address, tells of a model or dataset."""
    address = None
    if identifier.startswith(("http://", "https://", "ssh://")):
        address, on_hub = identifier, _HUB.match(identifier)
        if on_hub is None:
            return {"repo_url": address}
        identifier = on_hub.group(1)
    name = name_of(identifier, parameters)
    if address is None and name.organization is not None:
        address = f"https://huggingface.co/{name.organization}/{name.full}"
    return {"name": name.title, "organization": name.owner, "version": name.version, "repo_url": address}
