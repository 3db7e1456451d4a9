"""The options of `destination: {sql: {…}}`."""

from __future__ import annotations

import importlib.util
import re
from typing import Annotated

import sqlalchemy
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import URL

from sidecar.delivery.secret import Secret

DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
"""What is used where a URL names a database without a driver."""
_EXTRAS = {"psycopg": "postgresql", "pymysql": "mysql"}
_PASSWORDS = re.compile(r"passw|pwd|secret|token", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


def read_url(text: str) -> URL:
    """The address of a database, with its driver. Raises ValueError, which tells nothing of a password."""
    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ValueError("is no address of a database: write for example postgresql://user@host/database") from None
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def _check_url(text: str) -> str:
    url = read_url(text)
    if url.password is not None or any(_PASSWORDS.search(name) for name in url.query):
        raise ValueError("must hold no password: name where it stands in password, as {env: NAME} or {file: PATH}")
    try:
        driver = url.get_dialect().driver
    except (sqlalchemy.exc.ArgumentError, ImportError):
        raise ValueError(f"{url.drivername} is no database that SQLAlchemy knows here: install its dialect") from None
    if driver in _EXTRAS and importlib.util.find_spec(driver) is None:
        extra = _EXTRAS[driver]
        raise ValueError(f"needs the extra `{extra}`: pip install 'collector-sidecar[{extra}]'")
    if url.get_backend_name() == "sqlite" and not url.database:
        raise ValueError("names no file, and what is in memory is gone with the process")
    return text


def _check_table(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be a name, or schema.name, of letters, digits and _")
    return name


class SqlOptions(BaseModel):
    """One table of one database."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_check_url)]
    """Any of SQLAlchemy's, without a password."""
    password: Secret | None = None
    """None leaves it to the driver: PGPASSFILE, a socket's peer."""
    table: Annotated[str, AfterValidator(_check_table)] = "inputs"
    create: bool = Field(default=True, strict=True)
    """Make the table when it is not there."""
    with_output: bool = Field(default=True, strict=True)
    """Store the model's output."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=60, strict=True)
    """For a connection, and for each statement."""
