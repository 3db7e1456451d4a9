"""The policies folder: one `collector:`, `workflow:` or `model:` in each `*.yaml`, read with the line of every field.

Does I/O (reading files) and is blocking. Promises that a fault in one file hides none in another and names
`file:line: field: message`; a fault found later is given its line by `Loaded.locate`.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.collector import Collector, Workflow
from sidecar.errors import ConfigurationError, Problem
from sidecar.model_server import ModelServer
from sidecar.policy.marks import MAX_FILE_BYTES, line_in, read_marked
from sidecar.policy.model_wire import read_model
from sidecar.policy.wire import read_collector
from sidecar.policy.workflow_wire import read_workflow

KINDS = ("collector", "workflow", "model")
Policy = Collector | Workflow | ModelServer


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a folder holds. A file with a problem gives no policy."""

    collectors: tuple[Collector, ...] = ()
    workflows: tuple[Workflow, ...] = ()
    models: tuple[ModelServer, ...] = ()
    problems: tuple[Problem, ...] = ()
    files: tuple[str, ...] = ()
    """Every policy file there, in order, also those with a problem."""
    lines: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)
    """A checksum of each file's text, where it could be read."""

    def line_of(self, file: str, field: str) -> int:
        """The line of `field` in `file`, or of the nearest field around it; 0 when the file was not read."""
        lines = self.lines.get(file)
        if lines is None:
            return 0
        for kind in KINDS:
            if kind in lines and not field.startswith(kind):
                field = f"{kind}.{field}"
        return line_in(lines, field)

    def locate(self, problem: Problem) -> Problem:
        """`problem` with its line, if its file was read and it has none yet."""
        if problem.line:
            return problem
        return dataclasses.replace(problem, line=self.line_of(problem.file, problem.field))

    def without(self, problems: Sequence[Problem]) -> Loaded:
        """This folder once `problems` are known too: their files give no policy."""
        problems = tuple(map(self.locate, problems))
        broken = {problem.file for problem in problems}
        return dataclasses.replace(
            self,
            collectors=tuple(each for each in self.collectors if each.origin not in broken),
            workflows=tuple(each for each in self.workflows if each.origin not in broken),
            models=tuple(each for each in self.models if each.origin not in broken),
            problems=self.problems + problems,
        )


def read_folder(path: Path, *, must_exist: bool = False) -> Loaded:
    """Read every `*.yaml` and `*.yml` in `path`; a folder that is not there holds nothing, unless it must exist.

    Raises ConfigurationError when the folder cannot be listed.
    """
    if must_exist and not path.is_dir():
        message = "the folder is not there: what its files gave last stays. Empty it to take that away"
        raise ConfigurationError(Problem(message, file=str(path)))
    return read_files(policy_files(path))


def read_files(names: Sequence[Path]) -> Loaded:
    """The same of these files."""
    policies: list[Policy] = []
    problems: list[Problem] = []
    lines: dict[str, Mapping[str, int]] = {}
    texts: dict[str, int] = {}
    for name in names:
        try:
            text = text_of(name)
            texts[str(name)] = zlib.crc32(text.encode())
            found = _read_file(str(name), text, lines)
        except ConfigurationError as error:
            problems += error.problems
        else:
            policies.append(found)
    loaded = Loaded(
        tuple(each for each in policies if isinstance(each, Collector)),
        tuple(each for each in policies if isinstance(each, Workflow)),
        tuple(each for each in policies if isinstance(each, ModelServer)),
        files=tuple(map(str, names)),
        lines=lines,
        texts=texts,
    )
    problems = [loaded.locate(problem) for problem in problems]
    loaded = dataclasses.replace(loaded, problems=tuple(problems))
    owned = [*_twice(loaded.collectors, "collector"), *_twice(loaded.workflows, "workflow")]
    return loaded.without([*owned, *_twice(loaded.models, "model")])


def policy_files(path: Path) -> list[Path]:
    """The YAML files in `path`, in order; none where it is not there. Raises ConfigurationError."""
    try:
        found = [entry for entry in path.iterdir() if entry.suffix in (".yaml", ".yml") and entry.name[0] != "."]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(Problem(f"cannot be listed: {error.strerror}", file=str(path))) from error
    return sorted(found)


def _read_file(file: str, text: str, lines: dict[str, Mapping[str, int]]) -> Policy:
    document, lines[file] = read_marked(text, file)
    if document is None:
        message = "the file is empty: write one `collector:`, one `workflow:` or one `model:`"
        raise ConfigurationError(Problem(message, file=file, line=1))
    if not isinstance(document, dict) or len(document) != 1 or next(iter(document)) not in KINDS:
        message = "must hold exactly one `collector:`, `workflow:` or `model:`, and nothing beside it"
        raise ConfigurationError(Problem(message, file=file, line=_line_of_stranger(document, lines[file])))
    if "collector" in document:
        return read_collector(document["collector"], file=file)
    if "model" in document:
        return read_model(document["model"], file)
    return read_workflow(document["workflow"], file=file)


def _line_of_stranger(document: object, lines: Mapping[str, int]) -> int:
    """Where the first field stands that has no place there."""
    names = list(map(str, document)) if isinstance(document, dict) else []
    strangers = [name for name in names if name not in KINDS] or names[1:]
    return line_in(lines, strangers[0]) if strangers else 1


def text_of(path: Path) -> str:
    """What stands in a file, bounded in size. Raises ConfigurationError."""
    file = str(path)
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(Problem(f"cannot be read: {error.strerror}", file=file)) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(Problem(f"is larger than {MAX_FILE_BYTES // 1024} KiB: that is no policy", file=file))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(Problem("is not UTF-8 text", file=file, line=line)) from error


def _twice(policies: Iterable[Policy], kind: str) -> list[Problem]:
    """Ids that stand in several files: none of them is right until a person says which."""
    files: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for each in policies:
        owner = () if isinstance(each, ModelServer) else (each.user_id, each.app_id)
        files[*owner, each.id].append(each.origin)
    return [
        Problem(f"{key[-1]!r} is also in {', '.join(other for other in origins if other != file)}", f"{kind}.id", file)
        for key, origins in files.items()
        if len(origins) > 1
        for file in origins
    ]
