"""Every predict protocol by the name that `routes` gives it."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.protocol import clarifai, openinference, rows, tensorflow
from sidecar.protocol.call import PredictProtocol, no_version

PROTOCOLS: Mapping[str, PredictProtocol] = {
    "openinference": PredictProtocol(
        openinference.read_inputs, openinference.read_outputs, openinference.read_version, openinference.write_request
    ),
    "tensorflow": PredictProtocol(
        tensorflow.read_inputs, tensorflow.read_outputs, no_version, tensorflow.write_request
    ),
    "clarifai": PredictProtocol(
        clarifai.read_inputs, clarifai.read_outputs, clarifai.read_version, clarifai.write_request
    ),
    "rows": PredictProtocol(rows.read_inputs, rows.read_outputs, no_version, rows.write_request),
}
