"""Figures that only a survey or a sphere needs, in the look of `helpers.plotting`."""

import numpy as np
import plotly.graph_objects as go
from scipy.stats import binomtest

from helpers import plotting
from research.census import SPHERE


def to_3d(x):
    """Coordinates `[..., 3]` of vectors `[..., 4]` whose mean was taken away: nothing is lost."""
    return np.asarray(x, dtype=float) @ SPHERE


def strips(groups: dict, *, title, y_title, reference=None):
    """One dot for each model: `{group: [models]}`, spread sideways in a fixed way."""
    figure, marker = go.Figure(), dict(size=7, opacity=0.75, color=plotting.NEUTRAL[0])
    dots = dict(mode="markers", marker=marker, showlegend=False)
    for i, (name, values) in enumerate(groups.items()):
        order = np.argsort(np.argsort(plotting.numbers(values)))
        x = plotting.numbers(i + 0.5 * ((order * 0.618) % 1 - 0.5))
        figure.add_scatter(x=x, y=plotting.numbers(values), name=name, **dots)
    plotting.same_height_for_shares(figure, groups.values())
    ticks = dict(tickvals=list(range(len(groups))), ticktext=list(groups))
    figure.update_xaxes(**ticks, showgrid=False, tickangle=0)
    return plotting.finish(figure, title, "", y_title, reference, showlegend=False)


def scatter3d(groups: dict, *, title, colours=None, labels=None, joined=None, radius=None):
    """Points `{name: [n, 3]}` in space, to be turned by hand; `colours` as in `lines`.

    `labels` `{name: [n]}` appear under the pointer; `joined` `{name: [n, 3]}` are points joined by
    a thin line, with the name beside them; `radius` draws a sphere as a thin net.
    """
    figure, aside = go.Figure(), dict(showlegend=False, hoverinfo="skip")
    if radius:
        line = dict(width=1, color="#dcdcdc")
        figure.add_scatter3d(**_xyz(_net(radius)), name="", mode="lines", line=line, **aside)
    for i, (name, points) in enumerate(groups.items()):
        symbol = plotting.SYMBOLS[i % len(plotting.SYMBOLS)]
        marker = dict(size=5, color=plotting.colour_of(colours, name, i), symbol=symbol)
        text = list((labels or {}).get(name, [])) or None
        figure.add_scatter3d(**_xyz(points), name=name, mode="markers", text=text, marker=marker)
    for name, points in (joined or {}).items():
        middle = np.mean(points, 0)
        middle *= 1.14 * (radius or np.linalg.norm(middle)) / np.linalg.norm(middle)
        style = dict(mode="lines+text", line=dict(width=2, color="#888"), **aside)
        text = [""] * len(points) + [name]
        figure.add_scatter3d(**_xyz([*points, middle]), name=name, text=text, **style)
    axis = dict(showbackground=False, showticklabels=False, showgrid=False, zerolinecolor="#bbb")
    scene = {f"{a}axis": dict(title=f"u{n}", **axis) for a, n in zip("xyz", "₁₂₃")}
    scene |= dict(aspectmode="data", camera=dict(eye=dict(x=1.37, y=0.82, z=0.77)))
    around = dict(scene=scene, legend_itemsizing="constant", margin=dict(l=0, r=0, b=0))
    return plotting.finish(figure, title, "", "", height=520, **around)


def _xyz(points) -> dict:
    return dict(zip("xyz", np.transpose(plotting.numbers(points, 3)).tolist()))


def _net(radius) -> np.ndarray:
    """Circles of longitude and latitude, as one line `[n, 3]` with gaps."""
    turn = np.append(np.linspace(0, 2 * np.pi, 37), np.nan)
    up, out = np.sin(turn), np.cos(turn)
    circles = [[out * np.cos(a), out * np.sin(a), up] for a in np.arange(6) * np.pi / 6]
    for height in (-0.75, -0.4, 0, 0.4, 0.75):
        wide = (1 - height**2) ** 0.5
        circles.append([wide * out, wide * up, height + 0 * turn])
    return radius * np.concatenate(circles, 1).T


def shares(counts: dict, title: str, x_title: str = "share of the models") -> go.Figure:
    """Shares `{name: (k, n)}` as dots with the 95 % interval of Clopper and Pearson, a row each."""
    found = [(k / n, binomtest(k, n).proportion_ci(method="exact")) for k, n in counts.values()]
    rows = plotting.numbers([(x, ends.high - x, x - ends.low) for x, ends in found])
    x, up, down = map(list, zip(*rows))
    bars = dict(type="data", symmetric=False, array=up, arrayminus=down, color=plotting.NEUTRAL[1])
    dots = dict(mode="markers", marker=dict(size=10, color=plotting.BLUE))
    figure = go.Figure().add_scatter(x=x, y=list(counts), error_x=bars, **dots)
    figure.update_layout(title=title).update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[-0.02, 1.02], title=x_title)
    return plotting.sized(figure, 130 + 34 * len(counts))


def expected(predictions: list[dict], found: dict) -> go.Figure:
    """`shares` of `found` `{id: (k, n)}` over the ranges of `predictions`, pale bars."""
    figure = shares({e["id"]: found[e["id"]] for e in predictions}, "Expected and found", "share")
    wide = dict(width=14, color="#d8c3a5")
    for e in predictions:
        x, y = [max(e["low"] - 0.004, 0), min(e["high"] + 0.004, 1)], [e["id"]] * 2
        figure.add_scatter(x=x, y=y, mode="lines", line=wide, showlegend=False)
    figure.data = (*figure.data[1:], figure.data[0])  # the dots on top
    return figure.update_layout(height=140 + 26 * len(predictions), showlegend=False)
