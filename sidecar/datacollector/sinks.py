"""Where rows go, by the text of the address: to a sidecar, to files, or to the screen.

What a sink needs is imported when a script makes its first collector, not when it imports us.
"""

from __future__ import annotations

import sys

from sidecar.datacollector.correlations import rfc3339
from sidecar.datacollector.identity import Switches
from sidecar.datacollector.record import Record
from sidecar.datacollector.sink import Sink

_FILE, _UNIX, _HTTP = "file:", "unix:", "http://"


def open_sink(switches: Switches) -> Sink:
    """The sink that `switches` name. Raises ValueError for what is no address."""
    if switches.prints:
        return _Screen()
    address = switches.address
    if not address or address.startswith(_FILE):
        from sidecar.datacollector.files import Files

        return Files(address[len(_FILE) :], by_hour=switches.by_hour)
    from sidecar.datacollector.to_sidecar import ToSidecar

    return ToSidecar(address, *_split(address))


class _Screen(Sink):
    def __str__(self) -> str:
        return "the screen"

    def write(self, records: list[Record], dropped: int) -> None:
        for record in records:
            when = record.correlation
            place = f"{record.identity.model_name} {record.identifier} {when.correlation_id or '-'}"
            for row in record.table.rows:
                sys.stdout.write(f"{rfc3339(when.seconds)} {place} {dict(zip(record.table.columns, row))}\n")
        sys.stdout.flush()


def _split(address: str) -> tuple[str, int]:
    """Host and port; a Unix socket's path has port 0."""
    if address.startswith(_UNIX):
        return address[len(_UNIX) :], 0
    text = address[len(_HTTP) :] if address.startswith(_HTTP) else address
    host, _, port = text.rstrip("/").rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"SIDECAR_MDC: {address!r} is not host:port, unix:/path or file:/folder")
    return host.strip("[]") or "127.0.0.1", int(port)
