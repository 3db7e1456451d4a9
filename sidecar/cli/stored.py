"""What a sidecar has stored in its data folder, read beside the engine that may be writing it. Changes nothing."""

from __future__ import annotations

import sqlalchemy

from sidecar.errors import ConfigurationError, Problem
from sidecar.settings import Settings
from sidecar.store.database import DATABASE


def has_run(settings: Settings) -> bool:
    """True if there is a database."""
    return (settings.data / DATABASE).is_file()


def stored_at(settings: Settings, field: str = "--data") -> sqlalchemy.Engine:
    """The database; whoever calls disposes of it. Raises ConfigurationError, about the option `field`, where there is
    none."""
    file = settings.data / DATABASE
    if not has_run(settings):
        raise ConfigurationError(Problem(f"no sidecar has run with this --data: there is no {file}", field))
    return sqlalchemy.create_engine(f"sqlite:///file:{file.absolute()}?mode=ro&uri=true", hide_parameters=True)
