"""A transport that is carried by another one: what it does not do itself, that one does."""

from __future__ import annotations

import asyncio
from typing import Any


class CarriedTransport(asyncio.Transport):
    """Reading, limits and buffers are those of `_below`."""

    __slots__ = ("_below",)

    _below: asyncio.Transport

    def abort(self) -> None:
        self._below.abort()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def is_reading(self) -> bool:
        return self._below.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._below.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the loops have it
        """`transport_below` is the transport that carries this one."""
        return self._below if name == "transport_below" else self._below.get_extra_info(name, default)
