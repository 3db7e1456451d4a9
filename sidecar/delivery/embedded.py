"""The embedded app: kept inputs become rows of the product's own database.

Promises that what is delivered is on the disk. An id that is there already is success: an earlier try had stored it.
With each input stands its story, so that its way can be told when the job is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import orjson
import sqlalchemy
from pydantic import AfterValidator, BaseModel, ConfigDict

from sidecar.delivery.destination import Parcel
from sidecar.delivery.outcome import Delivered, Outcome, Retry
from sidecar.errors import CapacityError
from sidecar.kit.ids import require_id
from sidecar.store.database import Database
from sidecar.store.inputs import StoredInput, insert_inputs


def _check_id(name: str) -> str:
    return name and require_id(name)


class EmbeddedOptions(BaseModel):
    """The options of `destination: {app: {…}}`; a blank user or app means the collector's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    user_id: Annotated[str, AfterValidator(_check_id)] = ""
    app_id: Annotated[str, AfterValidator(_check_id)] = ""
    dataset_ids: tuple[str, ...] = ()


class EmbeddedApp:
    """Stores each parcel as an input of an app."""

    max_batch = 512

    def __init__(self, options: EmbeddedOptions, database: Database) -> None:
        self._options = options
        self._database = database

    async def deliver(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Store `parcels`, all or none."""
        inputs = [self._to_input(parcel) for parcel in parcels]
        outcome: Outcome = Delivered()
        try:
            await self._database.write(lambda connection: insert_inputs(connection, inputs))
        except CapacityError as error:
            outcome = Retry("disk_full", str(error))
        except sqlalchemy.exc.DBAPIError as error:
            outcome = Retry("store_failed", f"the database failed: {type(error).__name__}")
        return [outcome] * len(parcels)

    async def close(self) -> None:
        """Nothing is held open: the database belongs to whoever gave it."""

    def _to_input(self, parcel: Parcel) -> StoredInput:
        return StoredInput(
            user_id=self._options.user_id or parcel.user_id,
            app_id=self._options.app_id or parcel.app_id,
            id=parcel.input_id,
            data=parcel.data,
            created_at=parcel.created_at,
            dataset_ids=tuple(dict.fromkeys((*parcel.dataset_ids, *self._options.dataset_ids))),
            collector=parcel.collector,
            caller=parcel.caller,
            model=parcel.model,
            version=parcel.version,
            wire=parcel.wire,
            story=_story_of(parcel),
        )


def _story_of(parcel: Parcel) -> str:
    """The JSON that is stored with the input; what the queue wrote already stands in it as it is."""
    way = parcel.way
    if way is None:
        return ""
    story = {
        "job_id": way.job_id,
        "exchange_id": parcel.exchange_id,
        "input_index": parcel.input_index,
        "details": orjson.Fragment(parcel.details_wire),
        "trace": orjson.Fragment(way.trace_wire) if way.trace_wire else None,
        "destination": way.destination,
        "siblings": way.siblings,
        "queued_at": way.queued_at,
        "delivered_at": way.tried_at,
        "attempt": way.attempt,
        "tries": way.tries_wire,
    }
    return orjson.dumps(story).decode()
