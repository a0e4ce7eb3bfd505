"""Would the tests notice? Copies of the series are harmed, each in one way, and a test has to fail.

What is harmed is what the series does: a function is put in the place of another, or a saved output
is changed. First all these tests have to pass in a copy that nothing was done to.
"""

import os
import shutil

import nbformat
import pytest
from test_notebooks import other_digit

from conftest import ROOT, python

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
    "an altered file is taken": ("tests/test_doors.py",
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


def test_a_printed_digit_that_is_another_is_noticed(tmp_path):
    """From the kernel to the exit status."""
    copy, name = copy_of_all(tmp_path), "notebooks/01_dataset.ipynb"
    notebook = nbformat.read(copy / name, as_version=4)
    printed = [o for c in notebook.cells for o in c.get("outputs", ()) if "text" in o]
    output = next(output for output in printed if other_digit(output.text))
    output["text"] = other_digit(output.text)
    nbformat.write(notebook, copy / name)
    done = run(copy, [name])
    assert done.returncode == 1, done.stdout + done.stderr


def test_all_these_tests_pass_in_an_unharmed_copy(tmp_path):
    done = run(copy_of_all(tmp_path), sorted({test for test, _ in FUNCTIONS.values()}))
    assert done.returncode == 0, done.stdout + done.stderr
