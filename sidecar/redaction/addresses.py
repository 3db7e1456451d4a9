"""Where in an input something is to be removed: addresses in JMESPath's grammar, read as places rather than as values.

Owns the subset that leads to places: fields, indexes, `[*]`, `*` and `[?condition]`; whatever computes a new value is
refused. Raises ValueError for an address that is none. Pure: what is given is never changed, the rest is shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import jmespath
from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError
from jmespath.visitor import TreeInterpreter

ROOTS = ("input", "output", "result", "metadata")
"""What an address starts with: the input, the model's output, what the post-queue workflow gave; any one's metadata."""
_WHOLE = ("output", "metadata")
_CHAINS = frozenset(("subexpression", "index_expression"))
_PROJECTIONS = frozenset(("projection", "value_projection", "filter_projection"))
_STEPS = frozenset(("field", "index", "identity", "current"))

Ast = dict[str, Any]
Path = tuple[str | int, ...]
Place = tuple[Path, Any]
"""Where a value stands, and the value."""


def compile_address(address: str) -> Ast:
    """The parsed address. Raises ValueError."""
    try:
        parsed = cast("Ast", jmespath.compile(address).parsed)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath expression: {' '.join(str(error).split())}") from error
    _check_steps(parsed)
    first = _first(parsed)
    if first.get("value") not in ROOTS or first["type"] != "field":
        raise ValueError(f"must start with {', '.join(ROOTS)}: input.text, metadata.query.email")
    if parsed is first and first["value"] not in _WHOLE:
        raise ValueError(f"must say what of the {first['value']} to remove, such as {first['value']}.text")
    return parsed


def _check_steps(node: Ast) -> None:
    kind = node["type"]
    if kind not in _CHAINS | _PROJECTIONS | _STEPS:
        raise ValueError("is no place: only fields, indexes, [*], * and [?condition] say what to remove")
    if kind == "filter_projection":
        _check_condition(node["children"][2])
    for child in node["children"][:2] if kind in _PROJECTIONS else node["children"]:
        _check_steps(child)


def _check_condition(condition: Ast) -> None:
    try:
        _evaluate(condition, {})
    except (UnknownFunctionError, ArityError) as error:
        raise ValueError(f"is no JMESPath expression: {' '.join(str(error).split())}") from error
    except JMESPathError:
        pass  # fields that real data has are missing here


def _evaluate(condition: Ast, value: object) -> object:
    interpreter: Any = TreeInterpreter()
    found: object = interpreter.visit(condition, value)
    return found


def _first(node: Ast) -> Ast:
    while node["children"]:
        node = node["children"][0]
    return node


def places(node: Ast, value: object) -> list[Path]:
    """The paths in `value` that the parsed address leads to. Raises JMESPathError for a condition that fails."""
    return [path for path, _ in _walk(node, ((), value))]


def _walk(node: Ast, place: Place) -> Iterator[Place]:
    kind, children = node["type"], node["children"]
    if kind in _CHAINS:
        found: list[Place] = [place]
        for child in children:
            found = [each for start in found for each in _walk(child, start)]
        yield from found
    elif kind in _PROJECTIONS:
        for left in _walk(children[0], place):
            for element in _elements(node, left):
                yield from _walk(children[1], element)
    else:
        yield from _step(node, place)


def _step(node: Ast, place: Place) -> Iterator[Place]:
    path, value = place
    kind, key = node["type"], node.get("value", "")
    if kind == "field":
        if isinstance(value, dict) and key in value:
            yield (*path, key), value[key]
    elif kind == "index":
        if isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            yield (*path, key % len(value)), value[key]
    else:
        yield place


def _elements(node: Ast, place: Place) -> Iterator[Place]:
    path, value = place
    if node["type"] == "value_projection":
        if isinstance(value, dict):
            yield from (((*path, key), each) for key, each in value.items())
    elif isinstance(value, list):
        condition = node["children"][2] if node["type"] == "filter_projection" else None
        for index, each in enumerate(value):
            if condition is None or _holds(condition, each):
                yield (*path, index), each


def _holds(condition: Ast, value: object) -> bool:
    """JMESPath's own rule: null, false and what is empty are false; a number, also 0, is true."""
    found = _evaluate(condition, value)
    return bool(found) or (found is not False and isinstance(found, int | float))


def without(value: Any, paths: Sequence[Path]) -> Any:  # noqa: ANN401 - any JSON value
    """`value` less what stands at `paths`, all of which lead into it."""
    if not paths:
        return value
    below: dict[str | int, list[Path]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(tuple(rest))
    gone = {key for key, rests in below.items() if () in rests}
    if isinstance(value, dict):
        return {key: without(each, below.get(key, ())) for key, each in value.items() if key not in gone}
    return [without(each, below.get(index, ())) for index, each in enumerate(value) if index not in gone]
