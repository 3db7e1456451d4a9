"""Rows to the sidecar: batches over HTTP on one connection that stays open, to a port or a Unix socket.

A batch is two lines of JSON a record: what is known about it, and its rows, so that whoever receives it need not read
the rows. Goes to the address it was given and through no proxy, whatever the environment says.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - else imported by the first connection to a host
import http.client
import json
import socket
from typing import Any

from sidecar.datacollector.record import Record
from sidecar.datacollector.sink import RefusedError, Sink

PATH = "/modeldata/rows"
MEDIA_TYPE = "application/x-ndjson"
_TIMEOUT_SECONDS = 5.0
_INFINITIES = (float("inf"), float("-inf"))


class ToSidecar(Sink):
    """One sidecar; `port` is 0 where `host` is the path of a Unix socket."""

    def __init__(self, address: str, host: str, port: int) -> None:
        self._address = address
        self._host = host
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def __str__(self) -> str:
        return "the sidecar at " + self._address

    def forget(self) -> None:
        self._connection = None

    def write(self, records: list[Record], dropped: int) -> None:
        """Send `records` in one request."""
        body = "".join([_lines(record) for record in records]).encode("utf-8", "replace")
        headers = {"Content-Type": MEDIA_TYPE, "X-Records": str(len(records)), "X-Records-Dropped": str(dropped)}
        is_fresh = self._connection is None
        try:
            try:
                status = self._post(body, headers)
            except (OSError, http.client.HTTPException):
                if is_fresh:
                    raise
                self._close()  # an idle connection that the other end had closed meanwhile
                status = self._post(body, headers)
        except http.client.HTTPException as error:
            self._close()
            raise OSError(f"no answer: {error!r}") from error
        except OSError:
            self._close()
            raise
        if status >= 500:
            raise OSError(f"it answered {status}")
        if status >= 400:
            raise RefusedError(f"it answered {status}")

    def _post(self, body: bytes, headers: Any) -> int:  # noqa: ANN401 - a mapping; http.client's own type is its secret
        connection = self._connection = self._connection or self._connect()
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(
            self._host if self._port else "localhost", self._port or 80, timeout=_TIMEOUT_SECONDS
        )
        if not self._port:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_TIMEOUT_SECONDS)
            connection.sock.connect(self._host)
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _lines(record: Record) -> str:
    identity, correlation, table = record.identity, record.correlation, record.table
    head = {
        "id": record.id,
        "time": correlation.seconds,
        "model": identity.model_name,
        "model_id": identity.model_id,
        "version": identity.model_version,
        "webservice": identity.webservice,
        "identifier": record.identifier,
        "designation": record.designation,
        "correlation_id": correlation.correlation_id,
        "request_id": correlation.request_id,
    }
    content = {"columns": table.columns, "rows": table.rows}
    try:
        rows = json.dumps(content, allow_nan=False)
    except ValueError:  # a number that JSON cannot write is null, as pandas writes it
        rows = json.dumps({**content, "rows": [[_finite(cell) for cell in row] for row in table.rows]})
    return f"{json.dumps(head)}\n{rows}\n"


def _finite(cell: Any) -> Any:  # noqa: ANN401 - any cell
    return None if isinstance(cell, float) and (cell != cell or cell in _INFINITIES) else cell
