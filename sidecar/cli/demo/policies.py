"""The demo's policies: the collector and the two workflows that are written to a folder, as an operator would.

Short on purpose: they are shown, and they are what a reader copies first.
"""

from __future__ import annotations

from pathlib import Path

COLLECTED_CALLER = "alice"
COLLECTOR_ID = "unsure-digits"

COLLECTOR = f"""\
# Of {COLLECTED_CALLER}'s calls to the model `digits`: what it was unsure about and a second model sees otherwise.
collector:
  id: {COLLECTOR_ID}
  source: {{model: digits, caller: {COLLECTED_CALLER}}}
  pre_queue_workflow_id: unsure
  post_queue_workflow_id: disputed
  keep_input: true        # post the image itself, with the workflow's output attached
  collect_outputs: true   # and with what the model itself had answered
  destination: app
"""

UNSURE = """\
# Runs on the model's output: kept when no digit's probability reaches 0.6.
workflow:
  id: unsure
  nodes:
    - id: below
      model:
        model_id: below
        model_type_id: concept-thresholder
        output_info:
          params: {concept_threshold_type: LESS_THAN, require: all}
          data: {concepts: [{id: "*", value: 0.6}]}
"""

DISPUTED = """\
# Runs on the kept image: asks the second model, keeps what the two models see differently.
workflow:
  id: disputed
  nodes:
    - id: second
      model: {model_id: second}
      suppress_output: true
    - id: differ
      model: {model_id: differ, model_type_id: disagreement-filter}
      node_inputs: [{node_id: $output}, {node_id: second}]
"""

FILES = {"unsure-digits.yaml": COLLECTOR, "unsure.yaml": UNSURE, "disputed.yaml": DISPUTED}


def write_policies(folder: Path) -> None:
    """Write every policy file into `folder`, which is made."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
