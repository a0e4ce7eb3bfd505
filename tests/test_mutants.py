"""Would the tests notice? Copies of the series are harmed, each in one way, and a test has to fail.

What is harmed is what the series does: stored weights, saved outputs, a function put in the place
of another. First all these tests have to pass in a copy that nothing was done to.
"""

import json
import os
import re
import shutil

import nbformat
import pytest
import torch

from conftest import ROOT, python
from helpers import storage
from tools.build import PLOTLY

pytestmark = pytest.mark.nightly
NOT_COPIED = (".git", ".venv", "*cache*", "*.egg-info", "test-artefacts", "build", "mine")
# Read by pytest before anything else in a copy.
PLUGIN = """
from pathlib import Path

import helpers, torch
from helpers import evaluation, interventions, model, page, storage, task, training
from lessons import exercises, explorer
from research import survey
from tools import check_proof

assert Path(helpers.__file__).is_relative_to(Path.cwd()), "these are not the helpers of this copy"
"""


def copy_of_all(folder):
    return shutil.copytree(ROOT, folder / "series", ignore=shutil.ignore_patterns(*NOT_COPIED))


def run(copy, tests, code=""):
    """Run `tests` in `copy`, with its own modules, after `code`."""
    (copy / "mutant.py").write_text(PLUGIN + code, encoding="utf-8")
    options = ["-n0", "-q", "-x", "-p", "no:cacheprovider", "-p", "mutant", "-c", "pyproject.toml"]
    env = {name: "" for name in os.environ if name.startswith("PYTEST_")}
    env |= dict(PYTHONPATH=str(copy), PYTHONDONTWRITEBYTECODE="1")
    return python(copy, "-m", "pytest", *options, "--rootdir", copy, *tests, **env)


# ---------------------------------------------------------------- functions that do another thing

FUNCTIONS = {
    "the task has lost its + 1": ("tests/test_task.py",
        "task.TASKS['reverse_plus_one'] = lambda x: x.flip(-1)"),
    "an edit of the model is not made": ("tests/test_model.py",
        "model.edit_at = lambda place, value, edits, tokens: value"),
    "an intervention that changes nothing is not said": ("tests/test_interventions.py",
        "interventions._same = lambda old, new: torch.zeros(len(old), dtype=torch.bool)"),
    "gradients are not rounded": ("tests/test_training.py",
        "training.to_grid = lambda gradient: gradient"),
    "the last sequences are not counted": ("tests/test_evaluation.py",
        "plain = evaluation.parts; evaluation.parts = lambda *given: plain(*given)[:-1]"),
    "an altered file is taken": ("tests/test_storage.py",
        "storage.check_seal = lambda *_: None"),
    "a column of the survey is another one": ("tests/research/test_census.py",
        "column = survey.values; "
        "survey.values = lambda table, name: column(table, name.replace('mean', 'resample'))"),
    "the checker of proofs takes every bound": ("tests/research/test_proof.py",
        "check_proof.Model.highest = lambda *_: -1"),
    "every claim holds": ("tests/test_page.py", "page._holds = lambda *_: True"),
    "every answer is right": ("tests/test_exercises.py", "exercises.same = lambda *_: True"),
    "an explorer follows no control": ("tests/test_explorers.py",
        "explorer.Explorer.ask = lambda *_: None"),
}  # fmt: skip


@pytest.mark.parametrize("harm", FUNCTIONS)
def test_a_function_that_does_another_thing_is_noticed(harm, tmp_path):
    test, code = FUNCTIONS[harm]
    done = run(copy_of_all(tmp_path), [test], code)
    assert done.returncode == 1, done.stdout + done.stderr


# ---------------------------------------------------------------- what is stored and saved


def zeroed(copy):
    """A matrix of zeros in the stored model, with a sum that fits."""
    path = copy / "helpers" / "weights" / "article.safetensors"
    weights, note = storage.load(path)
    name = "blocks.0.mlp.out.weight"
    storage.save(path, weights | {name: torch.zeros_like(weights[name])}, note)


def in_first_notebook(change):
    """`change` of the code cells of 01, as they are saved."""

    def harm(copy):
        path = copy / "notebooks" / "01_dataset.ipynb"
        notebook = nbformat.read(path, as_version=4)
        change([cell for cell in notebook.cells if cell.cell_type == "code"])
        nbformat.write(notebook, path)

    return harm


def other_digit(cells):
    printed = [output for cell in cells for output in cell.outputs if "text" in output]
    output = next(output for output in printed if re.search(r"\d", output.text))
    output["text"] = re.sub(r"\d", lambda digit: str(9 - int(digit[0])), output.text, count=1)


def not_executed(cells):
    cells[3].execution_count = None


def without_words(cells):
    """No alternative text of the first figure."""
    output = next(o for cell in cells for o in cell.outputs if PLOTLY in json.dumps(o))
    output["metadata"] = {}


STORED = {
    "a printed digit": ("notebooks/01_dataset.ipynb", in_first_notebook(other_digit)),
    "a cell without a number": ("tests/test_notebooks.py", in_first_notebook(not_executed)),
    "a figure without words": ("tests/test_pages.py", in_first_notebook(without_words)),
    "a matrix of zeros": ("tests/test_evaluation.py", zeroed),
}


@pytest.mark.parametrize("harm", STORED)
def test_harm_to_what_is_stored_is_noticed(harm, tmp_path):
    test, change = STORED[harm]
    change(copy := copy_of_all(tmp_path))
    done = run(copy, [test])
    assert done.returncode == 1, done.stdout + done.stderr


def test_all_these_tests_pass_in_an_unharmed_copy(tmp_path):
    tests = {test for test, _ in (*FUNCTIONS.values(), *STORED.values())}
    done = run(copy_of_all(tmp_path), sorted(tests))
    assert done.returncode == 0, done.stdout + done.stderr
