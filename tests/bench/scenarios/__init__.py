"""The scenarios, in the order in which they are measured and shown. One file each; `SCENARIOS` is the registry."""

from __future__ import annotations

from scenarios import (
    backlog,
    bodies,
    curve,
    failures,
    kept,
    memory,
    processor,
    saturation,
    slow_mirror,
    start,
    wanted,
)
from scenarios.scenario import Scenario as Scenario

SCENARIOS: tuple[Scenario, ...] = (
    processor.SCENARIO,
    saturation.SCENARIO,
    kept.SCENARIO,
    wanted.SCENARIO,
    bodies.SCENARIO,
    failures.SCENARIO,
    slow_mirror.SCENARIO,
    memory.SCENARIO,
    backlog.SCENARIO,
    start.SCENARIO,
    curve.SCENARIO,
)
