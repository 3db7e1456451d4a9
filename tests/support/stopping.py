"""How long the sidecar's stop may take: what whoever stops it has to wait."""

from __future__ import annotations

from sidecar import settings
from sidecar.app.relay import ENGINE_GRACE_SECONDS
from sidecar.proxy.server import FLUSH_SECONDS


def stop_seconds(read: settings.Settings) -> float:
    """From SIGTERM to the end, when every step of the sidecar's stop takes all the time that it may."""
    return read.drain_delay + read.grace + FLUSH_SECONDS + ENGINE_GRACE_SECONDS
