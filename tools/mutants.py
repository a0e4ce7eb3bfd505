"""Would the tests notice? Break copies of the series, and see that a test fails each time.

    python tools/mutants.py [--jobs N] [--only NAME ...] [--fast] [--shard K/N]

A mutant is a copy of the series with one thing wrong, and the test that must notice it. The test
runs in the copy, with the copy's `helpers`; it has to pass in a copy that nothing was done to (the
control) and to fail in the mutant. A table says what came out, and the exit status is 1 if a mutant
SURVIVED, changed nothing, or could not be judged. A survivor is a gap: write the smallest test that
notices it, where it belongs. `--fast` takes those of a few seconds, which README's test command
runs too; all of them take about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import torch
from joblib import Parallel, delayed

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]  # where this file was started, `helpers` and `conftest` are beside it

from helpers import storage, survey  # noqa: E402
from helpers.model import load_zoo  # noqa: E402

LONGEST = 900  # seconds that one test may take
WEIGHTS = "helpers/weights"
CLAIMS, CAPTIONS = "helpers/reader/claims.toml", "helpers/reader/captions.toml"
PLOTLY = "application/vnd.plotly.v1+json"


@dataclass(frozen=True)
class Mutant:
    """`change` is what makes it: texts (file, old, new), or a function of the copy's folder, whose
    docstring says what is changed. `test` is what must fail, as pytest takes it."""

    name: str
    test: str
    change: tuple | Callable
    fast: bool = False

    @property
    def what(self) -> str:
        """What is changed, in words."""
        if callable(self.change):
            return self.change.__doc__
        edits = [f"{file}: {_short(old)} → {_short(new)}" for file, old, new in self.change]
        return "; ".join(edits)

    def make(self, copy: Path) -> None:
        """Change the copy. ValueError where an old text does not stand there exactly once, or
        where all stays as it was: this table is out of date then."""
        before = contents(copy)
        if callable(self.change):
            self.change(copy)
        else:
            for file, old, new in self.change:
                text = (copy / file).read_text(encoding="utf-8")
                if text.count(old) != 1:
                    raise ValueError(
                        f"{self.name}: {file} holds {text.count(old)} times {old!r}; allowed is 1"
                    )
                (copy / file).write_text(text.replace(old, new), encoding="utf-8")
        if contents(copy) == before:
            raise ValueError(f"{self.name}: nothing is changed; allowed is what changes a file")


def _short(text: str) -> str:
    line = " ".join(text.split()).replace("|", "¦") or "nothing"  # a bar would end the cell
    return line if len(line) <= 40 else f"{line[:39]}…"


# ---------------------------------------------------------------- changes that no text can say


def change(says: str):
    """Let a function of the copy's folder say what it changes."""

    def named(function):
        function.__doc__ = says
        return function

    return named


def notebook(name: str, says: str, edit: Callable) -> Callable:
    """The saved notebook of this name with `edit` done to its cells."""

    @change(f"notebooks/{name}.ipynb: {says}")
    def changed(copy):
        path = copy / "notebooks" / f"{name}.ipynb"
        book = nbformat.read(path, as_version=4)
        edit(book.cells)
        nbformat.write(book, path)

    return changed


def outputs_with(cells, what: str):
    """The cells, each with its number, of which an output holds `what`."""
    return [c for c in cells if what in json.dumps(c.get("outputs", []), ensure_ascii=False)]


def other_digit(text: str) -> str:
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), text, count=1)


def digit_of_a_line(cells):
    output = next(
        o for c in cells for o in c.get("outputs", [])
        if re.search(r"\d", o.get("text", "")) and "✓" not in o["text"]
    )  # fmt: skip
    output["text"] = other_digit(output["text"])


def digit_of_a_figure(cells):
    output = outputs_with(cells, PLOTLY)[0].outputs[0]
    data = output["data"][PLOTLY]["data"]
    output["data"][PLOTLY]["data"] = json.loads(other_digit(json.dumps(data)))


def no_output(what: str) -> Callable:
    """Delete the outputs of the first cell that shows `what`."""

    def edit(cells):
        outputs_with(cells, what)[0]["outputs"] = []

    return edit


def not_executed(cells):
    [c for c in cells if c.cell_type == "code"][3].execution_count = None


def no_alternative_text(cells):
    outputs = [o for c in outputs_with(cells, PLOTLY) for o in c.outputs]
    del next(o for o in outputs if "image/png" in o.get("metadata", {}))["metadata"]["image/png"]


def words_of_the_next_figure(cells):
    """In the saved page only, in each of the places where the words stand."""
    one, other = (
        next(o["data"]["text/plain"] for o in c.outputs if PLOTLY in o.get("data", {}))
        for c in outputs_with(cells, PLOTLY)[:2]
    )
    cell = outputs_with(cells, PLOTLY)[0]
    cell["outputs"] = json.loads(json.dumps(cell.outputs).replace(one, other))
    cell["outputs"] = [nbformat.from_dict(o) for o in cell["outputs"]]


def weights(name: str, says: str, edit: Callable) -> Callable:
    """A file of weights with `edit` done to its tensors and its note, and a hash that fits."""

    @change(f"{WEIGHTS}/{name}: {says}, with a hash that fits")
    def changed(copy):
        path = copy / WEIGHTS / name
        tensors, note = storage.load(path)
        edit(tensors, note)
        storage.save(path, tensors, note)

    return changed


def zeroed(matrix: str) -> Callable:
    def edit(tensors, note):
        tensors[matrix] = torch.zeros_like(tensors[matrix])

    return edit


def exchanged(kind: str, one: int, other: int) -> Callable:
    """The models of two seeds exchanged."""

    def edit(tensors, note):
        for name in [name for name in tensors if name.startswith(f"{kind}/")]:
            tensors[name][[one, other]] = tensors[name][[other, one]]

    return edit


@change(f"{WEIGHTS}/article.safetensors: its last 100 bytes cut off")
def cut(copy):
    path = copy / WEIGHTS / "article.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def table(says: str, edit: Callable) -> Callable:
    """The survey's table with `edit` done to its columns, a dict of lists, and to its note."""

    @change(f"{WEIGHTS}/survey.parquet: {says}, with a hash that fits")
    def changed(copy):
        path = copy / WEIGHTS / "survey.parquet"
        old = pq.read_table(path)
        columns, note = old.to_pydict(), json.loads(old.schema.metadata[b"note"])
        edit(columns, note)
        survey.write_sealed(path, old.from_pydict(columns, schema=old.schema), note)

    return changed


@change(f"{WEIGHTS}/survey.safetensors: two seeds exchanged, and the table's note made to fit")
def survey_seeds_exchanged(copy):
    path = copy / WEIGHTS / "survey.safetensors"
    weights(path.name, "", exchanged("article", 10, 11))(copy)

    def fit(columns, note):
        note["weights"] = survey.digest(load_zoo("article", path=path))

    table("", fit)(copy)


def rows_exchanged(columns, note):
    for name in set(columns) - {"kind", "seed", "order"}:  # what says whose row it is
        values = columns[name]
        values[700], values[701] = values[701], values[700]


def columns_exchanged(columns, note):
    columns["mlp_mean"], columns["mlp_resample"] = columns["mlp_resample"], columns["mlp_mean"]


def one_count_lowered(columns, note):
    """Of an exact model that a line is enough for; one input of one output less."""
    full = [65536] * 8
    i = next(i for i, c in enumerate(columns["line"]) if c == columns["right"][i] == full)
    columns["line"][i] = [*full[:7], 65535]


@change(f"{WEIGHTS}/survey_predictions.toml: an expectation made wider afterwards")
def expectation_made_to_fit(copy):
    path = copy / WEIGHTS / "survey_predictions.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^low = .*$", "low = 0.0", text, count=1, flags=re.M), encoding="utf-8")


@change("README.md: its picture is an old one, in the notebook too")
def stale_picture(copy):
    path = copy / "helpers" / "drawings" / "line.svg"
    old, new = path.read_bytes(), path.read_bytes().replace(b'r="7"', b'r="6"')
    path.write_bytes(new)
    for page in (copy / "notebooks").rglob("*.ipynb"):
        text = page.read_text(encoding="utf-8")
        was, now = (base64.b64encode(blob).decode() for blob in (old, new))
        page.write_text(text.replace(was, now), encoding="utf-8")


@change("LICENSE: removed")
def no_licence(copy):
    (copy / "LICENSE").unlink()


# ---------------------------------------------------------------- the table


N, P = "tests/test_notebooks.py", "tests/test_pages.py"
AS_BUILT = f"{N}::test_notebook_is_as_built[01_dataset]"
PRINTED = f"{N}::test_each_claim_was_printed_as_holding[01_dataset]"
FIGURES = f"{P}::test_saved_figures_are_there_with_and_without_a_script[01_dataset]"
SENTENCE = "tests/test_claims.py::test_a_sentence_says_what_its_bound_asks"
LINKS = f"{P}::test_links_have_form_and_local_targets[README.md]"
WHOLE = "tests/test_project.py::test_workflows_are_whole_and_run_what_is_there"
NO_GAPS = "tests/test_project.py::test_no_workflow_goes_on_after_a_failure_or_leaves_a_job_out"
LEFT_OUT = "tests/test_project.py::test_every_test_that_is_written_is_run_and_none_is_skipped"
CI = "tests/test_project.py::test_readme_is_as_built_and_names_the_command_that_ci_runs"
RANGES = "tests/test_project.py::test_what_is_installed_lies_within_the_ranges"
LICENCE = "tests/test_project.py::test_there_is_one_licence_and_every_file_that_names_it_agrees"
STORED = "tests/test_model.py::test_the_stored_model_is_exact_and_its_note_says_so"
FORGED = "tests/test_proof.py::test_the_checker_refuses_a_forged_proof"
FOLLOWS = "tests/test_explorers.py::test_each_control_moves_what_is_shown"
ROWS = "tests/test_survey.py::test_each_row_is_of_its_own_model"
COLUMNS = "tests/test_survey.py::test_columns_are_of_the_intervention_that_their_name_says"
CELLS = "notebooks/01_dataset.ipynb"  # executed again by nbval
OPTIONS = "tests/test_project.py::test_pytests_options_leave_nothing_out"
README = "tests/test_claims.py::test_readme_says_what_the_claims_say"
WRONG = "tests/test_exercises.py::test_wrong_answers_fail_with_words_that_help"

MUTANTS = [
    # Fast ones: a few seconds each, few different tests.
    Mutant("cell-not-executed", AS_BUILT, notebook(
        "01_dataset", "a cell has no number", not_executed), fast=True),
    Mutant("source-and-notebook-apart", AS_BUILT, (
        ("notebooks/01_dataset.py", "# ### Exercise: the", "# ### Exercise: The"),), fast=True),
    Mutant("claim-not-printed", PRINTED, notebook(
        "01_dataset", "the output of a claim deleted", no_output("✓ 65,536")), fast=True),
    Mutant("bound-inverted", PRINTED, (
        (CLAIMS, "at_most = 0.02\nseeds = \"no model\"", "at_least = 0.02\nseeds = \"no model\""),
        ), fast=True),
    Mutant("bound-loosened", PRINTED, ((CLAIMS, "at_least = 1.3\n", "at_least = 0.01\n"),),
        fast=True),
    Mutant("sentence-of-another-number", SENTENCE, (
        (CLAIMS, "12 of the exact seeds", "22 of the exact seeds"),), fast=True),
    Mutant("sentence-of-other-words", SENTENCE, (
        (CLAIMS, "zeroed more than three quarters", "zeroed fewer than three quarters"),),
        fast=True),
    Mutant("alternative-text-removed", FIGURES, notebook(
        "01_dataset", "a figure without alternative text", no_alternative_text), fast=True),
    Mutant("caption-of-another-figure", FIGURES, notebook(
        "01_dataset", "the first figure has the words of the second", words_of_the_next_figure),
        fast=True),
    Mutant("dead-link", LINKS, (
        ("README.md", "](notebooks/05_mlp.ipynb)", "](notebooks/05_mpl.ipynb)"),), fast=True),
    Mutant("push-runs-nothing", WHOLE, (
        (".github/workflows/push.yml", "run: bash .ci/run", "run: echo bash .ci/run"),), fast=True),
    Mutant("weekly-runs-nothing", WHOLE, (
        (".github/workflows/weekly.yml", "- run: pytest notebooks", "- run: echo notebooks"),),
        fast=True),
    # What is saved.
    Mutant("digit-of-a-line", CELLS, notebook(
        "01_dataset", "a digit of a printed line", digit_of_a_line)),
    Mutant("digit-of-a-figure", CELLS, notebook(
        "01_dataset", "a digit of the data of a figure", digit_of_a_figure)),
    Mutant("output-deleted", CELLS, notebook(
        "01_dataset", "the output of a cell deleted", no_output(PLOTLY))),
    Mutant("figure-not-compared-deleted",
        f"{P}::test_each_cell_that_shows_something_has_it_saved[03_training]", notebook(
        "03_training", "the explorer's output deleted", no_output("Here is an explorer"))),
    Mutant("comparison-switched-off", f"{N}::test_nbval_compares_the_cells_and_sees_each_changed"
        "_digit[01_dataset]", (
        ("notebooks/01_dataset.ipynb", '"claim(\\"all-sequences\\"',
         '"# NBVAL_IGNORE_OUTPUT\\n",\n    "claim(\\"all-sequences\\"'),)),
    Mutant("stale-picture", "tests/test_line.py::test_readmes_drawing_is_what_the_model_gives",
        stale_picture),
    Mutant("picture-without-words", f"{P}::test_each_picture_of_a_page_has_an_alternative_text", (
        ("README.md", "![y1 without and with the MLP. ", "![](helpers/drawings/line.svg)\n\n![y1 "),
        )),
    Mutant("caption-without-its-figure",
        "tests/test_page.py::test_each_caption_is_shown_once_in_its_notebook_and_each_figure_"
        "has_one", ((CAPTIONS, 'name = "xor"', 'name = "nor"'),)),
    # What is stored.
    Mutant("W_O-zeroed", STORED, weights(
        "article.safetensors", "W_O zeroed", zeroed("blocks.0.attn.o.weight"))),
    Mutant("W_out-zeroed", STORED, weights(
        "article.safetensors", "W_out zeroed", zeroed("blocks.0.mlp.out.weight"))),
    Mutant("weights-cut", STORED, cut),
    Mutant("zoo-seed-0-exchanged", "tests/test_zoo.py::test_the_zoos_seed_0_is_the_model_of_the_"
        "notebooks", weights("zoo.safetensors", "seeds 0 and 1 exchanged",
                             exchanged("article", 0, 1))),
    Mutant("zoo-seeds-exchanged", "notebooks/05_mlp.ipynb", weights(
        "zoo.safetensors", "seeds 3 and 4, both exact, exchanged", exchanged("article", 3, 4))),
    Mutant("survey-seeds-exchanged", ROWS, survey_seeds_exchanged),
    Mutant("survey-rows-exchanged", ROWS, table("what two seeds measured exchanged",
        rows_exchanged)),
    Mutant("survey-columns-exchanged", COLUMNS, table(
        "mlp_mean and mlp_resample exchanged", columns_exchanged)),
    Mutant("survey-count-lowered", README, table("one count of 65,536 lowered by 1",
        one_count_lowered)),
    Mutant("expectation-made-to-fit", "tests/test_survey.py::test_expectations_are_of_before_and_"
        "whole", expectation_made_to_fit),
    # What is computed.
    Mutant("no-plus-one", "tests/test_task.py::test_targets_follow_the_formula_one_token_at_a_time",
        (("helpers/task.py", "lambda x: (x.flip(-1) + 1) % DIGITS",
          "lambda x: x.flip(-1) % DIGITS"),)),
    Mutant("no-mask", "tests/test_model.py::test_forward_equals_the_library", (
        ("helpers/model.py", ".masked_fill_(future, -math.inf)", ""),)),
    Mutant("mask-off-by-one", "tests/test_model.py::test_forward_equals_the_library", (
        ("helpers/model.py", ".triu(1)[out]", ".triu(2)[out]"),)),
    Mutant("no-shuffle", "tests/test_zoo.py::test_two_models_retrace_their_recorded_steps[article]",
        (("helpers/training.py", "torch.from_numpy(rng.permutation(len(sequences)))",
          "torch.arange(len(sequences))"),)),
    Mutant("no-rounding-of-gradients",
        "tests/test_training.py::test_gradients_are_rounded_where_they_are_used", (
        ("helpers/training.py", "return (gradient * 2**20).round() / 2**20", "return gradient"),)),
    Mutant("rounding-not-used",
        "tests/test_training.py::test_gradients_are_rounded_where_they_are_used", (
        ("helpers/training.py", "w.grad = to_grid(w.grad)", "w.grad = w.grad.clone()"),)),
    Mutant("no-clipping", "tests/test_training.py::test_each_model_is_clipped_as_torch_clips_one", (
        ("helpers/training.py", "(limit / (norm + 1e-6)).clamp(max=1)", "torch.ones_like(norm)"),)),
    Mutant("hook-does-nothing", "tests/test_model.py::test_an_edit_does_the_same_in_both", (
        ("helpers/model.py", "edit = edits.get(place) if edits else None", "edit = None"),)),
    Mutant("nothing-changed-is-not-said",
        "tests/test_interventions.py::test_edits_that_do_nothing_raise_before_anything_is_run", (
        ("helpers/interventions.py", "    if any(same):", "    if False:"),)),
    Mutant("mean-over-the-wrong-axis",
        "tests/test_interventions.py::test_means_are_over_every_input", (
        ("helpers/interventions.py", "lambda value: value.sum(1, keepdim=True))",
         "lambda value: value.sum(2, keepdim=True).sum(1, keepdim=True))"),)),
    Mutant("resample-of-itself",
        "tests/test_interventions.py::test_resampling_takes_another_sequence", (
        ("helpers/interventions.py", ").permutation(n)", ").permutation(n) * 0 + np.arange(n)"),)),
    Mutant("last-part-not-counted", STORED, (
        ("helpers/evaluation.py", "list(pool.map(job, parts))", "list(pool.map(job, parts[:-1]))"),
        ("helpers/evaluation.py", "[job(part) for part in parts]",
         "[job(part) for part in parts[:-1]]"))),
    Mutant("column-of-another-intervention",
        "tests/test_survey.py::test_measurements_are_those_of_the_interventions[0]", (
        ("helpers/census.py", 'self.count_few("attn_mean", self.usual)',
         'self.count_few("attn_mean", 0 * self.usual)'),)),
    Mutant("interval-of-90-percent",
        "tests/test_page.py::test_k_of_n_has_the_interval_of_clopper_and_pearson", (
        ("helpers/reader/page.py", "proportion_ci(0.95,", "proportion_ci(0.9,"),)),
    Mutant("hash-not-compared", "tests/test_storage.py::test_an_altered_byte_is_noticed_wherever_"
        "it_is", (("helpers/storage.py", "or whole != expected:", "or not whole:"),)),
    # What is proved.
    Mutant("proof-skips-a-case", "tests/test_proof.py::test_the_stored_model_is_proved_in_few_"
        "cases", (("helpers/proof.py", "for t in range(T.DIGITS)]\n        node.nodes",
                   "for t in range(T.DIGITS - 1)]\n        node.nodes"),)),
    Mutant("proof-with-a-smaller-gap",
        "tests/test_proof.py::test_the_scale_of_the_logits_does_not_matter_to_a_proof", (
        ("helpers/proof.py", "elif all(m > 0 for m in margins):",
         "elif all(m > -0.01 for m in margins):"),)),
    Mutant("checker-takes-a-lower-bound", FORGED, (
        ("tools/check_proof.py", "highest(values, output, known) <= 0",
         "highest(values, output, known) <= 1e-3"),)),
    Mutant("checker-takes-a-smaller-gap",
        "tests/test_proof.py::test_the_checker_refuses_what_is_nearly_right", (
        ("tools/check_proof.py", '"right": all(m.a > 0 for', '"right": all(m.a > -1 for'),)),
    Mutant("checker-skips-a-case", FORGED, (
        ("tools/check_proof.py", 'demand(len(node["nodes"]) == 4,',
         'demand(len(node["nodes"]) > 2,'),)),
    # What a reader does.
    Mutant("solution-in-the-stub", "tests/test_exercises.py::test_untouched_is_not_tried_yet", (
        ("notebooks/02_transformer.py", "my_count = ...\n", "my_count = 360 - 148 - 8\n"),)),
    Mutant("exercise-takes-all", WRONG, (
        ("helpers/reader/exercises.py", "    if not wrong:", "    if len(wrong) < 99:"),)),
    Mutant("exercise-takes-one-right-case",
        "tests/test_exercises.py::test_one_wrong_case_is_wrong", (
        ("helpers/reader/exercises.py", "    if not wrong:", "    if len(wrong) < len(cases):"),)),
    Mutant("exercise-without-tolerance", WRONG, (
        ("helpers/reader/answers.py", "    tolerance = 2e-3", "    tolerance = 2"),)),
    Mutant("explorer-ignores-a-strength", FOLLOWS, (
        ("helpers/reader/explorers.py", "L.line_figure(line, output, mlp, attention, x)",
         "L.line_figure(line, output, mlp, 1.0, x)"),)),
    Mutant("explorer-ignores-the-output", FOLLOWS, (
        ("helpers/reader/explorers.py", "position=None if position == ALL else position",
         "position=None"),)),
    Mutant("explorer-ignores-what-to-count-on", "tests/test_explorers.py::test_ablation_of_what_"
        "does_nothing_says_so_and_all_inputs_can_be_asked", (
        ("helpers/reader/explorers.py", "holdout = None if everything else",
         "holdout = None if False else"),)),
    Mutant("explorer-ignores-the-rate",
        "tests/test_explorers.py::test_what_is_trained_is_what_the_controls_say", (
        ("helpers/reader/explorers.py", "replace(recipe_of(kind), lr=rate)", "recipe_of(kind)"),)),
    # What stands around.
    Mutant("pin-that-does-not-exist", RANGES, (
        ("requirements.txt", "circuitsvis==1.43.3", "circuitsvis==9.43.3"),
        ("helpers/reader/colab.py", "circuitsvis==1.43.3", "circuitsvis==9.43.3"))),
    Mutant("licence-removed", LICENCE, no_licence),
    Mutant("licence-of-another-name", LICENCE, (
        ("pyproject.toml", 'license = "MIT"', 'license = "ISC"'),)),
    Mutant("ci-without-pytest", CI, (
        (".ci/run", "-e '.[test]' && .venv/bin/pytest", "-e '.[test]'"),)),
    Mutant("ci-ends-before", CI, (
        (".ci/run", "python3 -m venv .venv &&", "exit 0\npython3 -m venv .venv &&"),)),
    Mutant("ci-that-may-skip", CI, ((".ci/run", "export CI=true", "export CI="),)),
    Mutant("failure-goes-unnoticed", NO_GAPS, (
        (".github/workflows/weekly.yml", "    timeout-minutes: 60\n",
         "    timeout-minutes: 60\n    continue-on-error: true\n"),)),
    Mutant("job-switched-off", NO_GAPS, (
        (".github/workflows/push.yml", "  readme:\n", "  readme:\n    if: false\n"),)),
    Mutant("push-by-hand-only", WHOLE, (
        (".github/workflows/push.yml", "on: [push, pull_request, workflow_dispatch]",
         "on: [workflow_dispatch]"),)),
    Mutant("shard-left-out",
        "tests/test_project.py::test_nightly_takes_every_shard_of_the_mutants", (
        (".github/workflows/nightly.yml", '["1/3", "2/3", "3/3"]', '["1/3", "2/3"]'),)),
    Mutant("nbval-off", OPTIONS, (("pyproject.toml", '"--nbval", ', ""),)),
    Mutant("nbval-lax", f"{N}::test_one_changed_digit_fails_a_run", (
        ("pyproject.toml", '"--nbval", ', '"--nbval-lax", '),)),
    Mutant("slow-tests-left-out", OPTIONS, (
        ("pyproject.toml", '"-ra", ', '"-ra", "-m", "not slow", '),)),
    Mutant("test-file-skipped", LEFT_OUT, (
        ("tests/test_storage.py", "import pytest\n",
         "import pytest\npytestmark = pytest.mark.skip\n"),)),
    Mutant("notebooks-not-collected", OPTIONS, (
        ("pyproject.toml", 'testpaths = ["tests", "notebooks"]', 'testpaths = ["tests"]'),)),
    Mutant("cell-may-reach-out", f"{N}::test_a_cell_that_reaches_out_fails", (
        ("conftest.py", "    if isinstance(item, IPyNbCell) and REACHED.exists():",
         "    if isinstance(item, int) and REACHED.exists():"),)),
    Mutant("build-sees-no-drift",
        "tests/test_build.py::test_check_notices", (
        ("tools/build.py", "    if face(page) != face(from_source(name)):", "    if not page:"),)),
    Mutant("missing-is-a-skip-in-ci", "tests/test_project.py::test_what_is_missing_is_a_skip_here_"
        "and_a_failure_in_ci", (
        ("conftest.py", 'pytest.fail if os.environ.get("CI") else pytest.skip', "pytest.skip"),)),
    Mutant("word-removed-from-readme", f"{P}::test_readme_explains_what_two_notebooks_of_the_"
        "course_explain", (("README.md", "| **push** | what the MLP adds to the stream |\n", ""),)),
    Mutant("readme-of-another-number", README, (
        ("README.md", "seeds 962 become exact", "seeds 972 become exact"),)),
]  # fmt: skip


# ---------------------------------------------------------------- how a mutant is judged


@dataclass(frozen=True)
class Row:
    """What came of one mutant: `verdict` is "killed", or says what is wrong; `said` by the test."""

    mutant: Mutant
    verdict: str
    seconds: float
    said: str = ""


def contents(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a folder but what Python keeps there, by its path there."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def whole_copy(folder: Path) -> Path:
    """A copy of the series with all that its tests read."""
    copy = import_module("conftest").copy_of_the_series(folder / "series")
    ignore = shutil.ignore_patterns("__pycache__", ".proof-*")
    for part in ("tests", ".ci", ".github"):
        shutil.copytree(ROOT / part, copy / part, ignore=ignore)
    for path in ROOT.iterdir():
        if path.is_file() and not (copy / path.name).exists():
            shutil.copy(path, copy)
    return copy


# Starts pytest, unless the `helpers` of another tree would be tested, such as an installed one.
START = """
import importlib.util, pathlib, sys
import pytest
found, here = importlib.util.find_spec("helpers"), pathlib.Path.cwd().resolve()
if found is None or not pathlib.Path(found.origin).resolve().is_relative_to(here):
    print(f"the helpers of this copy are not found: {found}")
    sys.exit(int(pytest.ExitCode.USAGE_ERROR))
sys.exit(pytest.main(sys.argv[1:]))
"""


def run_test(copy: Path, test: str) -> subprocess.CompletedProcess:
    """Run `test` in `copy` as this project does, in one process."""
    command = [sys.executable, "-c", START, "-n0", "-q", "-p", "no:cacheprovider"]
    hidden = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST", "PLOTLY_RENDERER")
    env = {k: v for k, v in os.environ.items() if k not in hidden}
    env |= {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*command, "-c", "pyproject.toml", "--rootdir", ".", test],
        cwd=copy, env=env, capture_output=True, text=True, timeout=LONGEST,
    )  # fmt: skip


def attempt(mutant: Mutant | None, test: str) -> tuple[int | str, float, str]:
    """Run `test` in a fresh copy, changed by `mutant` if there is one: (pytest's exit status or
    what went wrong before, seconds, what it said)."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        try:
            copy = whole_copy(Path(folder))
            if mutant is not None:
                mutant.make(copy)
            done = run_test(copy, test)
            status, said = done.returncode, done.stdout + done.stderr
        except (ValueError, OSError, LookupError, subprocess.TimeoutExpired) as error:
            status, said = f"{type(error).__name__}: {error}", ""
    return status, time.monotonic() - start, said


def judge(chosen: list[Mutant], jobs: int = 2, tell: Callable = lambda row: None) -> list[Row]:
    """Run each mutant, and the control of each of their tests once; `tell` each row when known."""
    tests = list(dict.fromkeys(m.test for m in chosen))
    todo = [(None, test) for test in tests] + [(m, m.test) for m in chosen]
    run = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    results, controls, rows = run(delayed(attempt)(*t) for t in todo), {}, []
    for (mutant, test), (status, seconds, said) in zip(todo, results):
        if mutant is None:
            passed = re.search(r"\b[1-9]\d* passed", said)
            controls[test] = (status, said) if status or not passed else None
            continue
        if controls[test] is not None:
            verdict, said = f"NO CONTROL: {controls[test][0]}", controls[test][1]
        else:
            failed = status == 1 and re.search(r"\b[1-9]\d* (?:failed|errors?)\b", said)
            verdict = "killed" if failed else "SURVIVED" if status == 0 else f"NOT JUDGED: {status}"
        rows.append(Row(mutant, verdict, seconds, said))
        tell(rows[-1])
    return rows


def line(row: Row) -> str:
    """A row of the printed table."""
    m = row.mutant
    return f"| {m.name} | {m.what} | {m.test} | {row.verdict} | {row.seconds:.0f} |"


def shard_of(text: str) -> tuple[int, int]:
    """K/N as two numbers."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed are 1/N to N/N, such as 1/3")
    return int(found[1]), int(found[2])


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=[m.name for m in MUTANTS], metavar="NAME")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--shard", type=shard_of, default=(1, 1), metavar="K/N")
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if m.fast or not options.fast]
    chosen = [m for m in chosen if m.name in (options.only or [m.name])]
    first, step = options.shard
    chosen = chosen[first - 1 :: step]
    start = time.monotonic()
    print("| mutant | what is changed | the test that must fail | result | seconds |")
    print("|---|---|---|---|---|", flush=True)
    rows = judge(chosen, options.jobs, lambda row: print(line(row), flush=True))
    alive = [row for row in rows if row.verdict != "killed"]
    for row in alive:
        print(f"\n{row.mutant.name}: {row.verdict}\n{row.said[-2000:]}")
    tests = len({m.test for m in chosen})
    seconds = time.monotonic() - start
    print(f"\n{len(rows) - len(alive)} of {len(rows)} killed; {tests} controls; {seconds:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
