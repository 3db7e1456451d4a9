"""Takes the address at which clients come in, for one relay or for several that share it.

On Linux each relay has sockets of its own on one port, and the system spreads new connections over them. All are bound
here, by the first relay, which keeps them: who waits in the queue of a relay that died is still served. Where ports
are not shared so, and for a Unix socket, all relays accept from the same socket.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import stat
import sys
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import ConfigurationError, Problem
from sidecar.kit.addresses import Address

Sockets = tuple[socket.socket, ...]
_NOT_HERE = (errno.EADDRNOTAVAIL,)
"""A name may mean an address that this machine lacks: `localhost` often has ::1 where IPv6 is off."""


class Places(NamedTuple):
    """Where relays listen: each one's sockets, one for each address of the host."""

    address: Address
    """The port is the bound one."""
    sockets: tuple[Sockets, ...]
    is_shared: bool
    """Each relay's are the same sockets under other descriptors."""

    def close(self) -> None:
        """Safe twice."""
        for sockets in self.sockets:
            for each in sockets:
                each.close()


def bind_places(address: Address, relays: int) -> Places:
    """Take `address` for that many relays. Raises ConfigurationError when it cannot be had."""
    try:
        if relays > 1 and not address.path and sys.platform == "linux":
            return _bind_side_by_side(address, relays)
        first = bind(address)
    except OSError as error:
        raise ConfigurationError(Problem(f"cannot listen at {address}: {error}", field="--listen")) from error
    others = [tuple(each.dup() for each in first) for _ in range(relays - 1)]
    return Places(_bound_address(address, first), (first, *others), is_shared=True)


def _bind_side_by_side(address: Address, relays: int) -> Places:
    if address.port:
        for alone in bind(address):  # another sidecar of this user on this port would share it with us, unnoticed
            alone.close()
    with contextlib.ExitStack() as on_failure:
        places: list[Sockets] = []
        for _ in range(relays):
            sockets = bind(address, shares_port=True)
            places.append(sockets)
            for each in sockets:
                on_failure.enter_context(each)
            address = _bound_address(address, sockets)
        on_failure.pop_all()
    return Places(address, tuple(places), is_shared=False)


def _bound_address(address: Address, sockets: Sockets) -> Address:
    return address if address.path else Address(address.host, sockets[0].getsockname()[1])


def bind(address: Address, *, shares_port: bool = False) -> Sockets:
    """A socket bound to each address that `address` means and this machine has, on the same port.

    `[::]` means every address of either family. Raises OSError.
    """
    if address.path:
        return (_bound_path(address.path),)
    sockets: list[socket.socket] = []
    port = address.port
    with contextlib.ExitStack() as on_failure:
        found = socket.getaddrinfo(address.host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, protocol, _, place in dict.fromkeys(found):
            one = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM, protocol))
            _set_options(one, shares_port=shares_port, takes_both=address.host == "::")
            try:
                one.bind((place[0], port, *place[2:]))
            except OSError as error:
                one.close()
                if error.errno not in _NOT_HERE or (not sockets and place == found[-1][-1]):
                    raise
            else:
                port = one.getsockname()[1]  # any free one was asked for: the same for every address of the host
                sockets.append(one)
        on_failure.pop_all()
    return tuple(sockets)


def _set_options(unbound: socket.socket, *, shares_port: bool, takes_both: bool) -> None:
    unbound.setblocking(False)
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shares_port:
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if unbound.family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not takes_both)


def _bound_path(path: str) -> socket.socket:
    if stat.S_ISSOCK(_mode(path)):
        _refuse_if_served(path)
        Path(path).unlink()
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.setblocking(False)
        one.bind(path)
    except OSError:
        one.close()
        raise
    return one


def _refuse_if_served(path: str) -> None:
    """Leave another sidecar's socket to it; one that nobody listens at any more was left behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        with contextlib.suppress(ConnectionRefusedError):
            with contextlib.suppress(BlockingIOError):  # somebody listens, and more wait than he can take
                caller.connect(path)
            raise OSError(errno.EADDRINUSE, "Address already in use")


def _mode(path: str) -> int:
    try:
        return Path(path).stat().st_mode
    except (OSError, ValueError):
        return 0
