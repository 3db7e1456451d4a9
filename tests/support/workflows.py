"""Workflows as files, for tests of the whole product."""

from __future__ import annotations

SEVERAL_NODES = """workflow:
  id: before
  nodes:
    - id: half
      model: {model_type_id: random-sample, output_info: {params: {keep_fraction: 1}}}
    - id: sure
      model: {model_type_id: concept-thresholder, output_info: {params: {concept_threshold_type: GREATER_THAN},
        data: {concepts: [{id: "*", value: 0.99}]}}}
      node_inputs: [{node_id: half}]
    - id: surer
      model: {model_type_id: random-sample, output_info: {params: {keep_fraction: 1}}}
      node_inputs: [{node_id: sure}]
    - id: alices
      model: {model_type_id: metadata-filter, output_info: {params: {expression: "caller == 'alice'"}}}
"""
"""It keeps alice's inputs of which the model is unsure; one node empties them, and one is never run."""
