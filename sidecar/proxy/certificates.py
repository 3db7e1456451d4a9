"""Certificates, keys and authorities in files: checked at the start, and read again when they were renewed.

Whoever renews them (Kubernetes, cert-manager) writes the files anew, and the next handshake has the new ones. Files
that cannot be used then change nothing: the last good ones stay. Nothing here knows a password: a key is protected by
its file's mode.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sidecar.errors import ConfigurationError, Problem
from sidecar.events import Events
from sidecar.kit.clock import Clock
from sidecar.settings import Settings

LOOK_SECONDS = 1.0
"""Files are looked at no more often than that."""


class Pem(NamedTuple):
    """A file, and the setting that names it."""

    path: Path
    field: str


class Files(NamedTuple):
    """The files of one side: what we show, and by what we judge the other end."""

    cert: Pem | None
    key: Pem | None
    authorities: Pem | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(pem.path for pem in self if pem is not None)


def listener_files(settings: Settings) -> Files | None:
    """None: clients are served without TLS."""
    if settings.tls_cert is None:
        return None
    return Files(
        Pem(settings.tls_cert, "--tls-cert"),
        _pem(settings.tls_key, "--tls-key"),
        _pem(settings.tls_client_ca, "--tls-client-ca"),
    )


def upstream_files(settings: Settings) -> Files | None:
    """None: the model server is spoken to without TLS."""
    if not settings.upstream.is_tls:
        return None
    return Files(
        _pem(settings.upstream_cert, "--upstream-cert"),
        _pem(settings.upstream_key, "--upstream-key"),
        _pem(settings.upstream_ca, "--upstream-ca"),
    )


def _pem(path: Path | None, field: str) -> Pem | None:
    return None if path is None else Pem(path, field)


def listener_context(files: Files, alpn: Sequence[str]) -> ssl.SSLContext:
    """For clients. Raises ConfigurationError with every fault of the files."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    if files.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(list(alpn))
    return context


def upstream_context(files: Files) -> ssl.SSLContext:
    """For the model server, whose certificate is always verified. Raises ConfigurationError likewise."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    if files.authorities is None:
        context.load_default_certs()
    return context


def check_certificates(settings: Settings) -> None:
    """Raises ConfigurationError with every fault of every file that the settings name."""
    problems: list[Problem] = []
    for files in (listener_files(settings), upstream_files(settings)):
        try:
            if files is not None:
                _context(ssl.PROTOCOL_TLS_CLIENT, files)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)


def _context(side: int, files: Files) -> ssl.SSLContext:
    problems = [problem for pem in files if pem is not None and (problem := _unreadable(pem))]
    if problems:
        raise ConfigurationError(problems)
    context = ssl.SSLContext(side)
    context.options |= ssl.OP_NO_RENEGOTIATION  # while one is going on nothing could be written
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority may be given without the one above it
    if files.cert is not None:
        problems += _load_identity(context, files.cert, files.key or files.cert)
    if files.authorities is not None:
        problems += _load_authorities(context, files.authorities)
    if problems:
        raise ConfigurationError(problems)
    return context


def _unreadable(pem: Pem) -> Problem | None:
    try:
        pem.path.read_bytes()
    except OSError as error:
        return Problem(f"{pem.path} cannot be read: {error.strerror}", field=pem.field)
    return None


class _EncryptedError(Exception):
    """A key asks for its password, which the library would ask of whoever sits at the terminal."""


def _refuse_password() -> str:
    raise _EncryptedError


def _load_identity(context: ssl.SSLContext, cert: Pem, key: Pem) -> list[Problem]:
    try:
        context.load_cert_chain(cert.path, key.path, _refuse_password)
    except _EncryptedError:
        message = f"the key in {key.path} is encrypted: write it without a password, readable by this user alone"
        return [Problem(message, field=key.field)]
    except ssl.SSLError as error:
        return [_unusable_identity(cert, key, error)]
    return []


def _unusable_identity(cert: Pem, key: Pem, error: ssl.SSLError) -> Problem:
    if error.reason == "KEY_VALUES_MISMATCH":
        return Problem(f"the key in {key.path} is not that of the certificate in {cert.path}", field=key.field)
    if b"-----BEGIN CERTIFICATE-----" not in cert.path.read_bytes():
        return Problem(f"{cert.path} holds no certificate in PEM", field=cert.field)
    if b"PRIVATE KEY-----" not in key.path.read_bytes():
        return Problem(f"{key.path} holds no private key in PEM", field=key.field)
    return Problem(f"{cert.path} and {key.path} cannot be used: {error.reason or 'damaged'}", field=cert.field)


def _load_authorities(context: ssl.SSLContext, authorities: Pem) -> list[Problem]:
    try:
        context.load_verify_locations(authorities.path)
    except ssl.SSLError:
        return [Problem(f"{authorities.path} holds no certificate in PEM", field=authorities.field)]
    return []


class RenewedContext:
    """One side's context for the next handshake. The first is made at once: raises ConfigurationError."""

    def __init__(self, make: Callable[[], ssl.SSLContext], paths: Sequence[Path], events: Events, clock: Clock) -> None:
        self._make = make
        self._paths = paths
        self._events = events
        self._clock = clock
        self._seen = _marks_of(paths)
        self._context = make()
        self._look_at = clock.monotonic() + LOOK_SECONDS

    def current(self) -> ssl.SSLContext:
        """Costs a look at the files once in `LOOK_SECONDS`, and reading them when they were changed."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            seen = _marks_of(self._paths)
            if seen != self._seen:
                self._seen = seen
                self._renew()
        return self._context

    def _renew(self) -> None:
        problem: ConfigurationError | OSError | None = None
        try:
            self._context = self._make()
        except (ConfigurationError, OSError) as error:
            problem = error
        with contextlib.suppress(Exception):  # a log that cannot be written must not hurt anybody
            if problem is None:
                self._events.certificates_renewed([str(path) for path in self._paths])
            else:
                self._events.certificates_unusable(problem)


def listener_tls(settings: Settings, events: Events, clock: Clock) -> RenewedContext | None:
    """None: clients are served without TLS. Raises ConfigurationError."""
    files = listener_files(settings)
    if files is None:
        return None
    return RenewedContext(partial(listener_context, files, settings.alpn), files.paths, events, clock)


def upstream_tls(settings: Settings, events: Events, clock: Clock) -> RenewedContext | None:
    """None: the model server is spoken to without TLS. Raises ConfigurationError."""
    files = upstream_files(settings)
    if files is None:
        return None
    return RenewedContext(partial(upstream_context, files), files.paths, events, clock)


def _marks_of(paths: Sequence[Path]) -> list[tuple[int, ...]]:
    """What differs once a file was written again, or another one put in its place."""
    marks: list[tuple[int, ...]] = []
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            marks.append(())
        else:
            marks.append((found.st_ino, found.st_size, found.st_mtime_ns))
    return marks
