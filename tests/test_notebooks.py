"""The six notebooks as a whole: pairs, saved state, claims, and that their checks can fail.

That they run and print what is saved is checked by nbval, beside these tests.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch

from helpers import model as M
from helpers.claims import BOUNDS, claim, claims

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NAMES = ["01_dataset", "02_transformer", "03_training", "04_attention", "05_mlp", "06_ablation"]
sys.path.insert(0, str(FOLDER))
import build  # noqa: E402


def saved(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_the_six_notebooks_are_there():
    assert [s.stem for s in build.SOURCES] == NAMES
    assert sorted(p.stem for p in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_what_its_source_makes(name):
    key = lambda nb: [
        (c.id, c.cell_type, c.source, sorted(c.metadata.get("tags", []))) for c in nb.cells
    ]
    source = FOLDER / f"{name}.py"
    assert key(saved(name)) == key(build.from_source(source)), "run: python notebooks/build.py"
    assert source.read_text(encoding="utf-8") == build.stamp(source), "set-up cell or badge differs"


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_saved_executed_clean_and_small(name):
    notebook = saved(name)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert "widgets" not in notebook.metadata
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 2**20
    nbformat.validate(notebook)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_opens_and_closes_with_the_same_list(name):
    """You will / you have, time, what to know, what is next; and at least three figures."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for part in ("**You will**", "**Time:** about", "**You should know:**", "## What you have"):
        assert text.count(part) == 1, part
    lines = re.findall(r"^# - (You have .*|.*[;.])$", text, re.M)
    promised = text.split("**You will**")[1].split("# **Time")[0].count("\n# - ")
    kept = len([line for line in lines if line.startswith("You have")])
    assert promised == kept >= 3
    figures = [
        o
        for c in saved(name).cells
        for o in c.get("outputs", [])
        if "image" in str(o.get("data", {}).keys()) or "plotly" in str(o.get("data", {}).keys())
    ]  # noqa: E501
    assert len(figures) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_its_words(name):
    for cell in saved(name).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if figure := data.get("application/vnd.plotly.v1+json"):
                words = figure["layout"]["meta"]["says"]
                assert len(words) > 20 and data["text/plain"] == words
                if "image/png" in data:
                    assert output.metadata["image/png"]["alt"] == words


# ---------------------------------------------------------------- claims


def asserted(name):
    """The ids of the claim(...) calls of a notebook, in order."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return [c.args[0].value for c in calls if getattr(c.func, "id", "") == "claim"]


def test_each_claim_is_asserted_in_one_cell_of_its_notebook_and_none_is_unlisted():
    made = [(claim_id, name) for name in NAMES for claim_id in asserted(name)]
    listed = [(c["id"], c["notebook"]) for c in claims().values()]
    assert sorted(made) == sorted(listed)
    assert len({claim_id for claim_id, _ in made}) == len(made)


def test_each_claim_is_complete_and_was_printed_as_holding():
    for name in NAMES:
        text = "".join(
            o.text for c in saved(name).cells for o in c.get("outputs", []) if "text" in o
        )
        for claim_id in asserted(name):
            entry = claims()[claim_id]
            assert entry["says"].endswith(".") and entry["seeds"] and entry["inputs"]
            assert set(entry) & set(BOUNDS), f"{claim_id} has no bound"
            assert f"✓ {entry['says']}" in text, claim_id


def test_a_claim_that_does_not_hold_raises_and_an_unknown_one_too():
    with pytest.raises(AssertionError, match="measured 359, must be 360"):
        claim("parameters", 359)
    with pytest.raises(AssertionError):
        claim("sphere-length", float("nan"))
    with pytest.raises(KeyError, match="not in claims.toml"):
        claim("no-such-claim", 1)


# ---------------------------------------------------------------- the checks can fail


def copy_of_the_series(folder):
    for part in ("helpers", "notebooks"):
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    return folder


def pytest_on(notebook):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null",
         "--rootdir", str(notebook.parent), "--nbval", "--nbval-current-env", str(notebook)],
        capture_output=True, text=True, cwd=notebook.parent,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_one_changed_digit_fails(name, tmp_path):
    """The first printed digit is changed; the cells after it are cut off to save time."""
    copy = copy_of_the_series(tmp_path) / "notebooks" / f"{name}.ipynb"
    notebook = saved(name)
    for last, cell in enumerate(notebook.cells):
        if any(re.search(r"\d", o.get("text", "")) for o in cell.get("outputs", [])):
            break
    notebook.cells = notebook.cells[: last + 1]
    nbformat.write(notebook, copy)
    unchanged = pytest_on(copy)
    assert unchanged.returncode == 0, unchanged.stdout
    for output in notebook.cells[-1].outputs:
        if found := re.search(r"\d", output.get("text", "")):
            at, digit = found.start(), (int(found[0]) + 1) % 10
            output.text = output.text[:at] + str(digit) + output.text[at + 1 :]
            break
    nbformat.write(notebook, copy)
    changed = pytest_on(copy)
    assert changed.returncode == 1 and "Cell outputs differ" in changed.stdout, changed.stdout


@pytest.mark.parametrize(
    "name, matrix",
    [
        ("04_attention", "blocks.0.attn.q.weight"),
        ("05_mlp", "blocks.0.mlp.out.weight"),
        ("06_ablation", "unembed.weight"),
    ],
)
def test_a_zeroed_matrix_fails_at_an_assertion(name, matrix, tmp_path):
    copy_of_the_series(tmp_path)
    path = tmp_path / "helpers" / "weights" / "article.safetensors"
    weights, info = M.load(path)
    weights[matrix] = torch.zeros_like(weights[matrix])
    M.save(path, weights, {k: v for k, v in info.items() if k != "sha256"})
    done = subprocess.run(
        [sys.executable, f"{name}.py"], cwd=tmp_path / "notebooks", capture_output=True, text=True
    )
    assert done.returncode == 1 and "AssertionError: does not hold" in done.stderr, done.stderr


NO_NETWORK = """
import ipaddress, runpy, socket, sys
def local(address):
    try:
        return not isinstance(address, tuple) or ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return address[0] == "localhost"
for name in ("connect", "connect_ex"):
    def guarded(self, address, plain=getattr(socket.socket, name)):
        assert local(address), f"tried to reach {address}"
        return plain(self, address)
    setattr(socket.socket, name, guarded)
def no_lookup(host, *_, **__):
    assert host in (None, "localhost", "127.0.0.1"), f"tried to look up {host}"
    return []
socket.getaddrinfo = no_lookup
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("name", ["01_dataset", "02_transformer", "05_mlp"])
def test_runs_with_the_network_cut_off(name):
    """04 is run by the browser test, which refuses every outside request."""
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, f"{name}.py"], cwd=FOLDER, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- the page around them


def test_readmes_badges_are_stamped():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert build.stamp_readme(text) == text
    assert all(build.badge(name) in text for name in NAMES)


def test_readme_names_the_command_that_ci_runs():
    command = [
        line for line in (ROOT / ".ci" / "run").read_text().splitlines() if "pytest" in line
    ][-1].strip()
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ruff_finds_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", str(ROOT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
