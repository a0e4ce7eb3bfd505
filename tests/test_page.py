"""What stands around a figure: its words, the reader's prediction, k of n."""

import ast
from math import comb

import numpy as np
import pytest
import torch

from conftest import ALL_NAMES, FOLDER, read
from helpers import plotting as P
from helpers.reader import page

TREES = {name: ast.parse(read(FOLDER / f"{name}.py")) for name in ALL_NAMES}


def calls(tree, *names):
    """The calls of plain functions with these names, in the order of their lines."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return sorted((c for c in found if c.func.id in names), key=lambda c: c.lineno)


# ---------------------------------------------------------------- the words of a figure


def test_each_caption_is_shown_once_in_its_notebook_and_each_figure_has_one():
    shown = [
        (ast.literal_eval(call.args[-1]), name)
        for name, tree in TREES.items()
        for call in calls(tree, "show", "drawing")
    ]
    assert sorted(shown) == sorted((c["name"], c["notebook"]) for c in page.captions().values())


def test_a_caption_is_whole_and_no_name_stands_twice():
    text = read(page.CAPTIONS)
    assert text.count("[[figure]]") == len(page.captions()) > 40
    for entry in page.captions().values():
        assert set(entry) == {"name", "notebook", "says"}, entry
        assert entry["says"].strip() == entry["says"] and entry["says"][-1] in ".:)", entry


def test_a_drawing_has_the_name_of_its_file():
    drawn = {ast.literal_eval(c.args[0]) for t in TREES.values() for c in calls(t, "drawing")}
    assert drawn and drawn <= {path.stem for path in P.DRAWINGS.glob("*.svg")}


def test_a_figure_is_shown_with_its_words(monkeypatch):
    seen = []
    monkeypatch.setattr(P, "show", lambda *given: seen.append(given))
    monkeypatch.setattr(P, "drawing", lambda *given: seen.append(given))
    page.show("a figure", "xor")
    page.drawing("line")
    says = {name: entry["says"] for name, entry in page.captions().items()}
    assert seen == [("a figure", says["xor"]), ("line", says["line"])]


@pytest.mark.parametrize("way", [lambda name: page.show(None, name), page.drawing])
def test_a_figure_without_words_is_refused_with_the_names_there_are(way):
    with pytest.raises(KeyError, match="'nowhere' is not in captions.toml; there are .*xor.*line"):
        way("nowhere")


# ---------------------------------------------------------------- predictions


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_prediction_is_compared_once_in_a_later_cell(name):
    """A prediction is `my_… = ...`; so is an exercise's stub, which its `X.check` answers."""
    predictions, stubs = [], set()
    for node in TREES[name].body:
        match node:
            case ast.Assign([ast.Name(target)], ast.Constant(value)) if value is ...:
                predictions.append((target, node.lineno))
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("X"), "check"), [_, ast.Name(answer)])):
                stubs.add(answer)
    predictions = [(target, line) for target, line in predictions if target not in stubs]
    assert all(target.startswith("my_") for target, _ in predictions)
    compared = [(c.args[0].id, c.lineno) for c in calls(TREES[name], "compare")]
    assert [t for t, _ in predictions] == [t for t, _ in compared]
    lines = read(FOLDER / f"{name}.py").splitlines()
    for (_, asked), (_, answered) in zip(predictions, compared):
        assert any(line.startswith("# %%") for line in lines[asked:answered])
    assert predictions or name.startswith("beyond/")


MEASURED = [
    (3, "3"),
    (0.123456, "0.1235"),
    ("y0", "y0"),
    (True, "True"),
    (torch.tensor(8), "8"),
    (torch.tensor(0.25), "0.25"),
    (np.int64(7), "7"),
]


@pytest.mark.parametrize("value, text", MEASURED)
def test_a_prediction_stands_beside_what_was_measured(value, text, capsys):
    page.compare(..., value)
    page.compare(value, 1)
    page.compare("none", value)
    assert capsys.readouterr().out.splitlines() == [
        f"no prediction made · measured {text}",
        f"predicted {text} · measured 1",
        f"predicted none · measured {text}",
    ]


# ---------------------------------------------------------------- k of n


def at_least(k, n, share):
    """How probable k or more of n are."""
    return sum(comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(
    "k, n, low, high",
    [
        (0, 32, 0, 11), (32, 32, 89, 100), (28, 32, 71, 96), (16, 32, 32, 68), (5, 10, 19, 81),
        (torch.tensor(5), torch.tensor(10), 19, 81),
    ],
)  # fmt: skip
def test_k_of_n_has_the_interval_of_clopper_and_pearson(k, n, low, high):
    assert page.k_of_n(k, n) == f"{k} of {n} (95 % interval {low}% to {high}%)"
    k, n = int(k), int(n)
    # At its ends 2.5 % lie on the other side, to the percent that is printed.
    step = 0.005
    if k > 0:
        assert at_least(k, n, low / 100 - step) < 0.025 < at_least(k, n, low / 100 + step)
    if k < n:
        above = 1 - at_least(k + 1, n, high / 100 + step)
        assert above < 0.025 < 1 - at_least(k + 1, n, high / 100 - step)


@pytest.mark.parametrize("k, n", [(-1, 32), (33, 32), (0, 0), (1, -1)])
def test_k_of_n_refuses_what_is_no_count(k, n):
    with pytest.raises(ValueError, match=f"got {k} of {n}; allowed are 0 to n of n"):
        page.k_of_n(k, n)
