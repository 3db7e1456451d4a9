"""Clients of the running product that hold their connections, and which of its processes serves each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from support.relay_end import read_request

BODY = b'{"instances":[[1]]}'
ESTABLISHED = "01"


def request(caller: str = "", instance: int = 1) -> bytes:
    body = b'{"instances":[[%d]]}' % instance
    named = f"X-Caller-Id: {caller}\r\n".encode() if caller else b""
    return b"POST /v1/models/digits:predict HTTP/1.1\r\nHost: m\r\n%sContent-Length: %d\r\n\r\n%s" % (
        named, len(body), body,
    )  # fmt: skip


class Client:
    """One connection to the product's address, a port of this machine or a Unix socket's path."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def of(cls, place: int | Path) -> Self:
        if isinstance(place, Path):
            return cls(*await asyncio.open_unix_connection(place))
        return cls(*await asyncio.open_connection("127.0.0.1", place))

    @property
    def port(self) -> int:
        return int(self._writer.get_extra_info("sockname")[1])

    def ask(self, caller: str = "", instance: int = 1) -> None:
        self._writer.write(request(caller, instance))

    async def answer(self) -> bytes:
        """The whole answer. Raises ConnectionError or IncompleteReadError when the connection ends before."""
        answer = await read_request(self.reader)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        return answer

    async def predict(self, caller: str = "", instance: int = 1) -> bytes:
        self.ask(caller, instance)
        return await self.answer()

    def leave(self) -> None:
        self._writer.close()


def who_serves(port: int, pids: Iterable[int]) -> dict[int, int]:
    """The process among `pids` that serves each connection to `port`, by the client's port."""
    sockets = {inode: pid for pid in pids for inode in _sockets_of(pid)}
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *rest = line.split()
        if state == ESTABLISHED and _port(local) == port and rest[5] in sockets:
            found[_port(remote)] = sockets[rest[5]]
    return found


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _sockets_of(pid: int) -> list[str]:
    links = (str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    return [link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")]


class Deaths:
    """When each of some processes ended, heard from the system."""

    def __init__(self, pids: Iterable[int]) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._ended = {pid: loop.create_future() for pid in pids}
        self._handles = {pid: os.pidfd_open(pid) for pid in self._ended}
        for pid, handle in self._handles.items():
            loop.add_reader(handle, self._heard, pid)

    def _heard(self, pid: int) -> None:
        handle = self._handles.pop(pid)
        self._loop.remove_reader(handle)
        os.close(handle)
        self._ended[pid].set_result(self._loop.time())

    async def of(self, pid: int) -> float:
        """The moment when `pid` had ended, on the loop's clock."""
        moment: float = await asyncio.wait_for(self._ended[pid], 30)
        return moment

    async def of_all(self) -> None:
        for pid in self._ended:
            await self.of(pid)
