"""How a delivery of one input ended: frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has it, from this try or an earlier one."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Worth another try, no sooner than `after_seconds` when the far side said so."""

    reason: str
    detail: str = ""
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Will fail the same way however often it is tried."""

    reason: str
    detail: str = ""


Outcome = Delivered | Retry | Rejected
