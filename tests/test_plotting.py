"""helpers.plotting: what every figure must have, whatever it shows."""

import html
import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import plotly.io as pio
import pytest

from helpers import plotting as P
from helpers.task import INPUT_NAMES, OUTPUT_NAMES

TITLES = dict(title="A title", y_title="up")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def displayed(monkeypatch):
    """What display() is given: a list of (object, settings)."""
    seen = []
    monkeypatch.setattr(P, "display", lambda x, **settings: seen.append((x, settings)))
    return seen


def builders():
    rng = np.random.default_rng(0)
    z, points = rng.normal(size=(8, 8)), {"token 0": rng.normal(size=(5, 3))}
    return {
        "lines": P.lines(range(9), {"a": rng.random(9)}, x_title="step", **TITLES),
        "bars": P.bars(rng.normal(size=8), **TITLES),
        "heatmap": P.heatmap(z, title="A title", signed=True),
        "gallery": P.gallery([z, z, z], "abc", title="A title", columns=2),
        "scatter3d": P.scatter3d(points, title="A title", radius=2, arrows={"→ 0": [1, 2, 3]}),
        "strips": P.strips({"group": rng.normal(size=32)}, **TITLES),
    }


# ---------------------------------------------------------------- every figure


@pytest.mark.parametrize("name", builders())
def test_figures_have_the_look_and_small_stable_numbers(name):
    figure = builders()[name]
    assert figure.layout.title.text == "A title"
    assert figure.layout.template.layout.font.family == "system-ui, sans-serif"
    text = figure.to_json()
    assert "bdata" not in text  # lists, which do not differ from one plotly to the next

    def floats(value):
        if isinstance(value, float):
            yield value
        elif isinstance(value, (list, dict)):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from floats(inner)

    for trace in json.loads(text)["data"]:
        for axis in set("xyz") & set(trace):
            assert all(value == round(value, 4) for value in floats(trace[axis]))
            assert "-0.0" not in map(str, floats(trace[axis]))


def test_where_axes_stand_does_not_depend_on_how_python_sums():
    """From 3.12 on `sum` of floats is more exact, and plotly sums to place small figures."""
    layout = P.gallery([np.zeros((2, 2))] * 16, "abcdefghijklmnop", title="A title").layout
    ends = [end for axis in ("xaxis", "yaxis") for i in range(2, 17)
            for end in layout[f"{axis}{i}"].domain]  # fmt: skip
    assert len(ends) == 60 and all(end == round(end, 6) for end in ends)


def test_every_figure_is_shown_in_words_too(displayed, monkeypatch):
    monkeypatch.setattr(pio.renderers, "default", "plotly_mimetype")  # as in JupyterLab
    says = "One <bar> & “another”."
    P.show(P.bars([1, 2], x="ab", **TITLES), says)
    (bundle, settings), (caption, _) = displayed
    assert bundle["text/plain"] == says and settings["metadata"]["image/png"]["alt"] == says
    assert bundle[P.MIME]["layout"]["meta"] == {"says": says}
    assert f"<p><em>{html.escape(says)}</em></p>" in caption.data and "<bar>" not in caption.data
    config = bundle[P.MIME]["config"]
    assert not config["displaylogo"] and not config["showSendToCloud"] and not config["scrollZoom"]


@pytest.mark.parametrize("name", builders())
def test_a_figure_takes_the_width_of_the_page_and_a_picture_its_own(name):
    """plotly fills what no layout fixes; kaleido asks the template where the layout is silent."""
    layout = builders()[name].layout
    assert layout.width is None and layout.autosize is None and layout.height >= 200
    assert layout.template.layout.width == P.WIDTH


@pytest.mark.parametrize("says", ["", "  \n"])
def test_a_figure_without_words_is_refused(says, displayed):
    with pytest.raises(ValueError, match="sentence in words"):
        P.show(P.bars([1, 2], x="ab", **TITLES), says)
    assert not displayed


def test_numbers_are_rounded_lists_without_minus_zero():
    assert P.numbers([[1.23456789, -0.00000001]]) == [[1.2346, 0.0]]
    assert str(P.numbers(-1e-9)) == "0.0" and P.numbers([0.126], 2) == [0.13]


# ---------------------------------------------------------------- colours


WHITE = "#ffffff"


def test_contrast_is_that_of_wcag():
    assert P.contrast("#000000", WHITE) == P.contrast(WHITE, "#000000") == 21
    assert P.contrast("#777777", WHITE) == pytest.approx(4.48, abs=0.005)  # its known near miss
    assert P.contrast(P.RED, P.RED) == 1


def test_every_colour_with_a_meaning_stands_out_from_the_ground():
    meanings = [P.TOKEN_COLOURS, list(P.PART_COLOURS.values()), P.OUTPUT_COLOURS, P.NEUTRAL]
    assert [len(m) for m in meanings] == [5, 4, 8, 4]
    for meaning in meanings:
        assert len(set(meaning)) == len(meaning)
        assert all(P.contrast(colour, WHITE) >= 3 for colour in meaning)
    look = pio.templates[P.LOOK].layout
    assert P.contrast("#888888", WHITE) >= 3 and look.xaxis.linecolor == "#888"


def test_letters_have_the_contrast_that_letters_need():
    for colour in [*P.TOKEN_INKS, P.GREY, "#222222"]:
        assert P.contrast(colour, WHITE) >= 4.5, colour
    assert pio.templates[P.LOOK].layout.font.color == "#222"
    assert len(set(P.TOKEN_INKS)) == len(P.TOKEN_INKS) == len(P.TOKEN_COLOURS)
    for ground in [*P.TOKEN_COLOURS, *P.PART_COLOURS.values(), *P.OUTPUT_COLOURS, *P.NEUTRAL]:
        assert P.contrast(P.ink(ground), ground) >= 4.5, ground


@pytest.mark.parametrize("signed", [False, True])
def test_a_number_in_a_cell_can_be_read_on_its_colour(signed):
    """The colour of a cell between two stops, as plotly mixes it: by each channel."""
    z = np.linspace(-1 if signed else 0, 1, 41)[None]
    (trace,) = P.heatmap(z, title="", x=range(41), y=[""], signed=signed, text=True).data
    stops = [(at * 2 - 1 if signed else at, colour) for at, colour in trace.colorscale]
    for value, written in zip(z[0], trace.text[0]):
        ends = zip(stops, stops[1:])
        (low, a), (high, b) = next(pair for pair in ends if pair[0][0] <= value <= pair[1][0])
        share = (value - low) / (high - low)
        mixed = [
            round((1 - share) * int(a[i : i + 2], 16) + share * int(b[i : i + 2], 16))
            for i in (1, 3, 5)
        ]
        letters = WHITE if "color:#ffffff" in written else trace.textfont.color
        assert P.contrast("#" + "".join(f"{c:02x}" for c in mixed), letters) >= 4.5, value
        assert f"{value:.2f}" in written
    assert trace.hoverinfo == "x+y+z"  # the letters are not said twice


# ---------------------------------------------------------------- room


def test_letters_keep_their_order_of_size_and_none_is_small_on_a_phone():
    """A picture of 400 px is shown 344 px wide on a phone of 390."""
    look = pio.templates[P.LOOK]
    axes = [look.layout.xaxis.title, look.layout.yaxis.title, look.layout.scene.zaxis.title]
    scale = look.data.heatmap[0].colorbar.title
    sizes = [axis.font.size for axis in axes] + [scale.font.size, look.layout.font.size]
    assert max(sizes) < look.layout.title.font.size
    small = [text.font.size for figure in builders().values() for text in figure.layout.annotations]
    small += [P.heatmap(np.eye(2), title="", text=True).data[0].textfont.size]
    assert min(sizes + small) * 344 / P.WIDTH >= 9


def test_a_long_title_gets_lines_and_room_and_names_of_panels_theirs():
    titles = ["Short", "A title of more than forty-two letters, in two lines", "A line<br>and one"]
    made = [P.bars([1], x="a", title=title, y_title="").layout for title in titles]
    assert [one.title.text.count("<br>") for one in made] == [0, 1, 1]
    assert all(len(part) <= P.TITLE for one in made for part in one.title.text.split("<br>"))
    tops = [one.margin.t for one in made]
    assert tops[0] + 18 == tops[1] == tops[2]
    names = ["7: 0.86 failed", "8: 0.9"]
    gallery = P.gallery(np.zeros((2, 8, 8)), names, title="Short").layout
    assert [note.text for note in gallery.annotations] == ["7:<br>0.86<br>failed", "8:<br>0.9"]
    assert gallery.margin.t >= tops[0] + 3 * 15
    again = P.sized(P.gallery(np.zeros((2, 8, 8)), names, title="Short"), 300).layout
    assert again.margin.t == gallery.margin.t and again.height == 300


def test_a_colour_is_chosen_by_an_argument_and_never_by_a_name():
    names = [*OUTPUT_NAMES, "mlp", "token 0"]
    ys = {name: [0.1, 0.2] for name in names}
    figure = P.lines([0, 1], ys, x_title="", **TITLES)
    assert {trace.line.color for trace in figure.data} == set(P.NEUTRAL)
    figure = P.bars(ys, x="ab", **TITLES)
    assert {trace.marker.color for trace in figure.data} == set(P.NEUTRAL)
    eight = {name: [0, 1] for name in OUTPUT_NAMES}
    figure = P.lines([0, 1], eight, x_title="", colours=P.OUTPUT_COLOURS, **TITLES)
    assert [trace.line.color for trace in figure.data] == P.OUTPUT_COLOURS
    figure = P.bars({"a": [1], "b": [2]}, x="x", colours={"b": P.RED}, **TITLES)
    assert [trace.marker.color for trace in figure.data] == [P.NEUTRAL[0], P.RED]
    groups = {f"{t}": [[0, 0, t]] for t in range(4)}
    figure = P.scatter3d(groups, title="", colours=P.TOKEN_COLOURS)
    assert [trace.marker.color for trace in figure.data] == P.TOKEN_COLOURS[:4]


# ---------------------------------------------------------------- each builder


def test_bars_and_strips_of_shares_have_one_height():
    for build in (P.bars, P.strips):
        assert build({"a": [0.1, 0.2]}, **TITLES).layout.yaxis.range == (0, 1.05)
        assert build({"a": [0.1, 1.2]}, **TITLES).layout.yaxis.range is None
        assert build({"a": [-0.1, 0.2]}, **TITLES).layout.yaxis.range is None


def test_references_are_dashed_lines_with_their_name_in_the_legend():
    figure = P.bars([0.5, 0.6], x="ab", reference={"chance": 0.25}, **TITLES)
    (line,), (bars,) = figure.layout.shapes, figure.data
    assert (line.y0, line.y1, line.line.dash) == (0.25, 0.25, "dash")
    assert line.name == "chance" and line.showlegend and figure.layout.showlegend
    assert not bars.showlegend and not P.bars([0.5], x="a", **TITLES).layout.showlegend
    figure = P.bars([0.5, 0.6], x="ab", reference={"": 0.25}, **TITLES)  # said elsewhere
    assert not figure.layout.shapes[0].showlegend and not figure.layout.showlegend


def test_heatmap_has_its_names_and_scale():
    z = np.array([[0.0, -2], [1, 0.5]])
    figure = P.heatmap(z, x="ab", y="cd", title="", signed=True, text=True, unit="logit")
    (trace,) = figure.data
    assert (trace.zmin, trace.zmax) == (-2, 2) and trace.colorbar.title.text == "logit"
    assert P.heatmap(z / 3, x="ab", y="cd", title="", signed=True).data[0].zmax == 0.6667
    assert (
        list(trace.x) == ["a", "b"] and list(trace.y) == ["c", "d"] and "text" in trace.texttemplate
    )
    (trace,) = P.heatmap(abs(z), title="", top=4).data
    assert (trace.zmin, trace.zmax) == (0, 4) and trace.texttemplate is None
    assert list(P.heatmap(np.zeros((8, 8)), title="").data[0].x) == INPUT_NAMES


def test_gallery_shows_all_on_one_scale():
    figure = P.gallery(np.random.default_rng(0).random((3, 8, 8)), "abc", title="", columns=2)
    assert len(figure.data) == 3 and {(t.zmin, t.zmax) for t in figure.data} == {(0, 1)}
    assert [a.text for a in figure.layout.annotations] == ["a", "b", "c"]
    assert figure.layout.xaxis2.ticks == "" and figure.layout.xaxis2.showticklabels is False


def test_space_has_points_rings_arrows_and_a_net_on_the_sphere():
    extra = dict(arrows={"up": [0, 0, 2]}, joined={"x0": [[2, 0, 0], [0, 2, 0]]}, radius=2)
    style = dict(title="", colours={"up": P.RED}, hollow=["b"], labels={"a": ["here"]})
    figure = P.scatter3d({"a": [[1, 2, 3]], "b": [[0, 0, 1]]}, **style, **extra)
    net, a, b, joined, arrow = figure.data
    length = np.linalg.norm([net.x, net.y, net.z], axis=0)
    gaps = np.isnan(length)
    assert np.allclose(length[~gaps], 2, atol=2e-3) and gaps.sum() == 11 and len(gaps) == 11 * 38
    assert figure.to_json().count("null") == 3 * 11  # JSON has no NaN
    assert (a.marker.symbol, b.marker.symbol) == ("circle", "circle-open") and a.text == ("here",)
    assert list(joined.text) == ["", "", "x0"] and arrow.line.color == P.RED
    assert (arrow.x, arrow.y, arrow.z) == ((0, 0), (0, 0), (0, 2))


def test_three_coordinates_lose_nothing_of_a_vector_without_its_mean():
    assert np.allclose(P.SPHERE.T @ P.SPHERE, np.eye(3)) and np.allclose(P.SPHERE.sum(0), 0)
    x = np.random.default_rng(0).normal(size=(7, 4))
    x -= x.mean(1, keepdims=True)
    assert P.to_3d(x).shape == (7, 3) and np.allclose(P.to_3d(x) @ P.SPHERE.T, x)


def test_strips_spread_their_dots_in_a_fixed_way():
    values = {"a": [0.5, 0.1, 0.3], "b": [0.2]}
    first, again = (P.strips(values, **TITLES) for _ in range(2))
    assert first == again and list(first.data[0].y) == values["a"]
    assert all(abs(x - i) <= 0.25 for i, trace in enumerate(first.data) for x in trace.x)
    assert list(first.layout.xaxis.ticktext) == ["a", "b"]


def test_tables_escape_and_put_numbers_right_and_words_left():
    text = P.table([["<b>", 0.25], ["12 %", "no"]], ["", "share"], "a < b").data
    assert "<b>" not in text and "&lt;b&gt;" in text
    assert "<th scope='col' style='text-align:left'>share</th>" in text
    assert "<th scope='row' style='text-align:right'>12 %</th>" in text
    assert text.count("<th ") == 3, "an empty heading is none"
    for side, value in (("right", "0.25"), ("left", "no")):
        assert f"<td style='text-align:{side}'>{value}</td>" in text
    assert "<caption style='text-align:left'>a &lt; b</caption>" in text
    assert "caption" not in P.table([[1]], ["n"]).data


def test_circuitsvis_has_a_stable_id():
    view = "<div id='circuits-vis-9b2-ff'/><script>render('circuits-vis-9b2-ff')</script>"
    text = P.circuitsvis(view, "all").data
    assert text.count("circuits-vis-all") == 2 and "9b2" not in text
    assert "background:#fff" in text and "color:#222" in text  # also on a dark page


# ---------------------------------------------------------------- drawings


@pytest.mark.parametrize("name", ["architecture", "circuit"])
def test_drawings_have_a_title_words_and_the_colours_of_the_parts(name, displayed):
    root = ElementTree.parse(P.DRAWINGS / f"{name}.svg").getroot()
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    assert root.find(f"{SVG}title").text and len(root.find(f"{SVG}desc").text) > 80
    strokes = {e.get("stroke") for e in root.iter(f"{SVG}rect")}
    assert {P.PART_COLOURS["attention"], P.PART_COLOURS["mlp"]} <= strokes
    P.drawing(name, "What <it> shows.")
    (bundle, _), (caption, _) = displayed
    assert (
        'alt="What &lt;it&gt; shows."' in bundle["text/html"]
        and 'role="img"' in bundle["text/html"]
    )
    assert "max-width:100%" in bundle["text/html"] and bundle["text/plain"] == "What <it> shows."
    assert "<p><em>What &lt;it&gt; shows.</em></p>" in caption.data


def test_an_unknown_drawing_and_one_without_words_are_refused(displayed):
    with pytest.raises(FileNotFoundError, match="there are architecture, circuit"):
        P.drawing("circiut", "words")
    with pytest.raises(ValueError, match="sentence in words"):
        P.drawing("circuit", " ")
    assert not displayed


def test_plotting_knows_no_model():
    code = (
        "import sys, helpers.plotting\n"
        "assert not {'transformer_lens', 'helpers.model', 'ipywidgets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
