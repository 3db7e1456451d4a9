"""Every operator by its `model_type_id`."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.workflow.operators.concept_thresholder import ConceptThresholder
from sidecar.workflow.operators.disagreement_filter import DisagreementFilter
from sidecar.workflow.operators.metadata_filter import MetadataFilter
from sidecar.workflow.operators.operator import Operator
from sidecar.workflow.operators.random_sample import RandomSample

OPERATORS: Mapping[str, type[Operator]] = {
    "random-sample": RandomSample,
    "concept-thresholder": ConceptThresholder,
    "concept-threshold": ConceptThresholder,
    "metadata-filter": MetadataFilter,
    "disagreement-filter": DisagreementFilter,
}
