"""The notebooks as a whole: sources, saved state, claims, and that their checks can fail.

That they run, cut off from the network, and print what is saved is checked by nbval.
"""

import copy
import json
import os
import re
from unittest import mock

import nbformat
import pytest
import torch
from nbclient.exceptions import CellExecutionError
from nbval.plugin import IPyNbFile

from conftest import ALL_NAMES, FOLDER, NBVAL, ROOT, copy_of_the_series, python, read, saved
from helpers import storage
from helpers.page import claims
from tools import build


def test_the_build_finds_every_notebook_and_each_has_a_source():
    assert list(build.SOURCES) == ALL_NAMES
    made = {p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.ipynb")}
    assert {name for name in made if ".ipynb_checkpoints" not in name} == set(ALL_NAMES)


def run_in_one_kernel(name, cells):
    """`cells` of a notebook, executed where it stands, without a picture."""
    settings = {"kernelspec": build.KERNEL}
    book = nbformat.v4.new_notebook(cells=copy.deepcopy(cells), metadata=settings)
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    with mock.patch.dict(os.environ, SERIES_PICTURES="no"):
        build.execute(book, build.SOURCES[name].parent)
    return book.cells


TIERS = [pytest.mark.nightly if "/" in name else pytest.mark.reader for name in ALL_NAMES]


@pytest.mark.parametrize("name", [pytest.param(n, marks=m) for n, m in zip(ALL_NAMES, TIERS)])
def test_each_cell_may_be_run_twice_and_all_of_them_again(name):
    """As who presses Shift+Enter once more, or Run All: it prints the same."""
    codes = [cell for cell in saved(name).cells if cell.cell_type == "code"]
    ran = run_in_one_kernel(name, [cell for cell in codes for _ in range(2)] + codes)
    for cell, first, second, again in zip(codes, ran[::2], ran[1::2], ran[2 * len(codes) :]):
        if "nbval-ignore-output" not in cell.metadata.get("tags", []):
            runs = [cell.outputs for cell in (first, second, again)]
            one, two, three = [[o.get("text", o.get("data")) for o in run] for run in runs]
            assert one == two == three, cell.source


@pytest.mark.reader
def test_an_interrupted_training_says_so_and_can_be_run_again():
    codes = [cell for cell in saved("03_training").cells if cell.cell_type == "code"]
    loop = next(i for i, cell in enumerate(codes) if "begin(SEED)" in cell.source)
    stop = "import _thread, threading; threading.Timer(2, _thread.interrupt_main).start()"
    stopped = [*codes[:loop], nbformat.v4.new_code_cell(stop), codes[loop]]
    with pytest.raises(CellExecutionError, match=r"Stopped at step \d+. Run the cell above again"):
        run_in_one_kernel("03_training", [*stopped, codes[loop + 1]])
    run_in_one_kernel("03_training", [*stopped, *codes[loop:]])


@pytest.mark.parametrize("name", ALL_NAMES)
def test_notebook_is_as_built_executed_and_clean(name):
    assert not build.drift(name), "run: python tools/build.py"
    notebook = saved(name)
    tags = sum((cell.metadata.get("tags", []) for cell in notebook.cells), [])
    assert tags.count("setup") == tags.count("badge") == 1
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert "widgets" not in notebook.metadata
    nbformat.validate(notebook)
    for cell in code:  # also what is not compared, such as an explorer
        assert cell.outputs or not re.search(r"\b(show|drawing|explore_\w+)\(", cell.source)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_notebook_closes_with_the_list_that_it_opens_with(name):
    text = read(FOLDER / f"{name}.py")
    for part in ("**You will**", "**Time:** about", "**You should know:**", "## What you have"):
        assert text.count(part) == 1, part
    promised = text.split("**You will**")[1].split("**Time:**")[0].count("\n# - ")
    kept = text.split("## What you have")[1].split("\n# **")[0].count("\n# - ")
    assert promised == kept > 0


def other_digit(value):
    """The value of an output with its first digit changed; None when there is no digit."""
    if isinstance(value, dict) and "data" in value:  # of a figure the numbers it draws
        return value | {"data": other_digit(value["data"])}
    text = value if isinstance(value, str) else json.dumps(value)
    other = re.sub(r"\d(?=\D*$)", lambda digit: str(int(digit[0]) % 9 + 1), text)  # the last one
    if other == text:
        return None
    return other if isinstance(value, str) else json.loads(other)


def changes(outputs):
    """The outputs of a cell, without one of them or with one digit changed, wherever one can be."""
    for i in range(len(outputs)):
        yield outputs[:i] + outputs[i + 1 :]
        for key in ("text", "text/plain", "text/html", build.PLOTLY):
            other = copy.deepcopy(outputs)
            holder = other[i] if key == "text" else other[i].get("data", {})
            if key in holder and (value := other_digit(holder[key])) is not None:
                holder[key] = nbformat.from_dict(value)
                yield other


def may_differ(cell, output):
    """Only an explorer, a progress bar and measured seconds may be left out of the comparison."""
    if output.output_type == "stream":
        return all("it/s" in line or "s/it" in line for line in output.text.splitlines())
    return "explore_" in cell.source or "seconds" in cell.source


@pytest.mark.parametrize("name", ALL_NAMES)
def test_nbval_sees_each_changed_digit_and_each_deleted_output(name, request):
    """nbval's own comparison, with the saved outputs in place of those of a kernel."""
    file = IPyNbFile.from_parent(request.session, path=FOLDER / f"{name}.ipynb")
    seen = 0
    for cell in file.collect():
        outputs = cell.cell.outputs
        if cell.options["skip"] or not cell.options["check"]:
            assert all(may_differ(cell.cell, output) for output in outputs), cell.cell.source
            continue
        assert cell.compare_outputs(outputs, outputs)
        for other in changes(outputs):
            assert not cell.compare_outputs(outputs, other), cell.name
            seen += 1
    assert seen


REACHING = [
    "import socket, urllib.request",
    "with socket.socket() as here:\n    here.connect_ex(('127.0.0.1', 9))",
    "try:\n    urllib.request.urlopen('http://example.org', timeout=1)\nexcept:\n    pass",
    "with socket.socket() as out:\n    out.connect(('192.0.2.1', 80))",
    "import subprocess, sys\n"
    "code = 'import socket; socket.gethostbyname(\"a.org\")'\n"
    "done = subprocess.run([sys.executable, '-c', code], capture_output=True)",
]


@pytest.mark.reader
def test_a_cell_that_reaches_out_fails(tmp_path):
    """Also one that hides the error, as CircuitsVis does, and one that starts another Python."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=1) for source in REACHING]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "reaching.ipynb")
    done = python(ROOT, *NBVAL, "--rootdir", tmp_path, "-rA", tmp_path / "reaching.ipynb")
    result = re.findall(r"^(PASSED|FAILED) \S*ipynb::Cell (\d)", done.stdout, re.M)
    failed = {number for what, number in result if what == "FAILED"}
    assert len(result) == 5 and failed == {"2", "3", "4"}, done.stdout


OWN_CLAIMS = """
import runpy, sys
from helpers import page
plain = page.claim
def claim(name, measured):
    if not name.startswith("exact-"):
        plain(name, measured)
page.claim = claim
runpy.run_path(sys.argv[1], run_name="__main__")
"""


ZEROED = [("02_transformer", "blocks.0.attn.v.weight"), ("04_attention", "blocks.0.attn.o.weight")]
ZEROED += [("06_ablation", "unembed.weight")]
ZEROED = [pytest.param(*one, marks=pytest.mark.nightly) for one in ZEROED]
ZEROED += [pytest.param("05_mlp", "blocks.0.mlp.out.weight", marks=pytest.mark.reader)]


@pytest.mark.parametrize("name, matrix", ZEROED)
def test_a_zeroed_matrix_is_noticed_by_the_notebooks_own_claims(name, matrix, tmp_path):
    """The claim `exact-…` of the first cells, which any wrong model fails, is left out.

    So are plain asserts (-O): they check the code, and may lean on an exact model too.
    """
    series = copy_of_the_series(tmp_path)
    path = series / "helpers" / "weights" / "article.safetensors"
    weights, note = storage.load(path)
    weights[matrix] = torch.zeros_like(weights[matrix])
    storage.save(path, weights, note)
    above = os.pathsep.join(filter(None, [str(series), os.environ.get("PYTHONPATH")]))
    done = python(series / "notebooks", "-O", "-c", OWN_CLAIMS, f"{name}.py", PYTHONPATH=above)
    failed = [c for c in claims().values() if f"does not hold: {c['says']!r}" in done.stderr]
    assert done.returncode == 1 and len(failed) == 1, done.stderr
    assert failed[0]["notebook"] == name and not failed[0]["id"].startswith("exact-")


@pytest.mark.nightly
@pytest.mark.parametrize("rule", ["not turned, +1", "sorted", "neighbours added"])
def test_another_rule_runs_through_the_same_cells(rule, tmp_path):
    """Learnt, nearly learnt, not learnt: without an error, up to the second part of onward."""
    text, ours = read(FOLDER / "beyond" / "onward.py"), 'RULE = "turned round, +2"'
    assert text.count(ours) == 1
    changed = text.split("# ## A second layer")[0].replace(ours, f'RULE = "{rule}"')
    (tmp_path / "onward.py").write_text(changed, encoding="utf-8")
    done = python(tmp_path, "onward.py", PYTHONPATH=str(ROOT))
    assert done.returncode == 0 and f"{rule}: " in done.stdout, done.stderr
