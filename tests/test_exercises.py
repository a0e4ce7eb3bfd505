"""lessons.exercises: solutions pass, wrong answers get words that help, targets stay hidden."""

import importlib
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from conftest import FOLDER, NAMES, ROOT, read, saved
from lessons import exercises
from tools import build

NUMBERS = [path.stem[-2:] for path in sorted((ROOT / "lessons").glob("lesson_*.py"))]
LESSONS = {n: importlib.import_module(f"lessons.lesson_{n}") for n in NUMBERS}
ALL = {name: spec for lesson in LESSONS.values() for name, spec in lesson.EXERCISES.items()}
# Their solutions go on from the cells above them: each is tried in its whole notebook.
EXPERIMENTS = {"03-no-positions", "04-patch-the-key", "06-one-position"}


@cache
def cells(number):
    """The exercises of a notebook: id -> (imports, stub, name of the answer, folded solution)."""
    (name,) = (name for name in NAMES if name.startswith(number))
    text, found = read(FOLDER / f"{name}.py"), {}
    parts = re.split(r"^# %%.*\n", text, flags=re.M)
    imports = "\n".join(re.findall(r"^(?:import (?!.*[;,] ).*|from .* import .*)$", text, re.M))
    for title, cell, fold in zip(parts, parts[1:], parts[2:]):
        if call := re.search(r'^lesson_\d+\.check\("(.*?)", (\w+)\)\n*\Z', cell, re.M):
            fold = "\n".join(line.removeprefix("#")[1:] for line in fold.splitlines())
            assert fold.startswith("<details><summary>Solution</summary>"), call[1]
            assert title.startswith("# ### Exercise: ") and " minutes" in title, call[1]
            solution = re.search(r"```python\n(.*?)```", fold, re.S)[1]
            found[call[1]] = (imports, cell, call[2], solution)
    return found


def answer(exercise, code=None):
    """What `code`, by default the folded solution, defines as the answer to an exercise."""
    imports, _, variable, solution = cells(exercise[:2])[exercise]
    space = {}
    exec(imports, space)
    exec(compile(code or solution, "<the reader's cell>", "exec"), space)
    return space[variable]


def cases(spec):
    return spec.cases(np.random.default_rng(0))


@pytest.fixture
def displayed(monkeypatch):
    """What a check shows beside its words: figures, and tables as HTML."""
    seen = []
    monkeypatch.setattr(exercises, "show", lambda figure, says: seen.append((figure, says)))
    monkeypatch.setattr(exercises, "display", lambda table: seen.append((table.data, "")))
    return seen


@pytest.mark.parametrize("number", NUMBERS)
def test_a_notebook_has_all_exercises_of_its_lesson(number):
    there = sorted(cells(number))
    assert there == sorted(LESSONS[number].EXERCISES) and 2 <= len(there) <= 3


@pytest.mark.parametrize("exercise", ALL)
def test_an_untouched_stub_is_not_tried_yet_and_the_folded_solution_is_right(exercise, capsys):
    imports, stub, *_ = cells(exercise[:2])[exercise]
    exec(imports + "\n" + stub, {})

    def raising(*case):
        raise NotImplementedError

    for untouched in (None, ..., raising):
        LESSONS[exercise[:2]].check(exercise, untouched)
    assert capsys.readouterr().out.endswith(4 * "not tried yet\n")
    if exercise in EXPERIMENTS:
        return
    assert LESSONS[exercise[:2]].check(exercise, answer(exercise)) is None  # no True below the cell
    assert capsys.readouterr().out.startswith("✓ Right")


@pytest.mark.nightly
@pytest.mark.parametrize("exercise", sorted(EXPERIMENTS))
def test_the_solution_of_an_experiment_is_right_in_its_notebook(exercise, tmp_path):
    (name,) = (name for name in NAMES if name.startswith(exercise[:2]))
    page, solution = saved(name), cells(exercise[:2])[exercise][-1]
    (cell,) = (c for c in page.cells if f'check("{exercise}"' in c.source)
    cell.source = solution + "\n" + cell.source[cell.source.rindex("\n\n") :]
    build.execute(page, FOLDER)
    assert cell.outputs[0].text.startswith("✓ Right"), cell.outputs


# As readers write them: what is given, and a part of what is said.
WRONG = [
    ("01-targets", "def my_targets(x):\n    x.reverse()\n    return x", "1 is missing"),
    ("01-targets", "my_targets = lambda x: [(x[8 - i] + 1) % 4 for i in range(8)]", "IndexError"),
    ("01-targets", "my_targets = lambda x: [0] * 7", "Your shape is [7]; asked for is [8]"),
    ("01-targets", "def my_targets(x):\n    print(x)", "returned nothing: end it with return"),
    ("01-targets", "def my_targets(x):\n    y = x[::-1]\n    return y[8]", "line 3 of your cell"),
    ("01-targets", "my_targets = [1, 2, 3]", "a function is asked for, and this is a list"),
    ("01-targets", "my_targets = lambda x: '20130321'", "is text"),
    ("01-targets", "my_targets = lambda x: 1j", "is complex"),
    ("01-forgotten-mod", "my_share = 0.5", "too high"),
    ("02-pattern", "my_pattern = lambda q, k: (q @ k.T / len(q.T) ** 0.5).softmax(-1)", "mask"),
    ("02-pattern", "my_pattern = lambda q, k: (q @ k.T).long().softmax(-1)", "for 'Long'"),
    ("04-value-weighted", "my_value_weighted = lambda p, v, o: p / 0 * 0", "no number (nan)"),
    ("05-regions", "my_answers = lambda p, a, b: (a + p[:, None] * b).amax(-1)", "values differ"),
    ("05-heights", "my_heights = [0, 0, 0]", "four heights are asked for, and these are 3"),
]


@pytest.mark.parametrize("exercise, code, words", WRONG)
def test_wrong_answers_fail_with_words_that_help(exercise, code, words, displayed, capsys):
    LESSONS[exercise[:2]].check(exercise, answer(exercise, code))
    assert words in capsys.readouterr().out.split("✗")[1]


@pytest.mark.parametrize("exercise", ALL)
def test_a_wrong_answer_is_told_its_own_words_and_never_shown_the_target(
    exercise, displayed, capsys, monkeypatch
):
    spec, judge = replace(ALL[exercise], draw=None), exercises.judge
    monkeypatch.setitem(LESSONS[exercise[:2]].EXERCISES, exercise, spec)
    with torch.no_grad():
        wanted = [np.asarray(spec.target(*case), dtype=float) for case in cases(spec)]
    hidden = {f"{v:.{n}g}" for one in wanted for v in one.ravel() for n in (3, 4, 5, 6)}
    far_off = {"too": lambda *case: torch.as_tensor(spec.target(*case)) + 9}
    for words, wrong in (spec.mistakes | (far_off if ALL[exercise].draw is None else {})).items():
        displayed.clear()
        verdict = judge(spec, wrong)
        assert verdict.right is False and verdict.target is None
        monkeypatch.setattr(exercises, "judge", lambda *_, verdict=verdict: verdict)  # once will do
        LESSONS[exercise[:2]].check(exercise, wrong)
        said = capsys.readouterr().out
        assert words in said
        said = re.sub(r"\[.*?\]|\d+ of \d+", "", said.replace(verdict.given, "").replace(words, ""))
        assert not set(re.findall(r"-?\d+(?:[.,]\d+)*", said)) & (hidden - set("0123"))
        assert len(displayed) == (verdict.yours is not None)
        for figure, _ in displayed:
            if isinstance(figure, str):
                assert ">yours<" in figure and ">target<" not in figure
            else:
                (trace,) = figure.data
                assert np.allclose(trace.z, verdict.yours, atol=6e-3)


@pytest.mark.parametrize("exercise", "01-targets 02-pattern 04-value-weighted 05-regions".split())
def test_one_wrong_case_is_wrong(exercise):
    right, (wrong, *_) = answer(exercise), ALL[exercise].mistakes.values()
    last = repr(cases(ALL[exercise])[-1])
    mixed = lambda *case: (wrong if repr(case) == last else right)(*case)  # noqa: E731
    assert exercises.judge(ALL[exercise], mixed).right is False


def test_what_is_wrong_is_shown_with_its_input_and_beside_the_target_once_it_is_right(displayed):
    def my_pattern(q, k):
        return torch.where(torch.arange(len(q)) == 2, -1.0, 0.0).expand(len(q), len(k))

    verdict = exercises.judge(ALL["02-pattern"], my_pattern)
    assert "q = a tensor [6, 4] that begins" in verdict.given and "k = " in verdict.given
    assert "of 36 values differ; the first one, at [0, 0], is too low" in verdict.says
    LESSONS["02"].check("02-pattern", my_pattern)
    LESSONS["04"].check("04-value-weighted", lambda p, v, o: p * (v @ o).norm(dim=-1))
    (wrong, says), (right, _) = displayed
    assert [note.text for note in wrong.layout.annotations] == ["yours"]
    assert (wrong.data[0].zmin, wrong.data[0].zmax) == (-1, 1)  # less than zero, and seen to be
    assert "-1.00" in str(wrong.data[0].text) and "from -1.00 to 0.00" in says
    assert [note.text for note in right.layout.annotations] == ["yours", "target"]
