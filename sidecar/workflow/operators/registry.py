"""Every operator by its `model_type_id`: the built-in ones, written out by hand, and what a process adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.redaction.detector import BUILT_IN_DETECTORS, Detectors
from sidecar.workflow.operators.class_quota import ClassQuota
from sidecar.workflow.operators.concept_synonym_mapper import ConceptSynonymMapper
from sidecar.workflow.operators.concept_thresholder import ConceptThresholder
from sidecar.workflow.operators.deduplicate import Deduplicate
from sidecar.workflow.operators.disagreement_filter import DisagreementFilter
from sidecar.workflow.operators.first_n import FirstN
from sidecar.workflow.operators.keyword_filter import KeywordFilter
from sidecar.workflow.operators.language import Language
from sidecar.workflow.operators.metadata_filter import MetadataFilter
from sidecar.workflow.operators.novelty_filter import NoveltyFilter
from sidecar.workflow.operators.object_counter import ObjectCounter
from sidecar.workflow.operators.operator import Ground, Operator
from sidecar.workflow.operators.random_sample import RandomSample
from sidecar.workflow.operators.rate_limit import RateLimit
from sidecar.workflow.operators.regex_based_classifier import RegexBasedClassifier
from sidecar.workflow.operators.region_thresholder import RegionThresholder
from sidecar.workflow.operators.reservoir import Reservoir
from sidecar.workflow.operators.uncertainty_filter import UncertaintyFilter

OPERATORS: Mapping[str, type[Operator]] = {
    "random-sample": RandomSample,
    "concept-thresholder": ConceptThresholder,
    "concept-threshold": ConceptThresholder,
    "region-thresholder": RegionThresholder,
    "concept-synonym-mapper": ConceptSynonymMapper,
    "regex-based-classifier": RegexBasedClassifier,
    "object-counter": ObjectCounter,
    "metadata-filter": MetadataFilter,
    "keyword-filter": KeywordFilter,
    "language": Language,
    "uncertainty-filter": UncertaintyFilter,
    "disagreement-filter": DisagreementFilter,
    "first-n": FirstN,
    "rate-limit": RateLimit,
    "class-quota": ClassQuota,
    "reservoir": Reservoir,
    "deduplicate": Deduplicate,
    "novelty-filter": NoveltyFilter,
}


@dataclass(frozen=True, slots=True)
class Operators:
    """What the nodes of one process's graphs can be, and what stands beside them."""

    kinds: Mapping[str, type[Operator]] = field(default_factory=lambda: OPERATORS)
    broken: Mapping[str, str] = field(default_factory=dict)
    """Operators of others that could not be loaded, by name, and why."""
    ground: Ground = field(default_factory=Ground)
    """Has the memories that the nodes of all these graphs put into: each run that begins anew has its own."""
    detectors: Detectors = BUILT_IN_DETECTORS
    """What the `redact` of the collectors that run these graphs can look for."""


BUILT_IN = Operators()
