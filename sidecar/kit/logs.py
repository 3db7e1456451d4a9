"""structlog, set up once: JSON lines to stderr in a container, coloured lines at a terminal.

Also the one place that imports it: it takes rich along where it finds it, to show the local values of a traceback. We
never do, as there are secrets among them, and it would be 3 MiB of every process.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TextIO, cast


@contextlib.contextmanager
def _as_if_missing(name: str) -> Iterator[None]:
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    if name in modules:
        yield
        return
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]


with _as_if_missing("rich"):
    import structlog

Logger = structlog.stdlib.BoundLogger


def configure(level: str = "info", stream: TextIO | None = None, *, process: str = "") -> Logger:
    """Set up logging for this process and return its logger, bound to `process`."""
    stream = stream or sys.stderr
    is_terminal = stream.isatty()
    renderer: structlog.typing.Processor = (
        # not structlog's own choice of formatter: it prints every frame's local values, and with them secrets
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if is_terminal
        else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not is_terminal:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logger: Logger = structlog.get_logger()
    return logger.bind(process=process) if process else logger
