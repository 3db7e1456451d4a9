"""The text in data, for the operators that read it. Pure; an address is never fetched, so a text by `url` has none."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.data import Data
from sidecar.workflow.operators.operator import Fields

TEXT: Fields = frozenset(("text", "tensors"))
"""The fields that can hold text."""


def texts_of(data: Data) -> Iterator[str]:
    """The data's text; where it has none, each string in its tensors (a row such as `{"prompt": "…", "user": "…"}`)."""
    if data.text is not None and data.text.raw:
        yield data.text.raw
        return
    for tensor in data.tensors:
        yield from _strings_in(tensor.value)


def _strings_in(value: object) -> Iterator[str]:
    """Depth first; what protocols decode is never nested deeper than a call of a call can go."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings_in(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings_in(part)
