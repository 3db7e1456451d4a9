"""Certificates that have ended or soon will: said by `sidecar check`, and in the log at the engine's start.

Not by the relay, which shows them: reading dates out of certificates takes a library that is larger than the relay's
own code, and a certificate that has ended still lets traffic pass where clients do not mind.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.errors import Problem
from sidecar.proxy.certificates import listener_files, upstream_files
from sidecar.settings import Settings

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SOON = datetime.timedelta(days=7)


def ending_certificates(settings: Settings, now: datetime.datetime) -> list[Problem]:
    """One for each file that holds a certificate which is not, or for less than `SOON`, in force; those that cannot be
    read are other faults."""
    pems = [pem for files in (listener_files(settings), upstream_files(settings)) for pem in files or ()]
    return [
        Problem(said, field=pem.field)
        for pem in pems
        if pem is not None and (said := next(_said_of(pem.path, now), ""))
    ]


def _said_of(path: Path, now: datetime.datetime) -> Iterator[str]:
    for certificate in _certificates_in(path):
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now > ends:
            yield f"{path} holds a certificate that ended on {ends:%Y-%m-%d %H:%M} UTC: renew it"
        elif now < begins:
            yield f"{path} holds a certificate that begins only on {begins:%Y-%m-%d %H:%M} UTC"
        elif now > ends - SOON:
            yield f"{path} holds a certificate that ends on {ends:%Y-%m-%d %H:%M} UTC: renew it"


def _certificates_in(path: Path) -> list[Certificate]:
    from cryptography import x509  # 6 MiB, for those who show certificates

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):  # or a file of a key alone
        return []
