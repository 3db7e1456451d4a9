"""What a scenario is: a name, what it needs, and a measurement that gives findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from findings import Findings
from run import Run


class Scenario(NamedTuple):
    """One file of this folder each."""

    name: str
    help: str
    measure: Callable[[Run], Findings]
    needs: tuple[str, ...] = ()
    """Programs without which there is nothing to measure."""
