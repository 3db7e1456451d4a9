"""What a detector of others is (entry points of the group `sidecar.detectors`), and every detector of a process.

Promises that whatever such a detector does wrong with a text ends as UnredactableError: it raises, or what it gives is
no list of places. How long it takes is its own; how much it is given is bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.collector import RedactRule
from sidecar.errors import ConfigurationError, Problem
from sidecar.redaction import detectors
from sidecar.redaction.detectors import Budget, Detect, Span, UnredactableError

DETECTORS: Mapping[str, Callable[[Sequence[str]], Detect]] = {
    "email": lambda _regions: detectors.emails,
    "card": lambda _regions: detectors.cards,
    "ip": lambda _regions: detectors.ips,
    "phone": detectors.phones,
}
"""By name, in the order in which those of one rule look: a card's digits are no phone's."""


class Detector(ABC):
    """Finds one kind of thing in texts. Made once, without arguments, when the engine starts: whatever model it needs
    it loads then. Called in the engine for each text there is, in the order in which inputs are kept; keeps nothing."""

    @abstractmethod
    def __call__(self, text: str) -> Iterable[Span]:
        """Where something is to be masked: (start, end) of each place in `text`, in any order; they may overlap."""


@dataclass(frozen=True, slots=True)
class Detectors:
    """What the `redact` of one process's collectors can look for."""

    others: Mapping[str, Detector] = field(default_factory=dict)
    """Those of plug-ins, by name."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Those that could not be loaded, by name, and why."""

    def check(self, rules: Sequence[RedactRule]) -> None:
        """Raises ConfigurationError unless every rule can look for what it names."""
        problems = [
            Problem(self._fault_of(name), f"redact[{index}].detect[{place}]")
            for index, rule in enumerate(rules)
            for place, name in enumerate(rule.detect)
            if name not in DETECTORS and name not in self.others
        ]
        if problems:
            raise ConfigurationError(problems)

    def _fault_of(self, name: str) -> str:
        if name in self.broken:
            return f"{name!r} cannot be used: {self.broken[name]}"
        return f"{name!r} is no detector; known: {', '.join((*DETECTORS, *sorted(self.others)))}"

    def of(self, rule: RedactRule, regions: Sequence[str]) -> Iterator[tuple[str, Detect]]:
        """Those that `rule` names: the built-in ones, then the others as written."""
        yield from ((name, make(rule.regions or regions)) for name, make in DETECTORS.items() if name in rule.detect)
        yield from ((name, guarded(name, self.others[name])) for name in rule.detect if name in self.others)


BUILT_IN_DETECTORS = Detectors()


def guarded(name: str, detector: Detector) -> Detect:
    """`detector` as ours are: places in order, none overlapping, or UnredactableError."""

    def find(text: str, budget: Budget) -> Iterator[Span]:
        budget.pay(len(text))
        done = 0
        for start, end in _places(name, detector, text):
            if end > done:
                yield max(start, done), end
                done = end

    return find


def _places(name: str, detector: Detector, text: str) -> list[Span]:
    try:
        found = sorted([(int(start), int(end)) for start, end in detector(text)])
    except Exception as error:  # noqa: BLE001 - a stranger's fault; and its text, which may repeat content, is not told
        raise UnredactableError(f"detector {name!r} failed: {type(error).__name__}") from None
    if any(not 0 <= start <= end <= len(text) for start, end in found):
        raise UnredactableError(f"detector {name!r} failed: it gave a place that is none of the text")
    return found
