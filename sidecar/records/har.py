"""HAR 1.2, as browsers and proxies save traffic: each entry as an exchange on the wire, to be decoded like any other.

Source: W3C, HTTP Archive (HAR) format. Bodies stand there with their content coding taken off, so the headers that
spoke of it are left out. An entry has no id of its own: it is made from its place, time and address.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from sidecar.exchange import Exchange, Message
from sidecar.kit.ids import digest
from sidecar.records.recorded import RecordError
from sidecar.records.sagemaker import seconds_of

_OF_THE_WIRE = frozenset(("content-encoding", "transfer-encoding", "content-length"))


def entries_of(document: object) -> list[Any]:
    """The entries of a whole file's JSON. Raises RecordError."""
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise RecordError("log.entries: must be a list")
    return entries


def read_entry(entry: object, number: int) -> Exchange:
    """One entry; `number` is its place in its file. Raises RecordError."""
    try:
        return _read(entry, number)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise RecordError(f"is no entry of a HAR file: {type(error).__name__}") from error


def _read(entry: Any, number: int) -> Exchange:  # noqa: ANN401 - any JSON value
    request, response = entry["request"], entry["response"]
    started, url = str(entry["startedDateTime"]), str(request["url"])
    sent = _message(f"{request['method']} {url} HTTP/1.1", request["headers"], request.get("postData") or {})
    status = int(response.get("status") or 0)
    answer = _message(f"HTTP/1.1 {status} -", response["headers"], response.get("content") or {}) if status else None
    name = digest("har", number, started, url)
    return Exchange(name, seconds_of(started), max(float(entry.get("time") or 0.0), 0.0) / 1000, sent, answer)


def _message(start: str, headers: list[dict[str, str]], content: dict[str, Any]) -> Message:
    lines = [start]
    names = set()
    for header in headers:
        name = header["name"].lower()
        if name not in _OF_THE_WIRE and not name.startswith(":"):
            names.add(name)
            lines.append(f"{header['name']}: {header['value']}")
    if "content-type" not in names and content.get("mimeType"):
        lines.append(f"content-type: {content['mimeType']}")
    text = content.get("text") or ""
    body = base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
    head = "".join(f"{' '.join(line.splitlines())}\r\n" for line in lines) + "\r\n"
    return Message(head.encode("utf-8"), body)
