"""What stops one scenario and not the others."""

from __future__ import annotations


class MeasurementError(Exception):
    """A server, a program or the contestant did not do what is measured; the message says which and what it said."""
