"""Knowledge graphs in the policies folder: one `knowledge_graph:` in each `graphs/*.yaml`, named by its file.

Does I/O (reading files) and is blocking. Knows no graph's shape: the judgement is handed in. A file with a fault gives
no graph, or what it gave last, and every fault names `file:line: field`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from sidecar.collector import KnowledgeGraph
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.files import policy_files, text_of
from sidecar.policy.marks import line_in, read_marked

FOLDER = "graphs"
_KIND = "knowledge_graph"


ReadGraphs = tuple[dict[str, KnowledgeGraph], list[Problem]]


def read_graphs(policies: Path, read: Callable[[object], KnowledgeGraph]) -> ReadGraphs:
    """The graphs of the folder `policies`, by id, and what is wrong with the others.

    `read` raises ConfigurationError, its fields below `knowledge_graph`.
    """
    graphs: dict[str, KnowledgeGraph] = {}
    problems: list[Problem] = []
    try:
        paths = policy_files(policies / FOLDER)
    except ConfigurationError as error:
        return graphs, list(error.problems)
    for path in paths:
        try:
            graphs[path.stem] = _read_file(path, read)
        except ConfigurationError as error:
            problems += error.problems
    return graphs, problems


class GraphFiles:
    """The graphs of the folder `policies` as they were taken last; `read` as above."""

    def __init__(self, policies: Path, read: Callable[[object], KnowledgeGraph]) -> None:
        self._policies = policies
        self._read = read
        self._graphs: dict[str, KnowledgeGraph] = {}
        self.graphs: Mapping[str, KnowledgeGraph] = MappingProxyType(self._graphs)
        """By id; always those of now."""
        self.problems: tuple[Problem, ...] = ()

    @property
    def folder(self) -> Path:
        return self._policies / FOLDER

    def read(self) -> ReadGraphs:
        """What the files hold now: to be taken. Blocking, and changes nothing."""
        return read_graphs(self._policies, self._read)

    def take(self, found: ReadGraphs) -> bool:
        """Let `found` be the graphs; a broken file's stays, and so do all where the folder is gone. True if any has
        changed."""
        graphs, problems = found
        broken = {Path(problem.file) for problem in problems}
        if self.folder in broken or not self.folder.is_dir():
            stay = dict(self._graphs)
        else:
            stems = {path.stem for path in broken}
            stay = {name: graph for name, graph in self._graphs.items() if name in stems}
        before, now = dict(self._graphs), {**stay, **graphs}
        self._graphs.clear()
        self._graphs.update(now)
        self.problems = tuple(problems)
        return now != before


def _read_file(path: Path, read: Callable[[object], KnowledgeGraph]) -> KnowledgeGraph:
    file = str(path)
    document, lines = read_marked(text_of(path), file)
    if not isinstance(document, dict) or document.keys() != {_KIND}:
        message = f"must hold exactly one `{_KIND}:`, and nothing beside it"
        raise ConfigurationError(Problem(message, file=file, line=1))
    try:
        return read(document[_KIND])
    except ConfigurationError as error:
        found = [dataclasses.replace(each, file=file, line=line_in(lines, each.field)) for each in error.problems]
    raise ConfigurationError(found)
