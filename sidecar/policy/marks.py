"""One YAML document as plain values, with the line of every field.

Promises bounds: a file's size, how deep it nests, and how much its aliases blow up. Takes YAML's plain part only: no
tags, text as keys, no key twice; a date stays text. Messages never quote what stands in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.alias_generators import to_snake
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sidecar.errors import ConfigurationError, Problem

MAX_FILE_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 50
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"
_MAX_INTEGER = 2**63


class _Loader(yaml.SafeLoader):
    """A safe loader that leaves dates as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own shape
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_marked(text: str, file: str) -> tuple[Any, dict[str, int]]:
    """The document in `text` and the line of each field path in it. Raises ConfigurationError with file and line."""
    try:
        root, values = _parse(text, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _fault(f"is not YAML: {error.problem}", file, mark.line + 1 if mark else 0) from None
    except yaml.YAMLError:
        raise _fault("is not YAML: it holds a character that YAML does not allow", file, 0) from None
    except (ValueError, OverflowError):
        raise _fault("is not YAML: it holds a number that cannot be read", file, 0) from None
    except RecursionError:
        raise _fault(f"nests deeper than {MAX_DEPTH} levels", file, 0) from None
    lines: dict[str, int] = {}
    if root is not None:
        _mark(root, "", lines)
    return values, lines


def _parse(text: str, file: str) -> tuple[Node | None, Any]:
    loader = _Loader(text)
    try:
        root = loader.get_node() if loader.check_node() else None
        if loader.check_node():
            line = loader.get_mark().line + 1
            raise _fault("holds several documents: write one collector or workflow a file", file, line)
        if root is None:
            return None, None
        problems = list(_walk(root, file))
        if problems:
            raise ConfigurationError(problems)
        return root, loader.construct_document(root)
    finally:
        loader.dispose()


def _walk(root: Node, file: str) -> Iterator[Problem]:
    """The faults in a graph of nodes, each alias followed as if it were written out."""
    waiting = [(root, "", 0)]
    count = 0
    while waiting:
        node, field, depth = waiting.pop()
        count += 1
        line = node.start_mark.line + 1
        if count > MAX_NODES:
            yield Problem(f"holds more than {MAX_NODES} values once its aliases are followed", file=file, line=line)
            return
        if depth > MAX_DEPTH:
            yield Problem(f"nests deeper than {MAX_DEPTH} levels", file=file, line=line)
            return
        message = _fault_in(node)
        if message:
            yield Problem(message, field, file, line)
        if isinstance(node, MappingNode):
            yield from _faults_in_keys(node, field, file)
            waiting += [(value, _below(field, key), depth + 1) for key, value in node.value]
        elif isinstance(node, SequenceNode):
            waiting += [(value, f"{field}[{index}]", depth + 1) for index, value in enumerate(node.value)]


def _fault_in(node: Node) -> str:
    if node.tag not in _TAGS:
        return "has a tag (!…): policies are plain YAML without tags"
    if not isinstance(node, ScalarNode):
        return ""
    if node.tag.endswith(":float") and not math.isfinite(_number(node.value)):
        return "is no finite number"
    if node.tag.endswith(":int") and len(node.value) > len(str(_MAX_INTEGER)):
        return "is a number too large to keep: put it in quotes"
    if any("\ud800" <= character <= "\udfff" for character in node.value):
        return "holds half a character (a lone surrogate)"
    return ""


def _number(text: str) -> float:
    try:
        return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").lower())
    except ValueError:
        return 0.0 if ":" in text else math.nan


def _below(field: str, key: Node) -> str:
    """The path of what stands under `key` in `field`; what is merged in stands in `field` itself."""
    if key.tag == _MERGE or not isinstance(key, ScalarNode):
        return field
    return f"{field}.{to_snake(key.value)}".lstrip(".")


def _faults_in_keys(node: MappingNode, field: str, file: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag == _MERGE:
            continue
        if not isinstance(key, ScalarNode) or not key.tag.endswith(":str"):
            yield Problem("a field's name must be text: put it in quotes", field, file, line)
        elif key.value in seen:
            message = f"stands there twice, first in line {seen[key.value]}"
            yield Problem(message, _below(field, key), file, line)
        else:
            seen[key.value] = line


def _mark(node: Node, where: str, lines: dict[str, int]) -> None:
    """Note the line of `where` and all below it; the bound on depth was kept by `_walk`."""
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            field = _below(where, key)
            lines.setdefault(field, key.start_mark.line + 1)
            _mark(value, field, lines)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _mark(value, f"{where}[{index}]", lines)


def line_in(lines: Mapping[str, int], field: str) -> int:
    """The line of `field`, or of the nearest field around it; 1 when there is none."""
    while field and field not in lines:
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return lines.get(field, 1)


def _fault(message: str, file: str, line: int) -> ConfigurationError:
    return ConfigurationError(Problem(message, file=file, line=line))
