"""A client's connection to a model that speaks TLS: how its ends are told from those of a plain one.

Most servers take `close_notify` for the client's leaving and drop their answer, so a client's FIN waits while an answer
is owed. And a model that ends without `close_notify` while one is open has cut it: a reset, as nothing else would show
it where the end of the connection is the end of the answer.
"""

from __future__ import annotations

import asyncio
from typing import cast

from sidecar.proxy.relay import Downstream, Relay, Upstream
from sidecar.proxy.sockets import pass_fin, reset
from sidecar.proxy.tls import TlsConnection


class TlsUpstream(Upstream):
    """Where nobody can tell whether an answer is owed, as on a connection that is not read, FIN is passed at once."""

    __slots__ = ("_has_passed_fin", "_tls")

    def __init__(self, relay: Relay, downstream: Downstream) -> None:
        super().__init__(relay, downstream)
        self._has_passed_fin = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tls = cast("TlsConnection", transport)
        super().connection_made(transport)

    def client_ended(self) -> None:
        if not self._has_passed_fin and not self.downstream.watch.owes_answer:
            self._has_passed_fin = True
            pass_fin(self.transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.downstream.has_fin:
            self.client_ended()

    def eof_received(self) -> bool:
        if self._tls.was_cut and not self.downstream.watch.is_idle:
            reset(self.transport)
            self.downstream.upstream_lost(ConnectionResetError("the model cut the connection"))
            return True
        return super().eof_received()
