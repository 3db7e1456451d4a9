"""A collector's `redact` rules, applied: what they name is removed from data, what they find in its texts is replaced.

Promises that what comes out holds nothing that a rule would have taken, or raises UnredactableError: an undecoded body,
a medium or bytes that a rule would have to read, a condition that fails, more than can be looked at. Removals come
first, all by the places in the original; then masks and detectors, in the order written. What they read: texts and
addresses, names and ids of concepts, regions and tensors, what stands in tensors and metadata with its names, and whole
numbers in both as their digits. They do not read: embeddings, places on earth, boxes, probabilities, other fractions.
Text that is percent-encoded is read decoded as well. Pure: what is given is never changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from jmespath.exceptions import JMESPathError

from sidecar.collector import RedactRule
from sidecar.data import Data, Json, from_wire, to_wire
from sidecar.errors import ConfigurationError
from sidecar.kit.expressions import Expression, compiled
from sidecar.redaction.addresses import Ast, Path, compile_address, places, without
from sidecar.redaction.detector import BUILT_IN_DETECTORS, Detectors
from sidecar.redaction.detectors import Budget, Detect, Span, UnredactableError

UNREAD = ("image", "video", "audio", "text", "binary")
"""What a rule may let pass unread: media, a text that is an address only, bytes among tensors."""
MASKED = "[redacted]"
DEFAULT_REGIONS = ("US",)
"""Whose national phone numbers are known unless the rule names `regions`."""
_DATA_ADDRESS = r"data:[^,]*;base64,[A-Za-z0-9+/=_-]*"
_BASE64 = r"[A-Za-z0-9+/=_-]*"
_ENCODINGS = 3
"""How often a text may have been percent-encoded: an address in an address in an address."""
_LEAST_DETECTED = 1_000_000
"""No detector finds anything in fewer digits."""
_LEAST_WHOLE_FLOAT = 1e6
"""A smaller number that is written with a point is a measurement."""
Mask = Callable[[str, Budget], str]
_known = functools.cache(compiled)
"""Our own expressions, compiled once."""


def check_mask(expression: str) -> None:
    """Raise ValueError unless `expression` is RE2's and finds something."""
    if compiled(expression).search(""):
        raise ValueError("is found in an empty text too: say what it must hold")


class Redaction:
    """The rules of one collector, looking for what `known` detectors find. Raises ValueError for a rule that is none,
    ConfigurationError for one that names no detector."""

    def __init__(self, rules: Sequence[RedactRule], known: Detectors = BUILT_IN_DETECTORS) -> None:
        known.check(rules)
        self._removals: list[Ast] = [compile_address(rule.remove) for rule in rules if rule.remove]
        self._masks: list[Mask] = [mask for rule in rules for mask in _masks_of(rule, known)]
        self._unread = frozenset(kind for rule in rules for kind in rule.keep_unread)
        self._least_number = 0 if any(rule.mask for rule in rules) else _LEAST_DETECTED
        self._reads_content = bool(self._masks) or any(_root(each) != "metadata" for each in self._removals)

    def text(self, text: str) -> str:
        """`text` masked, or a word in its place where it cannot be."""
        try:
            return self._mask(text, Budget())
        except UnredactableError:
            return MASKED

    def input(self, data: Data) -> Data:
        """An input, redacted. Raises UnredactableError."""
        return self._data(data, "input")

    def output(self, data: Data | None) -> Data | None:
        """The model's output, redacted; None where there is none, or all of it is removed. Raises UnredactableError."""
        if data is None or any(each["type"] == "field" and each["value"] == "output" for each in self._removals):
            return None
        return self._data(data, "output")

    def result(self, data: Data) -> Data:
        """What the post-queue workflow gave, redacted. Raises UnredactableError."""
        return self._data(data, "result")

    def _data(self, data: Data, part: str) -> Data:
        try:
            return from_wire(self._redacted(to_wire(data), part))
        except JMESPathError as error:
            raise UnredactableError(f"a condition in `remove` fails on it: {type(error).__name__}") from error
        except (ConfigurationError, RecursionError) as error:
            raise UnredactableError(f"what redaction leaves is no data: {type(error).__name__}") from error

    def _redacted(self, wire: Json, part: str) -> Json:
        wire = without(wire, list(self._paths(wire, part)))
        if "raw" in wire and self._reads_content:
            raise UnredactableError("no protocol decodes it, so nothing in it can be redacted")
        return _Reading(self._mask, self._unread, self._least_number).data(wire) if self._masks else wire

    def _paths(self, wire: Json, part: str) -> Iterator[Path]:
        document = {part: wire, "metadata": wire.get("metadata", {})}
        for removal in self._removals:
            for path in places(removal, document):
                if path[0] == part:
                    yield path[1:]
                elif "metadata" in wire:
                    yield path

    def _mask(self, text: str, budget: Budget) -> str:
        masked = decoded = self._masked(text, budget)
        for _ in range(_ENCODINGS):
            if "%" not in decoded:
                break
            plain = unquote(decoded)
            decoded = self._masked(plain, budget)
            masked = masked if decoded == plain else decoded
        return masked

    def _masked(self, text: str, budget: Budget) -> str:
        for mask in self._masks:
            text = mask(text, budget)
        return text


class _Reading:
    """One piece of data being read, text by text."""

    def __init__(self, mask: Mask, unread: frozenset[str], least_number: float) -> None:
        self._mask = mask
        self._least_number = least_number
        self._unread = unread
        self._budget = Budget()

    def data(self, wire: Json) -> Json:
        return {name: self._field(name, value) for name, value in wire.items()}

    def _field(self, name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if name == "metadata":
            return self._value(value)
        if name in ("image", "video", "audio"):
            return self._medium(name, value)
        if name == "text":
            if "raw" not in value and value.get("url"):
                self._pass_unread("text", "the text stands elsewhere, at an address")
            return self._strings(value, "raw", "url")
        if name == "concepts":
            return [self._strings(concept, "id", "name") for concept in value]
        if name == "regions":
            return [self._region(region) for region in value]
        return [self._tensor(tensor) for tensor in value] if name == "tensors" else value

    def _medium(self, name: str, value: Json) -> Json:
        if "base64" in value or value.get("url"):
            self._pass_unread(name, f"no rule can read the {name}")
        return self._strings(value, "url")

    def _region(self, region: Json) -> Json:
        region = self._strings(region, "id")
        return region | {"data": self.data(region["data"])} if "data" in region else region

    def _tensor(self, tensor: Json) -> Json:
        tensor = self._strings(tensor, "name", "datatype")
        return tensor | {"value": self._value(tensor["value"])} if "value" in tensor else tensor

    def _strings(self, wire: Json, *names: str) -> Json:
        """`wire` with the strings under `names` masked."""
        return wire | {name: self._mask(wire[name], self._budget) for name in names if wire.get(name)}

    def _value(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, dict):
            return self._object(value)
        return self._number(value) if isinstance(value, int | float) else value

    def _text(self, text: str) -> str:
        if text.startswith("data:") and _known(_DATA_ADDRESS).fullmatch(text):
            self._pass_unread("binary", "no rule can read the bytes of a data: address")
            return text
        return self._mask(text, self._budget)

    def _object(self, value: Json) -> Json:
        if len(value) == 1 and _is_base64(value.get("b64", value.get("base64"))):
            self._pass_unread("binary", "no rule can read the bytes among its tensors")
            return value
        masked: Json = {}
        for name, each in value.items():
            shown = self._mask(name, self._budget)
            while shown in masked:
                shown += "_"
            masked[shown] = self._value(each)
        return masked

    def _number(self, value: int | float) -> int | float | str:
        """A whole number's digits, masked where they are anything to a rule."""
        if abs(value) < self._least_number or isinstance(value, bool):
            return value
        if isinstance(value, float) and (value < _LEAST_WHOLE_FLOAT or not value.is_integer()):
            return value
        digits = str(int(value))
        masked = self._mask(digits, self._budget)
        return value if masked == digits else masked

    def _pass_unread(self, kind: str, why: str) -> None:
        if kind not in self._unread:
            raise UnredactableError(f"{why}; `keep_unread: [{kind}]` would keep it as it is")


def _is_base64(value: object) -> bool:
    return isinstance(value, str) and _known(_BASE64).fullmatch(value) is not None


def _root(address: Ast) -> str:
    while address["children"]:
        address = address["children"][0]
    return str(address["value"])


def _masks_of(rule: RedactRule, known: Detectors) -> Iterator[Mask]:
    if rule.mask:
        yield _replacing(_finding(compiled(rule.mask)), MASKED if rule.to is None else rule.to)
    for name, detect in known.of(rule, DEFAULT_REGIONS):
        yield _replacing(detect, f"[{name}]" if rule.to is None else rule.to)


def _finding(expression: Expression) -> Detect:
    def find(text: str, _budget: Budget) -> Iterator[Span]:
        return (found.span() for found in expression.finditer(text))

    return find


def _replacing(detect: Detect, replacement: str) -> Mask:
    def mask(text: str, budget: Budget) -> str:
        parts, done = [], 0
        for start, end in detect(text, budget):
            if start < end:
                parts += [text[done:start], replacement]
                done = end
        return "".join([*parts, text[done:]]) if parts else text

    return mask
