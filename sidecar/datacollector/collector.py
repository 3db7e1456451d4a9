"""`ModelDataCollector`, as the first two generations document it.

Promises that nothing which happens in here reaches scoring code: what cannot be collected is said once and passed over.
"""

from __future__ import annotations

import os
import time
from typing import Any, Sequence

from sidecar.datacollector.correlations import Correlations, correlate, correlations_in, new_correlation, told
from sidecar.datacollector.identity import UNKNOWN, read_identity, read_switches, split_account
from sidecar.datacollector.outlets import Outlet, outlet_of
from sidecar.datacollector.record import Correlation, Identity, Record, Table
from sidecar.datacollector.said import say_once
from sidecar.datacollector.tables import UnusableError, read_table

_RECORD_BYTES = 600
_NAMED_FILES = ("signals", "general")


class ModelDataCollector:
    """Collects what a model is given or answers, at one place of a scoring script.

    model_name: the model whose data it is; a collector's source names the same.
    identifier: the place in the script, such as `inputs` or `predictions`; rows of these two are joined by their
        correlation id.
    feature_names: the columns of lists and arrays; frames bring their own.
    designation: the second generation's name for the identifier; with it `collect` returns the correlations.
    """

    def __init__(
        self,
        model_name: str,
        identifier: str = "default",
        feature_names: Sequence[Any] | None = None,
        model_management_account_id: str = UNKNOWN,
        webservice_name: str = UNKNOWN,
        model_id: str = UNKNOWN,
        model_version: str = UNKNOWN,
        *,
        designation: str = "",
        workspace: str = "",
        collection_name: str = "",
    ) -> None:
        self._feature_names = None if feature_names is None else list(feature_names)
        self._designation = designation
        self._identifier = designation or str(identifier)
        self._file_stem = collection_name if collection_name and designation in _NAMED_FILES else "data"
        self._outlet: Outlet | None = None
        account = split_account(str(model_management_account_id))
        if workspace.count("/") == 2:
            account = dict(zip(account, workspace.split("/")))
        given = Identity(
            webservice=str(webservice_name),
            model_id=str(model_id),
            model_name=str(model_name),
            model_version=str(model_version),
            **account,
        )
        try:
            self._identity = read_identity(given, os.environ)
            self._open()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the model from being loaded
            self._identity = given
            say_once("nothing is collected: %r", error)

    def _open(self) -> None:
        switches = read_switches(os.environ)
        if switches.is_on:
            self._outlet = outlet_of(switches)
        else:
            say_once(
                "nothing is collected: set SIDECAR_MDC to the sidecar's address, or "
                "AML_MODEL_DC_STORAGE_ENABLED=true for files, or AML_MODEL_DC_DEBUG=true to see the rows printed"
            )

    def collect(self, input_data: Any, user_correlation_id: str = "") -> Correlations | None:  # noqa: ANN401 - see tables
        """Record `input_data` as it is now: a list, a numpy array, a pandas or a Spark DataFrame.

        Gives None; with a `designation`, the correlations for `add_correlations`. Never raises and never waits.
        """
        try:
            return self._collect(input_data, str(user_correlation_id))
        except UnusableError as error:
            say_once("not collected: %s", error)
        except Exception as error:  # noqa: BLE001 - scoring must not fail for what is only to be recorded
            say_once("not collected: %r", error)
        return None

    def _collect(self, data: Any, correlation_id: str) -> Correlations | None:  # noqa: ANN401 - as above
        correlation = new_correlation(time.time(), correlation_id, must_correlate=bool(self._designation))
        if self._outlet is not None:
            table = read_table(data, self._feature_names)
            for found, part in correlations_in(data, table, correlation):
                correlation = found
                if part.rows:
                    self._put(self._outlet, found, part)
        return told(correlation) if self._designation else None

    def _put(self, outlet: Outlet, correlation: Correlation, table: Table) -> None:
        record = Record(
            os.urandom(16).hex(), self._identity, self._identifier, self._designation, self._file_stem, correlation,
            table,
        )  # fmt: skip
        outlet.put(record, table.weight_bytes + _RECORD_BYTES)

    def add_correlations(self, input_data: Any, context: Correlations | None) -> Any:  # noqa: ANN401 - as above
        """`input_data` with what `collect` returned for its request, to be collected by another collector.

        A frame is copied and gets three columns; a list or an array becomes a list that remembers. Given back
        unchanged where there is nothing to add, or no way to.
        """
        try:
            return correlate(input_data, context) if context else input_data
        except Exception as error:  # noqa: BLE001 - as in collect
            say_once("no correlations could be added: %r", error)
            return input_data
