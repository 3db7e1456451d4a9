"""The certificates with which a destination is called, from the files that its options name.

Promises that a file which was replaced is read again, so that a renewed certificate just works. Does file I/O, in a
thread.
"""

from __future__ import annotations

import asyncio
import os
import ssl

from sidecar.delivery.outcome import Retry

_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """An authority's certificate, and a client's with its key; blank paths mean the system's, and none."""

    def __init__(self, ca_file: str, certificate_file: str, key_file: str) -> None:
        self._ca_file = ca_file
        self._certificate_file = certificate_file
        self._key_file = key_file
        self._files = [path for path in (ca_file, certificate_file, key_file) if path]
        self._stamp: _Stamp = ()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext | Retry | None:
        """What to connect with; None when no file is named. A file that cannot be read may still come."""
        if not self._files:
            return None
        try:
            return await asyncio.to_thread(self._read)
        except ssl.SSLError as error:
            return Retry("certificate_unreadable", f"the certificates cannot be used: {error.reason or error}")
        except OSError as error:
            return Retry("certificate_unreadable", f"{error.filename or 'a certificate'}: {error.strerror}")

    def _read(self) -> ssl.SSLContext:
        stamp = tuple(_stamp(path) for path in self._files)
        if self._context is None or stamp != self._stamp:
            context = ssl.create_default_context(cafile=self._ca_file or None)
            if self._certificate_file:
                context.load_cert_chain(self._certificate_file, self._key_file or None, _no_password)
            self._context, self._stamp = context, stamp
        return self._context


def _stamp(path: str) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - as short as its neighbours
    return status.st_mtime_ns, status.st_size, status.st_ino


def _no_password() -> str:
    """Else OpenSSL would ask at the terminal for that of an encrypted key."""
    return ""
