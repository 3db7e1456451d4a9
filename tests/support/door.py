"""The door of a server: closed, nobody listens on its port; opened again, it is the same port."""

from __future__ import annotations

import ssl

from aiohttp import web


class Door:
    """Of a server that has been set up, on 127.0.0.1; the port is any free one."""

    def __init__(self, runner: web.AppRunner, tls: ssl.SSLContext | None = None) -> None:
        self._runner = runner
        self._tls = tls
        self._port = 0

    @property
    def is_open(self) -> bool:
        return bool(self._runner.sites)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    async def open(self) -> None:
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Connections that stand are left standing."""
        for site in list(self._runner.sites):
            await site.stop()
