"""`sidecar status`: the ledger of a running sidecar, read over its admin API."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from sidecar.errors import SidecarError
from sidecar.settings import Address, Settings

VERDICTS = ("matched", "filtered", "delivered", "dead", "dropped", "pending")
TIMEOUT_SECONDS = 10.0


def status(settings: Settings) -> int:
    """Print both sums and a row a collector; exit 0 when a sidecar answered, 1 when none did."""
    try:
        ledger = _get(settings, "/v1/ledger")
    except SidecarError as error:
        sys.stderr.write(f"sidecar: {error}\n")
        return 1
    console = Console()
    console.print(exchanges_table(ledger["exchanges"]))
    console.print()
    console.print(jobs_table(ledger))
    return 0


class _Connection(http.client.HTTPConnection):
    """To the admin address, also where it is a Unix socket."""

    def __init__(self, address: Address) -> None:
        super().__init__(address.host or "localhost", address.port or None, timeout=TIMEOUT_SECONDS)
        self._path = address.path

    def connect(self) -> None:
        if not self._path:
            return super().connect()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        return self.sock.connect(self._path)


def _get(settings: Settings, path: str) -> dict[str, Any]:
    """The answer to `path`. Raises SidecarError, which says what to do."""
    connection = _Connection(settings.admin)
    headers = {"Authorization": f"Key {settings.admin_token}"} if settings.admin_token else {}
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        message = f"no sidecar answers at {settings.admin}: {error}. Is it running? Name its admin address with --admin"
        raise SidecarError(message) from error
    finally:
        connection.close()
    if response.status == http.client.UNAUTHORIZED:
        raise SidecarError(f"the sidecar at {settings.admin} wants its token: set SIDECAR_ADMIN_TOKEN")
    return _read(content, settings.admin)


def _read(content: bytes, address: Address) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not {"exchanges", "total", "reasons", "collectors"} <= answer.keys():
        raise SidecarError(f"what answers at {address} is no sidecar's admin API: name its address with --admin")
    return answer


def exchanges_table(exchanges: Mapping[str, Any]) -> Table:
    table = _table("Exchanges, since the relay's start")
    columns = ("seen", "unwanted", "taken", "lost", "open")
    for name in columns:
        table.add_column(name, justify="right", min_width=9)
    counts = {**exchanges, "lost": sum(exchanges["lost"].values())}
    table.add_row(*(f"{counts[name]:,}" for name in columns))
    table.caption = _list_reasons("lost", exchanges["lost"])
    return table


def jobs_table(ledger: Mapping[str, Any]) -> Table:
    """A row a collector, the total, and why inputs were filtered, dropped, died or wait."""
    table = _table("Inputs, by collector")
    table.show_footer = True
    table.add_column("collector", footer="total", min_width=16, overflow="fold")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right", min_width=8, footer=f"{ledger['total'][verdict]:,}")
    for key, counts in sorted(ledger["collectors"].items()):
        table.add_row(key, *(f"{counts[verdict]:,}" for verdict in VERDICTS))
    said = (_list_reasons(verdict, ledger["reasons"].get(verdict, {})) for verdict in VERDICTS)
    table.caption = "\n".join(filter(None, said))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False)


def _list_reasons(verdict: str, reasons: Mapping[str, int]) -> str:
    """`dropped: no_output 4, disk_full 1`; blank where no reason has a count."""
    said = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()) if reason and count)
    return f"{verdict}: {said}" if said else ""
