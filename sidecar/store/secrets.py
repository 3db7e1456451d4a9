"""Secrets at rest: encrypted with the key in the data folder, known to everyone else by a reference.

Promises that a plaintext is never in the database, a log or a repr. A reference is a keyed hash of its plaintext, so
that giving the same secret twice keeps one row, and nobody without the key can tell what a reference stands for. The
library that encrypts is 6 MiB: it is imported when there is something to encrypt, and a key is made and checked by its
shape alone.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy import select

from sidecar.errors import ConfigurationError, PermanentError, Problem, TransientError
from sidecar.kit.files import write_whole
from sidecar.store.database import Database
from sidecar.store.insert import insert_new
from sidecar.store.tables import SECRET

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_FILE = "secret.key"
_KEY_BYTES = 32
_REFERENCE_BYTES = 12
REFERENCE = re.compile(r"[a-z]+-[0-9a-f]{24}")
"""What every reference looks like, and hardly a secret that someone pasted."""
_OWNER_ONLY = 0o600


def load_key(data: Path) -> bytes:
    """The key in `data`/secret.key, made on first use. Whoever calls holds the data folder's lock.

    A file that others may read is closed to them: a volume's `fsGroup` opens every file to the group at each start,
    so refusing would stop the pod for ever. Raises ConfigurationError when it cannot be closed or is no key.
    """
    path = data / KEY_FILE
    if not path.exists():
        write_whole(path, base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)), _OWNER_ONLY)
    _close_to_others(path)
    key = path.read_bytes().strip()
    if not _is_key(key):
        message = "is no key: restore it, or delete it and give every secret again"
        raise ConfigurationError(Problem(message, file=str(path)))
    return key


def _is_key(content: bytes) -> bool:
    """True of what `Fernet` takes: 32 bytes in URL-safe base64. Source: the Fernet specification."""
    try:
        return len(base64.urlsafe_b64decode(content)) == _KEY_BYTES
    except ValueError:
        return False


def _close_to_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return
    try:
        path.chmod(_OWNER_ONLY)
    except OSError as error:
        message = f"others may read it (mode {mode:o}) and user {os.getuid()} cannot change that: chmod 600 it"
        raise ConfigurationError(Problem(message, file=str(path))) from error


class Secrets:
    """Keeps secrets by reference. Every method raises TransientError when the database fails."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key
        self._hash_key = hashlib.blake2b(key, digest_size=32, person=b"reference").digest()

    @functools.cached_property
    def _fernet(self) -> Fernet:
        from cryptography.fernet import Fernet

        return Fernet(self._key)

    async def add(self, plaintext: str, prefix: str = "key") -> str:
        """Keep a secret and give its reference: the same one whenever the same secret is given."""
        reference = self._reference_of(plaintext, prefix)
        ciphertext = self._fernet.encrypt(plaintext.encode())
        row = {"id": reference, "ciphertext": ciphertext, "created_at": time.time()}
        try:
            await self._database.write(lambda connection: insert_new(connection, SECRET, [row]))
        except sqlalchemy.exc.DBAPIError as error:
            raise TransientError("a secret could not be stored: the database failed") from error
        return reference

    async def reveal(self, reference: str) -> str | None:
        """The secret behind a reference, None when there is no such reference.

        Raises PermanentError when it was encrypted with another key.
        """
        ciphertext = await self._ciphertext(reference)
        if ciphertext is None:
            return None
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(ciphertext).decode()
        except InvalidToken:
            message = f"secret {reference} was encrypted with another {KEY_FILE}: give it again"
            raise PermanentError(message) from None

    async def is_known(self, reference: str) -> bool:
        return await self._ciphertext(reference) is not None

    def _reference_of(self, plaintext: str, prefix: str) -> str:
        content = plaintext.encode()
        digest = hashlib.blake2b(content, digest_size=_REFERENCE_BYTES, key=self._hash_key)
        return f"{prefix}-{digest.hexdigest()}"

    async def _ciphertext(self, reference: str) -> bytes | None:
        statement = select(SECRET.c.ciphertext).where(SECRET.c.id == reference)
        try:
            return await self._database.read(lambda connection: connection.execute(statement).scalar_one_or_none())
        except sqlalchemy.exc.DBAPIError as error:
            # Not naming it: what is asked for may be a secret that someone pasted where a reference goes.
            raise TransientError("a secret could not be read: the database failed") from error
