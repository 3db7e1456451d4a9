"""The decision at a request's head: could any active collector want this exchange?

Promises to say no only when it is sure, and to draw the sample from the exchange's id alone, so that the engine finds
the same number. Every predict call is wanted until the first index has come. Pure, but for one thing: of each request
line that it does not remember it says which model it names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from sidecar.exchange import read_text
from sidecar.frame import Index
from sidecar.kit.ids import fraction_of_id
from sidecar.passing import ModelName
from sidecar.protocol.routes import Route, recognise
from sidecar.proxy.heads import LINE_END

ANONYMOUS = "anonymous"
_CREDENTIALS = (b"\r\nauthorization:", b"\r\nx-api-key:")
_REMEMBERED_LINE_BYTES = 512


class Admission:
    """Decides with the caller's header as set."""

    __slots__ = ("_caller_line", "_read_route", "_remembered_route")

    def __init__(self, caller_header: str, passes: Callable[[ModelName], object] | None = None) -> None:
        """`passes` is told the model that a predict call names: of each whose request line is not remembered."""
        self._read_route = functools.partial(_read_route, passes)
        self._remembered_route = functools.lru_cache(maxsize=512)(self._read_route)
        self._caller_line = f"\r\n{caller_header.lower()}:".encode("latin-1")

    def fraction(self, head: bytes, lower: bytes, index: Index | None) -> float:
        """The fraction of such exchanges that is wanted: 0 means surely none, 1 all.

        `head` starts with a request's head as received, `lower` is that head alone in lower-case letters.
        """
        route = self.route_of(head[: lower.find(LINE_END)])
        if route is None:
            return 0.0
        if index is None:
            return 1.0
        return index.fraction(route.model, route.version or None, self.caller(head, lower))

    def route_of(self, request_line: bytes) -> Route | None:
        """The predict call that this line asks for, or None. Remembers the short ones: models are few."""
        if len(request_line) > _REMEMBERED_LINE_BYTES:
            return self._read_route(request_line)
        return self._remembered_route(request_line)

    def caller(self, head: bytes, lower: bytes) -> str | None:
        """Who calls, as far as the head alone tells; None when credentials, which only the engine reads, may tell."""
        at = lower.find(self._caller_line)
        if at >= 0:
            start = at + len(self._caller_line)
            value = head[start : lower.find(LINE_END, start)].decode("latin-1").strip()
            if value:
                return read_text(value)
        return None if any(line in lower for line in _CREDENTIALS) else ANONYMOUS


def is_sampled(exchange_id: bytes, fraction: float) -> bool:
    """Whether this exchange is among the wanted `fraction`; the engine draws the same number from the same id."""
    return fraction_of_id(exchange_id) < fraction


def _read_route(passes: Callable[[ModelName], object] | None, request_line: bytes) -> Route | None:
    method, _, rest = request_line.partition(b" ")
    route = recognise(method, rest.partition(b" ")[0])
    if route is not None and passes is not None:
        passes(ModelName(route.model, route.version))
    return route
