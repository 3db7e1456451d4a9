"""Operators of others, from distributions as they are installed: loaded, or named and left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.plugins import GOOD, install, workflow_of

TWICE = "several installed distributions name it: acme_first 1.0, acme_second 1.0"
HEAD = "from sidecar.workflow.operators.operator import Operator, Params\n"
BODY = "    def __init__(self, node, params): pass\n    def __call__(self, inputs, item): return inputs[0]\n"
BROKEN = {
    "missing": (None, "cannot be loaded: ModuleNotFoundError: No module named 'acme_missing'"),
    "needs-more": ("import torch_of_acme\n", "cannot be loaded: ModuleNotFoundError: No module named 'torch_of_acme'"),
    "misspelt": (
        "class Othr: pass\n",
        "cannot be loaded: AttributeError: module 'acme_misspelt' has no attribute 'It'",
    ),
    "no-python": ("class (:\n", "cannot be loaded: SyntaxError: invalid syntax (acme_no_python.py, line 1)"),
    "raises": ("raise RuntimeError('no\\nlicence')\n", "cannot be loaded: RuntimeError: no licence"),
    "exits": ("import sys\nsys.exit(3)\n", "cannot be loaded: SystemExit: 3"),
    "function": ("def It(): pass\n", "is no subclass of sidecar.workflow.operators.operator.Operator"),
    "instance": ("It = 5\n", "is no subclass of sidecar.workflow.operators.operator.Operator"),
    "half": (f"{HEAD}class It(Operator):\n    def __init__(self, node, params): pass\n", "leaves out __call__"),
    "params": (
        f"{HEAD}class It(Operator):\n    params_model = dict\n{BODY}",
        "its params_model is no subclass of sidecar.workflow.operators.operator.Params",
    ),
    "counts": (f"{HEAD}class It(Operator):\n    input_count = 0\n{BODY}", "its input_count is no number of nodes"),
    "reads": (
        f"{HEAD}class It(Operator):\n    reads = {{'text'}}\n{BODY}",
        "what it reads is no frozenset of the data",
    ),
    "gives": (
        f"{HEAD}class It(Operator):\n    gives = frozenset(('words',))\n{BODY}",
        "what it gives is no frozenset of the data model's fields: audio, concepts",
    ),
}


def check(home: Path, *policies: str) -> tuple[int, str, str]:
    """What `sidecar check` says where the distributions of `home/site` are installed."""
    folder = home / "policies"
    folder.mkdir()
    for number, text in enumerate(policies):
        (folder / f"{number}.yaml").write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(home / "site"), environment.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "check", "--policies", str(folder)],
        capture_output=True, text=True, check=False, env=environment, cwd=home,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str]:
    """Everything that can be wrong, installed at once, beside one that is right."""
    home = tmp_path_factory.mktemp("broken")
    for name, (code, _) in BROKEN.items():
        module = f"acme_{name.replace('-', '_')}"
        install(home / "site", module, code, {name: f"{module}:It"})
    install(home / "site", "acme_good", GOOD, {"longer": "acme_good:Longer"})
    install(home / "site", "acme_first", GOOD, {"twice": "acme_first:Longer"})
    install(home / "site", "acme_second", GOOD, {"twice": "acme_second:Longer"})
    install(home / "site", "acme_thief", GOOD, {"random-sample": "acme_thief:Longer"})
    install(home / "site", "acme_garbled", None, {"garbled": "acme_garbled:It"})
    (home / "site" / "acme_garbled-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    install(home / "site", "acme_unconcerned", None, {})
    (home / "site" / "acme_unconcerned-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    workflows = [workflow_of("longer", "{than: 2}"), workflow_of("half"), workflow_of("twice")]
    return check(home, *workflows, workflow_of("random-sample", "{keep_fraction: 0.5}"))


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_plug_in_is_named_by_check(broken: tuple[int, str, str], name: str) -> None:
    module = f"acme_{name.replace('-', '_')}"
    expected = f"operator {name}: {name} of {module} 1.0, {module}:It: {BROKEN[name][1]}"
    assert any(line.startswith(expected) for line in broken[2].splitlines()), broken[2]


def test_a_name_is_given_to_nobody_twice(broken: tuple[int, str, str]) -> None:
    said = broken[2].splitlines()
    assert f"operator twice: {TWICE}" in said
    thief = "random-sample of acme_thief 1.0, acme_thief:Longer: the name is a built-in operator's, which stays"
    assert f"operator random-sample: {thief}" in said


def test_a_distribution_that_cannot_be_read_hides_no_other(broken: tuple[int, str, str]) -> None:
    (said,) = [line for line in broken[2].splitlines() if "acme_garbled" in line]
    assert re.fullmatch(r"operators: .*acme_garbled-1\.0\.dist-info cannot be read: UnicodeDecodeError: .*", said)
    assert "acme_unconcerned" not in broken[2]


def test_a_graph_that_names_a_broken_plug_in_is_told_why_with_file_and_line(broken: tuple[int, str, str]) -> None:
    code, _, said = broken
    of_graphs = [line.split("/policies/")[1] for line in said.splitlines() if ".yaml" in line]
    field = "workflow.nodes[0].model.model_type_id"
    assert of_graphs == [
        f"1.yaml:7: {field}: 'half' cannot be used: half of acme_half 1.0, acme_half:It: leaves out __call__",
        f"2.yaml:7: {field}: 'twice' cannot be used: {TWICE}",
    ]
    assert code == 2


def test_a_good_plug_in_is_an_operator_like_any_other(tmp_path: Path) -> None:
    install(tmp_path / "site", "acme_good", f"print('hello from acme')\n{GOOD}", {"longer": "acme_good:Longer"})
    code, out, said = check(tmp_path, workflow_of("longer", "{than: 2}"))
    assert (code, said) == (0, "hello from acme\n")
    assert "1 workflows, no fault" in out
    assert "hello" not in out


def test_parameters_of_a_plug_in_are_judged_with_file_and_line(tmp_path: Path) -> None:
    bad = (
        f"{HEAD}class It(Operator):\n    def __init__(self, node, params): {{}}['my secret']\n{BODY.splitlines()[1]}\n"
    )
    install(tmp_path / "site", "acme_good", GOOD, {"longer": "acme_good:Longer"})
    install(tmp_path / "site", "acme_bad", bad, {"bad": "acme_bad:It"})
    follows = workflow_of("longer", "{than: 2}") + "      node_inputs: [{node_id: count}]\n"
    counts = "    - id: count\n      model: {model_id: count, model_type_id: object-counter}\n"
    nodes = follows.replace("  nodes:\n", f"  nodes:\n{counts}").replace("id: longer", "id: flows", 1)
    code, _, said = check(tmp_path, workflow_of("longer", "{then: 2}"), workflow_of("bad"), nodes)
    lines = [line.split("/policies/")[1] for line in said.splitlines() if ".yaml" in line]
    assert code == 2
    assert lines[:2] == [
        "0.yaml:8: workflow.nodes[0].model.output_info.params.than: is missing",
        "0.yaml:8: workflow.nodes[0].model.output_info.params.then: no such field: did you mean than?",
    ]
    assert lines[2].startswith("1.yaml:7: workflow.nodes[0].model.model_type_id: bad cannot be made: KeyError in ")
    assert lines[2].endswith("acme_bad.py:3")
    assert lines[3] == (
        "2.yaml:11: workflow.nodes[1].node_inputs[0].node_id: longer reads tensors, "
        "but all that 'count' gives is metadata"
    )
    assert "secret" not in said
