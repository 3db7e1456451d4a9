"""Commands run as at a terminal, on a running sidecar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Run = Callable[..., Awaitable[tuple[int, str, str]]]
"""Runs a command; gives its exit code, and what it said on standard output and on standard error."""
