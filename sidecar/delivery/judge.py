"""What the answer to POST inputs means for each input: pure.

By code first, then by HTTP status; each input's own status before the whole answer's. A repeated id is success, since
ids are deterministic: an earlier try had arrived. Source: the Clarifai Collectors contract, "POST inputs".
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from sidecar.delivery.outcome import Delivered, Outcome, Rejected, Retry

SUCCESS_CODES = frozenset({10000, 30000, 30001})
MIXED = 10010
DUPLICATE_ID = 40010
TRANSIENT_CODES = frozenset({10030, 11003, 11005, 21354, 21355, 39996, 39997, 40030, 40031, 40032, 41000})
TRANSIENT_STATUSES = frozenset({408, 425, 429})
THROTTLED_CODES = frozenset({11005, 429})
THROTTLED_SECONDS = 15.0
LONGEST_RETRY_AFTER_SECONDS = 86400.0
_DETAIL_CHARACTERS = 300
_REASONS: Mapping[int, str] = {
    11005: "throttled",
    11007: "key_lacks_scopes",
    11008: "key_invalid",
    11009: "key_unknown",
    11100: "invalid_request",
    11102: "invalid_request",
    30002: "input_failed",
    30100: "duplicate_url",
    30104: "invalid_input",
    DUPLICATE_ID: "duplicate_id",
    39999: "invalid_request",
    401: "key_invalid",
    403: "forbidden",
    413: "too_large",
    429: "throttled",
}
_ABOUT_THE_BATCH = frozenset({10020, 11100, 11102, 22104, 30104, 39999, DUPLICATE_ID, 400, 409, 413, 422})
"""Refusals that one input may have brought upon the others."""


class Answer(NamedTuple):
    """An HTTP answer, read to its end; `retry_after` is that header's value, blank without one."""

    status: int
    body: bytes
    retry_after: str = ""


class Verdict(NamedTuple):
    """An outcome for each input, in their order; `concerns_the_batch` if they may fare better posted apart."""

    outcomes: list[Outcome]
    concerns_the_batch: bool = False


def judge(answer: Answer, ids: Sequence[str], now: float) -> Verdict:
    """What `answer` means for the inputs posted under `ids`; `now` is in seconds since the epoch, for dates."""
    wire = _read(answer.body)
    status = _object(wire.get("status"))
    code = _code(status)
    after_seconds = read_retry_after(answer.retry_after, now)
    statuses = _statuses(wire.get("inputs"), ids)
    whole = _judge_whole(answer.status, status, after_seconds)
    if code in TRANSIENT_CODES or not any(statuses):
        is_refused = isinstance(whole, Rejected) and (code or answer.status) in _ABOUT_THE_BATCH
        if is_refused and len(ids) == 1 and _is_duplicate_id(status):
            whole = Delivered()
        return Verdict([whole] * len(ids), is_refused and len(ids) > 1)
    return Verdict([whole if one is None else _judge_one(one, after_seconds) for one in statuses])


def judge_status(answer: Answer, count: int, now: float) -> Verdict:
    """The same for `count` inputs where the HTTP status is all there is to go by, as with CloudEvents."""
    if 200 <= answer.status < 300:
        return Verdict([Delivered()] * count)
    said = answer.body[:_DETAIL_CHARACTERS].decode(errors="replace").strip()
    detail = f"HTTP {answer.status}: {said}" if said else f"HTTP {answer.status}"
    outcome = _judge_refusal(answer.status, 0, detail, read_retry_after(answer.retry_after, now))
    is_about_the_batch = isinstance(outcome, Rejected) and answer.status in _ABOUT_THE_BATCH
    return Verdict([outcome] * count, is_about_the_batch and count > 1)


def read_retry_after(value: str, now: float) -> float | None:
    """Seconds from a Retry-After header, given as seconds or as an HTTP date; None when it says neither."""
    text = value.strip()
    try:
        seconds = float(text) if text[:1].isdigit() else email.utils.parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _judge_whole(http_status: int, status: Mapping[str, Any], after_seconds: float | None) -> Outcome:
    code, detail = _code(status), _detail(status) or f"HTTP {http_status}"
    if code == MIXED:
        return Retry("no_verdict", "the answer is mixed and does not name this input", after_seconds)
    if code is not None and _is_decided_by(code):
        return _judge_code(code, detail, after_seconds)
    if http_status >= 300:
        return _judge_refusal(http_status, code or 0, detail, after_seconds)
    if code is None:
        return Retry("unreadable_answer", f"HTTP {http_status} without a status code in JSON", after_seconds)
    return Retry(f"code_{code}", detail, after_seconds)


def _judge_refusal(http_status: int, code: int, detail: str, after_seconds: float | None) -> Outcome:
    reason = _REASONS.get(http_status, f"http_{http_status}")
    if http_status >= 500 or http_status in TRANSIENT_STATUSES:
        return Retry(reason, detail, _wait(http_status, after_seconds))
    return Rejected(_REASONS.get(code, reason), detail)


def _judge_one(status: Mapping[str, Any], after_seconds: float | None) -> Outcome:
    if _is_duplicate_id(status):
        return Delivered()
    return _judge_code(_code(status) or 0, _detail(status), after_seconds)


def _judge_code(code: int, detail: str, after_seconds: float | None) -> Outcome:
    if code in SUCCESS_CODES:
        return Delivered()
    reason = _REASONS.get(code, f"code_{code}")
    if code in TRANSIENT_CODES:
        return Retry(reason, detail, _wait(code, after_seconds))
    return Rejected(reason, detail)


def _is_decided_by(code: int) -> bool:
    """True if the contract says what the code means; the HTTP status speaks for any other."""
    is_permanent = code in (11007, 11008, 11009, 39999, DUPLICATE_ID) or 30100 <= code <= 30199
    return code in SUCCESS_CODES or code in TRANSIENT_CODES or is_permanent


def _is_duplicate_id(status: Mapping[str, Any]) -> bool:
    return _code(status) == DUPLICATE_ID or "duplicate id" in _detail(status).lower()


def _wait(code: int, after_seconds: float | None) -> float | None:
    return THROTTLED_SECONDS if after_seconds is None and code in THROTTLED_CODES else after_seconds


def _statuses(inputs: object, ids: Sequence[str]) -> list[Mapping[str, Any] | None]:
    """Each input's status in the answer, found by its id, or by its place where the answer names no ids."""
    listed = [_object(item) for item in inputs] if isinstance(inputs, list) else []
    by_id = {item["id"]: _object(item.get("status")) for item in listed if isinstance(item.get("id"), str)}
    if not by_id and len(listed) == len(ids):
        by_id = dict(zip(ids, (_object(item.get("status")) for item in listed), strict=True))
    found = [by_id.get(input_id) for input_id in ids]
    return [status if status and _code(status) is not None else None for status in found]


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        return _object(orjson.loads(body))
    except orjson.JSONDecodeError:
        return {}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _code(status: Mapping[str, Any]) -> int | None:
    """The code as a number; it may come as a float or as text."""
    try:
        code = int(status.get("code") or 0)
    except (TypeError, ValueError, OverflowError):
        return None
    return code if 0 < code < 100_000 else None


def _detail(status: Mapping[str, Any]) -> str:
    parts = (status.get("description"), status.get("details"))
    return ": ".join(str(part) for part in parts if part)[:_DETAIL_CHARACTERS]
