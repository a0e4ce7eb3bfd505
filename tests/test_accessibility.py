"""Figures and tables for everybody: what colour says is said twice, and every number can be read.

What a page looks like to who cannot see it is tested in a browser, see `axe.py`.
"""

import copy
import os
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from itertools import combinations, zip_longest

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest

from conftest import ALL_NAMES, FOLDER, saved
from helpers import plotting as P
from tools import build

# ---------------------------------------------------------------- tables


class Tables(HTMLParser):
    """The tables of a page: of each its caption, its rows of texts, its header cells' scopes."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.inside = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append(dict(caption="", rows=[], scopes=[]))
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
        if tag == "th":
            self.tables[-1]["scopes"].append(dict(attrs).get("scope"))
        if tag in ("td", "th", "caption"):
            self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None if tag == self.inside else self.inside

    def handle_data(self, data):
        if self.inside == "caption":
            self.tables[-1]["caption"] += data
        elif self.inside:
            self.tables[-1]["rows"][-1][-1] += data


def wrong_with(tables):
    """What a screen reader would miss, table by table."""
    for table in tables:
        if not table["caption"].strip():
            yield f"no caption: {table['rows'][0]}"
        if None in table["scopes"] or not {"row", "col"} <= set(table["scopes"]):
            yield f"a heading without scope, or none of rows or columns: {table['rows'][0]}"


def shown_tables(name):
    for cell in saved(name).cells:
        for output in cell.get("outputs", []):
            yield from Tables(output.get("data", {}).get("text/html", "")).tables


@pytest.mark.parametrize("name", ALL_NAMES)
def test_saved_tables_have_a_caption_and_headings_with_scopes(name):
    assert not list(wrong_with(shown_tables(name)))


def test_tables_without_caption_or_scope_are_noticed():
    whole = P.table([["a", 1]], ["name", "n"], "Names").data
    assert not list(wrong_with(Tables(whole).tables))
    for part in ("<caption.*?</caption>", " scope='col'", " scope='row'"):
        assert len(list(wrong_with(Tables(re.sub(part, "", whole)).tables))) == 1
    assert sum(len(list(shown_tables(name))) for name in ALL_NAMES) > 10


# ---------------------------------------------------------------- a figure as tables


def saved_figures(name):
    return [output["data"][build.PLOTLY] for output, _ in build.figures(saved(name))]


def plain(value):
    """A cell as it should read: without tags, a number as a number."""
    return re.sub(r"<[^>]*>", " ", value).strip() if isinstance(value, str) else value


def same(cell, value):
    if isinstance(value, (int, float)):
        return float(cell.split(" (")[0]) == pytest.approx(value, rel=1e-5, abs=1e-9)
    return cell == ("" if value is None else plain(value))


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_number_of_every_saved_figure_can_be_had_as_a_table(name):
    for figure in saved_figures(name):
        data = figure["data"]
        made = P.as_table(go.Figure(data=data, layout=figure["layout"], skip_invalid=True))
        tables = Tables(made.data).tables
        assert len(tables) >= len(data) and not [t for t in tables if not t["caption"]]
        for trace, table in zip(data, tables):
            header, *rows = table["rows"]
            if trace["type"] == "heatmap":
                assert header[1:] == [plain(str(x)) for x in trace["x"]]
                assert [row[0] for row in rows] == [plain(str(y)) for y in trace["y"]]
                want = trace["z"]
                header, rows = header[1:], [row[1:] for row in rows]
            else:
                there = [trace[k] for k in ("x", "y", "z", "labels", "values") if k in trace]
                text = trace.get("text")
                there += [] if text is None else [[text] if isinstance(text, str) else text]
                want = [p for p in zip_longest(*there) if any(v is not None for v in p)]
            assert len(rows) == len(want) and {len(p) for p in [*want, *rows]} <= {len(header)}
            assert all(same(c, v) for row, p in zip(rows, want) for c, v in zip(row, p))


def test_a_figure_as_a_table_has_its_words_and_lines_and_without_one_says_so(monkeypatch):
    monkeypatch.setattr(P, "_shown", [])
    with pytest.raises(ValueError, match="no figure was shown yet"):
        P.as_table()
    titles = dict(title="One", x_title="step", y_title="loss", reference={"chance": 0.25})
    figure = P.lines([1, 2], {"a": [0.5, 1.5], "b": [2, 3]}, **titles)
    P.show(figure, "two lines")
    a, _, lines = Tables(P.as_table().data).tables
    assert a["caption"] == "One: a" and a["rows"] == [["step", "loss"], ["1", "0.5"], ["2", "1.5"]]
    assert lines["rows"][1:] == [["chance", "0.25"]]
    cells = P.heatmap([[-1, 2]], title="", x=["p", "q"], y=["r"], signed=True)
    cells.update_traces(text=[["−1 ✗", "no"]])
    (table,) = Tables(P.as_table(cells).data).tables
    assert table["rows"] == [["", "p", "q"], ["r", "-1 (−1 ✗)", "2 (no)"]]


# ---------------------------------------------------------------- colour is never the only sign

NARROW = 1 / 11  # of an axis: a stretch this short has no room for its name


def states(figure):
    """The traces that are seen together: one list for each step of a slider."""
    data = figure["data"]
    steps = [step for s in figure["layout"].get("sliders", []) for step in s["steps"]]
    for shown in [step["args"][1] for step in steps] or [[t.get("visible", True) for t in data]]:
        yield [trace for trace, there in zip(data, shown) if there]


def panels(traces):
    """The traces by the axes that they share."""
    there = {}
    for trace in traces:
        key = trace.get("scene", trace.get("xaxis", "x")), trace.get("yaxis", "y")
        there.setdefault(key, []).append(trace)
    return there.values()


def size(values):
    values = [v for v in values if isinstance(v, (int, float))]
    return (max(values) - min(values)) or 1 if values else 1


def pieces(trace):
    """The unbroken parts of a line: lists of points."""
    piece = []
    for point in [*zip(trace["x"], trace["y"], trace.get("z", trace["y"])), (None,)]:
        if point[0] is not None:
            piece.append(point)
        elif piece:
            yield piece
            piece = []


def is_named(trace, traces):
    """Whether on each part of a line or a group of points that is wide enough stands a word."""
    words, scale = [], [size([v for t in traces for v in t[axis]]) for axis in "xy"]
    for other in traces:
        if "text" in other.get("mode", "") and "z" not in other:
            points = zip(other["x"], other["y"], other.get("text") or [])
            words += [(x / scale[0], y / scale[1]) for x, y, text in points if text]
    if "z" in trace:
        return "text" in trace.get("mode", "")
    for piece in pieces(trace):
        (x, y) = ([p[i] / scale[i] for p in piece] for i in (0, 1))
        if max(x) - min(x) < NARROW and max(y) - min(y) < NARROW:
            continue
        near = [a for a, b in words if min(x) - 0.01 <= a <= max(x) + 0.01
                and (abs(np.interp(a, x, y) - b) < 0.02 or max(x) - min(x) < 0.01
                     and min(y) - 0.01 <= b <= max(y) + 0.01)]  # fmt: skip
        if not near:
            return False
    return True


def sign(trace):
    """What tells a trace from others beside its colour."""
    line, marker, mode = trace.get("line", {}), trace.get("marker", {}), trace.get("mode", "")
    lines = (line.get("dash", "solid"), line.get("width", 2)) if "lines" in mode else ()
    symbol = (marker.get("symbol", "circle"),) if "markers" in mode else ()
    pattern = (marker.get("pattern", {}).get("shape", ""),) if trace["type"] == "bar" else ()
    return trace["type"], lines, symbol, pattern


def colour(trace):
    return trace.get("line", {}).get("color") or trace.get("marker", {}).get("color")


def lightness(hexed):
    return P.contrast(hexed, "#000000")


def said_by_colour_alone(figure):
    """What a reader who sees no colours could not tell apart, in sentences."""
    notes = go.Figure(layout=figure["layout"]).layout.annotations
    names = Counter(note.xref for note in notes if note.showarrow is False)
    for traces in (panel for state in states(figure) for panel in panels(state)):
        drawn = [t for t in traces if t.get("mode") != "text" and "colorscale" not in t]
        for one, other in combinations(drawn, 2):
            alike = colour(one) != colour(other) and sign(one) == sign(other)
            if alike and not (one["type"] in ("scatter", "scatter3d")
                              and is_named(one, traces) and is_named(other, traces)):  # fmt: skip
                yield f"{one.get('name')!r} and {other.get('name')!r} differ by colour alone"
        for trace in traces:
            many = trace.get("marker", {}).get("color")
            if isinstance(many, list) and "text" not in trace:
                yield f"the points of {trace.get('name')!r} differ by colour alone"
            if trace["type"] == "icicle":
                yield from same_sectors(trace)
            if trace["type"] == "heatmap":
                areas = {value for row in trace["z"] for value in row}
                if names[trace.get("xaxis", "x")] < len(areas):  # each may have a name in it
                    yield from unread_cells(trace)


def same_sectors(trace):
    """A sector in a colour that is no grey has a pattern of its own."""
    marker = trace["marker"]
    shapes = marker.get("pattern", {}).get("shape") or [""] * len(marker["colors"])
    kinds = {kind for kind in zip(marker["colors"], shapes) if not is_grey(kind[0])}
    if "" in dict(kinds).values() or len({shape for _, shape in kinds}) < len(kinds):
        yield f"sectors differ by colour alone: {sorted(kinds)}"


def is_grey(hexed):
    channels = [int(hexed[i : i + 2], 16) for i in (1, 3, 5)]
    return max(channels) - min(channels) < 40


def unread_cells(trace):
    """A scale goes from light to dark, or the words in the cells say what it does not."""
    tones = [lightness(tone) for _, tone in trace["colorscale"]]
    if tones in (sorted(tones), sorted(tones, reverse=True)):
        return
    low, high = trace["zmin"], trace["zmax"]
    for row, words in zip(trace["z"], trace.get("text") or [[""] * len(row) for row in trace["z"]]):
        for value, word in zip(row, words):
            # On a scale that is dark at both ends a minus is enough.
            needed = r"[-−]" if low == -high else r"."
            if (low != -high or value < -0.1 * high) and not re.search(needed, plain(word)):
                yield f"a cell of {value} that may be taken for another"


@pytest.mark.parametrize("name", ALL_NAMES)
def test_no_saved_figure_says_anything_by_colour_alone(name):
    found = [list(said_by_colour_alone(figure)) for figure in saved_figures(name)]
    assert len(found) >= 3 and not any(found), found


def without(figure, *path):
    """A copy of a figure whose traces have lost one thing."""
    figure = copy.deepcopy(figure)
    for trace in figure["data"]:
        *way, last = path
        for key in way:
            trace = trace.get(key, {})
        trace.pop(last, None)
    return figure


def test_figures_that_say_something_by_colour_alone_are_noticed():
    two, titles = {"a": [1, 2], "b": [3, 4]}, dict(title="", y_title="")
    space = {name: [[i, 1, 2], [2, i, 1]] for i, name in enumerate("abc")}
    made = {
        ("line", "dash"): P.lines([0, 1], two, x_title="", **titles),
        ("marker", "pattern"): P.bars(two, x=["p", "q"], **titles),
        ("marker", "symbol"): P.scatter3d(space, title=""),
        ("text",): P.heatmap([[-1, 1]], title="", x=["p", "q"], y=["r"], signed=True),
    }
    for what, figure in made.items():
        figure = figure.to_plotly_json()
        figure["data"] = [dict(trace) for trace in figure["data"]]
        assert not list(said_by_colour_alone(figure)), what
        assert list(said_by_colour_alone(without(figure, *what))), what
    line = [f for f in saved_figures("05_mlp") if any(t.get("mode") == "text" for t in f["data"])]
    assert len(line) >= 3 and all(list(said_by_colour_alone(without(f, "text"))) for f in line)
    proof = [f for f in saved_figures("beyond/proof") if f["data"][0]["type"] == "icicle"]
    assert any(list(said_by_colour_alone(without(f, "marker", "pattern"))) for f in proof)
    (planes,) = [f for f in saved_figures("beyond/seeds") if "each place" in f.layout.title.text]
    planes.layout.annotations = ()
    assert list(said_by_colour_alone(planes))


# ---------------------------------------------------------------- the notebooks' Markdown


def checked(*notebooks):
    """What jupyterlab-a11y-checker says of notebooks; its command is of npm."""
    command = shutil.which("jupyterlab-a11y-check")
    if not command:
        pytest.skip("no jupyterlab-a11y-check: npm install -g @jupyterlab-a11y-checker/cli")
    done = subprocess.run(
        [command, *map(str, notebooks)], capture_output=True, text=True,
        env={**os.environ, "FORCE_COLOR": "0"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALL_NAMES)
def test_the_checker_of_notebooks_finds_nothing(name):
    failed, says = checked(FOLDER / f"{name}.ipynb")
    assert not failed and "No accessibility issues found" in says, says


def test_the_checker_of_notebooks_sees_what_is_broken(tmp_path):
    book = saved("01_dataset")
    text = "#### Too deep\n\n![](a.png)\n\n[here](b.md)\n\n<table><tr><td>1</td></tr></table>"
    book.cells.append(nbformat.v4.new_markdown_cell(text))
    nbformat.write(book, tmp_path / "broken.ipynb")
    failed, says = checked(tmp_path / "broken.ipynb")
    rules = "heading-wrong-order image-missing-alt link-discernible-text table-missing-header"
    assert failed and all(f"found for {rule}" in says for rule in rules.split()), says
