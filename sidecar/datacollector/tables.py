"""What scoring code hands over → a table of its own: lists, numpy arrays, pandas and Spark frames.

Packages are recognised by the names of their classes, never imported. Promises that the table shares nothing with the
original that could change: cells that are not plain become plain here (a number of numpy's a number, anything else its
text). Raises UnusableError for everything that has no rows.
"""

from __future__ import annotations

from typing import Any, Sequence

from sidecar.datacollector.record import Row, Table

_NUMBERS = frozenset((int, float, bool, type(None)))
_PLAIN = _NUMBERS | {str}
_CELL_BYTES = 40
_NESTED = (list, tuple, dict)
_MISSING = ("NAType", "NaTType")
"""What pandas has for missing values, besides NaN."""


class UnusableError(ValueError):
    """What was handed over has no rows; the message says what may be."""


def read_table(data: Any, feature_names: Sequence[Any] | None) -> Table:  # noqa: ANN401 - whatever scoring code has
    """The rows of `data` as they are now. Columns: a frame's own, else `feature_names`, else their numbers."""
    if type(data) is list:
        return _table(_rows_of_list(data), feature_names)
    kind = kind_of(data)
    if kind == "numpy":
        return _table(_rows_of_array(data), feature_names)
    if kind == "pandas":
        return _table(_rows_of_frame(data), list(data.columns))
    if kind == "pyspark":
        frame = data.toPandas() if hasattr(data, "toPandas") else data.to_pandas()
        return _table(_rows_of_frame(frame), list(frame.columns))
    if isinstance(data, list):
        return _table(_rows_of_list(data), feature_names)
    raise UnusableError(
        f"{type(data).__name__} cannot be collected: hand over a list, a numpy array, or a pandas or Spark DataFrame"
    )


def kind_of(data: Any) -> str:  # noqa: ANN401 - as above
    """`numpy`, `pandas` or `pyspark` for what these packages call an array or a frame; else blank."""
    for each in type(data).__mro__:
        package = each.__module__.partition(".")[0]
        if package == "numpy" and each.__name__ == "ndarray":
            return package
        if package in ("pandas", "pyspark") and each.__name__ == "DataFrame":
            return package
    return ""


def _rows_of_list(data: list[Any]) -> list[Row]:
    nested = [isinstance(item, _NESTED) or kind_of(item) == "numpy" for item in data]
    if not any(nested):
        return [list(data)] if data else []
    if not all(nested) or any(isinstance(item, dict) for item in data):
        raise UnusableError("a list can hold the cells of one row, or rows: not both, and no objects")
    rows = [item.tolist() if kind_of(item) else list(item) for item in data]
    if len({len(row) if isinstance(row, list) else -1 for row in rows}) > 1:
        raise UnusableError("the rows of a list must be equally long")
    return rows


def _rows_of_array(array: Any) -> list[Row]:  # noqa: ANN401 - an array of numpy's
    if not 1 <= array.ndim <= 2:
        raise UnusableError(f"an array must have one dimension or two, not {array.ndim}")
    cells: list[Any] = array.tolist()
    if array.ndim == 2:
        return cells
    return [cells] if cells else []


def _rows_of_frame(frame: Any) -> list[Row]:  # noqa: ANN401 - a frame of pandas'
    """Cells by way of objects: in a frame of several types, numbers would else all become floats."""
    rows: list[Row] = frame.to_numpy(dtype=object).tolist()
    return rows


def _table(rows: list[Row], names: Sequence[Any] | None) -> Table:
    width = len(rows[0]) if rows else 0
    weight = 0
    for index, row in enumerate(rows):
        types = set(map(type, row))
        if not _PLAIN.issuperset(types):
            rows[index] = row = [_plain(cell) for cell in row]
        weight += _CELL_BYTES * width
        if not _NUMBERS.issuperset(types):
            weight += sum(len(cell) for cell in row if type(cell) is str)
    return Table(_columns(width, names), rows, weight)


def _plain(cell: Any) -> Any:  # noqa: ANN401 - any cell
    if type(cell) in _PLAIN:
        return cell
    if isinstance(cell, _NESTED) or kind_of(cell):
        raise UnusableError("a cell holds more cells: only rows can be collected")
    if isinstance(cell, str):  # a subclass, say an enumeration or numpy's text
        return str.__str__(cell)
    if isinstance(cell, int):
        return int(cell)
    if isinstance(cell, float):
        return float(cell)
    if type(cell).__name__ in _MISSING:
        return None
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    if hasattr(cell, "item"):
        found = cell.item()
        return found if type(found) in _PLAIN else str(found)
    return str(cell)


def _columns(width: int, names: Sequence[Any] | None) -> tuple[str, ...]:
    """As many names as cells, each only once: by number where none was given."""
    given = [str(name) for name in names or ()][:width]
    columns = given + [str(index) for index in range(len(given), width)]
    if len(set(columns)) < width:
        seen: list[str] = []
        for column in columns:
            count = seen.count(column)
            seen.append(column)
            columns[len(seen) - 1] = f"{column}.{count}" if count else column
    return tuple(columns)
