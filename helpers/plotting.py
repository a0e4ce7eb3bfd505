"""The one look of the series, and every figure in words. Takes arrays and names, never models.

Colours are Okabe & Ito's (2008), told apart by colour-blind readers; figures keep a white ground,
so that they read the same on a light and on a dark page. Written for plotly 5.24 to 7.
"""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from plotly.subplots import make_subplots

from helpers.task import INPUT_NAMES, OUTPUT_NAMES

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, RED, YELLOW, GREY = "#56B4E9", "#D55E00", "#F0E442", "#6b6b6b"
# A colour means the same in all six notebooks: a token, a part of the model, or an output.
TOKEN_COLOURS = [BLUE, ORANGE, GREEN, PINK, "#111111"]  # 0, 1, 2, 3, BOS
PART_COLOURS = {"embedding": "#999999", "position": "#555555", "attention": SKY, "mlp": RED}
# y0 to y7 from dark to light: viridis (van der Walt & Smith 2015), without its pale end.
OUTPUT_COLOURS = [
    "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#8fd14f", "#c9c11f",
]  # fmt: skip
# What is none of these, told apart by how dark it is.
NEUTRAL = ["#3d4f5c", "#a3b4bf", "#738b99", "#cbd5db"]
_MEANING = PART_COLOURS | dict(zip(OUTPUT_NAMES, OUTPUT_COLOURS))
_MEANING |= {"without W_out": PART_COLOURS["mlp"], "without W_O": PART_COLOURS["attention"]}
_MEANING |= {f"{what} {t}": TOKEN_COLOURS[t] for what in ("token", "answer") for t in range(4)}
SEQUENTIAL = [[0, "#ffffff"], [0.25, "#b9d7ea"], [0.6, "#3f8fc4"], [1, "#08306b"]]
DIVERGING = [[0, "#b35806"], [0.25, "#f1a340"], [0.5, "#f7f7f7"], [0.75, "#67a9cf"], [1, "#2166ac"]]

_AXIS = dict(showline=True, linecolor="#888", gridcolor="#e6e6e6", zeroline=False, automargin=True)
pio.templates["series"] = go.layout.Template(
    layout=dict(
        colorway=NEUTRAL,
        font=dict(family="system-ui, sans-serif", size=14, color="#222"),
        paper_bgcolor="#fff",
        plot_bgcolor="#fff",
        margin=dict(l=70, r=30, t=80, b=60),
        height=380,
        width=720,
        title=dict(x=0.01, y=0.97, yanchor="top", font=dict(size=16)),
        xaxis=dict(_AXIS, title=dict(standoff=10)),
        yaxis=dict(_AXIS, title=dict(standoff=14)),
        legend=dict(orientation="h", y=1.02, yanchor="bottom", x=1, xanchor="right"),
    )
)
LOOK = "series"

# [4, 3]: an orthonormal basis of what layer norm leaves of d_model = 4 (all vectors of mean zero).
SPHERE = np.array(
    [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float
) / 2  # fmt: skip


def numbers(values, digits: int = 4):
    """Nested lists rounded to `digits` decimals: small and stable in the saved notebook."""
    array = np.asarray(values, dtype=float)
    return (np.round(array, digits) + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0


def to_3d(x):
    """Coordinates `[..., 3]` of vectors `[..., 4]` whose mean was taken away: nothing is lost."""
    return np.asarray(x, dtype=float) @ SPHERE


def show(figure: go.Figure, says: str) -> None:
    """Display `figure` with `says`: the figure in words, as caption and as alternative text."""
    from IPython.display import HTML, display

    if not says.strip():
        raise ValueError("a figure needs its sentence in words: says=''")
    figure.update_layout(template=LOOK, meta=dict(says=says))
    bundle = figure._repr_mimebundle_()
    bundle["text/plain"] = says
    display(bundle, raw=True, metadata={"image/png": {"alt": says}})
    display(HTML(f"<p><em>{html.escape(says)}</em></p>"))


def _colour(name: str, i: int) -> str:
    """The colour of what `name` means in the series; else the i-th neutral one."""
    return _MEANING.get(name, NEUTRAL[i % len(NEUTRAL)])


def lines(x, ys: dict, *, title, x_title, y_title, reference: dict | None = None, digits=4):
    """Lines `{name: values}` over `x`; `reference` are dashed horizontals `{name: value}`."""
    figure = go.Figure()
    for i, (name, y) in enumerate(ys.items()):
        figure.add_scatter(
            x=numbers(x), y=numbers(y, digits), name=name, mode="lines", line_color=_colour(name, i)
        )
    for name, value in (reference or {}).items():
        _reference(figure, name, value)
    return figure.update_layout(
        title=title, xaxis_title=x_title, yaxis_title=y_title, template=LOOK, showlegend=True
    )


def bars(ys, *, x=OUTPUT_NAMES, title, y_title, x_title="output position", reference=None):
    """Bars `{name: values}` (or one list) at the names `x`; `reference` as in `lines`."""
    ys = ys if isinstance(ys, dict) else {"": ys}
    figure = go.Figure()
    for i, (name, y) in enumerate(ys.items()):
        figure.add_bar(x=list(x), y=numbers(y), name=name, marker_color=_colour(name, i))
    _same_height_for_shares(figure, ys.values())
    figure.update_xaxes(type="category")
    for name, value in (reference or {}).items():
        _reference(figure, name, value)
    return figure.update_layout(
        title=title, xaxis_title=x_title, yaxis_title=y_title, template=LOOK,
        showlegend=len(ys) > 1, barmode="group",
    )  # fmt: skip


def _same_height_for_shares(figure, rows) -> None:
    """From 0 to 1 when all values are shares: then a height means the same in every figure."""
    values = np.concatenate([np.asarray(row, dtype=float).ravel() for row in rows])
    if values.min() >= 0 and values.max() <= 1:
        figure.update_yaxes(range=[0, 1.05])


def _reference(figure, name, value):
    figure.add_hline(
        y=float(value), line=dict(dash="dash", color=GREY), annotation_text=name,
        annotation_position="right", annotation_font_color=GREY,
    )  # fmt: skip
    figure.update_layout(margin_r=max(figure.layout.margin.r or 0, 40 + 8 * len(name)))


def heatmap(
    z, *, x=INPUT_NAMES, y=OUTPUT_NAMES, title, x_title="key: the token looked at",
    y_title="query: the output predicted", signed=False, top=None, text=False, unit="",
):  # fmt: skip
    """A matrix with names on both axes; `signed` centres the colours on zero."""
    z = np.asarray(z, dtype=float)
    top = float(np.abs(z).max()) if top is None else top
    figure = go.Figure(
        go.Heatmap(
            z=numbers(z), x=list(x), y=list(y), zmin=-top if signed else 0, zmax=top,
            colorscale=DIVERGING if signed else SEQUENTIAL, colorbar=dict(title=unit),
            texttemplate="%{z:.2f}" if text else None, textfont=dict(size=11),
        )
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category")
    return figure.update_layout(
        title=title, xaxis_title=x_title, yaxis_title=y_title, height=460, width=620, template=LOOK
    )


def gallery(patterns, names, *, title, columns=8, x=INPUT_NAMES, y=OUTPUT_NAMES, top=1.0):
    """Small heatmaps `[n, rows, columns]` side by side under their names, on one scale."""
    rows = _ceil(len(patterns), columns)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=list(names), horizontal_spacing=0.012,
        vertical_spacing=0.28 / max(rows, 2),
    )  # fmt: skip
    for i, pattern in enumerate(patterns):
        figure.add_heatmap(
            z=numbers(pattern, 2), x=list(x), y=list(y), zmin=0, zmax=top, colorscale=SEQUENTIAL,
            showscale=False, row=i // columns + 1, col=i % columns + 1,
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showticklabels=False, ticks="")
    figure.update_xaxes(showticklabels=False, ticks="")
    figure.update_annotations(font_size=11)
    return figure.update_layout(
        title=title, height=90 + 118 * rows, width=900, template=LOOK,
        margin=dict(l=20, r=20, t=80, b=20),
    )  # fmt: skip


def _ceil(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


def scatter3d(
    groups: dict,
    *,
    title,
    colours=None,
    labels=None,
    arrows=None,
    joined=None,
    radius=None,
    hollow=(),
    sizes=5,
):
    """Points `{name: [n, 3]}` in space, to be turned by hand.

    `labels` `{name: [n]}` appear under the pointer; `arrows` `{name: [3]}` start at the origin;
    `joined` `{name: [n, 3]}` are points joined by a thin line, with the name beside them; `radius`
    draws a sphere as a thin net; the groups named in `hollow` are drawn as rings.
    """
    figure = go.Figure()
    if radius:
        _net(figure, radius)
    for i, (name, points) in enumerate(groups.items()):
        x, y, z = (list(axis) for axis in zip(*numbers(points, 3)))
        colour = (colours or {}).get(name, _colour(name, i))
        figure.add_scatter3d(
            x=x, y=y, z=z, name=name, mode="markers", text=list((labels or {}).get(name, [])) or None,
            marker=dict(size=sizes, color=colour, symbol="circle-open" if name in hollow else "circle"),
        )  # fmt: skip
    for name, points in (joined or {}).items():
        points = np.asarray(points, dtype=float)
        middle = points.mean(0)
        middle *= 1.14 * (radius or np.linalg.norm(middle)) / np.linalg.norm(middle)
        x, y, z = (list(axis) for axis in zip(*numbers([*points, middle], 3)))
        figure.add_scatter3d(
            x=x, y=y, z=z, mode="lines+text", text=[""] * len(points) + [name],
            line=dict(width=2, color="#999"), showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    for name, tip in (arrows or {}).items():
        tip = numbers(tip, 3)
        figure.add_scatter3d(
            x=[0, tip[0]], y=[0, tip[1]], z=[0, tip[2]], mode="lines+text", text=["", name],
            line=dict(width=6, color=(colours or {}).get(name, "#222")), name=name,
            showlegend=False,
        )  # fmt: skip
    axis = dict(showbackground=False, showticklabels=False, showgrid=False, zerolinecolor="#bbb")
    return figure.update_layout(
        title=title, template=LOOK, height=560, width=720, margin=dict(l=0, r=0, t=60, b=40),
        legend=dict(y=-0.02, yanchor="top", x=0, xanchor="left", itemsizing="constant"),
        scene=dict(
            xaxis=dict(title="u₁", **axis), yaxis=dict(title="u₂", **axis),
            zaxis=dict(title="u₃", **axis), aspectmode="data",
            camera=dict(eye=dict(x=1.25, y=0.75, z=0.7)),
        ),
    )  # fmt: skip


def _net(figure, radius):
    """Circles of longitude and latitude, as one line with gaps."""
    turn, gap = np.linspace(0, 2 * np.pi, 37), [[np.nan] * 3]
    circles = []
    for angle in np.arange(6) * np.pi / 6:
        up, out = np.sin(turn), np.cos(turn)
        circles += [*zip(out * np.cos(angle), out * np.sin(angle), up), *gap]
    for height in (-0.75, -0.4, 0, 0.4, 0.75):
        wide = (1 - height**2) ** 0.5
        circles += [*zip(wide * np.cos(turn), wide * np.sin(turn), 0 * turn + height), *gap]
    points = [[None if np.isnan(v) else round(radius * v, 2) + 0.0 for v in p] for p in circles]
    x, y, z = (list(axis) for axis in zip(*points))
    figure.add_scatter3d(
        x=x, y=y, z=z, mode="lines", line=dict(width=1, color="#dcdcdc"), showlegend=False,
        hoverinfo="skip",
    )  # fmt: skip


def strips(groups: dict, *, title, y_title, reference=None, names=None):
    """One dot for each model: `{group: values}`, spread sideways in a fixed way."""
    figure = go.Figure()
    for i, (name, values) in enumerate(groups.items()):
        values = numbers(values)
        order = np.argsort(np.argsort(values))
        figure.add_scatter(
            x=numbers(i + 0.5 * ((order * 0.618) % 1 - 0.5)), y=values, mode="markers", name=name,
            marker=dict(size=7, opacity=0.75, color=NEUTRAL[0]), text=list(names or []) or None,
        )  # fmt: skip
    _same_height_for_shares(figure, groups.values())
    figure.update_xaxes(
        tickvals=list(range(len(groups))), ticktext=list(groups), showgrid=False, tickangle=0,
        automargin=True,
    )  # fmt: skip
    for name, value in (reference or {}).items():
        _reference(figure, name, value)
    return figure.update_layout(
        title=title, yaxis_title=y_title, xaxis_title="", template=LOOK, showlegend=False
    )


def diagram(boxes: dict, arrows, *, title, width=720, height=420):
    """Boxes `{name: (x, y, colour)}` and arrows `[(from, to, label)]`: x to the right, y upwards.

    An arrow runs from edge to edge; its label stands beside it.
    """
    figure = go.Figure()
    margin, top = 30, 60
    xs, ys = ([box[axis] for box in boxes.values()] for axis in (0, 1))
    half = {name: _box_size(name) / 2 for name in boxes}
    wide, high = max(h[0] for h in half.values()), max(h[1] for h in half.values())
    # Pixels for one step of x and of y, so that the outermost boxes just fit.
    step = np.array([
        (width - 2 * margin - 2 * wide) / max(max(xs) - min(xs), 1),
        (height - top - margin - 2 * high) / max(max(ys) - min(ys), 1),
    ])  # fmt: skip
    for start, end, label in arrows:
        (x0, y0, _), (x1, y1, _) = boxes[start], boxes[end]
        along = np.array([x1 - x0, y1 - y0]) * step
        share = np.abs(along) / np.linalg.norm(along)
        edge = lambda name, share=share: float(np.min(half[name] / np.maximum(share, 1e-9)) + 3)
        figure.add_annotation(
            x=x1, y=y1, ax=x0, ay=y0, xref="x", yref="y", axref="x", ayref="y", arrowhead=2,
            arrowwidth=1.6, arrowcolor="#555", text="", standoff=edge(end),
            startstandoff=edge(start),
        )  # fmt: skip
        if label:
            upright = share[1] > 0.4
            figure.add_annotation(
                x=(x0 + x1) / 2, y=(y0 + y1) / 2, text=label, showarrow=False, font_size=12,
                font_color="#444", xanchor="left" if upright else "center",
                yanchor="middle" if upright else "bottom", xshift=8 if upright else 0,
                yshift=0 if upright else 4,
            )  # fmt: skip
    for name, (x, y, colour) in boxes.items():
        w, h = 2 * half[name]
        figure.add_annotation(
            x=x, y=y, text=name.strip(), showarrow=False, bgcolor="#fff", bordercolor=colour, width=w - 8,
            height=h - 8, borderwidth=2, borderpad=3, font_size=13,
        )  # fmt: skip
    around = np.array([wide, high]) / step
    figure.update_xaxes(visible=False, range=[min(xs) - around[0], max(xs) + around[0]])
    figure.update_yaxes(visible=False, range=[min(ys) - around[1], max(ys) + around[1]])
    return figure.update_layout(
        title=title, width=width, height=height, template=LOOK,
        margin=dict(l=margin, r=margin, t=top, b=margin),
    )  # fmt: skip


def _box_size(name: str) -> np.ndarray:
    """Width and height in pixels of a box around `name`, whose lines are divided by <br>."""
    text = name.strip().split("<br>")
    return np.array([7.4 * max(map(len, text)) + 22, 17.0 * len(text) + 18])


def architecture() -> go.Figure:
    """The transformer of the series as a diagram, from the tokens at the bottom upwards."""
    norm, attention, mlp = "#888", PART_COLOURS["attention"], PART_COLOURS["mlp"]
    boxes = {
        "tokens": (0, 0, "#222"), "embed + position": (0, 1, PART_COLOURS["embedding"]),
        "LN": (1, 2, norm), "attention": (2, 2.5, attention), "+": (0, 3, "#222"),
        "LN ": (1, 4, norm), "MLP": (2, 4.5, mlp), "+ ": (0, 5, "#222"),
        "LN  ": (0, 6, norm), "unembed": (0, 7, "#222"), "softmax": (0, 8, "#222"),
        "probabilities": (0, 9, "#222"),
    }  # fmt: skip
    arrows = [
        ("tokens", "embed + position", ""), ("embed + position", "+", ""),
        ("embed + position", "LN", "reads"), ("LN", "attention", ""), ("attention", "+", "adds"),
        ("+", "+ ", "residual<br>stream"), ("+", "LN ", "reads"), ("LN ", "MLP", ""),
        ("MLP", "+ ", "adds"), ("+ ", "LN  ", ""), ("LN  ", "unembed", ""),
        ("unembed", "softmax", "logits"), ("softmax", "probabilities", ""),
    ]  # fmt: skip
    return diagram(
        boxes, arrows, title="The transformer of this series: one layer, one attention head",
        width=600, height=760,
    )  # fmt: skip


def table(rows, header):
    """Rows as an HTML table with a header: text that a screen reader can walk through."""
    from IPython.display import HTML

    cell = lambda tag, v: f"<{tag} style='text-align:right'>{html.escape(str(v))}</{tag}>"
    line = lambda tag, row: "<tr>" + "".join(cell(tag, v) for v in row) + "</tr>"
    body = "".join(line("td", row) for row in rows)
    return HTML(f"<table><thead>{line('th', header)}</thead><tbody>{body}</tbody></table>")


def circuitsvis(view, key: str):
    """A CircuitsVis view as small, stable HTML: its script from the CDN, its id from `key`.

    Left to itself the library asks the network on display and may put 1.3 MB of script into the
    output, under a random id. Give each view of a notebook its own key.
    """
    import re

    from IPython.display import HTML

    return HTML(re.sub(r"circuits-vis-[0-9a-f-]+", f"circuits-vis-{key}", str(view)))
