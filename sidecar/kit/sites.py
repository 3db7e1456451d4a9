"""Opens an address for one of aiohttp's servers and says where it really is: port 0 takes any free one."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from sidecar.kit.addresses import Address


async def listen(runner: web.BaseRunner, address: Address) -> str:
    """Start serving `runner` at `address`; gives the bound address as people write it. Raises OSError."""
    if address.path:
        await web.UnixSite(runner, address.path).start()
        return str(address)
    await web.TCPSite(runner, address.host, address.port).start()
    host, port = runner.addresses[0][:2]
    return str(Address(host, port))


def open_to_all(path: str) -> None:
    """Let every user connect to the Unix socket `path`: who may come near it is told by its folder."""
    Path(path).chmod(0o666)
