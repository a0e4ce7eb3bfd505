"""The one look of the series. Takes arrays and names, never models, and returns figures.

Token colours follow Okabe & Ito (2008), told apart by colour-blind readers; every colour that
carries meaning has a contrast of 3:1 or more on the figures' white ground, and every letter 4.5:1
on its own. No colour is the only sign: dashes, patterns, symbols or words say the same. A figure
takes the width there is, from a phone's on. Written for plotly 5.24 to 7.
"""

import html
import re
import textwrap
from itertools import zip_longest

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from IPython.display import HTML
from plotly.subplots import make_subplots

from helpers.task import INPUT_NAMES, OUTPUT_NAMES

MIME = "application/vnd.plotly.v1+json"
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#C77F00", "#009E73", "#C4689B"
SKY, RED, GREY = "#2E93D1", "#D55E00", "#6b6b6b"
# What a colour means in all six notebooks. A figure that means it says so: `colours=TOKEN_COLOURS`.
TOKEN_COLOURS = [BLUE, ORANGE, GREEN, PINK, "#111111"]  # 0, 1, 2, 3, BOS
# The same as letters, which need more contrast than lines and areas do.
TOKEN_INKS = [BLUE, "#8a5800", "#00734f", "#9c3f72", "#111111"]
PART_COLOURS = {"embedding": "#8c8c8c", "position": "#555555", "attention": SKY, "mlp": RED}
# y0 to y7: plasma (van der Walt & Smith 2015), without its pale end.
OUTPUT_COLOURS = "#0d0887 #43039e #6a00a8 #8f0da4 #b12a90 #cb4679 #dd5e66 #e0662f".split()
# What is none of these, told apart by how dark it is.
NEUTRAL = ["#3d4f5c", "#8796a1", "#5f717d", "#b58a5a"]
# What tells the groups of a figure apart without their colours: lines, bars, points in space. A
# line is never simply dashed: that is what a reference is.
DASHES = "solid dot dashdot longdashdot 9px,3px,2px,3px,2px,3px 2px,8px longdash 14px,2px".split()
PATTERNS = ["", "/", ".", "x", "-", "\\", "+", "|"]
SYMBOLS = ["circle", "square", "diamond", "square-open", "diamond-open"]
SEQUENTIAL = [[0, "#ffffff"], [0.25, "#b9d7ea"], [0.6, "#3f8fc4"], [1, "#08306b"]]
DIVERGING = [[0, "#b35806"], [0.25, "#f1a340"], [0.5, "#f7f7f7"], [0.75, "#67a9cf"], [1, "#2166ac"]]

LOOK = "series"
TITLE = 42  # letters in a line of a title; more do not fit on a phone
_LINES = dict(showline=True, linecolor="#888", gridcolor="#e6e6e6", zeroline=False)
_AXIS = dict(**_LINES, automargin=True, title=dict(standoff=10, font_size=13))
# Legend and colour scale stand at the bottom and make room for themselves, however many their rows.
_BOTTOM = dict(orientation="h", y=0, yref="container", yanchor="bottom")
_SCALE = dict(**_BOTTOM, thickness=12, ypad=8, xpad=0, title=dict(side="bottom", font_size=13))
_TOP = dict(x=0, xref="container", y=1, yref="container", yanchor="top", pad=dict(l=10, t=14))
pio.templates[LOOK] = go.layout.Template(
    layout=dict(
        colorway=NEUTRAL,
        paper_bgcolor="#fff",
        plot_bgcolor="#fff",
        xaxis=_AXIS,
        yaxis=_AXIS,
        scene={f"{a}axis": dict(title_font_size=13) for a in "xyz"},
        margin=dict(l=60, r=20, t=50, b=50),
        font=dict(family="system-ui, sans-serif", size=13, color="#222"),
        title=dict(**_TOP, font_size=15),
        legend=dict(**_BOTTOM, x=0, xanchor="left"),
        modebar=dict(orientation="v"),  # beside the title, not over it
    ),
    data_heatmap=[dict(colorbar=_SCALE)],
)
_STROKES = dict(fillmode="overlay", fgcolor="#fff", fgopacity=1, size=7, solidity=0.25)
CARD = "background:#fff; color:#222; border-radius:8px"  # of what is light on a dark page too


def numbers(values, digits: int = 4):
    """Nested lists rounded to `digits` decimals: small and stable in the saved notebook."""
    return (np.round(np.asarray(values, dtype=float), digits) + 0.0).tolist()  # 0.0, not -0.0


def luminance(colour: str) -> float:
    """How light a colour `#rrggbb` is, from 0 to 1, as WCAG 2 defines it."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink(ground: str) -> str:
    """Black or white: what can be read on this colour. Its contrast is always above 4.5."""
    return "#000000" if (luminance(ground) + 0.05) ** 2 >= 0.05 * 1.05 else "#ffffff"


def sized(figure: go.Figure, height: int) -> go.Figure:
    """`figure` in the look of the series, `height` pixels high, with room for its titles."""
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if axis.domain:  # plotly sums to find it, and Python 3.12 sums otherwise: the last digit
            axis.domain = numbers(axis.domain, 6)
    title = (figure.layout.title.text or "").split("<br>")
    title = [part for line in title for part in textwrap.wrap(line, TITLE)]
    rows = [note.text.count("<br>") + 1 for note in figure.layout.annotations if note.text]
    top = 32 + 18 * len(title) + (4 + 15 * max(rows) if rows else 0)
    if len(title) > 1:
        figure.layout.title.pad = dict(l=10, t=24)  # plotly draws the first of several higher
    titled = dict(title_text="<br>".join(title), margin_t=top)
    return figure.update_layout(template=LOOK, height=height, **titled)


def colour_of(colours, name: str, i: int) -> str:
    """The colour of the i-th group, `name`, from a list or a dict; else the i-th neutral one."""
    if isinstance(colours, dict):
        return colours.get(name, NEUTRAL[i % len(NEUTRAL)])
    return (colours or NEUTRAL)[i % len(colours or NEUTRAL)]


def finish(figure, title, x_title, y_title, reference=None, height=380, **layout):
    """Titles, the look, the height, and `reference` `{name: value}` as dashed horizontals."""
    # Their names stand in the legend: beside the plot they would take its width.
    for name, value in (reference or {}).items():
        line = dict(dash="dash", color=GREY)
        figure.add_hline(float(value), line=line, name=name, showlegend=bool(name))
    if any(reference or {}):
        layout["showlegend"] = True
    titles = dict(title=title, xaxis_title=x_title, yaxis_title=y_title)
    return sized(figure.update_layout(**titles, **layout), height)


def lines(x, ys: dict, *, title, x_title, y_title, reference=None, colours=None, digits=4):
    """Lines `{name: [n]}` over `x` `[n]`; `reference` are dashed horizontals `{name: value}`;
    `colours` a list in the order of `ys` or a dict by name, such as `OUTPUT_COLOURS`."""
    figure = go.Figure()
    for i, (name, y) in enumerate(ys.items()):
        line = dict(color=colour_of(colours, name, i), dash=DASHES[i % len(DASHES)])
        figure.add_scatter(x=numbers(x), y=numbers(y, digits), name=name, mode="lines", line=line)
    return finish(figure, title, x_title, y_title, reference, showlegend=True)


def bars(
    ys, *, title, y_title, x=OUTPUT_NAMES, x_title="output position", reference=None, colours=None
):
    """Bars `{name: [n]}` (or one list) at the names `x`; `reference`, `colours` as in `lines`."""
    ys = ys if isinstance(ys, dict) else {"": ys}
    figure = go.Figure()
    for i, (name, y) in enumerate(ys.items()):
        pattern = dict(shape=PATTERNS[i % len(PATTERNS)], **_STROKES)
        marker = dict(color=colour_of(colours, name, i)) | (dict(pattern=pattern) if i else {})
        figure.add_bar(x=list(x), y=numbers(y), marker=marker, name=name, showlegend=bool(name))
    same_height_for_shares(figure, ys.values())
    figure.update_xaxes(type="category", dtick=1)  # every name, also in a small window
    shown = dict(showlegend=len(ys) > 1, barmode="group")
    return finish(figure, title, x_title, y_title, reference, **shown)


def same_height_for_shares(figure, rows) -> None:
    """From 0 to 1 when all values are shares: then a height means the same in every figure."""
    values = np.concatenate([np.asarray(row, dtype=float).ravel() for row in rows])
    if values.min() >= 0 and values.max() <= 1:
        figure.update_yaxes(range=[0, 1.05])


def heatmap(
    z, *, title, x=INPUT_NAMES, y=OUTPUT_NAMES, x_title="key: the token looked at",
    y_title="query: the output predicted", signed=False, top=None, text=False, unit="",
):  # fmt: skip
    """A matrix `[rows, columns]` with names on both axes, in `unit`; the scale ends at `top`.
    `signed` centres the colours on zero, and marks what is clearly below it with a minus; `text`
    writes the values into the cells."""
    z = np.asarray(z, dtype=float)
    top = numbers(np.abs(z).max() if top is None else top)
    figure = go.Figure(_cells(z, x, y, top, signed, text)).update_traces(colorbar_title=unit)
    figure.update_xaxes(type="category").update_yaxes(autorange="reversed", type="category")
    return finish(figure, title, x_title, y_title, height=460)


def _cells(z, x, y, top, signed, text, digits=4) -> go.Heatmap:
    low, colours = (-top, DIVERGING) if signed else (0, SEQUENTIAL)
    scale, written = dict(zmin=low, zmax=top, colorscale=colours), {}
    if text:
        written = cell_texts([[f"{v:.2f}" for v in row] for row in z], z, **scale)
    elif signed and (below := np.asarray(z, dtype=float) < -0.05 * top).any():
        written = cell_texts(np.where(below, "−", "").tolist(), z, **scale)  # both ends are dark
    return go.Heatmap(z=numbers(z, digits), x=list(x), y=list(y), **scale, **written)


def cell_texts(texts, z, zmin, zmax, colorscale) -> dict:
    """What a heatmap of `z` needs to show `texts`, each in black or white: what its cell needs.
    (plotly's own choice is a dark grey, too pale on a middle tone.)"""
    places = np.clip((np.asarray(z, dtype=float) - zmin) / ((zmax - zmin) or 1), 0, 1)
    stops, colours = zip(*colorscale)
    channels = [[int(colour[i : i + 2], 16) for colour in colours] for i in (1, 3, 5)]
    mixed = np.stack([np.interp(places, stops, channel) for channel in channels], -1)

    def cell(text, rgb):
        colour = ink("#{:02x}{:02x}{:02x}".format(*rgb.round().astype(int).tolist()))
        if not text or colour == "#000000":
            return text
        return f"<span style='color:{colour}'>{text}</span>"

    inked = [[cell(t, rgb) for t, rgb in zip(*row)] for row in zip(texts, mixed)]
    shown = dict(texttemplate="%{text}", textfont=dict(size=12, color="#000000"))
    return dict(text=inked, hoverinfo="x+y+z", **shown)


def gallery(
    patterns, names, *, title, columns=8, x=INPUT_NAMES, y=OUTPUT_NAMES,
    top=1.0, signed=False, text=False,
):  # fmt: skip
    """Small heatmaps `[n, rows, columns]` side by side under their names, on one scale."""
    rows = -(-len(patterns) // columns)
    spaces = dict(horizontal_spacing=0.012, vertical_spacing=0.5 / max(rows, 2))
    names = [name.replace(" ", "<br>") for name in names]  # they are narrow
    figure = make_subplots(rows, columns, subplot_titles=names, **spaces)
    for i, pattern in enumerate(patterns):
        cells = _cells(pattern, x, y, top, signed, text, digits=2)
        figure.add_trace(cells, row=i // columns + 1, col=i % columns + 1)
    figure.update_traces(showscale=False).update_annotations(font_size=12)
    bare = dict(showticklabels=False, ticks="")
    figure.update_xaxes(**bare).update_yaxes(autorange="reversed", **bare)
    return finish(figure, title, "", "", height=90 + 130 * rows, margin=dict(l=10, r=10, b=20))


def table(rows, header, title: str = "") -> HTML:
    """Rows as an HTML table that a screen reader can walk through; its caption is `title`. The
    first cell of a row is its heading, as the `header` is that of the columns. Numbers stand on the
    right, words on the left."""

    def cell(value, scope=""):
        value = str(value)
        side = "right" if re.fullmatch(r"[-−+]?[\d.,  ]+ ?%?|", value) else "left"
        # An empty heading would be read out as one.
        tag, of = ("th", f" scope='{scope}'") if scope and value else ("td", "")
        return f"<{tag}{of} style='text-align:{side}'>{html.escape(value)}</{tag}>"

    above = "".join(cell(name, "col") for name in header)
    body = ""
    for first, *others in rows:
        body += f"<tr>{cell(first, 'row')}{''.join(map(cell, others))}</tr>"
    caption = f"<caption style='text-align:left'>{html.escape(title)}</caption>" if title else ""
    return HTML(f"<table>{caption}<thead><tr>{above}</tr></thead><tbody>{body}</tbody></table>")


def as_table(figure: go.Figure) -> HTML:
    """The numbers of `figure` to read: a table for each of its traces, and one for dashed lines."""
    data, layout = figure.to_plotly_json()["data"], figure.layout
    title = _text(layout.title.text) or "figure"
    tables = []
    for number, trace in enumerate(data, 1):
        name = _text(trace.get("name")) or f"part {number} of {len(data)}"
        header, *rows = _matrix(trace) if trace["type"] == "heatmap" else _columns(trace, layout)
        tables.append(table(rows, header, f"{title}: {name}"))
    across = [[s.name or "across", _text(s.y0)] for s in layout.shapes if s.y0 == s.y1]
    if across:
        tables.append(table(across, ["line", "value"], f"{title}: lines across"))
    return HTML("".join(made.data for made in tables))


def _text(value) -> str:
    """A number in six digits, and words without the tags that plotly reads."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else re.sub(r"<[^>]*>", " ", str(value)).strip()


def _matrix(trace: dict) -> list[list[str]]:
    """The rows of a heatmap below their header; words that stand in its cells follow the value."""
    texts = trace.get("text", [[""] * len(row) for row in trace["z"]])
    rows = [["", *map(_text, trace["x"])]]
    for name, values, words in zip(trace["y"], trace["z"], texts):
        rows.append([_text(name)])
        for value, word in zip(map(_text, values), map(_text, words)):
            more = f" ({word.removeprefix(value).strip()})" if re.search(r"[^\d.−-]", word) else ""
            rows[-1].append(value + more)
    return rows


def _columns(trace: dict, layout) -> list[list[str]]:
    """The points of any other trace, a row each, below the names of what they have."""
    names = dict(x="x", y="y", z="z", labels="name", values="value", text="text")
    for axis in "xyz" if "z" in trace else "xy":
        place = trace.get(f"{axis}axis", axis).replace(axis, f"{axis}axis")
        here = layout.scene[place] if "z" in trace else layout[place]
        names[axis] = _text(here.title.text) or axis
    there = [key for key in names if trace.get(key) is not None]
    columns = [[c] if isinstance(c := trace[key], str) else list(c) for key in there]
    points = [p for p in zip_longest(*columns) if any(v is not None for v in p)]
    return [[names[key] for key in there], *(list(map(_text, p)) for p in points)]


def circuitsvis(view, key: str) -> HTML:
    """A CircuitsVis view as small, stable HTML: its script from the CDN, its id from `key`.

    Left to itself the library asks the network and may put 1.3 MB of script into the output. Give
    each view of a notebook its own key: letters, digits, hyphens."""
    view = re.sub(r"circuits-vis-[0-9a-f-]+", f"circuits-vis-{key}", str(view))
    # It draws in black, so it stands on a light ground, whatever the page's.
    return HTML(f"<div style='{CARD}; color-scheme:light; padding:8px'>{view}</div>")
