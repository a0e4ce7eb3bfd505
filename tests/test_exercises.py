"""helpers.reader.exercises: solutions pass, wrong answers fail with words that help."""

import re
from functools import cache

import numpy as np
import pytest
import torch

from conftest import FOLDER, NAMES, read
from helpers.reader import answers
from helpers.reader import exercises as X


@cache
def exercise_cells(name):
    """The exercises of a notebook: id -> (names it may use, stub, call, folded solution)."""
    text = read(FOLDER / f"{name}.py")
    cells = re.split(r"^# %%.*\n", text, flags=re.M)
    imports = "\n".join(re.findall(r"^(?:import (?!.*[;,] ).*|from .* import .*)$", text, re.M))
    found = {}
    for number, cell in enumerate(cells):
        if call := re.search(r'^X\.check\("(.*?)", (\w+)\)\n*\Z', cell, re.M):
            fold = "\n".join(line.removeprefix("#")[1:] for line in cells[number + 1].splitlines())
            assert fold.startswith("<details><summary>Solution</summary>"), call[1]
            solution = re.search(r"```python\n(.*?)```", fold, re.S)[1]
            title = cells[number - 1]
            assert re.search(r"^# ### Exercise: .+", title) and re.search(r"\b\d+ min", title)
            found[call[1]] = (imports, cell, call[2], solution)
    return found


ALL = [(name, exercise) for name in NAMES for exercise in exercise_cells(name)]


def answer(name, exercise, code):
    """What `code` defines under the name that the exercise's check takes."""
    imports, _, variable, _ = exercise_cells(name)[exercise]
    space = {}
    exec(imports, space)
    exec(compile(code, "<the reader's cell>", "exec"), space)
    return space[variable]


def test_each_notebook_has_two_or_three_and_none_is_left_over():
    assert all(2 <= len(exercise_cells(name)) <= 3 for name in NAMES)
    assert sorted(exercise for _, exercise in ALL) == sorted(X.EXERCISES)


@pytest.mark.parametrize("name, exercise", ALL)
def test_untouched_is_not_tried_yet(name, exercise, capsys):
    imports, stub, variable, _ = exercise_cells(name)[exercise]
    space = {}
    exec(imports + "\n" + stub, space)
    assert capsys.readouterr().out == "not tried yet\n"
    for answer in (space[variable], None, ...):
        assert X.judge(exercise, answer).right is None


@pytest.mark.parametrize("name, exercise", ALL)
def test_the_folded_solution_is_right(name, exercise, capsys):
    solution = exercise_cells(name)[exercise][3]
    assert X.judge(exercise, answer(name, exercise, solution)).right is True
    assert X.check(exercise, answer(name, exercise, solution)) is None  # no stray True below it
    assert capsys.readouterr().out.startswith("✓ Right")


WRONG = {
    "01-targets": [
        ("my_targets = lambda x: [(d + 1) % 4 for d in x]", "no reversal"),
        ("my_targets = lambda x: [d + 1 for d in x[::-1]]", "mod 4"),
        ("def my_targets(x):\n    x.reverse()\n    return x", "1 is missing"),
        ("my_targets = lambda x: [(x[6 - i] + 1) % 4 for i in range(8)]", "Off by one place"),
        ("my_targets = lambda x: [(x[8 - i] + 1) % 4 for i in range(8)]", "IndexError"),
        ("my_targets = lambda x: [0] * 7", "shape"),
        ("def my_targets(x):\n    print(x)", "returned nothing: end it with return"),
        ("def my_targets(x):\n    y = x[::-1]\n    return y[8]", "line 3 of your cell"),
        ("my_targets = lambda x: '20130321'", "is text"),
    ],
    "01-forgotten-mod": [
        ("my_share = 3 / 4", "single tokens"),
        ("my_share = 1 - (3 / 4) ** 8", "with a mistake"),
        ("my_share = 0.5", "too high"),
        ("my_share = '0.1'", "is text"),
    ],
    "02-parameters": [
        ("my_count = 360 - 148", "layer norm"),
        ("my_count = 156", "taken away"),
        ("my_count = 360 - 128", "biases"),
    ],
    "02-pattern": [
        ("my_pattern = lambda q, k: (q @ k.T / q.shape[-1] ** 0.5).softmax(-1)", "causal mask"),
        (
            "def my_pattern(q, k):\n    s = q @ k.T / 2\n"
            "    return s.masked_fill(torch.ones(len(q), len(q)).triu(1) > 0, -1e9).softmax(-1)",
            "our d_head only",
        ),
        (
            "def my_pattern(q, k):\n    s = q @ k.T / q.shape[-1] ** 0.5\n"
            "    s[torch.ones(len(q), len(k)).triu(1) > 0] = -torch.inf\n    return s.softmax(0)",
            "Wrong axis",
        ),
        (
            "def my_pattern(q, k):\n    s = q @ k.T\n"
            "    s[torch.ones(len(q), len(k)).triu(1) > 0] = -torch.inf\n    return s.softmax(1)",
            "square root",
        ),
    ],
    "03-half-known": [
        ("my_loss_value = math.log(4)", "among four"),
        ("my_loss_value = 1", "in bits"),
        ("my_loss_value = 0.5", "probability"),
    ],
    "03-loss": [
        (
            "my_loss = lambda l, t: F.cross_entropy(l.flatten(0, 1), t[:, 1:].flatten())",
            "All positions",
        ),
        (
            "my_loss = lambda l, t: F.cross_entropy(l[:, 8:].flatten(0, 1), t[:, 8:16].flatten())",
            "Off by one",
        ),
        (
            "my_loss = lambda l, t: -F.cross_entropy(l[:, 8:].flatten(0, 1), t[:, 9:].flatten())",
            "sign",
        ),
        ("my_loss = lambda l, t: l[:, 8:].log_softmax(-1)", "shape"),
    ],
    "04-ideal-pattern": [
        ("my_ideal_pattern = lambda: torch.eye(16)[[7 - i for i in range(8)]]", "BOS"),
        ("my_ideal_pattern = lambda: torch.eye(16)[1:9]", "no reversal"),
        ("my_ideal_pattern = lambda: I.ideal_pattern().T", "wrong order"),
    ],
    "04-value-weighted": [
        ("my_value_weighted = lambda p, v, o: p * v.norm(dim=-1)", "W_O is missing"),
        (
            "my_value_weighted = lambda p, v, o: p * (v @ o).norm(dim=-1, keepdim=True)",
            "Wrong axis",
        ),
        ("my_value_weighted = lambda p, v, o: (p @ v @ o).norm(dim=-1)", "shape"),
    ],
    "05-stretches": [
        ("my_answers = lambda p, a, b: (a + p[:, None] * b).argmin(-1)", "the lowest line"),
        ("my_answers = lambda p, a, b: (p[:, None] * b).argmax(-1)", "place 0 are missing"),
        ("my_answers = lambda p, a, b: (a + p[:, None] * b).max(-1).values", "values differ"),
    ],
    "05-ov": [
        ("my_ov = lambda E, v, o, u: E @ o @ v @ u", "W_O comes after"),
        ("my_ov = lambda E, v, o, u: (E @ v @ o @ u).T", "Wrong axis"),
        ("my_ov = lambda E, v, o, u: E @ u.T", "RuntimeError"),
    ],
    "06-other-sequence": [
        ("my_share = 0.25", "its own answers"),
        ("my_share = 0", "whose answer"),
    ],
    "06-neuron-hook": [
        (
            "def my_hook_for(n):\n    def hook(value, hook):\n        value = value.clone()\n"
            "        value[:, :, n] = 0\n    return hook",
            "changed nothing",
        ),
        (
            "def my_hook_for(n):\n    def hook(value, hook):\n        value[:, n] = 0\n"
            "        return value\n    return hook",
            "Wrong axis",
        ),
        ("my_hook_for = lambda n: lambda value, hook: 0 * value", "All neurons"),
        ("my_hook_for = lambda n: 0", "not callable"),
        ("def my_hook_for(n):\n    pass", "returned nothing"),
    ],
}


@pytest.mark.parametrize("name, exercise", ALL)
def test_wrong_answers_fail_with_words_that_help(name, exercise, capsys):
    assert len(WRONG[exercise]) >= 2
    for code, words in WRONG[exercise]:
        verdict = X.judge(exercise, answer(name, exercise, code))
        assert verdict.right is False and verdict.target is None, code
        X.check(exercise, answer(name, exercise, code))
        assert words in capsys.readouterr().out.split("✗")[1], (code, verdict.says)


def exercise_cases(spec):
    return spec.cases(np.random.default_rng(0))


def targets(spec):
    """The target of each case."""
    with torch.no_grad():
        return [np.asarray(spec.target(*case), dtype=float) for case in exercise_cases(spec)]


@pytest.mark.parametrize("exercise", X.EXERCISES)
def test_no_listed_mistake_is_the_target(exercise):
    """Else a right answer would never be told from it, or two mistakes would share one message."""
    spec, made = X.EXERCISES[exercise], [targets(X.EXERCISES[exercise])]
    for mistake in spec.mistakes().values():
        made.append([X._value(spec, mistake, case) for case in exercise_cases(spec)])
    assert len(made) >= 3
    for i, one in enumerate(made):
        for other in made[:i]:
            assert not all(X.same(a, b, spec.tolerance) for a, b in zip(one, other))


@pytest.fixture
def displayed(monkeypatch):
    """What a check shows beside its words: figures, and tables as HTML."""
    seen = []
    monkeypatch.setattr(X.P, "show", lambda figure, says: seen.append(figure))
    monkeypatch.setattr(X, "display", lambda table: seen.append(table.data))
    return seen


def far_off(exercise, spec):
    """An answer that is wrong as none of the listed mistakes is."""
    if exercise == "06-neuron-hook":
        return lambda neuron: lambda value, hook: 10 * value
    if exercise_cases(spec)[0]:
        return lambda *case: torch.as_tensor(spec.target(*case)) + 1000
    return targets(spec)[0] + 1000


SEVERAL = [(n, e) for n, e in ALL if len(exercise_cases(X.EXERCISES[e])) > 1]


@pytest.mark.parametrize("name, exercise", SEVERAL)
def test_one_wrong_case_is_wrong(name, exercise):
    """An answer that is right in all cases but the last."""
    spec = X.EXERCISES[exercise]
    last, wrong = repr(exercise_cases(spec)[-1]), far_off(exercise, spec)
    right = answer(name, exercise, exercise_cells(name)[exercise][3])
    mixed = X.judge(exercise, lambda *case: (wrong if repr(case) == last else right)(*case))
    assert mixed.right is False and len(SEVERAL) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("exercise", X.EXERCISES)
def test_a_wrong_answer_never_shows_the_target(exercise, displayed, capsys):
    """Neither as a number nor as a matrix: which way, and where, is all that is said."""
    spec, small = X.EXERCISES[exercise], set("0 1 2 3".split())
    for words, wrong in {**spec.mistakes(), "too high": far_off(exercise, spec)}.items():
        displayed.clear()
        verdict = X.judge(exercise, wrong)
        assert verdict.right is False and verdict.target is None, words
        X.check(exercise, wrong)
        said = capsys.readouterr().out
        assert words in said or "too low" in said, (words, said)
        said = said.replace(verdict.given, "").replace(words, "")
        hidden = {f"{v:.{n}g}" for one in targets(spec) for v in one.ravel() for n in (3, 4, 5, 6)}
        found = set(re.findall(r"-?\d+(?:[.,]\d+)*", re.sub(r"\[.*?\]|\d+ of \d+", "", said)))
        assert not found & (hidden - small), said
        for figure in displayed:
            if isinstance(figure, str):
                assert ">yours<" in figure and ">target<" not in figure
            else:
                assert [note.text for note in figure.layout.annotations] == ["yours"]
                assert np.allclose(figure.data[0].z, verdict.yours, atol=6e-3)
                assert len(figure.data) == 1
        assert len(displayed) == (verdict.yours is not None)


def test_what_is_wrong_is_shown_with_its_input(monkeypatch):
    def my_pattern(q, k):
        return torch.where(torch.arange(len(q)) == 2, -1.0, 0.0).expand(len(q), len(k))

    verdict = X.judge("02-pattern", my_pattern)
    assert "q = a tensor [6, 4] that begins" in verdict.given and "k = " in verdict.given
    assert re.search(
        r"\d+ of 36 values differ; the first one, at \[0, 0\], is too low", verdict.says
    )
    shown = []
    monkeypatch.setattr(X.P, "show", lambda figure, says: shown.append((figure, says)))
    X.check("02-pattern", my_pattern)
    ((figure, says),) = shown
    (only,) = figure.data  # the target stays out
    assert (only.zmin, only.zmax) == (-1, 1)  # a negative value does not look like zero
    assert (
        any("-1.00" in cell for row in only.text for cell in row) and "from -1.00 to 0.00" in says
    )
    verdict = X.judge("01-targets", lambda numbers: numbers)
    assert re.fullmatch(r"numbers = \[(\d, ){7}\d\]", verdict.given)


def test_a_matrix_stands_beside_the_target_once_it_is_right(displayed):
    X.check("05-ov", lambda e, v, o, u: e @ v @ o @ u)
    (figure,) = displayed
    assert [note.text for note in figure.layout.annotations] == ["yours", "target"]
    assert len(figure.data) == 2 and figure.data[0].zmin < 0


def test_a_stub_is_not_tried_and_an_error_of_torch_is_no_stub():
    def stub(q, k):
        raise NotImplementedError

    assert X.judge("02-pattern", stub).right is None
    verdict = X.judge("02-pattern", lambda q, k: (q @ k.T).long().softmax(-1))
    assert verdict.right is False and "not implemented for 'Long'" in verdict.says


def test_a_mistake_that_fails_has_a_name():
    for name, spec in X.EXERCISES.items():
        for words, mistake in spec.mistakes().items():
            assert words.endswith((".", "?")) and 10 < len(words) < 120, name
            assert words in spec.numbers or mistake.__name__ != "<lambda>", words


def test_a_broken_hook_leaves_the_next_check_alone():
    broken = X.judge("06-neuron-hook", lambda n: lambda value, hook: value[:, :3])
    assert broken.right is False
    assert not any(point.fwd_hooks for point in answers.model().hook_dict.values())
    solution = exercise_cells("06_ablation")["06-neuron-hook"][3]
    assert X.judge("06-neuron-hook", answer("06_ablation", "06-neuron-hook", solution)).right


def test_unknown_exercise_is_an_error():
    with pytest.raises(KeyError):
        X.check("07-more", 1)
