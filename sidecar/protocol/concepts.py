"""When a model's numbers are probabilities, and the concepts they then are.

A number in [0, 1] written as a float is one concept; a vector counts when every value is in [0, 1] and they sum to 1
within 1e-3; `{"label", "score"}` objects and `[label, score]` pairs name their concepts, else the index is the id.
Everything else stays a tensor. Source: the predict-protocols contract.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.data import Concept

_TOLERANCE = 1e-3
_INDEX_IDS = tuple(str(index) for index in range(1000))
_NUMBERS = frozenset((float, int))
_NO_NAMES = itertools.repeat("")
_CONCEPT: Callable[[tuple[str, float, str]], Concept] = functools.partial(tuple.__new__, Concept)
"""A concept from its fields, without a call of Python's: there are many of them in every answer."""
_CLASSIFIED = re.compile(r"([0-9.eE+-]+):(\d+)(?::(.*))?", re.DOTALL)


def concepts_of(value: object) -> tuple[Concept, ...]:
    """The concepts in one output value; empty when it holds no probabilities.

    A lone integer is none: it is a class id or a count far more often than a certainty.
    """
    if isinstance(value, list):
        return _of_list(value)
    if isinstance(value, float):
        return (Concept("0", value),) if 0.0 <= value <= 1.0 else ()
    return _of_labelled([value]) if isinstance(value, dict) else ()


def concepts_of_several(values: Sequence[Any]) -> tuple[Concept, ...]:
    """The concepts among a model's named outputs: the first that holds several; a single number only when alone."""
    if len(values) == 1:
        return concepts_of(values[0])
    for value in values:
        if isinstance(value, list) and len(value) > 1:
            concepts = _of_list(value)
            if concepts:
                return concepts
    return ()


def concepts_of_classified(strings: Sequence[object]) -> tuple[Concept, ...]:
    """The concepts in strings `value:index[:label]`, as the classification extension writes them."""
    found = [_CLASSIFIED.fullmatch(text) for text in strings if isinstance(text, str)]
    concepts = []
    for match in found:
        score = _score(match[1]) if match else None
        if match is None or score is None:
            return ()
        concepts.append(Concept(match[2], score, match[3] or ""))
    return tuple(concepts) if len(concepts) == len(strings) else ()


def _of_list(values: list[Any]) -> tuple[Concept, ...]:
    if not values:
        return ()
    first = values[0]
    if isinstance(first, dict):
        return _of_labelled(values)
    if isinstance(first, list):
        return _of_pairs(values)
    if len(values) == 1:
        return concepts_of(first) if isinstance(first, float) else ()
    return _of_vector(values)


def _of_vector(values: list[Any]) -> tuple[Concept, ...]:
    if not _NUMBERS.issuperset(map(type, values)) or abs(sum(values) - 1.0) > _TOLERANCE:
        return ()
    if min(values) < 0.0 or max(values) > 1.0:
        return ()
    ids = _INDEX_IDS if len(values) <= len(_INDEX_IDS) else map(str, range(len(values)))
    return tuple(map(_CONCEPT, zip(ids, values, _NO_NAMES)))  # noqa: B905 - names never end


def _of_labelled(values: list[Any]) -> tuple[Concept, ...]:
    return _of_pairs([[v.get("label"), v.get("score")] if isinstance(v, dict) else None for v in values])


def _of_pairs(pairs: list[Any]) -> tuple[Concept, ...]:
    concepts = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or not pair[0]:
            return ()
        score = _score(pair[1])
        if score is None:
            return ()
        concepts.append(Concept(pair[0], score))
    return tuple(concepts)


def _score(value: object) -> float | None:
    """`value` as a probability, or None when it is none."""
    if isinstance(value, bool) or not isinstance(value, float | int | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0.0 <= number <= 1.0 else None
