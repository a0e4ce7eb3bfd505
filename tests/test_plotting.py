"""helpers.plotting: what every figure must have, whatever it shows."""

import json

import numpy as np
import plotly.io as pio
import pytest
from samples import contrast

from helpers import page, plotting
from research import figures as figures_of_research

TITLES, WHITE = dict(title="A title", y_title="up"), "#ffffff"


def figures():
    rng = np.random.default_rng(0)
    z, points = rng.normal(size=(8, 8)), {"token 0": rng.normal(size=(5, 3))}
    return {
        "lines": plotting.lines(range(9), {"a": rng.random(9)}, x_title="step", **TITLES),
        "bars": plotting.bars(rng.normal(size=8), **TITLES),
        "heatmap": plotting.heatmap(z, title="A title", signed=True),
        "gallery": plotting.gallery([z, z, z], "abc", title="A title", columns=2),
        "scatter3d": figures_of_research.scatter3d(points, title="A title", radius=2),
        "strips": figures_of_research.strips({"group": rng.normal(size=32)}, **TITLES),
    }


@pytest.mark.parametrize("name, figure", figures().items())
def test_figures_have_the_look_and_numbers_that_stay_the_same_everywhere(name, figure):
    text = figure.to_json()
    assert "bdata" not in text  # lists, which do not differ from one plotly to the next
    for trace in json.loads(text)["data"]:
        for axis in set("xyz") & set(trace):
            for value in np.ravel(trace[axis]):
                assert value is None or isinstance(value, str) or value == round(value, 4)
                assert str(value) != "-0.0"
    layout = figure.layout
    assert layout.title.text == "A title"
    assert layout.template.layout.font.family == "system-ui, sans-serif"
    # plotly fills what no layout fixes.
    assert layout.width is None and layout.autosize is None and layout.height >= 200


def test_letters_keep_their_order_of_size_and_none_is_small_on_a_phone():
    """There a picture is shown 390 px wide."""
    look = pio.templates[plotting.LOOK]
    axes = [look.layout.xaxis.title, look.layout.yaxis.title, look.layout.scene.zaxis.title]
    scale = look.data.heatmap[0].colorbar.title
    sizes = [axis.font.size for axis in axes] + [scale.font.size, look.layout.font.size]
    assert max(sizes) < look.layout.title.font.size
    small = [note.font.size for figure in figures().values() for note in figure.layout.annotations]
    small += [plotting.heatmap(np.eye(2), title="", text=True).data[0].textfont.size]
    assert min(sizes + small) * 390 / page.WIDTH >= 9


def test_a_long_title_gets_lines_and_room_and_names_of_panels_theirs():
    titles = ["Short", "A title of more than forty-two letters, in two lines", "A line<br>and one"]
    made = [plotting.bars([1], x="a", title=title, y_title="").layout for title in titles]
    assert [one.title.text.count("<br>") for one in made] == [0, 1, 1]
    assert all(len(part) <= plotting.TITLE for one in made for part in one.title.text.split("<br>"))
    tops = [one.margin.t for one in made]
    assert tops[0] + 18 == tops[1] == tops[2]
    gallery = plotting.gallery(np.zeros((2, 8, 8)), ["7: 0.86 failed", "8: 0.9"], title="Short")
    names = [note.text for note in gallery.layout.annotations]
    assert names == ["7:<br>0.86<br>failed", "8:<br>0.9"]
    room = gallery.layout.margin.t
    assert room >= tops[0] + 3 * 15 and plotting.sized(gallery, 300).layout.margin.t == room


def test_every_colour_with_a_meaning_stands_out_from_the_ground_and_letters_more():
    parts = list(plotting.PART_COLOURS.values())
    meanings = [plotting.TOKEN_COLOURS, parts, plotting.OUTPUT_COLOURS, plotting.NEUTRAL]
    assert [len(set(meaning)) for meaning in meanings] == [5, 4, 8, 4]
    colours = sum(meanings, [])
    assert all(contrast(colour, WHITE) >= 3 for colour in [*colours, "#888888"])
    assert all(contrast(plotting.ink(ground), ground) >= 4.5 for ground in colours)
    look = pio.templates[plotting.LOOK].layout
    assert (look.xaxis.linecolor, look.font.color) == ("#888", "#222")
    assert contrast("#777777", WHITE) == pytest.approx(4.48, abs=0.005)  # WCAG's near miss
    letters = [*plotting.TOKEN_INKS, plotting.GREY, "#222222"]
    assert all(contrast(colour, WHITE) >= 4.5 for colour in letters)
    assert len(set(plotting.TOKEN_INKS)) == len(plotting.TOKEN_COLOURS)


@pytest.mark.parametrize("signed", [False, True])
def test_a_number_in_a_cell_can_be_read_on_its_colour(signed):
    """The colour of a cell between two stops, as plotly mixes it: by each channel."""
    z = np.linspace(-1 if signed else 0, 1, 41)
    figure = plotting.heatmap(z[None], title="", x=range(41), y=[""], signed=signed, text=True)
    (trace,) = figure.data
    stops = [at * 2 - 1 if signed else at for at, _ in trace.colorscale]
    for value, written in zip(z, trace.text[0]):
        mixed = "#"
        for i in (1, 3, 5):
            channel = [int(colour[i : i + 2], 16) for _, colour in trace.colorscale]
            mixed += f"{round(np.interp(value, stops, channel)):02x}"
        letters = WHITE if "color:#ffffff" in written else trace.textfont.color
        assert contrast(mixed, letters) >= 4.5, value
        assert f"{value:.2f}" in written
    assert trace.hoverinfo == "x+y+z"  # the letters are not said twice


@pytest.mark.parametrize("builder", [plotting.bars, figures_of_research.strips])
def test_shares_have_one_height_in_all_figures(builder):
    assert builder({"a": [0.1, 0.2]}, **TITLES).layout.yaxis.range == (0, 1.05)
    assert builder({"a": [0.1, 1.2]}, **TITLES).layout.yaxis.range is None
    assert builder({"a": [-0.1, 0.2]}, **TITLES).layout.yaxis.range is None


def test_references_are_dashed_lines_with_their_name_in_the_legend():
    figure = plotting.bars([0.5, 0.6], x="ab", reference={"chance": 0.25}, **TITLES)
    (line,), (bars,) = figure.layout.shapes, figure.data
    assert (line.y0, line.y1, line.line.dash) == (0.25, 0.25, "dash")
    assert line.name == "chance" and line.showlegend and figure.layout.showlegend
    assert not bars.showlegend
    figure = plotting.bars([0.5, 0.6], x="ab", reference={"": 0.25}, **TITLES)  # said elsewhere
    assert not figure.layout.shapes[0].showlegend and not figure.layout.showlegend


def test_three_coordinates_lose_nothing_of_a_vector_without_its_mean():
    x = np.random.default_rng(0).normal(size=(7, 4))
    x -= x.mean(1, keepdims=True)
    assert figures_of_research.to_3d(x).shape == (7, 3)
    assert np.allclose(figures_of_research.to_3d(x) @ figures_of_research.SPHERE.T, x)


def test_tables_escape_and_put_numbers_right_and_words_left():
    text = plotting.table([["<b>", 0.25], ["12 %", "no"]], ["", "share"], "a < b").data
    assert "<b>" not in text and "&lt;b&gt;" in text
    assert "<th scope='col' style='text-align:left'>share</th>" in text
    assert "<th scope='row' style='text-align:right'>12 %</th>" in text
    assert text.count("<th ") == 3, "an empty heading is none"
    assert "<td style='text-align:right'>0.25</td>" in text
    assert "<td style='text-align:left'>no</td>" in text
    assert "<caption style='text-align:left'>a &lt; b</caption>" in text


def test_circuitsvis_has_a_stable_id_and_can_be_read_on_a_dark_page():
    view = "<div id='circuits-vis-9b2-ff'/><script>render('circuits-vis-9b2-ff')</script>"
    text = plotting.circuitsvis(view, "all").data
    assert text.count("circuits-vis-all") == 2 and "9b2" not in text
    assert "background:#fff" in text and "color:#222" in text
