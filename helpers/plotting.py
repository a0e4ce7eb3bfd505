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
# One colour for a token, and one for a part of the model, in all six notebooks.
TOKEN_COLOURS = [BLUE, ORANGE, GREEN, PINK, GREY]  # 0, 1, 2, 3, BOS
PART_COLOURS = {"embedding": SKY, "position": GREY, "attention": BLUE, "mlp": ORANGE}
SEQUENTIAL = [[0, "#ffffff"], [0.25, "#b9d7ea"], [0.6, "#3f8fc4"], [1, "#08306b"]]
DIVERGING = [[0, "#b35806"], [0.25, "#f1a340"], [0.5, "#f7f7f7"], [0.75, "#67a9cf"], [1, "#2166ac"]]

pio.templates["series"] = go.layout.Template(
    layout=dict(
        colorway=[BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY, "#111111"],
        font=dict(family="system-ui, sans-serif", size=14, color="#222"),
        paper_bgcolor="#fff",
        plot_bgcolor="#fff",
        margin=dict(l=70, r=30, t=80, b=60),
        height=380,
        width=720,
        title=dict(x=0.01, y=0.97, yanchor="top", font=dict(size=16)),
        xaxis=dict(showline=True, linecolor="#888", gridcolor="#e6e6e6", zeroline=False),
        yaxis=dict(
            showline=True, linecolor="#888", gridcolor="#e6e6e6", zeroline=False, automargin=True
        ),
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


def lines(x, ys: dict, *, title, x_title, y_title, reference: dict | None = None, digits=4):
    """Lines `{name: values}` over `x`; `reference` are dashed horizontals `{name: value}`."""
    figure = go.Figure()
    for name, y in ys.items():
        figure.add_scatter(x=numbers(x), y=numbers(y, digits), name=name, mode="lines")
    for name, value in (reference or {}).items():
        _reference(figure, name, value)
    return figure.update_layout(
        title=title, xaxis_title=x_title, yaxis_title=y_title, template=LOOK, showlegend=True
    )


def bars(ys, *, x=OUTPUT_NAMES, title, y_title, x_title="output position", reference=None):
    """Bars `{name: values}` (or one list) at the names `x`; `reference` as in `lines`."""
    ys = ys if isinstance(ys, dict) else {"": ys}
    figure = go.Figure()
    for name, y in ys.items():
        figure.add_bar(x=list(x), y=numbers(y), name=name)
    heights = np.concatenate([np.asarray(y, dtype=float).ravel() for y in ys.values()])
    if heights.min() >= 0 and heights.max() <= 1:
        figure.update_yaxes(range=[0, 1.05])  # shares: the same height means the same everywhere
    figure.update_xaxes(type="category")
    for name, value in (reference or {}).items():
        _reference(figure, name, value)
    return figure.update_layout(
        title=title, xaxis_title=x_title, yaxis_title=y_title, template=LOOK,
        showlegend=len(ys) > 1, barmode="group",
    )  # fmt: skip


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


def scatter3d(groups: dict, *, title, colours=None, labels=None, arrows=None, sizes=5):
    """Points `{name: [n, 3]}` in space, to be turned by hand.

    `labels` `{name: [n]}` appear under the pointer; `arrows` `{name: [3]}` start at the origin.
    """
    figure = go.Figure()
    for i, (name, points) in enumerate(groups.items()):
        points = numbers(points, 3)
        colour = (colours or {}).get(name, [BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY][i % 7])
        x, y, z = (list(axis) for axis in zip(*points))
        figure.add_scatter3d(
            x=x, y=y, z=z, name=name, mode="markers", marker=dict(size=sizes, color=colour),
            text=list((labels or {}).get(name, [])) or None,
        )  # fmt: skip
    for name, tip in (arrows or {}).items():
        tip = numbers(tip, 3)
        figure.add_scatter3d(
            x=[0, tip[0]], y=[0, tip[1]], z=[0, tip[2]], mode="lines+text", text=["", name],
            line=dict(width=6, color=(colours or {}).get(name, "#222")), name=name,
            showlegend=False,
        )  # fmt: skip
    axis = dict(showbackground=False, gridcolor="#ddd", zerolinecolor="#bbb")
    return figure.update_layout(
        title=title, template=LOOK, height=560, width=720, margin=dict(l=0, r=0, t=60, b=40),
        legend=dict(y=-0.02, yanchor="top", x=0, xanchor="left", itemsizing="constant"),
        scene=dict(
            xaxis=dict(title="u₁", **axis), yaxis=dict(title="u₂", **axis),
            zaxis=dict(title="u₃", **axis), aspectmode="data",
        ),
    )  # fmt: skip


def strips(groups: dict, *, title, y_title, reference=None, names=None):
    """One dot for each model: `{group: values}`, spread sideways in a fixed way."""
    figure = go.Figure()
    for i, (name, values) in enumerate(groups.items()):
        values = numbers(values)
        order = np.argsort(np.argsort(values))
        figure.add_scatter(
            x=numbers(i + 0.5 * ((order * 0.618) % 1 - 0.5)), y=values, mode="markers", name=name,
            marker=dict(size=7, opacity=0.75), text=list(names or []) or None,
        )  # fmt: skip
    ticks = [name.replace(", ", ",<br>") for name in groups]
    places = list(range(len(groups)))
    figure.update_xaxes(
        tickvals=places, ticktext=ticks, showgrid=False, tickangle=0, automargin=True
    )
    for name, value in (reference or {}).items():
        _reference(figure, name, value)
    return figure.update_layout(
        title=title, yaxis_title=y_title, xaxis_title="", template=LOOK, showlegend=False
    )


def diagram(boxes: dict, arrows, *, title, width=720, height=420, gap=24):
    """Boxes `{name: (x, y, colour)}` and arrows `[(from, to, label)]`: x to the right, y upwards.

    `gap` is the room in pixels that arrows leave around the middle of a box.
    """
    figure = go.Figure()
    for start, end, label in arrows:
        (x0, y0, _), (x1, y1, _) = boxes[start], boxes[end]
        figure.add_annotation(
            x=x1, y=y1, ax=x0, ay=y0, xref="x", yref="y", axref="x", ayref="y", arrowhead=2,
            arrowwidth=1.6, arrowcolor="#555", text="", standoff=gap, startstandoff=gap,
        )  # fmt: skip
        if label:
            figure.add_annotation(
                x=(x0 + x1) / 2, y=(y0 + y1) / 2, text=label, showarrow=False, font_size=12,
                bgcolor="#fff",
            )  # fmt: skip
    for name, (x, y, colour) in boxes.items():
        figure.add_annotation(
            x=x, y=y, text=name, showarrow=False, bgcolor="#fff", bordercolor=colour,
            borderwidth=2, borderpad=6, font_size=13,
        )  # fmt: skip
    xs, ys = [b[0] for b in boxes.values()], [b[1] for b in boxes.values()]
    figure.update_xaxes(visible=False, range=[min(xs) - 0.7, max(xs) + 0.7])
    figure.update_yaxes(visible=False, range=[min(ys) - 0.6, max(ys) + 0.6])
    return figure.update_layout(
        title=title, width=width, height=height, template=LOOK, margin=dict(l=10, r=10, t=60, b=10)
    )


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
