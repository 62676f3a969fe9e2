"""The mixtures: which tensors of a file get another type than most, as a table.

A rule says: in files of these types, a tensor of this role, when a condition holds, is of this type. The
first rule that applies decides; where none does, the file's own type stands. The figures are upstream's
(llama_tensor_get_type_impl in llama-quant.cpp, b11434), found there by experiment with perplexity.
Knows nothing of names or shapes: `policy` finds role, position and what overrides these rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from translators.quants.names import Role
from translators.quants.subject import Subject


@dataclass(frozen=True, slots=True)
class Position:
    """A tensor among its kind: the `index`-th of `total`, in a `model`, with importance `weighted` or not."""

    model: Subject
    weighted: bool
    index: int
    total: int


Condition = Callable[[Position], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """In files of `file_types`, the type is `then` when the condition holds."""

    file_types: frozenset[str]
    when: Condition
    then: str


def _always(_: Position) -> bool:
    return True


def _shared_by_4(at: Position) -> bool:
    return at.model.group >= 4


def _small_values(at: Position) -> bool:
    return at.model.group >= 4 or at.model.experts >= 4


def _experts_8(at: Position) -> bool:
    return at.model.experts == 8


def _weighted(at: Position) -> bool:
    return at.weighted


def _first_eighth(at: Position) -> bool:
    return at.index < at.total // 8


def _first_sixteenth(at: Position) -> bool:
    return at.index < at.total // 16


def _more_bits(at: Position) -> bool:
    """The first and last eighth, and every third between."""
    eighth = at.total // 8
    return at.index < eighth or at.index >= 7 * at.total // 8 or (at.index - eighth) % 3 == 2


def _middle(at: Position) -> bool:
    return at.total // 8 <= at.index < 7 * at.total // 8


def _falcon(at: Position) -> bool:
    return at.model.architecture == "falcon"


def _usual(at: Position) -> bool:
    return not _falcon(at) and not _experts_8(at)


def _first(count: int) -> Condition:
    return lambda at: at.index < count


def _both(one: Condition, other: Condition) -> Condition:
    return lambda at: one(at) and other(at)


def _not(condition: Condition) -> Condition:
    return lambda at: not condition(at)


def _in(file_types: str, *choices: tuple[Condition, str]) -> tuple[Rule, ...]:
    return tuple(Rule(frozenset(file_types.split()), when, then) for when, then in choices)


# Below three bits a weight everything but a few tensors is of the file's own type, and layers of experts
# are counted as they come, not by their number.
_LOWEST_1 = "iq1_s iq1_m iq2_xxs iq2_xs"
_LOWEST_2 = "iq2_s iq2_m"
_LOWEST = f"{_LOWEST_1} {_LOWEST_2}"
LOWEST = frozenset(_LOWEST.split())

RULES: dict[Role, tuple[Rule, ...]] = {
    Role.EMBEDDING: (
        *_in(_LOWEST_1, (_always, "Q2_K")),
        *_in("iq2_s iq2_m iq3_xxs", (_always, "IQ3_S")),
        *_in("tq1_0 tq2_0 q2_0", (_always, "Q4_K")),
    ),
    Role.VALUE: (
        *_in(_LOWEST, (_small_values, "Q4_K")),
        *_in(_LOWEST_1, (_always, "Q2_K")),
        *_in(_LOWEST_2, (_always, "IQ3_S")),
        *_in("q2_k", (_shared_by_4, "Q4_K"), (_always, "Q3_K")),
        *_in("q2_k_s", (_shared_by_4, "Q4_K")),
        *_in("iq3_xxs", (_shared_by_4, "Q4_K"), (_weighted, "IQ3_XXS"), (_always, "IQ3_S")),
        *_in("iq3_xs iq3_s", (_shared_by_4, "Q4_K")),
        *_in("iq3_m", (_always, "Q4_K")),
        *_in("q3_k_m", (_first(2), "Q5_K"), (_always, "Q4_K")),
        *_in("q3_k_l", (_always, "Q5_K")),
        *_in("iq4_nl iq4_xs", (_shared_by_4, "Q5_K")),
        *_in("q4_k_m q5_k_m", (_more_bits, "Q6_K")),
        *_in("q4_k_s", (_first(4), "Q5_K")),
    ),
    Role.KEY: (
        *_in(_LOWEST, (_experts_8, "Q4_K")),
        *_in("iq3_xs", (_always, "IQ3_XXS")),
        *_in("iq3_xxs", (_always, "IQ2_S")),
    ),
    Role.QUERY: (
        *_in("iq3_xs", (_always, "IQ3_XXS")),
        *_in("iq3_xxs", (_always, "IQ2_S")),
    ),
    Role.DOWN: (
        *_in(_LOWEST_1, (_first_eighth, "Q2_K")),
        *_in(_LOWEST_2, (_first_eighth, "IQ3_S")),
        *_in("q2_k", (_always, "Q3_K")),
        *_in("q2_k_s", (_first_eighth, "Q4_K")),
        *_in("iq3_xxs", (_weighted, "IQ3_XXS"), (_first_eighth, "Q4_K"), (_always, "Q3_K")),
        *_in("q3_k_m", (_first_sixteenth, "Q5_K"), (_both(_falcon, _not(_more_bits)), "Q3_K")),
        *_in("q3_k_m", (_always, "Q4_K")),
        *_in("iq3_m", (_first_eighth, "Q4_K"), (_both(_experts_8, _more_bits), "Q4_K")),
        *_in("q3_k_l", (_falcon, "Q4_K"), (_always, "Q5_K")),
        *_in("q4_k_m", (_both(_falcon, _first_sixteenth), "Q6_K"), (_both(_falcon, _more_bits), "Q5_K")),
        *_in("q4_k_m", (_both(_not(_falcon), _more_bits), "Q6_K")),
        *_in("iq4_nl iq4_xs", (_both(_first_eighth, _not(_weighted)), "Q5_K")),
        *_in("q5_k_m", (_more_bits, "Q6_K")),
        *_in("q4_k_s", (_both(_first_eighth, _not(_falcon)), "Q5_K")),
        *_in("q4_0", (_both(_first_eighth, _weighted), "Q4_1")),
        *_in("q5_0", (_both(_first_eighth, _weighted), "Q5_1")),
    ),
    Role.ATTENTION_OUTPUT: (
        *_in(_LOWEST, (_experts_8, "Q5_K")),
        *_in("iq1_s iq1_m", (_always, "IQ2_XXS")),
        *_in(_LOWEST_2, (_always, "IQ3_S")),
        *_in(
            "q2_k iq3_xxs iq3_xs iq3_s iq3_m q3_k_s q3_k_m iq4_nl iq4_xs q4_k_s q4_k_m",
            (_both(_experts_8, _not(_falcon)), "Q5_K"),
        ),
        *_in("q2_k", (_usual, "Q3_K")),
        *_in("iq3_xxs", (_usual, "IQ3_S")),
        *_in("q3_k_m iq3_m", (_usual, "Q4_K")),
        *_in("q3_k_l", (_falcon, "Q4_K"), (_usual, "Q5_K")),
    ),
    Role.UP: _in("iq3_xs", (_middle, "IQ3_XXS")),
    Role.GATE: _in("iq3_xs", (_middle, "IQ3_XXS")),
}
