"""helpers.exercises: the folded solutions pass, plausible wrong answers fail with words that help."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from helpers import exercises as X

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ["01_dataset", "02_transformer", "03_training", "04_attention", "05_mlp", "06_ablation"]


@cache
def exercise_cells(name):
    """The exercises of a notebook: id -> (names it may use, stub, call, folded solution)."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    cells = re.split(r"^# %%.*\n", text, flags=re.M)
    imports = "\n".join(re.findall(r"^(?:import (?!.*[;,] ).*|from .* import .*)$", text, re.M))
    found = {}
    for number, cell in enumerate(cells):
        if call := re.search(r'^X\.check\("(.*?)", (\w+)\)\n*\Z', cell, re.M):
            fold = "\n".join(line.removeprefix("#")[1:] for line in cells[number + 1].splitlines())
            assert fold.startswith("<details><summary>Solution</summary>"), call[1]
            solution = re.search(r"```python\n(.*?)```", fold, re.S)[1]
            title = cells[number - 1]
            assert re.search(r"^# ### Exercise: .+", title) and re.search(r"about \d+ min", title)
            found[call[1]] = (imports, cell, call[2], solution)
    return found


ALL = [(name, exercise) for name in NAMES for exercise in exercise_cells(name)]


def answer(name, exercise, code):
    """What `code` defines under the name that the exercise's check takes."""
    imports, _, variable, _ = exercise_cells(name)[exercise]
    space = {}
    exec(imports, space)
    exec(code, space)
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
    assert X.check(exercise, space[variable]) is None
    assert X.check(exercise, None) is None and X.check(exercise, ...) is None


@pytest.mark.parametrize("name, exercise", ALL)
def test_the_folded_solution_is_right(name, exercise, capsys):
    solution = exercise_cells(name)[exercise][3]
    assert X.check(exercise, answer(name, exercise, solution)) is True
    assert "✓ Right" in capsys.readouterr().out


WRONG = {
    "01-targets": [
        ("my_targets = lambda x: [(d + 1) % 4 for d in x]", "no reversal"),
        ("my_targets = lambda x: [d + 1 for d in x[::-1]]", "mod 4"),
        ("def my_targets(x):\n    x.reverse()\n    return x", "1 is missing"),
        ("my_targets = lambda x: [(x[6 - i] + 1) % 4 for i in range(8)]", "Off by one place"),
        ("my_targets = lambda x: [(x[8 - i] + 1) % 4 for i in range(8)]", "IndexError"),
        ("my_targets = lambda x: [0] * 7", "shape"),
    ],
    "01-forgotten-mod": [
        ("my_share = 3 / 4", "single tokens"),
        ("my_share = 1 - (3 / 4) ** 8", "with a mistake"),
        ("my_share = 0.5", "too high"),
        ("my_share = 'a tenth'", "could not"),
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
            "    s[torch.ones(len(q), len(k)).triu(1).bool()] = -torch.inf\n    return s.softmax(0)",
            "Wrong axis",
        ),
        (
            "def my_pattern(q, k):\n    s = q @ k.T\n"
            "    s[torch.ones(len(q), len(k)).triu(1).bool()] = -torch.inf\n    return s.softmax(1)",
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
    "03-rate": [
        ("my_rate = lambda s, n, top: top * (1 - s / n)", "straight line"),
        ("my_rate = lambda s, n, top: top * (1 + math.cos(math.pi * s / n))", "twice"),
        ("my_rate = lambda s, n, top: top * (1 - math.cos(math.pi * s / n)) / 2", "rises"),
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
    "05-cases": [
        ("my_cases = 128", "own token is the source"),
        ("my_cases = 32", "leaves the own token out"),
        ("my_cases = 65536", "too high"),
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
    ],
    "06-mean-hook": [
        ("my_mean_hook = lambda value, hook: torch.zeros_like(value)", "zero ablation"),
        (
            "my_mean_hook = lambda value, hook: value.mean(1, keepdim=True).expand_as(value)",
            "Wrong axis",
        ),
        ("my_mean_hook = lambda value, hook: value.mean(7)", "IndexError"),
    ],
}


@pytest.mark.parametrize("name, exercise", ALL)
def test_wrong_answers_fail_with_words_that_help(name, exercise, capsys):
    assert len(WRONG[exercise]) >= 2
    for code, words in WRONG[exercise]:
        assert X.check(exercise, answer(name, exercise, code)) is False, code
        said = capsys.readouterr().out
        assert words in said.split("✗")[1], (code, said)


@pytest.mark.parametrize("exercise", X.EXERCISES)
def test_no_listed_mistake_is_the_target(exercise):
    """Else a right answer would never be told from it, or two mistakes would share one message."""
    import numpy as np

    spec = X.EXERCISES[exercise]
    with torch.no_grad():
        cases = spec.cases(np.random.default_rng(0))
        made = [
            [np.asarray(f(*c), dtype=float) for c in cases]
            for f in (spec.target, *spec.mistakes.values())
        ]
    for i, one in enumerate(made):
        for other in made[:i]:
            assert not all(X._same(a, b, spec) for a, b in zip(one, other))


def test_a_broken_hook_leaves_the_next_check_alone():
    assert X.check("06-neuron-hook", lambda n: lambda value, hook: value[:, :3]) is False
    assert not any(point.fwd_hooks for point in X._model().hook_dict.values())
    solution = exercise_cells("06_ablation")["06-neuron-hook"][3]
    assert X.check("06-neuron-hook", answer("06_ablation", "06-neuron-hook", solution)) is True


def test_unknown_exercise_is_an_error():
    with pytest.raises(KeyError):
        X.check("07-more", 1)


def test_import_is_light():
    code = (
        "import sys, helpers.exercises as X; X.check('01-targets', lambda x: x)\n"
        "X.check('01-forgotten-mod', 0.1); assert 'transformer_lens' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
