"""TLS over a transport of the loop: to the relay a transport like any other, with FIN both ways and no own buffer.

`close_notify` is to TLS what FIN is without: it ends one direction and leaves the other open. The loops' own TLS drops
what is written after the peer's, and is therefore not used. What is written goes at once, encrypted, to the transport
below, whose buffer and limits are the only ones. A connection that ends without `close_notify` was cut: `was_cut` says
so, as an answer that ends there may not be whole. The connection below is closed only when the other end has ended too,
or has had the time: some libraries drop what they have not handed on yet when FIN follows at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any, Protocol, cast

from sidecar.proxy.carried import CarriedTransport

HANDSHAKE_SECONDS = 10.0
"""Who does not finish a handshake, or does not read why it was refused, holds a descriptor no longer than that."""
LINGER_SECONDS = 5.0
"""How long the other end of a closed connection may take to end it too."""
_RECORD_BYTES = 16 * 1024
"""The most that a TLS record holds; one read gives one record."""


class Greeter(Protocol):
    """Who follows the handshakes of one side."""

    def greeted(self, connection: TlsConnection) -> None:
        """The handshake is done; the protocol above is connected next. Raises OSError to refuse what was agreed."""

    def failed(self, connection: TlsConnection, error: OSError) -> None:
        """TLS has broken, in the handshake or later. In the handshake: the protocol above never hears of it."""


def told(error: OSError) -> str:
    """What went wrong, without the places in the library's source that its own text names."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or type(error).__name__).replace('_', ' ').lower()}"
    return str(error)


class TlsConnection(asyncio.Protocol, CarriedTransport):
    """Both faces of one TLS connection: the protocol of the transport below, the transport of the protocol above."""

    __slots__ = (
        "_above",
        "_error",
        "_greeter",
        "_has_ended",
        "_has_heard_end",
        "_incoming",
        "_is_closing",
        "_is_connected",
        "_is_shaking",
        "_outgoing",
        "_timer",
        "_tls",
        "was_cut",
    )

    def __init__(
        self,
        above: asyncio.BaseProtocol,
        context: ssl.SSLContext,
        greeter: Greeter,
        *,
        server_name: str | None = None,
    ) -> None:
        """`server_name`: who is called, and what its certificate must say; None on the side that is called."""
        super().__init__()
        self._above = cast("asyncio.Protocol", above)
        self._greeter = greeter
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._timer: asyncio.TimerHandle | None = None
        self._is_shaking = True
        self._is_connected = self._is_closing = self._has_ended = self._has_heard_end = False
        self._error: OSError | None = None
        self.was_cut = False
        """The other end's FIN came without `close_notify`."""

    @property
    def agreed(self) -> str | None:
        """The protocol that both ends agreed on (ALPN)."""
        return self._tls.selected_alpn_protocol()

    # the protocol of the transport below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast("asyncio.Transport", transport)
        self._wait(HANDSHAKE_SECONDS, self._break, TimeoutError("the TLS handshake took too long"))
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._is_shaking:
            self._shake_hands()
        if self._is_connected and self._error is None:
            self._read()

    def eof_received(self) -> bool:
        if self._is_shaking:
            self._break(ConnectionResetError("closed during the TLS handshake"))
        elif self._error is None and not self._has_heard_end:
            self.was_cut = True
            self._hear_end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_shaking:
            self._is_shaking = False
            self._greeter.failed(self, ConnectionResetError("closed during the TLS handshake"))
        self._stop_waiting()
        if self._is_connected:
            self._above.connection_lost(self._error or exc)

    def pause_writing(self) -> None:
        if self._is_connected:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._is_connected:
            self._above.resume_writing()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            self._greeter.greeted(self)
        except ssl.SSLWantReadError:
            self._flush()
        except OSError as error:
            self._flush()
            self._break(error)
        else:
            self._flush()
            self._stop_waiting()
            self._is_shaking, self._is_connected = False, True
            self._above.connection_made(self)

    def _read(self) -> None:
        """Hand on what has come, then say how it ended."""
        pieces: list[bytes] = []
        error = self._decrypt(pieces)
        if self._outgoing.pending:  # an answer of the library's, as to a change of keys, or an alert
            self._flush()
        if pieces and not self._is_closing:
            self._above.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if isinstance(error, ssl.SSLZeroReturnError):
            self._hear_end()
        elif error is not None:
            self._break(error)

    def _decrypt(self, pieces: list[bytes]) -> OSError | None:
        """Fill `pieces`. All is read: where some were left, `close_notify` could not be said (see `unwrap`)."""
        try:
            while self._incoming.pending and not self._has_heard_end:
                piece = self._tls.read(_RECORD_BYTES)
                if not piece:
                    return ssl.SSLZeroReturnError()
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return None
        except OSError as error:
            return error
        return None

    def _hear_end(self) -> None:
        if not self._has_heard_end:
            self._has_heard_end = True
            if self._is_closing:
                self._below.close()
            elif not self._above.eof_received():
                self.close()

    def _break(self, error: OSError) -> None:
        """What was said to the other end last, an alert, still goes out."""
        self._is_shaking = False
        self._error = error if isinstance(error, ConnectionError | TimeoutError) else ConnectionResetError(told(error))
        self._stop_waiting()
        self._wait(LINGER_SECONDS, self._below.abort)
        self._below.close()
        self._greeter.failed(self, error)

    def _wait(self, seconds: float, then: Any, *arguments: object) -> None:  # noqa: ANN401 - what `call_later` takes
        self._timer = asyncio.get_running_loop().call_later(seconds, then, *arguments)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        if not self._has_ended and not self._below.is_closing():
            self._below.write(self._outgoing.read())

    # the transport of the protocol above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing() or self._error is not None:
            return
        if self._has_ended:
            raise RuntimeError("nothing can be written after write_eof")
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]
        self._flush()

    def write_eof(self) -> None:
        """Say `close_notify`; what the other end still says is heard."""
        self._end()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """Say `close_notify`, write what is still to be written, and hear no more."""
        if self.is_closing():
            return
        self._is_closing = True
        self._end()
        if self._has_heard_end:
            self._below.close()
        else:
            self._below.resume_reading()
            self._wait(LINGER_SECONDS, self._below.close)

    def _end(self) -> None:
        if not self._has_ended and self._error is None:
            with contextlib.suppress(ssl.SSLError):  # it would rather wait for the other end's
                self._tls.unwrap()
            self._flush()
            self._has_ended = True

    def is_closing(self) -> bool:
        return self._is_closing or self._below.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._above = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._above

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the loops have it
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        return super().get_extra_info(name, default)
