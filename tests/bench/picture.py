"""The picture of latency over the offered rate. The only module that knows matplotlib, which may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contestants import DIRECT, ENVOY_MIRROR, MIRROR, SAMPLED, USUAL
from findings import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Style(NamedTuple):
    """How a contestant is drawn: ours stands out, the direct call steps back."""

    label: str
    colour: str
    width: float = 1.8
    order: int = 2


INK, FAINT = "#1f2328", "#d8dee4"
STYLES: Mapping[str, Style] = {
    DIRECT: Style("no proxy", "#8c959f", 1.2, 1),
    SAMPLED: Style("this sidecar, capturing", "#0969da", 3.0, 3),
    MIRROR: Style("nginx, mirroring", "#1a7f37"),
    ENVOY_MIRROR: Style("Envoy, mirroring", "#bc4c00"),
    USUAL: Style("usual aiohttp proxy", "#8250df"),
}
WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 8.3, 3.9, 200
RATE_AXIS = "calls a second offered"
TITLES = ("p50: half of the calls", "p99: all but one in a hundred")


def draw(curves: Curves, path: Path) -> None:
    """Write the picture."""
    figure_of(curves).savefig(path)


def figure_of(curves: Curves) -> Figure:
    """Two panels, p50 and p99, on one logarithmic axis; a line ends where its contestant no longer kept up."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, facecolor="white", layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for percentile, (axes, title) in enumerate(zip(panels, TITLES, strict=True), start=1):
        for name, points in (each for each in curves.items() if each[1]):
            _line(axes, STYLES[name], [point[0] for point in points], [point[percentile] for point in points])
        _dress(axes, title)
    panels[0].set_ylabel("milliseconds until answered", color=INK, fontsize=10)
    _legend(figure, panels[0])
    return figure


def _line(axes: Axes, style: Style, rates: Sequence[float], milliseconds: Sequence[float]) -> None:
    axes.plot(
        rates,
        milliseconds,
        label=style.label,
        color=style.colour,
        linewidth=style.width,
        zorder=style.order,
        marker="o",
        markersize=style.width * 1.6,
        solid_capstyle="round",
        clip_on=False,
    )


def _legend(figure: Figure, axes: Axes) -> None:
    """One line above both panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=len(labels),
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
        handlelength=1.3,
        handletextpad=0.5,
        columnspacing=1.5,
    )


def _dress(axes: Axes, title: str) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=10)
    axes.set_xlabel(RATE_AXIS, color=INK, fontsize=10)
    axes.set_yscale("log")
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.tick_params(colors=INK, labelsize=9.5, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
