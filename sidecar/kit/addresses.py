"""Addresses as people write them: `host:port`, `unix:/path` and URLs. Pure, and light: the relay reads some too."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit


class Address(NamedTuple):
    """Where a server listens: a host with a port (0 = any free one), or a Unix socket's path.

    `is_tls` is told by the URL of a server that is called; one of ours has settings of its own for that.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    is_tls: bool = False

    @property
    def is_loopback(self) -> bool:
        return bool(self.path) or is_loopback(self.host)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https://' if self.is_tls else ''}{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """True if `host` can only mean this machine: `localhost.example.org` may be anything."""
    octets = host.removeprefix("::ffff:").split(".")
    is_127 = len(octets) == 4 and octets[0] == "127" and all(octet.isdecimal() for octet in octets)
    return is_127 or host.lower() in ("localhost", "::1")


def parse_address(text: str) -> Address:
    """The address in `text`. Raises ValueError."""
    if text.startswith("unix:"):
        if not text[5:]:
            raise ValueError("write the socket's path after unix:")
        return Address(path=text[5:])
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port or unix:/path")
    return Address(_host(host) or "0.0.0.0", int(port))  # noqa: S104 - what `:9080` is known to mean


def _host(text: str) -> str:
    """A name or an IPv4 address as it is, an IPv6 address out of its brackets. Raises ValueError."""
    if not set(text) & set(":[]"):
        return text
    try:
        ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise ValueError(f"{text!r} is no host") from error
    if not text.startswith("[") or not text.endswith("]"):
        raise ValueError(f"{text!r} is an IPv6 address: write it in brackets, as in [::1]:8080")
    return text[1:-1]


def parse_upstream(text: str) -> Address:
    """The same for `http://host:port` and `https://host:port`, to which requests are passed on as they are.

    Raises ValueError.
    """
    if text.startswith("unix:"):
        return parse_address(text)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError(
            f"{masked(text)!r} is not http://host:port, https://host:port or unix:/path "
            "(no path: requests are passed on as they are)"
        )
    refuse_password(text)
    is_tls = parts.scheme == "https"
    return Address(parts.hostname, parts.port or (443 if is_tls else 80), is_tls=is_tls)


def refuse_password(url: str) -> None:
    """Raise ValueError if `url` holds one: an address is shown, logged and answered, and the password would be too."""
    if "@" in urlsplit(url).netloc:
        raise ValueError(f"{masked(url)!r} must hold no user or password")


def masked(text: str) -> str:
    """`text` without the user and password in its URLs."""
    return re.sub(r"//[^/]*@", "//***@", text)
