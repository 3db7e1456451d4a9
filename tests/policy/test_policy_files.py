"""The policies folder: every fault with its file and line, none hiding another."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.files import read_folder
from sidecar.policy.marks import MAX_FILE_BYTES

GOOD = "collector:\n  id: {id}\n  source: {{model: digits}}\n  pre_queue_random_sample: 0.1\n"


def said(folder: Path, text: str | bytes, name: str = "p.yaml") -> str:
    """The one problem with a file of this text, without its folder."""
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    (problem,) = read_folder(folder).problems
    return str(problem).removeprefix(f"{folder}/")


def test_a_folder_gives_its_policies(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.format(id="a"))
    (tmp_path / "w.yml").write_text("workflow:\n  id: w\n  nodes:\n    - {id: n, model: {model_type_id: x}}\n")
    (tmp_path / ".hidden.yaml").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    loaded = read_folder(tmp_path)
    assert loaded.problems == ()
    assert [each.id for each in loaded.collectors] == ["a"]
    assert [each.id for each in loaded.workflows] == ["w"]
    assert loaded.collectors[0].origin == str(tmp_path / "a.yaml")


def test_no_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert read_folder(tmp_path / "none").files == ()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be listed"):
        read_folder(tmp_path / "f")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.format(id="a").replace("0.1", "3"), "p.yaml:4: collector.pre_queue_random_sample: must be at most 1"),
        ("# why\n" + GOOD.format(id="a") + "  statis: x\n", "p.yaml:6: collector.statis: no such field: did you mean"),
        (GOOD.format(id="a") + "  id: b\n", "p.yaml:5: collector.id: stands there twice, first in line 2"),
        ("collector:\n  id: a\n  pre_queue_random_sample: 1\n", "p.yaml:1: collector.collector_source."),
        ("", "p.yaml:1: the file is empty"),
        ("# only a comment\n", "p.yaml:1: the file is empty"),
        ("collector:\n  id: [a\n", "p.yaml:3: is not YAML"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2: holds several documents"),
        ("collector: {}\nworkflows: {}\n", "p.yaml:2: must hold exactly one"),
        ("- a\n", "p.yaml:1: must hold exactly one"),
        ("collector: !!python/name:os.system x\n", "p.yaml:1: collector: has a tag"),
        ("collector:\n  1: x\n", "p.yaml:2: collector: a field's name must be text"),
        ("collector: &a\n  x: *a\n", "p.yaml:1: nests deeper"),
        ("[" * 6_000, "p.yaml: nests deeper"),
        ("collector:\n  id: .nan\n", "p.yaml:2: collector.id: is no finite number"),
        ("collector:\n  id: " + "9" * 40, "p.yaml:2: collector.id: is a number too large"),
        ('collector:\n  id: "\\ud800"\n', "p.yaml:2: collector.id: holds half a character"),
        (b"collector:\n  id: \xff\n", "p.yaml:2: is not UTF-8"),
        (b"collector: \x01\n", "p.yaml: is not YAML: it holds a character"),
        ("#" * (MAX_FILE_BYTES + 1), "p.yaml: is larger than"),
        ("collector:\n  id: a\n  source: {model: 1.10}\n  pre_queue_random_sample: 1\n", "put it in quotes"),
    ],
)
def test_each_fault_names_file_and_line(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in said(tmp_path, text)


def test_a_bomb_is_bounded(tmp_path: Path) -> None:
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    for new, old in zip("bcdefgh", "abcdefg", strict=True):
        lines.append(f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]")
    assert "once its aliases are followed" in said(tmp_path, "\n".join(lines))


def test_anchors_and_dates_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "collector:\n  id: &name digits\n  description: 2026-01-01\n  source: {model: *name}\n"
        "  pre_queue_random_sample: 1\n"
    )
    (collector,) = read_folder(tmp_path).collectors
    assert (collector.source.model_id, collector.description) == ("digits", "2026-01-01")


def test_the_same_id_in_two_files_names_both_and_loads_neither(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(GOOD.format(id="c" if name == "c" else "same"))
    loaded = read_folder(tmp_path)
    assert [each.id for each in loaded.collectors] == ["c"]
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in loaded.problems] == [
        "a.yaml:2: collector.id: 'same' is also in b.yaml",
        "b.yaml:2: collector.id: 'same' is also in a.yaml",
    ]


def test_a_fault_found_later_gets_its_line(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("workflow:\n  id: w\n  nodes:\n    - id: n\n      model:\n        modelTypeId: x\n")
    loaded = read_folder(tmp_path)
    for field in ("workflow.nodes[0].model.model_type_id", "nodes[0].model.model_type_id"):
        assert loaded.line_of(str(file), field) == 6
    assert loaded.locate(Problem("x", "workflow.nodes[0].model.output_info.params", str(file))).line == 5
    assert loaded.locate(Problem("x", "workflow.nodes[7]", str(file))).line == 3
    assert loaded.locate(Problem("x", "f", "another.yaml")).line == 0
