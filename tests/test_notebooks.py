"""The notebooks as a whole: sources, saved state, claims, and that their checks can fail.

That they run, cut off from the network, and print what is saved is checked by nbval, beside these
tests.
"""

import ast
import json
import os
import re

import nbformat
import pytest
import torch
from nbval.plugin import IPyNbFile

from conftest import ALL_NAMES, FOLDER, NAMES, NBVAL, ROOT, copy_of_the_series, python, read, saved
from helpers import storage
from helpers.reader.claims import BOUNDS, _show, claims
from tools import build


def test_the_notebooks_are_there():
    assert list(build.SOURCES) == ALL_NAMES and NAMES == ALL_NAMES[:6]
    made = {p.relative_to(FOLDER).with_suffix("").as_posix() for p in FOLDER.rglob("*.ipynb")}
    assert {name for name in made if ".ipynb_checkpoints" not in name} == set(ALL_NAMES)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_notebook_is_as_built(name):
    assert not build.drift(name), "run: python tools/build.py"


@pytest.mark.parametrize("name", ALL_NAMES)
def test_notebook_is_saved_executed_clean_and_small(name):
    notebook = saved(name)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert "widgets" not in notebook.metadata
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 2**20
    nbformat.validate(notebook)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_notebook_opens_and_closes_with_the_same_list(name):
    """You will / you have, time, what to know, what is next."""
    text = read(FOLDER / f"{name}.py")
    for part in ("**You will**", "**Time:** about", "**You should know:**", "## What you have"):
        assert text.count(part) == 1, part
    promised = text.split("**You will**")[1].split("# **Time")[0].count("\n# - ")
    assert promised == len(re.findall(r"^# - You have .*[;.]$", text, re.M)) >= 3


# ---------------------------------------------------------------- claims


def asserted(name):
    """The ids of the claim(...) calls of a notebook, in order."""
    calls = [n for n in ast.walk(ast.parse(read(FOLDER / f"{name}.py"))) if isinstance(n, ast.Call)]
    return [c.args[0].value for c in calls if getattr(c.func, "id", "") == "claim"]


def test_each_claim_is_asserted_in_one_cell_of_its_notebook_and_none_is_unlisted():
    made = [(claim_id, name) for name in ALL_NAMES for claim_id in asserted(name)]
    assert sorted(made) == sorted((c["id"], c["notebook"]) for c in claims().values())
    assert len({claim_id for claim_id, _ in made}) == len(made)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_claim_was_printed_as_holding(name):
    outputs = [o for c in saved(name).cells for o in c.get("outputs", [])]
    text = "".join(o.get("text", "") for o in outputs)
    for claim_id in asserted(name):
        found = re.search(rf"^✓ (.*)  \({re.escape(claim_id)}\)$", text, re.M)
        assert found and not out_of_bounds(found[1], claims()[claim_id]), claim_id


def out_of_bounds(printed, entry):
    """Whether a value, as `claim` printed it, is not what the bound of its claim asks; also where
    the bound is so far away that a model would have to be another one to break it."""
    if entry.get("equals") == 0.0 and printed == "under 1e-9":
        return False
    if "equals" in entry:
        return printed != _show(entry["equals"])
    value = 0.0 if printed == "under 1e-9" else float(printed.replace(",", ""))
    bounds = {k: entry[k] for k in BOUNDS if k in entry}
    near = [abs(value - b) < 10 * min(abs(value), abs(b)) for b in bounds.values()]
    tiny = 0 < entry.get("at_most", 1) <= 0.001
    return not (all(BOUNDS[k](value, b) for k, b in bounds.items()) and (tiny or any(near)))


@pytest.mark.parametrize(
    "printed, bound",
    [
        ("65,535", dict(equals=65536)),
        ("0.97", dict(equals=1.0)),
        ("False", dict(equals=True)),
        ("0.96", dict(at_most=0.95)),
        ("0.96", dict(at_least=0.01)),
        ("1.1e-09", dict(at_most=1e-9)),
        ("0.6", dict(at_least=0.1, at_most=0.5)),
    ],
)
def test_a_printed_value_out_of_its_bound_is_noticed(printed, bound):
    assert out_of_bounds(printed, bound)


# ---------------------------------------------------------------- the checks can fail


def changed(value):
    """The value of an output with its first digit changed; None when there is no digit."""
    if isinstance(value, dict) and "data" in value:  # of a figure the numbers it draws
        return value | {"data": changed(value["data"])}
    text = value if isinstance(value, str) else json.dumps(value)
    other = re.sub(r"\d", lambda digit: str(int(digit[0]) % 9 + 1), text, count=1)
    if other == text:
        return None
    return other if isinstance(value, str) else json.loads(other)


def changes(outputs):
    """The outputs of a cell with one digit changed, in each place where one can be."""
    for i in range(len(outputs)):
        for key in ("text", "text/plain", "text/html", build.PLOTLY):
            other = nbformat.from_dict(json.loads(json.dumps(outputs)))
            holder = other[i] if key == "text" else other[i].get("data", {})
            if key in holder and (value := changed(holder[key])) is not None:
                holder[key] = value
                yield other


# All that a cell may show which is not compared: an explorer, a bar with the time it took, and a
# figure with lines of measured seconds.
BAR = r"(?:[\w ]*:)? *\d+(?:%\||it \[)[^\n]*\n"
NOT_COMPARED = re.compile(rf"Here is an explorer\. .*|(?:{BAR})+", re.S)


def may_differ(output) -> bool:
    """Whether an output may be left out of the comparison."""
    figure = output.get("data", {}).get(build.PLOTLY, {"data": []})
    if any(trace.get("name", "").startswith("seconds") for trace in figure["data"]):
        return True
    data = output.get("data", {})
    if "text/html" in data:  # the words below such a figure
        return "seconds" in data["text/html"]
    return bool(NOT_COMPARED.fullmatch(output.get("text") or data["text/plain"]))


COMPARED = 194  # cells of all notebooks that nbval has to compare, at least


def is_checked(cell) -> bool:
    """Whether nbval compares what this cell gives."""
    return cell.options["check"] and not cell.options["skip"]


def compared_cells(cells):
    return [cell for cell in cells if is_checked(cell) and cell.cell.outputs]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_nbval_compares_the_cells_and_sees_each_changed_digit(name, request):
    """nbval's own comparison, with the saved outputs in place of those of a kernel."""
    file = IPyNbFile.from_parent(request.session, path=FOLDER / f"{name}.ipynb")
    cells = list(file.collect())
    for output in [o for c in cells if not is_checked(c) for o in c.cell.outputs]:
        assert may_differ(output), output
    compared = compared_cells(cells)
    assert len(compared) >= max(10, len(cells) // 2)
    seen = 0
    for cell in compared:
        assert cell.compare_outputs(cell.cell.outputs, cell.cell.outputs)
        for other in changes(cell.cell.outputs):
            assert not cell.compare_outputs(other, cell.cell.outputs), cell.name
            seen += 1
    assert seen >= len(compared)


@pytest.mark.slow
def test_most_cells_of_all_notebooks_are_compared(request, capsys):
    """That a run is green says little if it compares little: `pytest -n0 -k most_cells` prints how
    many there are. Who takes cells away on purpose lowers the floor."""
    counts = {}
    for name in ALL_NAMES:
        file = IPyNbFile.from_parent(request.session, path=FOLDER / f"{name}.ipynb")
        counts[name] = len(compared_cells(list(file.collect())))
    with capsys.disabled():
        print(f" [{sum(counts.values())} cells compared: {counts}] ", end="")
    assert sum(counts.values()) >= COMPARED


def nbval(path, *options):
    """pytest as in this project, on a notebook that stands elsewhere."""
    return python(ROOT, *NBVAL, "--rootdir", path.parent, *options, path)


@pytest.mark.slow
def test_one_changed_digit_fails_a_run(tmp_path):
    """From the kernel to the exit status; the cells after the first printed digit are cut off."""
    notebook = saved("01_dataset")
    last, output = next(
        (i, output)
        for i, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", [])
        if changed(output.get("text", ""))
    )
    output["text"] = changed(output["text"])
    notebook.cells = notebook.cells[: last + 1]
    path = copy_of_the_series(tmp_path) / "notebooks" / "01_dataset.ipynb"
    nbformat.write(notebook, path)
    done = nbval(path)
    n_code = sum(c.cell_type == "code" for c in notebook.cells)
    assert done.returncode == 1 and "Cell outputs differ" in done.stdout, done.stdout
    assert f"1 failed, {n_code - 1} passed" in done.stdout


REACHING = [
    "import socket, urllib.request",
    "with socket.socket() as here:\n    here.connect_ex(('127.0.0.1', 9))",
    "try:\n    urllib.request.urlopen('http://example.org', timeout=1)\nexcept:\n    pass",
    "with socket.socket() as out:\n    out.connect(('192.0.2.1', 80))",
    "import subprocess, sys\n"
    "code = 'import socket; socket.gethostbyname(\"a.org\")'\n"
    "done = subprocess.run([sys.executable, '-c', code], capture_output=True)",
]


@pytest.mark.slow
def test_a_cell_that_reaches_out_fails(tmp_path):
    """Also one that hides the error, as CircuitsVis does, and one that starts another Python."""
    cells = [nbformat.v4.new_code_cell(source, execution_count=1) for source in REACHING]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "reaching.ipynb")
    done = nbval(tmp_path / "reaching.ipynb", "-rA")
    result = re.findall(r"^(PASSED|FAILED) \S*ipynb::Cell (\d)", done.stdout, re.M)
    failed = {number for what, number in result if what == "FAILED"}
    assert len(result) == 5 and failed == {"2", "3", "4"}, done.stdout
    for address in ("example.org", "192.0.2.1", "a.org"):
        assert f" {address}\n" in done.stdout


OWN_CLAIMS = """
import runpy, sys
from helpers.reader import claims
plain = claims.claim
def claim(name, measured):
    if not name.startswith("exact-"):
        plain(name, measured)
claims.claim = claim
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, matrix",
    [
        ("02_transformer", "blocks.0.attn.v.weight"),
        ("04_attention", "blocks.0.attn.q.weight"),
        ("05_mlp", "blocks.0.mlp.out.weight"),
        ("06_ablation", "unembed.weight"),
    ],
)
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
    failed = re.search(r"^AssertionError: does not hold: (.*)$", done.stderr, re.M)
    assert done.returncode == 1 and failed, done.stderr
    (entry,) = [c for c in claims().values() if c["says"] == failed[1]]
    assert entry["notebook"] == name and not entry["id"].startswith("exact-")
