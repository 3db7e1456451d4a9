"""What a database's error means for the rows at hand: pure.

By the database's own code: SQLite's names, MySQL's numbers, else SQLSTATE; for any other database by the class that the
driver gave it. Promises that no word of a row is in an outcome: what a database says of data it refuses is not told.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy.exc

from sidecar.delivery.judge import THROTTLED_SECONDS
from sidecar.delivery.outcome import Outcome, Rejected, Retry

_DETAIL_CHARACTERS = 300


class Weight(enum.Enum):
    """What to do after an error."""

    LATER = "it may pass"
    FINAL = "it will be the same for every row"
    ROW = "one row has brought it upon the others"


class Meaning(NamedTuple):
    reason: str
    weight: Weight


_LATER, _FINAL, _ROW = Weight.LATER, Weight.FINAL, Weight.ROW
_UNFIT = Meaning("table_unfit", _FINAL)
_UNKNOWN_DATABASE = Meaning("database_unknown", _FINAL)
_KEY = Meaning("key_invalid", _FINAL)
_FORBIDDEN = Meaning("forbidden", _FINAL)
_THROTTLED = Meaning("throttled", _LATER)
_DATA = Meaning("invalid_data", _ROW)
_LARGE = Meaning("too_large", _ROW)
_TIMEOUT = Meaning("timeout", _LATER)
_CONFLICT = Meaning("conflict", _LATER)
_FULL = Meaning("disk_full", _LATER)
_READ_ONLY = Meaning("read_only", _LATER)
_LOST = Meaning("connection_lost", _LATER)
_UNREACHABLE = Meaning("unreachable", _LATER)
_FAILED = Meaning("database_failed", _LATER)

_BY_SQLSTATE: Mapping[str, Meaning] = {
    "08": _LOST, "22": _DATA, "23": _DATA, "25006": _READ_ONLY, "28": _KEY, "3D": _UNKNOWN_DATABASE, "3F": _UNFIT,
    "40": _CONFLICT, "42": _UNFIT, "42501": _FORBIDDEN, "44": _DATA, "53100": _FULL, "53300": _THROTTLED, "54": _LARGE,
    "55P03": _TIMEOUT, "57014": _TIMEOUT, "57P": _LOST, "P0": _DATA,
}  # fmt: skip
"""By the longest beginning. Source: PostgreSQL's table of error codes."""
_SAID_ON_CONNECTING: tuple[tuple[str, str], ...] = (
    ("authentication failed", "28P01"), ("no password supplied", "28P01"), ("not permitted to log in", "28000"),
    ("no pg_hba.conf entry", "28000"), ("FATAL:  role ", "28000"), ("FATAL:  database ", "3D000"),
    ("too many ", "53300"), ("connection slots", "53300"), ("not currently accepting", "57P03"),
    ("permission denied", "42501"),
)  # fmt: skip
"""libpq gives no code for a connection that was refused, only the server's words; those in another language, or not
listed, are taken for a server that cannot be reached."""
_BY_NUMBER: Mapping[int, Meaning] = {
    1021: _FULL, 1028: _FULL, 1114: _FULL, 1040: _THROTTLED, 1203: _THROTTLED, 1226: _THROTTLED, 1044: _FORBIDDEN,
    1142: _FORBIDDEN, 1143: _FORBIDDEN, 1227: _FORBIDDEN, 1370: _FORBIDDEN, 1045: _KEY, 1251: _KEY, 1698: _KEY,
    1049: _UNKNOWN_DATABASE, 1054: _UNFIT, 1064: _UNFIT, 1136: _UNFIT, 1146: _UNFIT, 1048: _DATA, 1062: _DATA,
    1216: _DATA, 1264: _DATA, 1292: _DATA, 1364: _DATA, 1366: _DATA, 1406: _DATA, 1452: _DATA, 1644: _DATA, 3140: _DATA,
    3819: _DATA, 4025: _DATA, 1118: _LARGE, 1153: _LARGE, 1205: _TIMEOUT, 1213: _CONFLICT, 1290: _READ_ONLY,
    1792: _READ_ONLY, 1836: _READ_ONLY, 1969: _TIMEOUT, 3024: _TIMEOUT, 2002: _UNREACHABLE, 2003: _UNREACHABLE,
    2006: _LOST, 2013: _LOST, 2014: _LOST,
}  # fmt: skip
"""Source: the error references of MySQL and MariaDB."""
_LOST_NUMBERS = (2003, 2006, 2013)
"""The driver's own for what it waited for too long, too: only its words tell."""
_BY_NAME: Mapping[str, Meaning] = {
    "SQLITE_BUSY": _TIMEOUT, "SQLITE_LOCKED": _TIMEOUT, "SQLITE_CONSTRAINT": _DATA, "SQLITE_MISMATCH": _DATA,
    "SQLITE_TOOBIG": _LARGE, "SQLITE_FULL": _FULL, "SQLITE_READONLY": _READ_ONLY, "SQLITE_CANTOPEN": _UNREACHABLE,
    "SQLITE_PERM": _FORBIDDEN, "SQLITE_AUTH": _FORBIDDEN, "SQLITE_NOTADB": _UNKNOWN_DATABASE, "SQLITE_ERROR": _UNFIT,
}  # fmt: skip
"""By beginning. Source: SQLite's result codes."""


def judge_error(error: sqlalchemy.exc.DBAPIError) -> tuple[Outcome, bool]:
    """What becomes of the rows, and True if they may fare better apart."""
    code, meaning = _meaning_of(error)
    if meaning.weight is Weight.ROW:
        return Rejected(meaning.reason, f"the database refuses the row: {_named(error, code)}"), True
    said = _said(error)
    if meaning.weight is Weight.FINAL:
        return Rejected(meaning.reason, said), False
    return Retry(meaning.reason, said, THROTTLED_SECONDS if meaning is _THROTTLED else None), False


def _meaning_of(error: sqlalchemy.exc.DBAPIError) -> tuple[str, Meaning]:
    """The database's code, and what it means."""
    original = error.orig
    state = getattr(original, "sqlstate", None) or _state_said(str(original))
    name = getattr(original, "sqlite_errorname", None)
    number = original.args[0] if original is not None and original.args else None
    if isinstance(name, str):
        return name, _longest(_BY_NAME, name, _FAILED)
    if isinstance(number, int):
        is_late = number in _LOST_NUMBERS and "timed out" in str(original)
        return str(number), _TIMEOUT if is_late else _BY_NUMBER.get(number, _of_class(error))
    if isinstance(state, str):
        return state, _longest(_BY_SQLSTATE, state, _FAILED)
    return "", _of_class(error)


def _state_said(text: str) -> str | None:
    if not text.startswith("connection failed"):
        return None
    return next((state for words, state in _SAID_ON_CONNECTING if words in text), None)


def _longest(meanings: Mapping[str, Meaning], code: str, otherwise: Meaning) -> Meaning:
    found = [start for start in meanings if code.startswith(start)]
    return meanings[max(found, key=len)] if found else otherwise


def _of_class(error: sqlalchemy.exc.DBAPIError) -> Meaning:
    if isinstance(error, sqlalchemy.exc.DataError | sqlalchemy.exc.IntegrityError):
        return _DATA
    if isinstance(error, sqlalchemy.exc.ProgrammingError):
        return _UNFIT
    if error.connection_invalidated:
        return _LOST
    return _UNREACHABLE if isinstance(error, sqlalchemy.exc.OperationalError) and error.statement is None else _FAILED


def _named(error: sqlalchemy.exc.DBAPIError, code: str) -> str:
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    parts = (type(error.orig).__name__, code, f"by {constraint}" if constraint else "")
    return " ".join(part for part in parts if part)


def _said(error: sqlalchemy.exc.DBAPIError) -> str:
    """The database's own words, of an error that is of no row."""
    told = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig)
    return " ".join(f"{type(error.orig).__name__}: {told}".split())[:_DETAIL_CHARACTERS]
