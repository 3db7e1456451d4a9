"""What is posted, by what the collector says."""

from __future__ import annotations

import dataclasses

from sidecar.collector import Collector, Source
from sidecar.data import Concept, Data, Text
from sidecar.pipeline.parcel import posted_data

COLLECTOR = Collector("c", Source("m"))
GIVEN = Data(text=Text("a cat"), metadata={"caller": "alice"})
OUTPUT = Data(concepts=(Concept("cat", 0.4), Concept("dog", 0.3)))
RESULT = Data(text=Text("a caption"), concepts=(Concept("cat", 0.9),))


def with_fields(*, keep_input: bool = False, collect_outputs: bool = False) -> Collector:
    return dataclasses.replace(COLLECTOR, keep_input=keep_input, collect_outputs=collect_outputs)


def test_without_a_workflow_the_input_is_posted_as_it_is() -> None:
    assert posted_data(COLLECTOR, GIVEN, OUTPUT, None) == GIVEN


def test_with_a_workflow_its_output_is_posted_and_not_the_input() -> None:
    assert posted_data(COLLECTOR, GIVEN, OUTPUT, RESULT) == RESULT


def test_keep_input_posts_the_input_with_that_output_attached() -> None:
    posted = posted_data(with_fields(keep_input=True), GIVEN, OUTPUT, RESULT)
    assert posted.text == Text("a cat")
    assert posted.concepts == (Concept("cat", 0.9),)
    assert posted.metadata["caller"] == "alice"
    assert posted.metadata["workflow_output"]["text"] == {"raw": "a caption"}


def test_collect_outputs_attaches_the_predictions_and_the_workflow_wins_on_the_same_concept() -> None:
    posted = posted_data(with_fields(keep_input=True, collect_outputs=True), GIVEN, OUTPUT, RESULT)
    assert posted.concepts == (Concept("cat", 0.9), Concept("dog", 0.3))
    assert [each["value"] for each in posted.metadata["model_output"]["concepts"]] == [0.4, 0.3]


def test_a_missing_or_empty_output_attaches_nothing() -> None:
    for output in (None, Data()):
        assert posted_data(with_fields(collect_outputs=True), GIVEN, output, None) == GIVEN
