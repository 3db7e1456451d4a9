"""Addresses lead to places: what they name is gone, and nothing else is, nor is the original changed."""

from __future__ import annotations

import copy
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.redaction.addresses import compile_address, places, without

DOCUMENT: dict[str, Any] = {
    "input": {
        "text": {"raw": "t"},
        "tensors": [{"name": "a", "value": {"x": [1, 2]}}, {"name": "b", "value": [[3], [4, 5]]}, {"name": "a"}],
    },
    "metadata": {"query": {"email": "e", "n": 0}, "headers": {"user-agent": "u"}},
}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("input.text", [("input", "text")]),
        ("input.nothing.below", []),
        ("input.text[0]", []),
        ("metadata", [("metadata",)]),
        ('metadata.headers."user-agent"', [("metadata", "headers", "user-agent")]),
        ("metadata.query.*", [("metadata", "query", "email"), ("metadata", "query", "n")]),
        ("input.tensors[*].name", [("input", "tensors", index, "name") for index in range(3)]),
        ("input.tensors[-1]", [("input", "tensors", 2)]),
        ("input.tensors[9]", []),
        ("input.tensors[?name=='a']", [("input", "tensors", 0), ("input", "tensors", 2)]),
        ("input.tensors[?name=='a'].value.x[0]", [("input", "tensors", 0, "value", "x", 0)]),
        ("input.tensors[?name=='b'] .value[*][0]", [("input", "tensors", 1, "value", each, 0) for each in (0, 1)]),
        ("input.tensors[?length(name) > `1`]", []),
        ("input.tensors[1].value[1][1]", [("input", "tensors", 1, "value", 1, 1)]),
    ],
)
def test_an_address_leads_to_places(address: str, found: list[Any]) -> None:
    assert places(compile_address(address), DOCUMENT) == found


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("input.", "is no JMESPath expression"),
        ("text.raw", "must start with input, output, result, metadata"),
        ("*.text", "must start with"),
        ("@", "must start with"),
        ("input", "must say what of the input to remove"),
        ("result", "must say what of the result to remove"),
        ("length(input)", "is no place"),
        ("input.tensors[]", "is no place"),
        ("input.a || input.b", "is no place"),
        ("input.tensors[0:2]", "is no place"),
        ("input.tensors[?nothing(name)]", "Unknown function"),
    ],
)
def test_what_is_no_address_is_refused(address: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compile_address(address)


names = st.sampled_from(["a", "b"])
values = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2), max_leaves=20
)
steps = st.sampled_from([".a", ".b", "[0]", "[-1]", "[*]", ".*", "[?a]"])


@given(values, st.lists(steps, max_size=4))
def test_what_an_address_finds_is_what_jmespath_finds_and_then_it_is_gone(value: Any, more: list[str]) -> None:
    address = "input.a" + "".join(more)
    document = {"input": value}
    before = copy.deepcopy(document)
    found = places(compile_address(address), document)
    expected = jmespath.search(address, document)
    reached = [each for path in found if (each := _at(document, path)) is not None]
    assert reached == (_flat(expected, sum(step in ("[*]", ".*", "[?a]") for step in more)))
    left = without(document, found)
    assert document == before
    assert all(not _is_there(left, path, document) for path in found)
    if not found:
        assert left == document


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def _flat(value: Any, depth: int) -> list[Any]:
    """What a query gave, less the lists that its projections made around it."""
    if depth == 0:
        return [] if value is None else [value]
    return [each for part in value or [] for each in _flat(part, depth - 1)]


def _is_there(left: Any, path: tuple[str | int, ...], document: Any) -> bool:
    """True if what stood at `path` does: in a list the later ones move up, so there the number counts."""
    *above, last = path
    try:
        parent, whole = _at(left, tuple(above)), _at(document, tuple(above))
    except (KeyError, IndexError, TypeError):
        return False
    return last in parent if isinstance(parent, dict) else len(parent) == len(whole)
