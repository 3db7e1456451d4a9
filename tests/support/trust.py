"""Who trusts whom in the tests of TLS, and a relay with TLS on both sides."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from support.certificates import Authority, Identity
from support.relay_end import RelayEnd, Serve, relay_running

HOSTS = ("127.0.0.1", "::1", "localhost")


class Trust(NamedTuple):
    """An authority and whom it knows, and a stranger with an authority of his own."""

    authority: Authority
    server: Identity
    client: Identity
    stranger: Authority
    strange: Identity

    @property
    def listener(self) -> dict[str, Any]:
        """Settings of a relay that clients reach over TLS."""
        return {"tls_cert": self.server.cert, "tls_key": self.server.key}

    def model(self, *, needs_client: bool = False, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """What a model server listens with."""
        return self.authority.server(self.server, needs_client=needs_client, alpn=alpn)


def make_trust(folder: Path) -> Trust:
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    server, client = authority.sign("server", *HOSTS), authority.sign("client")
    return Trust(authority, server, client, stranger, stranger.sign("strange", *HOSTS))


@contextlib.asynccontextmanager
async def tls_both(trust: Trust, serve: Serve | None, **settings: Any) -> AsyncIterator[RelayEnd]:
    """A relay with TLS on both sides, unless `settings` say otherwise."""
    settings = {**trust.listener, "model_tls": trust.model(), "upstream_ca": trust.authority.path, **settings}
    async with relay_running(serve, **settings) as end:
        yield end


async def ask(end: RelayEnd, said: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Send `said`, and read until the relay ends the connection."""
    reader, writer = await end.connect(context)
    writer.write(said)
    try:
        return await asyncio.wait_for(reader.read(-1), 10)
    finally:
        writer.close()
