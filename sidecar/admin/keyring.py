"""Keys of the admin API: made, renewed and revoked here, kept as hashes, known in memory.

Promises that a token is given out once, by the call that makes it, and is nowhere afterwards; that a change holds for
the next request; and that each change stands in the events, in the same transaction. A token is 256 random bits, so a
plain hash of it tells nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web
from sqlalchemy import Connection, delete, select, update

from sidecar.admin.scopes import Scope, Who, write_scopes
from sidecar.data import Json
from sidecar.errors import ConflictError, NotFoundError
from sidecar.events import Events
from sidecar.kit.clock import Clock, rfc3339
from sidecar.store.audit import Change, who_acts, write_changes
from sidecar.store.database import Database
from sidecar.store.tables import API_KEY

MOST_KEYS = 1000
_TOKEN = re.compile(r"sidecar_([0-9a-f]{12})_[0-9A-Za-z_-]{43}")
_ID_BYTES = 6


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept. Times are seconds since the epoch."""

    id: str
    name: str
    scopes: frozenset[Scope]
    hash: bytes
    created_at: float
    created_by: str
    rotated_at: float | None = None

    def to_json(self) -> Json:
        """As people may see it: without its hash."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": write_scopes(self.scopes),
            "created_at": rfc3339(self.created_at),
            "created_by": self.created_by,
            "rotated_at": None if self.rotated_at is None else rfc3339(self.rotated_at),
        }


def is_key(token: str) -> bool:
    """True of what looks like a token of ours."""
    return _TOKEN.fullmatch(token) is not None


class Keyring:
    """Every key there is, on the engine's loop."""

    def __init__(self, database: Database, events: Events, clock: Clock) -> None:
        self._database = database
        self._events = events
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._one_change = asyncio.Lock()

    async def open(self) -> None:
        """Read what the database holds."""
        self._keys = await self._database.read(_read_all)

    def who(self, token: str) -> Who | None:
        """Whose token that is; None when it is nobody's. Compares in constant time."""
        found = _TOKEN.fullmatch(token)
        key = self._keys.get(found[1]) if found else None
        if key is None or not hmac.compare_digest(key.hash, _hash_of(token)):
            return None
        return Who(key.id, key.scopes)

    def list_keys(self) -> tuple[ApiKey, ...]:
        """In the order they were made."""
        return tuple(self._keys.values())

    def get(self, key_id: str) -> ApiKey:
        """Raises NotFoundError."""
        if key_id not in self._keys:
            raise NotFoundError(f"no key {key_id!r}")
        return self._keys[key_id]

    async def create(self, name: str, scopes: Iterable[Scope]) -> tuple[ApiKey, str]:
        """Make a key; gives it and its token. Raises ConflictError where there are too many already."""
        async with self._one_change:
            if len(self._keys) >= MOST_KEYS:
                raise ConflictError(f"there are {MOST_KEYS} keys already: revoke some")
            key_id = secrets.token_hex(_ID_BYTES)
            token = _new_token(key_id)
            key = ApiKey(key_id, name, frozenset(scopes), _hash_of(token), self._clock.now(), who_acts())
            await self._write(Change("key.created", key.id, after=key.to_json()), API_KEY.insert().values(_row(key)))
            self._keys[key.id] = key
            return key, token

    async def rotate(self, key_id: str) -> tuple[ApiKey, str]:
        """Give the key another token; the old one is worth nothing from then on. Raises NotFoundError."""
        async with self._one_change:
            old, token = self.get(key_id), _new_token(key_id)
            key = replace(old, hash=_hash_of(token), rotated_at=self._clock.now())
            statement = update(API_KEY).where(API_KEY.c.id == key_id).values(hash=key.hash, rotated_at=key.rotated_at)
            await self._write(Change("key.rotated", key_id, before=old.to_json(), after=key.to_json()), statement)
            self._keys[key_id] = key
            return key, token

    async def revoke(self, key_id: str) -> ApiKey:
        """Raises NotFoundError."""
        async with self._one_change:
            key = self.get(key_id)
            statement = delete(API_KEY).where(API_KEY.c.id == key_id)
            await self._write(Change("key.revoked", key_id, before=key.to_json()), statement)
            del self._keys[key_id]
            return key

    async def _write(self, change: Change, statement: Any) -> None:  # noqa: ANN401 - sqlalchemy's own statement types
        who, now = who_acts(), self._clock.now()

        def work(connection: Connection) -> None:
            connection.execute(statement)
            write_changes(connection, who, now, [change])

        await self._database.write(work)
        self._events.changed(who, change.kind, change.subject)


def _new_token(key_id: str) -> str:
    return f"sidecar_{key_id}_{secrets.token_urlsafe(32)}"


def _hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _row(key: ApiKey) -> dict[str, Any]:
    plain = {name: getattr(key, name) for name in ("id", "name", "hash", "created_at", "created_by", "rotated_at")}
    return plain | {"scopes": ",".join(write_scopes(key.scopes))}


def _read_all(connection: Connection) -> dict[str, ApiKey]:
    rows = connection.execute(select(API_KEY).order_by(API_KEY.c.created_at, API_KEY.c.id))
    return {row["id"]: ApiKey(**{**row, "scopes": _scopes(row["scopes"])}) for row in rows.mappings()}


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in text.split(",") if name)


KEYS: web.AppKey[Keyring] = web.AppKey("keys", Keyring)
