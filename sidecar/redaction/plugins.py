"""Detectors of others: installed distributions name them under the entry-point group `sidecar.detectors`.

Loaded and made once, at the start of the engine and of `sidecar check`, never in the relay. A name that is broken, or
another's, costs the collectors that name it: these stand still, and nothing of theirs is kept unredacted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from sidecar.errors import Problem
from sidecar.kit.entry_points import load_entries
from sidecar.redaction.detector import DETECTORS, Detector, Detectors

GROUP = "sidecar.detectors"


def load_detectors(loading: Callable[[str], object] = lambda _: None) -> tuple[Detectors, tuple[Problem, ...]]:
    """What is installed, and what of it cannot be used; `loading` is told of each entry before its code is run."""
    found = load_entries(GROUP, DETECTORS, _detector, loading)
    problems = [Problem(why, "detectors") for why in found.unreadable]
    for name, entry in found.taken.items():
        problems.append(_problem(name, f"{entry}: the name is a built-in detector's, which stays"))
    problems += [_problem(name, why) for name, why in found.broken.items()]
    return Detectors(found.loaded, found.broken), tuple(problems)


def _problem(name: str, why: str) -> Problem:
    return Problem(why, f"detector {name}")


def _detector(loaded: object) -> Detector | str:
    """The detector, or what is wrong with it."""
    if not isinstance(loaded, type) or not issubclass(loaded, Detector):
        return f"is no subclass of {Detector.__module__}.{Detector.__name__}"
    if inspect.isabstract(loaded):
        return f"leaves out {', '.join(sorted(loaded.__abstractmethods__))}"
    return loaded()
