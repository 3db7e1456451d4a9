"""Detectors of others, from distributions as they are installed: they find as ours do, or are named and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plugins import NAMES, install
from support.policies import collector as policy
from support.policies import plan

from sidecar.cli import main
from sidecar.collector import RedactRule
from sidecar.data import Data, Text
from sidecar.errors import ConfigurationError
from sidecar.redaction.detector import Detector, Detectors
from sidecar.redaction.detectors import MOST_PAID, UnredactableError
from sidecar.redaction.rules import Redaction

GROUP = "sidecar.detectors"
HEAD = "from sidecar.redaction.detector import Detector\n"
BROKEN = {
    "missing": (None, "cannot be loaded: ModuleNotFoundError: No module named 'acme_missing'"),
    "function": ("def It(text): return []\n", "is no subclass of sidecar.redaction.detector.Detector"),
    "half": (f"{HEAD}class It(Detector): pass\n", "leaves out __call__"),
    "no-model": (
        f"{HEAD}class It(Detector):\n    def __init__(self): raise OSError('no model')\n    __call__ = print\n",
        "cannot be loaded: OSError: no model",
    ),
}


class Odd(Detector):
    def __init__(self, find: Callable[[str], Any]) -> None:
        self._find = find

    def __call__(self, text: str) -> Iterable[tuple[int, int]]:
        found: Iterable[tuple[int, int]] = self._find(text)
        return found


def redaction(find: Callable[[str], Any], *rules: RedactRule) -> Redaction:
    return Redaction(rules or (RedactRule(detect=("odd",)),), Detectors({"odd": Odd(find)}))


@given(st.text("ab%", max_size=12), st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted), max_size=4))
def test_places_in_any_order_are_masked_and_nothing_else(text: str, found: list[list[int]]) -> None:
    places = [(start, end) for start, end in found if end <= len(text)]
    hidden = {at for start, end in places for at in range(start, end)}
    left = redaction(lambda given: places if given == text else [], RedactRule(detect=("odd",), to="")).text(text)
    assert left == "".join(letter for at, letter in enumerate(text) if at not in hidden)


@pytest.mark.parametrize(
    "find",
    [
        lambda text: {}[text],
        lambda text: None,
        lambda text: [text],
        lambda text: [(0, len(text) + 1)],
        lambda text: [(-1, 1)],
        lambda text: [(2, 1)],
        lambda text: [("a", "b")],
    ],
)
def test_what_a_detector_fails_on_cannot_be_redacted_and_is_not_told(find: Callable[[str], Any]) -> None:
    with pytest.raises(UnredactableError, match=r"^detector 'odd' failed: ") as caught:
        redaction(find).input(Data(text=Text("my secret")))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert redaction(find).text("my secret") == "[redacted]"


def test_what_is_found_has_the_detectors_name_and_its_work_is_bounded() -> None:
    assert redaction(lambda text: [(3, 9)]).text("my secret") == "my [odd]"
    with pytest.raises(UnredactableError, match="more of it"):
        redaction(lambda _: []).input(Data(text=Text("a" * (MOST_PAID + 1))))


def test_a_name_that_no_detector_has_is_a_fault_of_the_rule() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Redaction([RedactRule(detect=("email", "odd", "gone"))], Detectors(broken={"odd": "why"}))
    assert [str(problem) for problem in caught.value.problems] == [
        "redact[0].detect[1]: 'odd' cannot be used: why",
        "redact[0].detect[2]: 'gone' is no detector; known: email, card, ip, phone",
    ]


def test_a_collector_whose_detector_is_gone_stands_still() -> None:
    made = plan([policy(redact=(RedactRule(detect=("gone",)),)), policy("other")])
    (problem,) = made.problems
    assert str(problem).startswith("collector kept: stands still: redact[0].detect[0]: 'gone' is no detector; known: ")
    assert set(made.policies) == {"other"}
    assert "kept" in made.known


def collector(name: str, detector: str) -> str:
    head = f"collector:\n  id: {name}\n  source: {{model: m}}\n  pre_queue_random_sample: 1\n"
    return f"{head}  redact:\n    - {{detect: [email, {detector}]}}\n"


def test_check_names_what_is_broken_and_takes_what_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site, policies = tmp_path / "site", tmp_path / "policies"
    policies.mkdir()
    install(site, "acme_names", f"print('hello from acme')\n{NAMES}", {"names": "acme_names:Names"}, GROUP)
    monkeypatch.syspath_prepend(site)
    (policies / "good.yaml").write_text(collector("good", "names"))
    assert main(["check", "--policies", str(policies)]) == 0
    said = capsys.readouterr()
    assert "hello" not in said.out
    assert said.err == "hello from acme\n"

    for name, (code, _) in BROKEN.items():
        module = f"acme_{name.replace('-', '_')}"
        install(site, module, code, {name: f"{module}:It"}, GROUP)
    install(site, "acme_thief", NAMES, {"email": "acme_thief:Names"}, GROUP)
    (policies / "half.yaml").write_text(collector("half", "half"))
    (policies / "typo.yaml").write_text(collector("typo", "nams"))
    assert main(["check", "--policies", str(policies)]) == 2
    lines = capsys.readouterr().err.splitlines()
    for name, (_, why) in BROKEN.items():
        module = f"acme_{name.replace('-', '_')}"
        assert f"detector {name}: {name} of {module} 1.0, {module}:It: {why}" in lines
    thief = "email of acme_thief 1.0, acme_thief:Names: the name is a built-in detector's, which stays"
    assert f"detector email: {thief}" in lines
    assert (
        f"{policies}/half.yaml:6: collector.redact[0].detect[1]: 'half' cannot be used: "
        "half of acme_half 1.0, acme_half:It: leaves out __call__"
    ) in lines
    known = "'nams' is no detector; known: email, card, ip, phone, names"
    assert f"{policies}/typo.yaml:6: collector.redact[0].detect[1]: {known}" in lines
    assert len([line for line in lines if "good.yaml" in line]) == 0
