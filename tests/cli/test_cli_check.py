"""`sidecar check` names every fault at once, with file and line, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.certificates import Authority

from sidecar.cli import main

GOOD = """\
workflow:
  id: tenth
  nodes:
    - id: sample
      model:
        model_id: sample
        model_type_id: random-sample
        output_info: {params: {keep_fraction: 0.1}}
"""
COLLECTOR = """\
collector:
  id: kept
  source: {model: digits}
  pre_queue_workflow_id: tenth
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies"


def said_by_check(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["check", *options])
    captured = capsys.readouterr()
    return code, captured.err if code else captured.out


def test_good_policies_are_shown_in_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yaml").write_text(GOOD)
    (folder / "c.yaml").write_text(COLLECTOR)
    code, said = said_by_check(capsys)
    assert code == 0
    assert "1 collectors, 1 workflows, no fault" in said
    assert all(word in said for word in ("kept", "active", "digits", "any", "tenth", "app"))
    assert sorted(path.name for path in folder.parent.iterdir()) == ["policies"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "unknown field",
            COLLECTOR + "  pre_queue_random_sampel: 0.1\n",
            "c.yaml:5: collector.pre_queue_random_sampel",
        ),
        ("wrong type", COLLECTOR.replace("{model: digits}", "digits"), "c.yaml:3: collector.source"),
        ("missing workflow", COLLECTOR.replace("tenth", "fifth"), "c.yaml:4: collector.pre_queue_workflow_id"),
        ("three missing", COLLECTOR.replace("  pre_queue_workflow_id: tenth\n", ""), "pre_queue_random_sample"),
        (
            "two sources",
            COLLECTOR + "  collector_source: {api_post_model_outputs_collector_source: {model_id: digits}}\n",
            "collector_source",
        ),
        ("sample out of range", COLLECTOR + "  pre_queue_random_sample: 1.5\n", "c.yaml:5: collector.pre_queue_random"),
        ("bad id", COLLECTOR.replace("id: kept", "id: kept it"), "c.yaml:2: collector.id"),
        ("bad destination", COLLECTOR + "  destination: {nowhere: {}}\n", "c.yaml:5: collector.destination"),
        ("not YAML", "collector: {id: [", "c.yaml:1"),
        ("empty", "", "c.yaml"),
    ],
)
def test_a_fault_names_file_line_and_field(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, expected: str
) -> None:
    (folder / "w.yaml").write_text(GOOD)
    (folder / "c.yaml").write_text(text)
    code, said = said_by_check(capsys)
    assert code == 2, name
    assert expected in said, said


def test_a_duplicate_id_names_both_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yaml").write_text(GOOD)
    (folder / "a.yaml").write_text(COLLECTOR)
    (folder / "b.yaml").write_text(COLLECTOR)
    code, said = said_by_check(capsys)
    assert code == 2
    assert "a.yaml" in said
    assert "b.yaml" in said


def test_faults_of_settings_files_and_graphs_are_shown_together(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "w.yaml").write_text(GOOD.replace("keep_fraction: 0.1", "keep: 0.1"))
    (folder / "c.yaml").write_text(COLLECTOR.replace("digits", ""))
    code, said = said_by_check(capsys, "--models", "second=http://host:1/", "--keys", "nowhere.yaml")
    assert code == 2
    for expected in ("w.yaml:8: workflow.nodes[0].model.output_info.params", "c.yaml:3", "--models", "nowhere.yaml"):
        assert expected in said, said
    assert said.strip().endswith("faults")


def test_a_setting_that_cannot_be_read_ends_with_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_by_check(capsys, "--listen", "here", "--grace", "soon")
    assert code == 2
    assert "--listen: 'here'" in said
    assert "--grace: 'soon'" in said


def test_a_policies_folder_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = said_by_check(capsys, "--policies", "elsewhere")
    assert code == 2
    assert "elsewhere" in said


def test_policies_are_checked_although_a_setting_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.yaml").write_text(COLLECTOR)
    code, said = said_by_check(capsys, "--grace", "soon")
    assert code == 2
    assert "--grace: 'soon'" in said
    assert "c.yaml:4: collector.pre_queue_workflow_id: no workflow 'tenth'" in said


def test_each_of_several_destinations_is_found_in_its_line_and_named_in_the_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "w.yaml").write_text(GOOD)
    several = COLLECTOR + "  destination:\n    - app\n    - clarifai: {base_url: 'http://a', user_id: u, app_id: %s}\n"
    (folder / "c.yaml").write_text(several % "5" + "      name: second\n    - nowhere\n")
    _, said = said_by_check(capsys)
    assert "c.yaml:7: collector.destination[1].clarifai.app_id: must be text" in said
    assert "c.yaml:9: collector.destination[2]: there is no kind 'nowhere'" in said
    (folder / "c.yaml").write_text(several % "a" + "      name: second\n")
    code, said = said_by_check(capsys)
    assert code == 0
    assert all(word in said for word in ("app,", "second"))


def test_an_option_of_a_destination_is_found_in_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "w.yaml").write_text(GOOD)
    (folder / "c.yaml").write_text(COLLECTOR + "  destination:\n    clarifai:\n      user_id: u\n      app_id: 5\n")
    _, said = said_by_check(capsys)
    assert "c.yaml:8: collector.destination.clarifai.app_id: must be text, not int: put it in quotes" in said


def test_certificates_are_read_and_one_that_has_ended_is_no_fault(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    ended, fresh = authority.sign("ended", days=-1), authority.sign("fresh", days=99)
    own = ["--tls-cert", str(ended.cert), "--tls-key", str(ended.key)]
    ours = ["--upstream", "https://model", "--upstream-cert", str(fresh.cert), "--upstream-key", str(fresh.key)]
    assert main(["check", *own, *ours]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"warning: --tls-cert: {ended.cert} holds a certificate that ended on ")
    assert said.count("\n") == 1
    code, said = said_by_check(capsys, *own, "--tls-client-ca", str(ended.key), "--upstream-ca", "gone.pem", *ours[:2])
    assert code == 2
    assert f"--tls-client-ca: {ended.key} holds no certificate in PEM" in said
    assert "--upstream-ca: gone.pem cannot be read: No such file or directory" in said
    assert said.endswith("2 faults\n")
