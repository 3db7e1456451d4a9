"""How many recorded exchanges a back-test judges in a second of one core: a 1.4 kB call with ten concepts of the Open
Inference Protocol, through match, sample and threshold, read from our JSONL.

Run it alone: `python tests/bench/backtest_rate.py`; the goal is 20,000 a second.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.exchanges import message
from support.policies import collector, node

from sidecar.backtest.comparison import Comparison
from sidecar.backtest.drafts import Draft
from sidecar.backtest.sources import decoded
from sidecar.capture.arrival import ArrivalReader
from sidecar.capture.caller import Callers
from sidecar.collector import Workflow
from sidecar.exchange import Exchange
from sidecar.kit.ids import OrderedIds
from sidecar.records.exchanges import write_exchange
from sidecar.records.files import read_records
from sidecar.records.recorded import Recorded
from sidecar.workflow.operators.registry import BUILT_IN

EXCHANGES = 20_000
ROUNDS = 5
GOAL = 20_000


def draft(share: float) -> Draft:
    """Samples `share`, and keeps of it what is below a threshold."""
    below = node(
        "below", "sample", type_id="concept-thresholder", params={"concept_threshold_type": "LESS_THAN"},
        concepts=(("*", 0.6),),
    )  # fmt: skip
    sample = node("sample", type_id="random-sample", params={"keep_fraction": share})
    workflow = Workflow("sampled", (sample, below))
    return Draft(collector(pre_queue_workflow_id="sampled"), (workflow,), (), BUILT_IN)


def write_record(path: Path) -> int:
    """Write the record; gives the bytes of the bodies of one exchange."""
    ids, arrivals = OrderedIds(), ArrivalReader(Callers("x-caller-id", {}), ("user-agent", "content-type"))
    values = [0.55, *[0.05] * 9]
    given = {"name": "pixels", "datatype": "FP32", "shape": [1, 190], "data": [0.0625 * (n % 16) for n in range(190)]}
    said = {"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "data": values}
    request = message("POST /v2/models/digits/infer HTTP/1.1", {"inputs": [given]}, {"X-Caller-Id": "alice"})
    answer = message("HTTP/1.1 200 OK", {"model_name": "digits", "model_version": "1", "outputs": [said]})
    with path.open("wb") as file:
        for number in range(EXCHANGES):
            recorded = decoded(Exchange(ids(), 1_700_000_000.0 + number, 0.01, request, answer), arrivals)
            if recorded is None:
                raise RuntimeError("the call is no predict call")
            file.write(write_exchange(recorded))
    return len(request.body) + len(answer.body)


def rate(path: Path, share: float) -> float:
    """Exchanges a second of processor time."""
    comparison = Comparison(draft(share).trial())
    began = time.process_time()
    for found in read_records([path]):
        if isinstance(found, Recorded):
            comparison.take(found)
    seconds = time.process_time() - began
    if not abs(comparison.trial.kept - share * EXCHANGES) < 0.02 * EXCHANGES:
        raise RuntimeError("the record was not judged as it should be")
    return EXCHANGES / seconds


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.jsonl"
        size = write_record(path)
        worst = 0.0
        print(f"bodies of {size:,} bytes, lines of {path.stat().st_size // EXCHANGES:,}")
        for share in (0.1, 1.0):
            worst = max(rate(path, share) for _ in range(ROUNDS))  # the best round: others disturb, none helps
            print(f"sample {share:.0%}: {worst:,.0f} exchanges a second of one core")
    return 0 if worst >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
