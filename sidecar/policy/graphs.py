"""Knowledge graphs in the policies folder: one `knowledge_graph:` in each `graphs/*.yaml`, named by its file.

Does I/O (reading files) and is blocking. Knows no graph's shape: the judgement is handed in. A file with a fault gives
no graph, and every fault names `file:line: field`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from sidecar.collector import KnowledgeGraph
from sidecar.errors import ConfigurationError, Problem
from sidecar.policy.files import policy_files, text_of
from sidecar.policy.marks import line_in, read_marked

FOLDER = "graphs"
_KIND = "knowledge_graph"


def read_graphs(
    policies: Path, read: Callable[[object], KnowledgeGraph]
) -> tuple[dict[str, KnowledgeGraph], list[Problem]]:  # fmt: skip
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
