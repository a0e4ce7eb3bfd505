"""helpers.page: a figure has its words, a prediction its answer, a claim its bound."""

import ast
import html
from importlib.metadata import version
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from plotly.offline import get_plotlyjs_version

from conftest import ALL_NAMES, FOLDER, ROOT, read
from helpers import page, plotting
from helpers.model import load_zoo
from research import survey

TREES = {name: ast.parse(read(FOLDER / f"{name}.py")) for name in ALL_NAMES}


def calls(tree, *names):
    """The calls of plain functions with these names, in the order of their lines."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return sorted((c for c in found if c.func.id in names), key=lambda c: c.lineno)


@pytest.fixture
def displayed(monkeypatch):
    """What display() is given: a list of (object, settings)."""
    seen = []
    monkeypatch.setattr(page, "display", lambda x, **settings: seen.append((x, settings)))
    return seen


def test_each_caption_is_shown_once_in_its_notebook_and_each_figure_has_one():
    shown = [
        (ast.literal_eval(call.args[-1]), name)
        for name, tree in TREES.items()
        for call in calls(tree, "show", "drawing")
        if "says" not in [keyword.arg for keyword in call.keywords]
    ]
    assert sorted(shown) == sorted((c["name"], c["notebook"]) for c in page.captions().values())
    assert read(page.CAPTIONS).count("[[figure]]") == len(page.captions()) > 40
    for entry in page.captions().values():
        assert entry["says"].strip() == entry["says"] and entry["says"][-1] in ".:)", entry


def test_a_figure_is_shown_with_its_words_for_who_does_not_see_it(displayed):
    figure, says = plotting.bars([1, 2], x="ab", title="", y_title=""), "One <bar> & “another”."
    page.show(figure, says=says)
    (bundle, settings), (caption, _) = displayed
    assert settings["metadata"]["image/png"]["alt"] == caption["text/plain"] == says
    assert bundle[plotting.MIME]["layout"]["meta"] == {"says": says}
    assert f"<p><em>{html.escape(says)}</em></p>" in caption["text/html"]
    assert "<bar>" not in caption["text/html"]
    config = bundle[plotting.MIME]["config"]
    assert not config["displaylogo"] and not config["showSendToCloud"] and not config["scrollZoom"]
    page.show(figure, "plus-one-line")
    assert displayed[3][0]["text/plain"] == page.captions()["plus-one-line"]["says"]


def test_a_figure_without_a_picture_says_what_would_show_it(monkeypatch):
    """And whoever draws it from the network finds it under its name."""
    monkeypatch.setenv("SERIES_PICTURES", "no")
    figure = plotting.bars([1], x=["</script>"], title="", y_title="")
    made = page.bundle(figure, "One bar.", "one-bar")
    assert set(made) == {plotting.MIME, "text/html", "text/plain"}
    assert made["text/plain"] == page.HINT and page.HINT in html.unescape(made["text/html"])
    assert '<div id="one-bar">' in made["text/html"]
    assert made["text/html"].count("</script>") == 1 and page.PLOTLY_JS in made["text/html"]


def test_plotly_js_is_the_one_that_the_newest_plotly_brings():
    shipped = version("plotly")
    if shipped.split(".")[0] != "7":
        pytest.skip(f"plotly {shipped} brings an older one")
    assert page.PLOTLY_JS.endswith(f"/plotly-{get_plotlyjs_version()}.min.js")


@pytest.mark.parametrize("name", ["architecture", "circuit", "line"])
def test_a_drawing_is_shown_with_its_words_and_has_some_of_its_own(name, displayed):
    page.drawing(name)
    (bundle, _), (caption, _) = displayed
    says = html.escape(page.captions()[name]["says"])
    assert f'alt="{says}"' in bundle["text/html"] and says in caption["text/html"]
    assert 'role="img"' in bundle["text/html"] and "max-width:100%" in bundle["text/html"]
    root = ElementTree.parse(page.DRAWINGS / f"{name}.svg").getroot()
    assert root.get("role") == "img" and root.findtext("{*}title")


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_prediction_is_compared_once_in_a_later_cell(name):
    """A prediction is `my_… = ...`; so is an exercise's stub, which its `check` answers."""
    predictions, stubs = [], set()
    for node in TREES[name].body:
        match node:
            case ast.Assign([ast.Name(target)], ast.Constant(value)) if value is ...:
                predictions.append((target, node.lineno))
            case ast.Expr(ast.Call(ast.Attribute(attr="check"), [_, ast.Name(answer)])):
                stubs.add(answer)
    predictions = [(target, line) for target, line in predictions if target not in stubs]
    assert all(target.startswith("my_") for target, _ in predictions)
    compared = [(c.args[0].id, c.lineno) for c in calls(TREES[name], "compare")]
    assert [t for t, _ in predictions] == [t for t, _ in compared]
    lines = read(FOLDER / f"{name}.py").splitlines()
    for (_, asked), (_, answered) in zip(predictions, compared):
        assert any(line.startswith("# %%") for line in lines[asked:answered])
    assert predictions or name.startswith("beyond/")


@pytest.mark.parametrize(
    "value, text",
    [(3, "3"), (0.123456, "0.1235"), ("y0", "y0"), (True, "True"), (torch.tensor(0.25), "0.25"),
     (np.int64(7), "7")],
)  # fmt: skip
def test_a_prediction_stands_beside_what_was_measured(value, text, capsys):
    page.compare(..., value)
    page.compare(value, "none")
    said = capsys.readouterr().out.splitlines()
    assert said == [f"no prediction made · measured {text}", f"predicted {text} · measured none"]


@pytest.mark.parametrize(
    "k, n, low, high",
    [(0, 32, 0, 11), (32, 32, 89, 100), (28, 32, 71, 96), (torch.tensor(5), 10, 19, 81)],
)
def test_k_of_n_has_the_interval_of_clopper_and_pearson(k, n, low, high):
    assert page.k_of_n(k, n) == f"{k} of {n} (95 % interval {low}% to {high}%)"


def test_each_claim_is_made_once_and_says_a_sentence_a_bound_and_on_what_it_was_tested():
    made = [(c.args[0].value, name) for name in ALL_NAMES for c in calls(TREES[name], "claim")]
    assert sorted(made) == sorted((c["id"], c["notebook"]) for c in page.claims().values())
    assert read(page.CLAIMS).count("[[claim]]") == len(page.claims()) > 90
    for name, entry in page.claims().items():
        assert entry["says"] and entry["seeds"] and entry["inputs"], name
        assert set(entry) & set(page.BOUNDS), f"{name} has no bound"


def test_a_claim_that_holds_prints_its_sentence_with_the_number(capsys):
    page.claim("parameters", torch.tensor(360))
    page.claim("all-sequences", 65536)
    page.claim("writes-the-answer", np.True_)
    page.claim("attention-writes-on-a-line", torch.tensor(0.99823))
    assert capsys.readouterr().out.splitlines() == [
        "✓ The model has 360 numbers to be learnt",
        "✓ The list holds all 65,536 sequences, none of them twice",
        "✓ Reading its own answers, the model writes all eight right",
        "✓ Nearly all that attention writes lies along one direction (99.8% of the squared size)",
    ]


@pytest.mark.parametrize(
    "measured", [359, None, False, "360", float("nan"), float("inf"), [360], torch.tensor([1, 2])]
)
@pytest.mark.parametrize("name", ["parameters", "writes-the-answer", "zeroed-W_out"])
def test_a_false_claim_says_its_sentence_whatever_it_was_given(name, measured, capsys):
    with pytest.raises(AssertionError) as error:
        page.claim(name, measured)
    assert page.claims()[name]["says"] in str(error.value) and not capsys.readouterr().out
    assert f"of {measured!r}, " in str(error.value)


def test_readme_says_what_the_claims_say():
    readme = " ".join(read(ROOT / "README.md").split())
    found = {name: entry.get("equals") for name, entry in page.claims().items()}
    n_zoo, n_survey = len(load_zoo().seeds), len(survey.load_survey("article"))
    for sentence in (
        f"A transformer of {found['parameters']} numbers",
        f"There are only {found['all-sequences']:,} inputs",
        f"counted over {n_zoo} seeds",
        f"over {n_survey:,} more",
    ):
        assert sentence in readme
