"""Values from a stranger's file, checked on their way into key-values.

    config = Checked(key_values, "config.json")
    config.u32("llama.block_count", config_json["num_hidden_layers"], "num_hidden_layers")

gguf-py packs whatever it is given with `struct` and fails there; here each value is checked first, and an
error names the file and the key. What gguf-py accepts is accepted: true for 1, an integer for a float.
Beyond that only NaN and infinity are refused, which upstream would write into the file.
Knows nothing of which keys a model needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from translators.errors import MalformedSource
from translators.keyvalues import KeyValues, ValueType, scalar

_LARGEST_F32 = 3.4028235677973366e38  # from here on a float rounds to infinity in 32 bits
_U32, _I32 = (0, 2**32 - 1), (-(2**31), 2**31 - 1)
_SHOWN = 60


def shown(value: object) -> str:
    """A value as an error message can hold it."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints, or a deep list
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


@dataclass(frozen=True, slots=True)
class Checked:
    """Sets key-values from values read of the file `path`. Every method raises MalformedSource."""

    key_values: KeyValues
    path: str
    remedy: str = "take the file from the model's original repository, or correct it"

    def u32(self, key: str, value: object, place: str) -> None:
        """An unsigned 32-bit integer."""
        self.key_values.u32(key, self._integer(value, *_U32, place))

    def i32(self, key: str, value: object, place: str) -> None:
        """A signed 32-bit integer."""
        self.key_values.set(key, scalar(ValueType.I32, self._integer(value, *_I32, place)))

    def f32(self, key: str, value: object, place: str) -> None:
        """A 32-bit float."""
        self.key_values.f32(key, self.finite(value, place))

    def count(self, key: str, value: object, place: str) -> None:
        """An unsigned 32-bit integer, or a list with one for each layer."""
        if isinstance(value, list):
            self.counts(key, value, place)
        else:
            self.u32(key, value, place)

    def counts(self, key: str, values: list[Any], place: str) -> None:
        """An array of integers from 0, stored as signed ones of 32 bits; nothing if empty."""
        if values:
            numbers = [self._integer(value, 0, _I32[1], place) for value in values]
            self.key_values.array(key, ValueType.I32, numbers)

    def array(self, key: str, values: list[Any], place: str) -> None:
        """An array of texts, floats (F32), truth values or integers (I32), not mixed; nothing if empty."""
        if not values:
            return
        kinds = {_kind(value) for value in values}
        kind = kinds.pop()
        if kinds or kind is None:
            raise self.refusal("the list holds other than texts alone or numbers of one kind alone", place)
        check = {ValueType.STRING: self.text, ValueType.F32: self.finite}.get(kind)
        if check is not None:
            values = [check(value, place) for value in values]
        elif kind is ValueType.I32:
            values = [self._integer(value, *_I32, place) for value in values]
        self.key_values.array(key, kind, values)

    def string(self, key: str, value: object, place: str) -> None:
        """A string; as upstream, nothing for an empty one, nor for null, false, zero or an empty list."""
        if value:
            self.key_values.string(key, self.text(value, place))

    def text(self, value: object, place: str) -> str:
        """`value` if it is text that UTF-8 can hold."""
        if not isinstance(value, str):
            raise self.refusal(f"{shown(value)} is no text", place)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.refusal("the text is no valid Unicode", place) from error
        return value

    def finite(self, value: object, place: str) -> float:
        """`value` if it is a number that 32 bits can hold."""
        if not isinstance(value, int | float):
            raise self.refusal(f"{shown(value)} is no number", place)
        # Compared before it is converted: an integer of JSON may be too large for any float.
        if not -_LARGEST_F32 < value < _LARGEST_F32 or not math.isfinite(value):
            raise self.refusal(f"{shown(value)} is out of a 32-bit float's range", place)
        return float(value)

    def refusal(self, reason: str, place: str) -> MalformedSource:
        """The error that says what is wrong with this file, and at which key."""
        return MalformedSource(reason, path=self.path, place=place, remedy=self.remedy)

    def _integer(self, value: object, lowest: int, highest: int, place: str) -> int:
        if not isinstance(value, int):
            raise self.refusal(f"{shown(value)} is no integer", place)
        if not lowest <= value <= highest:
            raise self.refusal(f"{shown(value)} is not between {lowest} and {highest}", place)
        return int(value)


def _kind(value: object) -> ValueType | None:
    """The type that gguf-py gives a member of an array; None where there is none."""
    types = ((str, ValueType.STRING), (float, ValueType.F32), (bool, ValueType.BOOL), (int, ValueType.I32))
    return next((kind for type_, kind in types if isinstance(value, type_)), None)
