"""The address where collected rows come in: from our library, and from Azure's client unchanged.

Owns the listening socket. Promises to answer as soon as the body is there, whatever becomes of it: Azure's client has
one worker that waits for the answer, and takes any other than a good one for a failure. A body is bounded; what is
larger, or would not fit beside those that are just being read, is read past, counted as lost, and answered like any
other. An address that is taken is said and costs nothing else.
"""

from __future__ import annotations

import os

from aiohttp import web

from sidecar.capture.ingest import Ingest
from sidecar.capture.ingest_record import LOG_PATH, ROWS_PATH, UnreadableRowsError, read_batch, read_log
from sidecar.events import Events
from sidecar.kit.addresses import Address
from sidecar.kit.clock import Clock
from sidecar.kit.sites import listen, open_to_all

RECORDS_HEADER, DROPPED_HEADER = "x-records", "x-records-dropped"
"""How many records are in a batch of our library, and how many it dropped since the last that arrived."""
_LINE_BYTES = 64 * 2**10
"""Longest header that is read: context is the user's own, and a refused head is a lost record."""
_CLOSE_SECONDS = 1.0


class IngestSite:
    """Serves one address; `model` is the one whose rows those are that name none."""

    def __init__(
        self, ingest: Ingest, events: Events, clock: Clock, model: str, body_bytes: int, all_bytes: int
    ) -> None:
        self._ingest = ingest
        self._events = events
        self._clock = clock
        self._model = model
        self._body_bytes = body_bytes
        self._all_bytes = all_bytes
        self._reading_bytes = 0
        self._runner: web.AppRunner | None = None
        self.address = ""
        self.problem = ""
        """Why no rows can come in; blank when they can, or when none are expected."""

    async def open(self, address: Address) -> None:
        """Listen, or say why not."""
        app = web.Application()
        app.router.add_post(LOG_PATH, self._log)
        app.router.add_post(ROWS_PATH, self._rows)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_CLOSE_SECONDS, max_field_size=_LINE_BYTES, max_line_size=_LINE_BYTES
        )
        await self._runner.setup()
        try:
            self.address = await listen(self._runner, address)
            if address.path:
                open_to_all(address.path)
        except OSError as error:
            self.problem = f"{address} cannot be listened on: {os.strerror(error.errno or 0)}"
            self._events.rows_not_received(self.problem)
            await self.close()
        else:
            self._events.rows_expected(self.address)

    async def close(self) -> None:
        """Take nothing more in; safe twice."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _log(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if body is not None:
            headers = [(name.lower(), value) for name, value in request.headers.items()]
            self._ingest.take(read_log(headers, body, os.urandom(16), self._clock.now(), self._model))
        return web.Response()

    async def _rows(self, request: web.Request) -> web.Response:
        dropped = _count(request, DROPPED_HEADER)
        if dropped:
            self._events.rows_dropped_by_sender(dropped)
        records = max(1, _count(request, RECORDS_HEADER))
        body = await self._read(request, records)
        try:
            for record in read_batch(body or b""):
                self._ingest.take(record)
        except UnreadableRowsError as error:
            self._ingest.lose("unreadable", records)
            return web.Response(status=400, text=f"{error}\n")
        return web.Response()

    async def _read(self, request: web.Request, records: int = 1) -> bytes | None:
        """The body; None when there is no room for it, which is then counted."""
        pieces: list[bytes] = []
        size, reason = 0, ""
        try:
            async for piece in request.content.iter_any():
                if reason:
                    continue
                size += len(piece)
                self._reading_bytes += len(piece)
                pieces.append(piece)
                reason = self._refusal(size)
                if reason:
                    pieces.clear()
                    self._reading_bytes -= size
        finally:
            if not reason:
                self._reading_bytes -= size
        if reason:
            self._ingest.lose(reason, records)
        return None if reason else b"".join(pieces)

    def _refusal(self, size: int) -> str:
        if size > self._body_bytes:
            return "too_large"
        return "queue_full" if self._reading_bytes > self._all_bytes else ""


def _count(request: web.Request, header: str) -> int:
    """What a sender says there; 0 where it says no number."""
    text = request.headers.get(header, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
