"""Who called: a chain of resolvers over a request's head, the first answer wins, then `anonymous`.

An unverified header is a label, not an authentication. Keys are known by their SHA-256 only; neither a key nor its hash
is ever returned, logged or put into an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from sidecar.errors import ConfigurationError, Problem
from sidecar.exchange import Head, read_text

ANONYMOUS = "anonymous"
_SCHEMES = ("key", "bearer")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Callers:
    """Names the caller of a request: header `header` (lower case), then the table of key hashes, then `anonymous`."""

    def __init__(self, header: str, keys: Mapping[str, str]) -> None:
        self._header = header.lower()
        self._keys = keys

    def resolve(self, head: Head) -> str:
        named = head.get(self._header)
        if named:
            return read_text(named)
        if self._keys:
            key = _key_of(head)
            if key:
                return self._keys.get(hash_of(key), ANONYMOUS)
        return ANONYMOUS


def hash_of(key: str) -> str:
    """How a key stands in the table: `sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(key.encode("latin-1", errors="replace")).hexdigest()


def _key_of(head: Head) -> str:
    scheme, _, key = head.get("authorization").partition(" ")
    if scheme.lower() in _SCHEMES and key.strip():
        return key.strip()
    return head.get("x-api-key")


def read_keys(path: Path) -> dict[str, str]:
    """The table hash → caller of a YAML file `keys: {alice: ["sha256:…"]}`.

    Raises ConfigurationError with every fault; a value is never repeated in it, since it may be a key in clear.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(Problem(f"cannot be read: {error}", file=str(path))) from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise ConfigurationError(Problem("is not YAML", file=str(path), line=line)) from error
    keys, problems = _read_table(document, str(path))
    if problems:
        raise ConfigurationError(problems)
    return keys


def _read_table(document: object, file: str) -> tuple[dict[str, str], list[Problem]]:
    table = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(table, dict):
        return {}, [Problem('must be an object: write keys: {alice: ["sha256:…"]}', field="keys", file=file)]
    problems = [Problem("unknown field: only keys is known", str(name), file) for name in document if name != "keys"]
    keys: dict[str, str] = {}
    for caller, hashes in table.items():
        where = f"keys.{caller}"
        if not isinstance(caller, str) or not caller:
            problems.append(Problem("a caller's name must be text: put it in quotes", where, file))
        elif not isinstance(hashes, list):
            problems.append(Problem("must be a list of hashes", where, file))
        else:
            problems.extend(_read_hashes(caller, hashes, keys, file))
    return keys, problems


def _read_hashes(caller: str, hashes: list[object], into: dict[str, str], file: str) -> list[Problem]:
    problems = []
    for index, value in enumerate(hashes):
        where = f"keys.{caller}[{index}]"
        text = value.lower() if isinstance(value, str) else ""
        if not _HASH.fullmatch(text):
            advice = 'must be sha256: and 64 hex digits: printf %s "$KEY" | sha256sum'
            problems.append(Problem(advice, where, file))
        elif into.setdefault(text, caller) != caller:
            problems.append(Problem(f"the same key is already {into[text]}'s", where, file))
    return problems
