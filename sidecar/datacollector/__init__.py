"""The library that scoring code imports: what a model was given, and what it answered, sent to the sidecar beside it.

Owns the documented class and what stands behind it. Promises to scoring code: `collect` never raises, never waits,
never changes what it was given, and records it as it was at that moment; no signal handler is touched; it works in
threads and after a fork; what was collected just before the end is still sent, for a bounded time. Imports the
standard library alone, and of that little: kept in the syntax of Python 3.8, as scoring images often carry it.

Where rows go is told by `SIDECAR_MDC`, the same text as the sidecar's own setting: `host:port` or `unix:/path`; or by
`file:/folder`. Without it they go to files under the working directory.
"""

from __future__ import annotations

from sidecar.datacollector.collector import ModelDataCollector
from sidecar.datacollector.outlets import flush

__all__ = ["ModelDataCollector", "flush"]
