"""The error tree, sorted by what the one who catches it does next.

`ConfigurationError` is shown to a person, `TransientError` is tried again, `PermanentError` never is, `CapacityError`
is counted and let go. Every message names what was wrong, where, and what to do. Nothing here logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class SidecarError(Exception):
    """Whatever this product raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in what a person wrote: where it stands, what it is, and what to do about it."""

    message: str
    field: str = ""
    file: str = ""
    line: int = 0
    code: str = "invalid"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.field, self.message) if part)


class ConfigurationError(SidecarError):
    """Settings, policies or a request body that cannot be taken as written; `problems` lists every fault at once."""

    def __init__(self, problems: Sequence[Problem] | Problem | str) -> None:
        if isinstance(problems, str):
            problems = (Problem(problems),)
        elif isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotFoundError(SidecarError):
    """What the request names is not there."""


class ConflictError(SidecarError):
    """What the request would make is there already, or is still in use."""


class TransientError(SidecarError):
    """Worth another try, no sooner than `retry_after_seconds` when that is known."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(message)


class PermanentError(SidecarError):
    """Will fail the same way however often it is tried."""


class CapacityError(SidecarError):
    """A bound was reached: the copy is let go under a named reason; the traffic is not touched."""
