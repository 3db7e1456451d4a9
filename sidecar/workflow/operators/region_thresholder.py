"""`region-thresholder`: the concept-thresholder inside each region; a region with no concept left is removed.

Reads `regions` and gives `regions`, in their order, each with the concepts that passed and nothing else changed; no
region left drops the input. Parameters and thresholds are those of `concept-thresholder`, `*` and `require` too:
`require: all` removes a region unless every listed concept is in it and passes. A region without concepts passes
nothing. Source: the Clarifai Collectors contract, "Workflows".
"""

from __future__ import annotations

from dataclasses import replace

from sidecar.collector import Node
from sidecar.data import Data, Region
from sidecar.workflow.item import Item
from sidecar.workflow.operators.concept_thresholder import ConceptThresholder, ConceptThresholderParams
from sidecar.workflow.operators.operator import EMPTY, Operator


class RegionThresholder(Operator):
    params_model = ConceptThresholderParams
    reads = frozenset(("regions",))
    gives = frozenset(("regions",))
    never_fails = True

    def __init__(self, node: Node, params: ConceptThresholderParams) -> None:
        self._threshold = ConceptThresholder(node, params)

    def __call__(self, inputs: tuple[Data, ...], item: Item) -> Data:
        regions = tuple([left for region in inputs[0].regions if (left := self._left(region, item)).concepts])
        return Data(regions=regions) if regions else EMPTY

    def _left(self, region: Region, item: Item) -> Region:
        passed = self._threshold((Data(concepts=region.concepts),), item).concepts
        return region if passed == region.concepts else replace(region, concepts=passed)
