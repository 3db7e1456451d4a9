"""Tables, the page and the README's part of it, the picture; and that the page which is kept says what was found."""

from __future__ import annotations

import findings
import picture
import pytest
import report
import table
from command import KEPT, PAGE, README, fallen_out
from contestants import CONTESTANTS
from figures import Measure, Spread, absolute, compared
from findings import Findings, Kept, Row, Table
from open_loop import Result
from run import rotated
from scenarios import SCENARIOS
from scenarios.curve import NAMES, keeps_up, points

ROW = Row(
    "2,000/s: added p50 / p99",
    "nginx",
    (
        compared([3.0, 6.0], [2.0, 4.0], "µs", floor=2, goal=1),
        Measure("30 µs", "30 µs", Spread(1, 0.9, 1.1), 1.3, 1.0, goal_is_noise=True),
    ),
)
ALONE = Row("memory", "–", (absolute([34.26], "MiB", floor=45, goal=35),))


def test_a_line_shows_all_its_measures_and_their_limits() -> None:
    cells = [cell.strip() for cell in table.judged([ROW, ALONE]).splitlines()[2].strip("|").split("|")]
    assert cells == [
        "2,000/s: added p50 / p99",
        "nginx",
        "4.50 µs / 30 µs",
        "3.00 µs / 30 µs",
        "1.50 (1.50 – 1.50) / 1.00 (0.90 – 1.10)",
        "≤ 2 / ≤ 1.3",
        "≤ 1 / noise",
        "floor",
    ]


def test_a_figure_that_has_no_peer_shows_no_ratio() -> None:
    cells = [cell.strip() for cell in table.judged([ALONE]).splitlines()[2].strip("|").split("|")]
    assert cells == ["memory", "–", "34.3 MiB", "–", "–", "≤ 45.0 MiB", "≤ 35.0 MiB", "goal"]


def test_a_ratio_to_next_to_nothing_is_only_said_to_be_large() -> None:
    assert table.spread_text(Spread(500.5, 1.25, 1000)) == "> 99 (1.25 – > 99)"


def test_a_table_is_aligned() -> None:
    shown = table.shown(Table(("who", "µs"), (("ours", "1.00"), ("a long name", "1,000")))).splitlines()
    assert shown == [
        "| who         |    µs |",
        "|-------------|------:|",
        "| ours        |  1.00 |",
        "| a long name | 1,000 |",
    ]


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    text = f"before\n{report.START}\nold\n{report.END}\nafter"
    assert report.replaced(text, "new") == f"before\n{report.START}\nnew\n{report.END}\nafter"


@pytest.mark.parametrize("text", ["", report.START, f"{report.END}{report.START}", f"{report.START}{report.END}" * 2])
def test_a_readme_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        report.replaced(text, "new")


def test_what_is_kept_is_read_again_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("kept") / "findings.json"
    curves = {"direct": ((500.0, 0.1, 0.2),)}
    kept = Kept("2 processors", {"kept": Findings("so", (ROW, ALONE), (Table(("a",), (("b",),)),), ("note",), curves)})
    findings.save(path, kept)
    assert findings.load(path) == kept
    assert findings.load(path.with_name("none.json")) == Kept("", {})


def test_the_page_and_the_readme_say_what_was_found() -> None:
    kept = findings.load(KEPT)
    assert PAGE.read_text() == report.page(kept)
    assert README.read_text() == report.replaced(README.read_text(), report.readme_block(kept))


def test_what_is_missing_is_said_with_what_falls_out_without_it() -> None:
    lines = fallen_out(SCENARIOS, {"nginx": "/nginx", "wrk": "/wrk", "matplotlib": "matplotlib"})
    assert [line.split()[0] for line in lines] == ["h2load", "envoy"]
    assert lines[0].endswith("without it: bodies")
    assert lines[1].endswith("without it: rows against Envoy, mirroring")


def test_each_round_begins_with_another_one() -> None:
    names = ["a", "b", "c"]
    assert [rotated(names, by)[0] for by in range(4)] == ["a", "b", "c", "a"]
    assert sorted(rotated(names, 2)) == names


def test_every_scenario_has_a_name_of_its_own() -> None:
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS)


def _result(rate: float, p99_us: float = 900.0, failed: int = 0) -> Result:
    return Result(sent=100, failed=failed, rate=rate, p50_us=200, p99_us=p99_us, worst_us=2000, late_p99_us=10)


def test_a_curve_ends_where_most_rounds_were_not_served() -> None:
    once, never = [_result(990), _result(100), _result(980)], [_result(1900), _result(100), _result(2000, failed=1)]
    found = {1000: once, 2000: never, 3000: [_result(3000)]}
    assert points(found) == ((1000, 0.2, 0.9),)


def test_a_rate_above_one_that_was_never_served_is_not_tried() -> None:
    found = {1000: [_result(1000)], 2000: [_result(2000, p99_us=1e6)]}
    assert keeps_up(found, 2000)
    assert not keeps_up(found, 3000)
    found[2000].append(_result(2000))
    assert keeps_up(found, 3000)


def test_everything_written_in_the_picture_is_inside_of_it() -> None:
    curves = {name: tuple((rate, 0.1, 0.5) for rate in (500.0, 10_000.0)) for name in NAMES}
    figure = picture.figure_of(curves)
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    assert set(picture.STYLES) == set(NAMES) <= set(CONTESTANTS)


def test_who_served_no_rate_is_not_in_the_picture() -> None:
    figure = picture.figure_of({NAMES[0]: ((500.0, 0.1, 0.5),), NAMES[1]: ()})
    assert [text.get_text() for legend in figure.legends for text in legend.get_texts()] == ["no proxy"]
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
