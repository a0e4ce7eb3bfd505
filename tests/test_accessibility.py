"""Figures and tables for everybody: what colour says is said twice, and every number can be read.

What a page looks like to who cannot see it is tested in a browser, see `axe.py`.
"""

import os
import re
import shutil
import subprocess
from itertools import zip_longest
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest
from samples import contrast

from conftest import ALL_NAMES, FOLDER, saved
from helpers import plotting


def tables(page):
    """Of each table of a page: its caption, its rows of texts, the scopes of its headings."""
    for table in map(ElementTree.fromstring, re.findall("<table.*?</table>", page, re.S)):
        rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        yield table.findtext("caption"), rows, {cell.get("scope") for cell in table.iter("th")}


def outputs(name, kind):
    """What the saved notebook shows of one kind."""
    found = [o.get("data", {}) for c in saved(name).cells for o in c.get("outputs", [])]
    return [data[kind] for data in found if kind in data]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_saved_tables_have_a_caption_and_headings_with_scopes(name):
    for caption, rows, scopes in tables("".join(outputs(name, "text/html"))):
        assert caption.strip() and scopes == {"row", "col"}, rows[0]


def plain(value):
    """Words without tags; a number as it is."""
    return re.sub(r"<[^>]*>", " ", value).strip() if isinstance(value, str) else value


def same(cell, value):
    if isinstance(value, (int, float)):
        return float(cell.split(" (")[0]) == pytest.approx(value, rel=1e-5, abs=1e-9)
    return cell == (plain(value) or "")


@pytest.mark.parametrize("name", ALL_NAMES)
def test_every_number_of_every_saved_figure_can_be_had_as_a_table(name):
    for figure in outputs(name, plotting.MIME):
        layout = figure["layout"] | {"template": None}
        made = plotting.as_table(go.Figure(data=figure["data"], layout=layout, skip_invalid=True))
        found = list(tables(made.data))
        assert len(found) >= len(figure["data"])
        for trace, (caption, rows, _) in zip(figure["data"], found):
            if trace["type"] == "heatmap":
                want = [["", *trace["x"]], *([y, *z] for y, z in zip(trace["y"], trace["z"]))]
            else:
                there = [trace[k] for k in ("x", "y", "z", "labels", "values") if k in trace]
                text = trace.get("text")
                there += [] if text is None else [[text] if isinstance(text, str) else text]
                points = [p for p in zip_longest(*there) if any(v is not None for v in p)]
                want = [rows[0], *points]
            assert caption and list(map(len, rows)) == list(map(len, want))
            for row, values in zip(rows, want):
                assert all(map(same, row, values)), (row, values)


def test_a_figure_as_a_table_has_the_names_of_its_axes_its_lines_and_the_words_in_its_cells():
    ys, titles = {"a": [0.5, 1.5], "b": [2, 3]}, dict(title="One", x_title="step", y_title="loss")
    figure = plotting.lines([1, 2], ys, reference={"chance": 0.25}, **titles)
    a, _, lines = tables(plotting.as_table(figure).data)
    assert a[:2] == ("One: a", [["step", "loss"], ["1", "0.5"], ["2", "1.5"]])
    assert lines[1][1:] == [["chance", "0.25"]]
    cells = plotting.heatmap([[-1, 2]], title="", x=["p", "q"], y=["r"], signed=True)
    cells.update_traces(text=[["−1 ✗", "no"]])
    ((_, rows, _),) = tables(plotting.as_table(cells).data)
    assert rows == [["", "p", "q"], ["r", "-1 (−1 ✗)", "2 (no)"]]


def panels(figure):
    """The traces that are seen together on the same axes, at each step of a slider."""
    data = figure["data"]
    steps = [step for s in figure["layout"].get("sliders", []) for step in s["steps"]]
    for shown in [step["args"][1] for step in steps] or [[t.get("visible", True) for t in data]]:
        panel = {}
        for trace in (trace for trace, there in zip(data, shown) if there):
            key = trace.get("scene"), trace.get("xaxis"), trace.get("yaxis")
            panel.setdefault(key, []).append(trace)
        yield from panel.values()


def said_by_colour_alone(traces):
    """The traces that a reader who sees no colours could take for one another: {sign: colours}."""
    if any("text" in trace.get("mode", "") and "z" not in trace for trace in traces):
        return {}  # words stand beside them
    found = {}
    for trace in (trace for trace in traces if trace.get("x") != [None]):
        line, marker, mode = trace.get("line", {}), trace.get("marker", {}), trace.get("mode", "")
        lines = (line.get("dash", "solid"), line.get("width", 2)) if "lines" in mode else None
        symbol = marker.get("symbol", "circle") if "markers" in mode else None
        sign = trace["type"], lines, symbol, str(marker.get("pattern"))
        colours = line.get("color") or marker.get("color")
        many = isinstance(colours, list) and "text" not in trace
        found.setdefault(sign, set()).update(colours if many else [str(colours)])
    return {sign: colours for sign, colours in found.items() if len(colours) > 1}


def unread_cells(trace):
    """The values of a heatmap that may be taken for others, and have no words that tell."""
    tones = [contrast(tone, "#000000") for _, tone in trace["colorscale"]]
    if tones in (sorted(tones), sorted(tones, reverse=True)):
        return []
    values, top = sum(trace["z"], []), trace["zmax"]
    words = [plain(word) for row in trace.get("text", []) for word in row] or [""] * len(values)
    if trace["zmin"] == -top:  # dark at both ends: a minus is enough
        return [v for v, w in zip(values, words) if v < -0.1 * top and not {"-", "−"} & set(w)]
    return [v for v, w in zip(values, words) if not w]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_no_saved_figure_says_anything_by_colour_alone(name):
    figures = outputs(name, plotting.MIME)
    assert figures
    for figure in figures:
        for traces in panels(figure):
            assert not said_by_colour_alone(traces)
        notes = [note.get("xref") for note in figure["layout"].get("annotations", [])]
        for trace in figure["data"]:
            areas = {value for row in trace["z"] for value in row} if "colorscale" in trace else ()
            if notes.count(trace.get("xaxis", "x")) < len(areas):  # each may have a name in it
                assert not unread_cells(trace)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ALL_NAMES)
def test_the_checker_of_notebooks_finds_nothing(name):
    """jupyterlab-a11y-checker, whose command is of npm."""
    command, env = shutil.which("jupyterlab-a11y-check"), os.environ | {"FORCE_COLOR": "0"}
    if not command:
        pytest.skip("no jupyterlab-a11y-check: npm install -g @jupyterlab-a11y-checker/cli")
    notebook = str(FOLDER / f"{name}.ipynb")
    done = subprocess.run([command, notebook], capture_output=True, text=True, env=env)
    assert done.returncode == 0 and "No accessibility issues found" in done.stdout, done.stdout
