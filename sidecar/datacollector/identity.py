"""Who speaks and where to: read once from the arguments, the environment and the platform's own file.

The environment wins over the arguments, as documented: what the platform knows is right. Never raises: a file that
cannot be read is passed over and said.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple

from sidecar.datacollector.record import Identity
from sidecar.datacollector.said import say_once

CONFIG_MAP = "/var/azureml-app/model_config_map.json"
UNKNOWN = "unknown"
ADDRESS = "SIDECAR_MDC"
_ACCOUNT = re.compile(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/.*?([^/]+)/?", re.IGNORECASE)


class Switches(NamedTuple):
    """What the environment says about collecting."""

    is_on: bool
    prints: bool
    """True if rows are to be printed, and sent nowhere."""
    address: str
    by_hour: bool


def read_switches(environment: Mapping[str, str]) -> Switches:
    """Naming a sidecar turns collecting on, unless it is turned off by name."""
    address = environment.get(ADDRESS, "").strip()
    enabled = environment.get("AML_MODEL_DC_STORAGE_ENABLED", "").strip().lower()
    prints = environment.get("AML_MODEL_DC_DEBUG", "").strip().lower() == "true"
    is_on = enabled == "true" or (bool(address) and not enabled)
    by_hour = environment.get("AML_MODEL_DC_BOUNDARY", "").strip().lower() == "hour"
    return Switches(is_on or prints, prints, address, by_hour)


def read_identity(given: Identity, environment: Mapping[str, str], config_map: str = CONFIG_MAP) -> Identity:
    """`given` by the arguments, with what the platform knows in its place."""
    known: dict[str, Any] = {"webservice": environment.get("SERVICE_NAME")}
    told = _read_config_map(config_map)
    model = _object(_object(told.get("models")).get(given.model_name))
    known.update(model_id=model.get("id"), model_version=model.get("version"))
    account = _object(told.get("accountContext"))
    known.update(
        subscription=account.get("subscriptionId"),
        resource_group=account.get("resourceGroupName"),
        account=account.get("accountName"),
    )
    return given._replace(**{name: str(value) for name, value in known.items() if value not in (None, "")})


def split_account(text: str) -> dict[str, str]:
    """The parts of a model management account's full id; any other text is the account's name."""
    found = _ACCOUNT.fullmatch(text)
    names = ("subscription", "resource_group", "account")
    return dict(zip(names, found.groups())) if found else dict(zip(names, (UNKNOWN, UNKNOWN, text)))


def _read_config_map(path: str) -> dict[str, Any]:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            return _object(json.load(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        say_once("the platform's model_config_map.json cannot be read and is passed over: %s", error)
        return {}


def _object(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, dict) else {}
