"""Two policies on the same exchanges: what both would have kept, what only one of them, with examples of each.

What is kept is compared exchange by exchange, so that nothing piles up; unless one of the two has a reservoir, which
tells late: then the names of all that is kept are held to the end.
"""

from __future__ import annotations

from sidecar.backtest.trial import Trial
from sidecar.data import Json
from sidecar.records.recorded import Recorded

EXAMPLES = 5
Name = tuple[bytes, int]
"""An exchange's id, and an input's index in it."""


class Comparison:
    """Runs both trials; `other` may be None: then it compares nothing."""

    def __init__(self, trial: Trial, other: Trial | None = None) -> None:
        self.trial = trial
        self.other = other
        self._kept: tuple[list[Name], list[Name]] = ([], [])
        self._waits = other is not None and (trial.holds or other.holds)
        self._counts = {"both": 0, "only_first": 0, "only_second": 0}
        self._examples: dict[str, list[str]] = {name: [] for name in self._counts}
        if other is not None:
            trial.on_kept = lambda *name: self._kept[0].append(name)
            other.on_kept = lambda *name: self._kept[1].append(name)

    def take(self, recorded: Recorded) -> None:
        self.trial.take(recorded)
        if self.other is not None:
            self.other.take(recorded)
            if not self._waits:
                self._compare()

    def finish(self) -> None:
        """The record has ended; safe twice."""
        self.trial.finish()
        if self.other is not None:
            self.other.finish()
            self._compare()

    def _compare(self) -> None:
        first, second = map(dict.fromkeys, self._kept)
        self._add("both", [name for name in first if name in second])
        self._add("only_first", [name for name in first if name not in second])
        self._add("only_second", [name for name in second if name not in first])
        for names in self._kept:
            names.clear()

    def _add(self, kind: str, names: list[Name]) -> None:
        self._counts[kind] += len(names)
        examples = self._examples[kind]
        examples += [f"{exchange_id.hex()}/{index}" for exchange_id, index in names[: EXAMPLES - len(examples)]]

    def to_json(self) -> Json:
        """How many inputs each way, and examples as `exchange id/input index`."""
        return {**self._counts, "examples": self._examples}
