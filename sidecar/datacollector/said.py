"""What the library has to say, each thing once a process: scoring code runs often, and its log is not ours."""

from __future__ import annotations

_SAID: set[str] = set()


def get_ready() -> None:
    """Import what saying needs, before a thread has to: see `sink`."""
    import logging  # noqa: F401 - imported for later


def say_once(message: str, *values: object) -> None:
    """Warn with `message` unless that was done already; through logging, which unlike warnings can never raise."""
    if message not in _SAID:
        import logging

        _SAID.add(message)
        logging.getLogger("sidecar.datacollector").warning(message, *values)
