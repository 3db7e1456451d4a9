"""Secrets that stand outside of this product: in an environment variable or a file, read when they are needed.

Promises that no error tells a secret.
"""

from __future__ import annotations

import os
from pathlib import Path


def read_secret(env: str, file: str) -> str:
    """What stands in the environment variable `env`, or in `file` when one is named; without the space around it.

    Blocking. Raises OSError, or ValueError when there is nothing or no text.
    """
    place = f"file {file}" if file else f"environment variable {env}"
    content = Path(file).read_bytes() if file else os.environb.get(env.encode(), b"")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{place} holds no text in UTF-8") from None
    if not secret:
        raise ValueError(f"{place} holds no secret: set it")
    return secret


def fits_a_header(secret: str) -> bool:
    """True if an HTTP header can carry it."""
    return secret.isascii() and secret.isprintable()


def why_unread(error: OSError | ValueError) -> str:
    """What `read_secret` found wrong, for a person."""
    if isinstance(error, OSError):
        return f"file {error.filename} cannot be read: {error.strerror}"
    return str(error)
