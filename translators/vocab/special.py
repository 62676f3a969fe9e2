"""Merges, special token ids, add_bos and friends, normaliser flags: what surrounds the tokens in a GGUF.

They are gathered from tokenizer.json (merges, post-processor, normaliser), tokenizer_config.json and
config.json by the rules of gguf-py's `SpecialVocab`: the post-processor is read crudely, an id that was
found first stays, and config.json speaks last. Order matters, since it is the order of the keys in the
file. Knows nothing of chat templates (`templates`) nor of keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from translators.errors import MalformedSource
from translators.vocab.document import document_of
from translators.vocab.folder import Folder

KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_MAX_ID = (1 << 32) - 1


@dataclass
class Specials:
    """What was found. `ids` and `adds` by kind ("bos", "eos", ...), in the order of finding."""

    ids: dict[str, int] = field(default_factory=dict)
    adds: dict[str, bool] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)


def read_specials(folder: Folder, *, count: int | None = None, kinds: Sequence[str] = KINDS) -> Specials:
    """The special tokens of `folder`. Ids of `count` and above are left out; None lets every id in.

    Raises MalformedSource for a negative id and for files that are not shaped as theirs should be.
    """
    reader = _Reader(folder, count, kinds)
    try:
        reader.read()
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise folder.malformed(
            "tokenizer.json", f"its special tokens cannot be understood: {error}"
        ) from error
    return reader.found


def read_merges(folder: Folder) -> list[str]:
    """The merges, "left right" each: of tokenizer.json, else of merges.txt. Spaces inside become Ġ."""
    model = folder.json("tokenizer.json").get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    if not (isinstance(merges, list) and merges):
        return _merges_text(folder) if folder.has("merges.txt") else []
    try:
        if not isinstance(merges[0], str):
            merges = [f"{_closed(left)} {_closed(right)}" for left, right in merges]
        "".join(merges).encode()  # raises for what is no text, or none that UTF-8 has
    except (AttributeError, TypeError, ValueError) as error:
        raise folder.malformed("tokenizer.json", f"a merge is not a pair of tokens: {error}") from error
    return merges


def _closed(part: str) -> str:
    return part.replace(" ", "\u0120")


def _merges_text(folder: Folder) -> list[str]:
    lines = folder.text("merges.txt").split("\n")
    if lines[0].strip().startswith("#"):
        lines = lines[1:]
    pairs = (line.split(None, 3) for line in lines)
    return [f"{pair[0]} {pair[1]}" for pair in pairs if len(pair) == 2]


class _Reader:
    """One pass over the files. `bos`, `eos`, `sep`, `cls` are what is known of those tokens so far."""

    def __init__(self, folder: Folder, count: int | None, kinds: Sequence[str]) -> None:
        self.found = Specials()
        self.folder = folder
        self.count = count
        self.kinds = tuple(kinds)
        self.settings = dict(folder.json("tokenizer_config.json"))
        self.bos, self.eos, self.sep, self.cls = (
            self.settings.get(f"{k}_token") for k in ("bos", "eos", "sep", "cls")
        )

    def read(self) -> None:
        tokenizer = document_of(self.folder).json
        if tokenizer:
            self._normalizer(tokenizer.get("normalizer") or {})
            self._fill_from_each_other()
            processor = tokenizer.get("post_processor") or {}
            for step in processor.get("processors", [processor]) if processor else ():
                self._post_processor(step)
        if self.settings:
            self._from_settings(tokenizer.get("added_tokens") or ())
        self._from_config(self.folder.json("config.json"))

    def _normalizer(self, normalizer: Mapping[str, Any]) -> None:
        kind = normalizer.get("type")
        if kind == "Lowercase":
            self.found.flags["lowercase"] = True
        elif kind == "StripAccents":
            self.found.flags["strip_accents"] = True
        elif kind == "BertNormalizer":
            for flag in ("lowercase", "strip_accents"):
                if flag in normalizer:
                    self.found.flags[flag] = normalizer[flag]
        elif kind == "Sequence":
            for step in normalizer.get("normalizers", []):
                self._normalizer(step)

    def _fill_from_each_other(self) -> None:
        """Models in BERT's manner name cls and sep where others name bos and eos."""
        if not self.settings:
            return
        if not self.bos and self.cls:
            self.settings["bos_token"] = self.bos = self.cls
        if not self.eos and self.sep:
            self.settings["eos_token"] = self.eos = self.sep

    def _post_processor(self, step: Mapping[str, Any]) -> None:
        adds = self.found.adds
        if step.get("type") == "ByteLevel":
            adds.setdefault("bos", False)
            adds.setdefault("eos", False)
        elif step.get("type") == "RobertaProcessing":
            adds.update(bos=True, eos=True, sep=True)
            if not self.cls and self.settings:
                self.settings["cls_token"] = self.cls = step.get("cls", [self.bos])[0]
            if not self.sep and self.settings:
                self.settings["sep_token"] = self.sep = step.get("sep", [self.eos])[0]
        elif step.get("type") == "TemplateProcessing":
            single = step.get("single", [])
            first = _special(single[0]) if len(single) > 1 else None
            last = _special(single[-1]) if len(single) > 1 else None
            if first:
                self._leading(first)
            if last:
                self._trailing(last)
            self._separator(step.get("pair", []), first, last)

    def _leading(self, token: str) -> None:
        if not self.settings:
            self.bos = token
        elif token not in (self.bos, self.cls):
            if not self.bos:
                self.settings["bos_token"] = self.bos = token
            if not self.cls:
                self.settings["cls_token"] = self.cls = token
        self.found.adds["bos"] = token in (self.bos, self.cls)

    def _trailing(self, token: str) -> None:
        """The template's last token becomes eos; the eos that was there becomes eot, or else eom."""
        if self.settings and token != self.eos:
            for kind in ("eot", "eom"):
                if kind not in self.kinds:
                    self.kinds += (kind,)
                    self.settings[f"{kind}_token"] = self.eos
                    break
            self.settings["eos_token"] = token
        self.eos = token
        self.found.adds["eos"] = True

    def _separator(self, pair: Sequence[Mapping[str, Any]], first: str | None, last: str | None) -> None:
        """A pair template of the form A [sep] [eos] B tells whether sep is added."""
        if not pair:
            return
        start = 1 if first and _special(pair[0]) == first else 0
        stop = len(pair) - 1 if last and _special(pair[-1]) == last else len(pair)
        pair = pair[start:stop]
        if not pair or _sequence(pair[0]) != "A" or _sequence(pair[-1]) != "B" or not pair[1:-1]:
            return
        between = pair[1:-1]
        known = (self.sep, self.eos)
        add = bool(_special(between[0]) and _special(between[0]) in known and not last)
        if len(between) == 2:
            add = add or bool(_special(between[1]) and _special(between[1]) in known)
        self.found.adds["sep"] = add
        if add and not self.sep and self.settings:
            self.settings["sep_token"] = self.eos

    def _from_settings(self, added: Iterable[Mapping[str, Any]]) -> None:
        ids: dict[Any, Any] = {}
        for entry in added:
            ids.setdefault(entry.get("content"), entry.get("id"))
        for kind in self.kinds:
            add = self.settings.get(f"add_{kind}_token")
            if isinstance(add, bool):
                self.found.adds.setdefault(kind, add)
            token = self.settings.get(f"{kind}_token")
            text = token.get("content") if isinstance(token, dict) else token
            if isinstance(text, str):
                self._set(kind, ids.get(text))

    def _from_config(self, config: Mapping[str, Any]) -> None:
        for kind in self.kinds:
            number = config.get(f"{kind}_token_id")
            if number is None and "text_config" in config:
                number = config["text_config"].get(f"{kind}_token_id")
            self._set(kind, number, "config.json")

    def _set(self, kind: str, number: Any, file: str = "tokenizer.json") -> None:
        if not isinstance(number, int):
            return
        if not 0 <= number <= _MAX_ID:
            raise MalformedSource(
                f"{number} cannot be the id of the {kind} token",
                path=self.folder.shown(file), place=f"{kind}_token_id", remedy="correct or remove it",
            )  # fmt: skip
        if self.count is None or number < self.count:
            self.found.ids.setdefault(kind, int(number))


def _special(entry: Mapping[str, Any]) -> str | None:
    token: str | None = entry.get("SpecialToken", {}).get("id")
    return token


def _sequence(entry: Mapping[str, Any]) -> str | None:
    name: str | None = entry.get("Sequence", {}).get("id")
    return name
