"""What this process's policies can name: the built-in operators, those of plug-ins, detectors, and knowledge graphs.

Blocking: reads files and imports what is installed. Done once, at the start of the engine and of `sidecar check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sidecar.collector import KnowledgeGraph
from sidecar.errors import Problem
from sidecar.memory import Memories
from sidecar.policy.graphs import GraphFiles
from sidecar.redaction.plugins import load_detectors
from sidecar.workflow.operators.knowledge import read_knowledge_graph
from sidecar.workflow.operators.operator import Ground
from sidecar.workflow.operators.plugins import load_plugins
from sidecar.workflow.operators.registry import OPERATORS, Operators


def graph_files(policies: Path) -> GraphFiles:
    """Those of the folder `policies`; none is read yet."""
    return GraphFiles(policies, read_knowledge_graph)


def open_operators(
    policies: Path,
    loading: Callable[[str], object] = lambda _: None,
    memories: Memories | None = None,
    app_graphs: Mapping[tuple[str, str], KnowledgeGraph] | None = None,
    files: GraphFiles | None = None,
) -> tuple[Operators, tuple[Problem, ...]]:
    """The operators, and what of them cannot be used; `loading` is told of each plug-in before its code is run.
    They remember in `memories`, in new ones unless given; `app_graphs` are the apps' own, by (user, app), and
    may change under way; so may the graphs of `files`, which are read here and now unless given."""
    plugins = load_plugins(OPERATORS, loading)
    problems: tuple[Problem, ...] = ()
    if files is None:
        files = graph_files(policies)
        files.take(files.read())
        problems = files.problems
    ground = Ground(files.graphs, {} if app_graphs is None else app_graphs, memories=memories or Memories())
    detectors, broken = load_detectors(loading)
    operators = Operators({**OPERATORS, **plugins.kinds}, plugins.broken, ground, detectors)
    return operators, (*plugins.problems, *broken, *problems)
