"""Knowledge graphs in files: each named by its file, each fault with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.collector import KnowledgeGraph, Predicate
from sidecar.errors import Problem
from sidecar.policy.graphs import GraphFiles, read_graphs
from sidecar.workflow.operators.knowledge import read_knowledge_graph

GOOD = """\
knowledge_graph:
  concepts: [cat]
  relations:
    - [feline, synonym, cat]
    - [siamese, hyponym, cat]
"""


def read(policies: Path, **files: str) -> tuple[dict[str, KnowledgeGraph], list[Problem]]:
    (policies / "graphs").mkdir()
    for name, text in files.items():
        (policies / "graphs" / f"{name}.yaml").write_text(text)
    return read_graphs(policies, read_knowledge_graph)


def test_a_graph_has_the_name_of_its_file(tmp_path: Path) -> None:
    relations = (("feline", Predicate.SYNONYM, "cat"), ("siamese", Predicate.HYPONYM, "cat"))
    assert read(tmp_path, animals=GOOD) == ({"animals": KnowledgeGraph(relations, ("cat",))}, [])


def test_a_folder_that_is_not_there_holds_no_graph(tmp_path: Path) -> None:
    assert read_graphs(tmp_path, read_knowledge_graph) == ({}, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD.replace("hyponym", "hyponim"),
            "5: knowledge_graph.relations[1][1]: Input should be 'synonym', 'hyponym' or 'hypernym'",
        ),
        (GOOD.replace("[cat]", "[7]"), "2: knowledge_graph.concepts[0]: must be text, not int: put it in quotes"),
        (GOOD.replace("concepts", "concept"), "2: knowledge_graph.concept: no such field: did you mean concepts?"),
        ("collector: {}\n", "1: must hold exactly one `knowledge_graph:`, and nothing beside it"),
        ("", "1: must hold exactly one `knowledge_graph:`, and nothing beside it"),
        ("knowledge_graph:\n", "1: knowledge_graph: must be an object"),
        ("knowledge_graph: [\n", "2: is not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_fault_names_file_and_line_and_hides_no_other_graph(tmp_path: Path, text: str, said: str) -> None:
    graphs, (problem,) = read(tmp_path, broken=text, animals=GOOD)
    assert set(graphs) == {"animals"}
    assert str(problem) == f"{tmp_path}/graphs/broken.yaml:{said}"


def test_what_is_broken_or_a_folder_that_is_gone_keeps_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    folder.mkdir()
    for name in ("animals", "plants"):
        (folder / f"{name}.yaml").write_text(GOOD)
    files = GraphFiles(tmp_path, read_knowledge_graph)
    assert files.take(files.read())
    assert not files.take(files.read())
    (folder / "animals.yaml").write_text("knowledge_graph: 3")
    (folder / "plants.yaml").unlink()
    assert files.take(files.read())
    assert set(files.graphs) == {"animals"}
    assert [problem.file for problem in files.problems] == [str(folder / "animals.yaml")]
    (folder / "animals.yaml").unlink()
    folder.rmdir()
    assert not files.take(files.read())
    assert set(files.graphs) == {"animals"}


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "graphs").write_text("no folder")
    graphs, (problem,) = read_graphs(tmp_path, read_knowledge_graph)
    assert graphs == {}
    assert str(problem) == f"{tmp_path}/graphs: cannot be listed: Not a directory"
