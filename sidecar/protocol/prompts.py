"""A prompt with places for what an input holds: `{{text}}`, `{{concepts}}`, `{{tensors}}`, `{{metadata.name}}`.

Filled in once: what an input brings in is never read as a place again. Other braces stay as they are, so that a prompt
may show JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import orjson

from sidecar.data import Data

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_METADATA = "metadata."


def check_prompt(prompt: str) -> str:
    """`prompt` if every place in it is known. Raises ValueError."""
    for name in _PLACE.findall(prompt):
        if name not in _FILLERS and not (name.startswith(_METADATA) and name != _METADATA):
            known = ", ".join(f"{{{{{each}}}}}" for each in (*_FILLERS, "metadata.name"))
            raise ValueError(f"has no place {{{{{name}}}}}: write one of {known}")
    return prompt


def has_places(prompt: str) -> bool:
    return _PLACE.search(prompt) is not None


def fill(prompt: str, data: Data) -> str:
    """`prompt` with what `data` holds in its places; what it does not hold is blank."""
    return _PLACE.sub(lambda found: _content(found[1], data), prompt)


def _content(name: str, data: Data) -> str:
    if name.startswith(_METADATA):
        value: object = data.metadata
        for part in name.removeprefix(_METADATA).split("."):
            value = value.get(part, "") if isinstance(value, Mapping) else ""
        return value if isinstance(value, str) else _json(value)
    return _FILLERS[name](data)


def _text(data: Data) -> str:
    return data.text.raw if data.text else ""


def _concepts(data: Data) -> str:
    return ", ".join(f"{concept.name or concept.id} {concept.value:.3g}" for concept in data.concepts)


def _tensors(data: Data) -> str:
    values = [None if isinstance(tensor.value, bytes) else tensor.value for tensor in data.tensors]
    return _json(values[0] if len(values) == 1 else values) if values else ""


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


_FILLERS: Mapping[str, Callable[[Data], str]] = {"text": _text, "concepts": _concepts, "tensors": _tensors}
