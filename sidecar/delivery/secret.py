"""Secrets as the options of a destination name them, and what it means when one cannot be had.

An option holds where a secret stands, never the secret: `{env: NAME}`, `{file: PATH}`, or the reference under which the
sidecar keeps it. It is read at each delivery, so that a rotated one just works. Promises that no outcome tells one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from sidecar.delivery.outcome import Rejected, Retry
from sidecar.errors import SidecarError, TransientError
from sidecar.kit.secret_places import fits_a_header, read_secret, why_unread
from sidecar.store.secrets import REFERENCE

SecretOf = Callable[[str], Awaitable[str | None]]
"""Gives the secret behind a reference, None when there is no such reference."""
_SHORTEST_BLANKED = 8
_NEVER_HERE = (
    "a secret is never written here: name where it stands, {env: NAME} or {file: PATH}, or give its reference, key-…"
)


def _stored_or_place(value: object) -> object:
    return {"stored": value} if isinstance(value, str) else value


class SecretPlace(BaseModel):
    """Where a secret stands: exactly one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    env: str = ""
    file: str = ""
    stored: str = ""
    """A reference; also what a plain text is taken for."""

    @model_validator(mode="after")
    def _names_one(self) -> SecretPlace:
        if sum(map(bool, (self.env, self.file, self.stored))) != 1 or not _is_reference_or_blank(self.stored):
            raise ValueError(_NEVER_HERE)
        return self


Secret = Annotated[SecretPlace, BeforeValidator(_stored_or_place)]
"""The type of an option that names a secret."""


def _is_reference_or_blank(text: str) -> bool:
    return not text or REFERENCE.fullmatch(text) is not None


async def reveal(place: SecretPlace, secret_of: SecretOf) -> str | Retry | Rejected:
    """The secret, or what becomes of everything that cannot be delivered without it."""
    if place.stored:
        return await reveal_stored(place.stored, secret_of)
    try:
        return await asyncio.to_thread(read_secret, place.env, place.file)
    except (OSError, ValueError) as error:
        return Retry("key_unavailable", why_unread(error))


async def reveal_stored(reference: str, secret_of: SecretOf) -> str | Retry | Rejected:
    """The same for a reference."""
    try:
        secret = await secret_of(reference)
    except TransientError as error:
        return Retry("key_unavailable", str(error), error.retry_after_seconds)
    except SidecarError as error:
        return Rejected("key_unreadable", str(error))
    if secret is None:
        return Rejected("key_unknown", "the key behind its reference is not stored: give it again")
    return secret


def for_a_header(secret: str | Retry | Rejected) -> str | Retry | Rejected:
    """`secret`, unless no header can carry it."""
    if isinstance(secret, str) and not fits_a_header(secret):
        return Rejected("key_invalid", "the secret holds characters that no header can carry: give it again")
    return secret


def without(secret: str, content: bytes) -> bytes:
    """`content` with `secret` blanked: what echoes it must not carry it into a log. A very short one is left, as
    blanking it would garble the rest."""
    return content.replace(secret.encode(), b"***") if len(secret) >= _SHORTEST_BLANKED else content
