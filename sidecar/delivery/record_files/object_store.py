"""S3, Google Cloud Storage or Azure Blob Storage as a store, by obstore (extra `object-stores`).

Owns what an answer means. Credentials are the library's own to find: environment, instance metadata, workload identity.
Promises that no outcome holds more of an answer than its status and its code: what servers say may repeat a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from sidecar.delivery.outcome import Rejected, Retry
from sidecar.delivery.record_files.options import RecordFilesOptions
from sidecar.delivery.record_files.stores import Found, StoreError

if TYPE_CHECKING:  # names of the library that are there for type checkers alone
    from obstore.store import BackoffConfig, ClientConfig, RetryConfig

THROTTLED_SECONDS = 15.0
_T = TypeVar("_T")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_THROTTLED = frozenset(("429", "503"))
_EXPIRED = frozenset(("ExpiredToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired"))
_KEY_INVALID = frozenset(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed"))
_NO_BUCKET = frozenset(("NoSuchBucket", "ContainerNotFound"))
_METADATA = ("169.254.", "metadata.google", "credentials")
"""What an address holds that credentials were asked of."""


class ObjectStore:
    """Objects under the path of `options.url`; each call has `timeout_seconds`, its two further tries included."""

    def __init__(self, options: RecordFilesOptions) -> None:
        self._timeout_seconds = options.timeout_seconds
        limit = timedelta(seconds=options.timeout_seconds)
        client: ClientConfig = {"allow_http": options.endpoint.startswith("http:"), "timeout": limit}
        backoff: BackoffConfig = {
            "init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2,
        }  # fmt: skip
        retry: RetryConfig = {"max_retries": 2, "retry_timeout": limit, "backoff": backoff}
        self._store = from_url(options.url, config=_config(options), client_options=client, retry_config=retry)

    async def put(self, path: str, content: bytes) -> None:
        await self._do(obstore.put_async(self._store, path, content, use_multipart=False))

    async def get(self, path: str) -> bytes | None:
        try:
            return await self._do(self._read(path))
        except FileNotFoundError:
            return None

    async def listed(self, folder: str) -> list[Found]:
        return await self._do(self._list(folder))

    async def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                await self._do(obstore.delete_async(self._store, path))

    async def close(self) -> None:
        """Its connections end with it."""

    async def _read(self, path: str) -> bytes:
        found = await obstore.get_async(self._store, path)
        return bytes(await found.bytes_async())

    async def _list(self, folder: str) -> list[Found]:
        pages = obstore.list(self._store, folder.rstrip("/") or None)
        return [
            Found(each["path"], each["size"], each["last_modified"].timestamp())
            async for page in pages
            for each in page
        ]  # fmt: skip

    async def _do(self, work: Awaitable[_T]) -> _T:
        """What `work` gives. Raises StoreError, or FileNotFoundError for an object that is not there."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await work
        except TimeoutError:
            raise StoreError(Retry("timeout", f"no whole answer within {self._timeout_seconds:g} s")) from None
        except (BaseError, OSError) as error:
            if isinstance(error, FileNotFoundError) and "NoSuchKey" in str(error):
                raise
            raise StoreError(_judge(error)) from None  # its cause holds the whole answer


def _config(options: RecordFilesOptions) -> Any:  # noqa: ANN401 - the three stores' are types of their own
    names = {"gs": {"endpoint": "base_url"}, "az": {"account": "account_name"}}.get(urlsplit(options.url).scheme, {})
    given = {"endpoint": options.endpoint, "region": options.region, "account": options.account}
    return {names.get(name, name): value for name, value in given.items() if value}


def _judge(error: Exception) -> Retry | Rejected:
    told = str(error)
    status, code = _found(_STATUS, told), _found(_CODE, told)
    detail = " ".join(part for part in (f"HTTP {status}" if status else "", code) if part) or "no answer"
    if code in _EXPIRED:
        return Retry("key_expired", detail)
    if code in _NO_BUCKET:
        return Rejected("no_bucket", detail)
    if code in _KEY_INVALID or isinstance(error, UnauthenticatedError):
        return Rejected("key_invalid", detail)
    if isinstance(error, PermissionDeniedError):
        return Rejected("forbidden", detail)
    if any(part in told.partition("\n")[0] for part in _METADATA):
        return Retry(
            "key_unavailable", "no credentials in the environment, and none to be had where the machine has them"
        )
    if status in _THROTTLED:
        return Retry("throttled", detail, THROTTLED_SECONDS)
    if "kind: Timeout" in told:
        return Retry("timeout", "no whole answer in time")
    if status.startswith("4"):
        return Rejected(f"http_{status}", detail)
    return Retry(f"http_{status}" if status else "unreachable", detail)


def _found(expression: re.Pattern[str], text: str) -> str:
    found = expression.search(text)
    return found[1] if found else ""
