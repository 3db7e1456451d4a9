"""What scoring code hands over becomes rows of our own: which kinds, under which columns, and never the original."""

from __future__ import annotations

import datetime
import decimal
import enum
import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sidecar.datacollector.tables import UnusableError, kind_of, read_table


class Colour(enum.StrEnum):
    RED = "red"


def spark_frame(frame: pd.DataFrame) -> Any:
    """What pyspark's DataFrame is to us: a class of that name in that package, with `toPandas`."""

    def to_pandas(_self: object) -> pd.DataFrame:
        return frame

    kind = type("DataFrame", (), {"toPandas": to_pandas, "__module__": "pyspark.sql.dataframe"})
    return kind()


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ([1, 2.5, "x"], [[1, 2.5, "x"]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([(1, 2)], [[1, 2]]),
        ([np.array([1, 2]), np.array([3, 4])], [[1, 2], [3, 4]]),
        ([], []),
        (np.array([1, 2, 3]), [[1, 2, 3]]),
        (np.array([[1.5, 2.5]]), [[1.5, 2.5]]),
        (np.empty((0, 3)), []),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), [[1, "x"], [2, "y"]]),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "t": [pd.NaT, pd.NaT]}), [[1, None], [None, None]]),
        (pd.DataFrame(), []),
        (spark_frame(pd.DataFrame({"a": [1]})), [[1]]),
    ],
)
def test_each_documented_kind_becomes_rows(data: Any, rows: list[list[Any]]) -> None:
    assert read_table(data, None).rows == rows


@pytest.mark.parametrize(
    "data",
    [np.zeros((2, 2, 2)), np.array(1), {"a": 1}, "text", None, 7, [[[1]]], [1, [2]], [[1], [2, 3]], [{"a": 1}], [[{}]]],
)
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(UnusableError):
        read_table(data, None)


def test_numbers_of_a_mixed_frame_stay_what_they_are() -> None:
    large = 2**53 + 1
    table = read_table(pd.DataFrame({"count": [large], "share": [0.5], "is_new": [True]}), ["not", "these", "names"])
    assert table.columns == ("count", "share", "is_new")
    assert table.rows == [[large, 0.5, True]]
    assert [type(cell) for cell in table.rows[0]] == [int, float, bool]


def test_a_whole_number_beside_a_fraction_is_exact() -> None:
    (cells,) = read_table(pd.DataFrame({"count": [2**53 + 1], "share": [0.5]}), None).rows
    assert cells == [2**53 + 1, 0.5]
    assert type(cells[0]) is int


def test_cells_that_are_not_plain_become_plain() -> None:
    day = datetime.date(2024, 2, 29)
    row = [np.int64(3), np.float32(0.5), np.bool_(True), day, decimal.Decimal("1.10"), Colour.RED, np.str_("n"), b"x"]
    (cells,) = read_table(row, None).rows
    assert cells == [3, 0.5, True, "2024-02-29", "1.10", "red", "n", "b'x'"]
    assert {type(cell) for cell in cells} == {int, float, bool, str}


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (None, ("0", "1")),
        (["a", "b"], ("a", "b")),
        (["a"], ("a", "1")),
        (["a", "b", "c"], ("a", "b")),
        ([7, 8], ("7", "8")),
        (["a", "a"], ("a", "a.1")),
    ],
)
def test_every_cell_has_a_column_of_its_own(names: list[Any] | None, columns: tuple[str, ...]) -> None:
    assert read_table([1, 2], names).columns == columns


@pytest.mark.parametrize("data", [[1, 2], [[1, 2]], np.array([[1, 2]]), pd.DataFrame([[1, 2]])])
def test_the_rows_share_nothing_with_the_original(data: Any) -> None:
    rows = read_table(data, None).rows
    if isinstance(data, pd.DataFrame):
        data.iloc[0, 0] = 9
    elif isinstance(data, np.ndarray):
        data[0][0] = 9
    else:
        (data[0] if isinstance(data[0], list) else data)[0] = 9
    assert rows == [[1, 2]]
    rows[0][1] = 8
    assert 8 not in np.asarray(data)


def test_a_package_is_recognised_by_its_classes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame()
    derived = type("MyFrame", (type(frame),), {})()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pandas", "numpy")]:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    assert kind_of(frame) == "pandas"
    assert kind_of(derived) == "pandas"
    assert kind_of(type("DataFrame", (), {"__module__": "polars"})()) == ""


def test_the_weight_counts_text_and_cells() -> None:
    light, heavy = read_table([1, "x"], None), read_table([1, "x" * 10_000], None)
    assert heavy.weight_bytes - light.weight_bytes == 9_999
    assert read_table([[1, 2]] * 100, None).weight_bytes == 100 * read_table([1, 2], None).weight_bytes
