"""What is posted: the original input, the workflow's output, or the one with the other attached. Pure.

With no post-queue workflow the input is posted as it is; with one, its output; with `keep_input` (*ours*) the input
with that output attached. `collect_outputs` attaches the model's original predictions. What is attached adds its
concepts and regions to the input's; where two name the same concept, the workflow's stands. All that was attached is
also kept whole in the metadata, under `model_output` and `workflow_output`, so that nothing is lost in the merge.
"""

from __future__ import annotations

import dataclasses

from sidecar.collector import Collector
from sidecar.data import Concept, Data, to_wire


def posted_data(collector: Collector, given: Data, output: Data | None, result: Data | None) -> Data:
    """The data to post. `output` is the model's, None when it sent none; `result` is the post-queue workflow's, None
    when the collector has none."""
    if result is not None and not collector.keep_input:
        posted, attached = result, {}
    else:
        posted, attached = given, {"workflow_output": result}
    if collector.collect_outputs:
        attached = {**attached, "model_output": output}
    for name, data in attached.items():
        if data is not None and not data.is_empty:
            posted = _attach(posted, data, name)
    return posted


def _attach(posted: Data, data: Data, name: str) -> Data:
    return dataclasses.replace(
        posted,
        concepts=_united(posted.concepts, data.concepts),
        regions=posted.regions + data.regions,
        metadata={**posted.metadata, name: to_wire(data)},
    )


def _united(first: tuple[Concept, ...], second: tuple[Concept, ...]) -> tuple[Concept, ...]:
    known = {concept.id for concept in first}
    return first + tuple(concept for concept in second if concept.id not in known)
