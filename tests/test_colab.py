"""A single notebook on a machine like Colab: older packages, no series, nothing beside the file.

The set-up cell is left as the build makes it where an address is set. git is told to read that
address from a local repository, made of the work tree as it is now; pip really installs what is
missing. 04 needs CircuitsVis, 06 needs
python-flint and most of the helpers: no two notebooks differ more in what they import.
"""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from conftest import FOLDER, copy_at, missing
from helpers.reader import colab
from tools import build

# What Colab had in August 2026 of what the notebooks use, and what runs a notebook without a page.
THERE = ["torch>=2.6,<2.14", "numpy>=2.0,<2.5", "plotly==5.24.1", "ipywidgets==7.7.1", "tqdm",
         "pandas", "joblib", "safetensors", "ipykernel", "nbclient"]
ADDRESS = "https://github.com/some-school/interpretability"
UNSET = f"https://github.com/{build.PLACEHOLDER}/interpretability"
SETUPS = {address: build.setup("01_dataset", address) for address in (ADDRESS, UNSET)}


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, **options)


def freeze(python):
    return set(run(python, "-m", "pip", "freeze").stdout.splitlines())


def redirected(target):
    """An environment in which git reads the address of the series from `target`."""
    hidden = ("PYTHONPATH", "PLOTLY_RENDERER", "JUPYTER_PATH")
    return {k: v for k, v in os.environ.items() if k not in hidden} | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{target}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """The python of a fresh environment with Colab's older packages and without the series."""
    folder = tmp_path_factory.mktemp("machine")
    run(sys.executable, "-m", "venv", folder, check=True)
    python = folder / "bin" / "python"
    # Two notebooks import a part of these packages: what they import is compiled then.
    options = ["-q", "--no-compile", "--retries", "1"]
    done = run(python, "-m", "pip", "install", *options, *THERE)
    if done.returncode:
        no_network = ("NewConnectionError", "No matching distribution", "Name or service not known")
        if any(words in done.stderr for words in no_network):
            missing(f"pip cannot reach a registry: {done.stderr.strip()[-300:]}")
        pytest.fail(done.stderr)
    yield python
    shutil.rmtree(folder)  # 2 GB


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The work tree as it is, changes included, with an address set; and its repository's."""
    folder = tmp_path_factory.mktemp("published")
    tree, bare = copy_at(folder / "tree", ADDRESS), folder / "series.git"
    git = ["git", "-C", tree, "-c", "user.name=series", "-c", "user.email=series@example.org"]
    run("git", "init", "-q", tree, check=True)
    run(*git, "add", "--all", check=True)
    run(*git, "commit", "-q", "-m", "as it is", check=True)
    run("git", "clone", "-q", "--bare", tree, bare, check=True)
    return tree, bare.as_uri()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("name", ["04_attention", "06_ablation"])
def test_single_notebook_runs_and_replaces_nothing(name, machine, published, tmp_path):
    folder = tmp_path / "content"  # no helpers here, and none in the folder above
    folder.mkdir()
    path, (tree, repository) = folder / f"{name}.ipynb", published
    shutil.copy(tree / "notebooks" / path.name, path)
    before = freeze(machine)
    assert len(before) > 20
    done = run(
        machine, "-m", "jupyter", "execute", path.name, "--inplace", "--timeout=600",
        cwd=folder, env=redirected(repository),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code if c.source)
    assert (folder / "series" / "helpers").is_dir(), "the series was not fetched"
    assert sorted(p.name for p in folder.iterdir()) == [path.name, "series"]
    after = freeze(machine)
    assert before <= after, f"replaced: {before - after}"
    packages = {line.partition("==")[0].lower() for line in after}
    assert set(colab.WANTED) <= packages
    figures = [o for c in code for o in c.outputs if "application/vnd.plotly" in str(o.get("data"))]
    assert len(figures) >= 3


# -S: without any installed package, so without the series
BARE = [sys.executable, "-S", "-c"]


def test_a_fetch_that_fails_says_so_in_a_sentence(tmp_path):
    nowhere = (tmp_path / "nowhere.git").as_uri()
    done = run(*BARE, SETUPS[ADDRESS], cwd=tmp_path, env=redirected(nowhere))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"Could not fetch {ADDRESS}: check the address and the network."
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_without_an_address_nothing_is_fetched_and_a_sentence_says_what_to_do(tmp_path):
    assert build.PLACEHOLDER not in SETUPS[UNSET] and "git" not in SETUPS[UNSET]
    done = run(*BARE, SETUPS[UNSET], cwd=tmp_path, env=redirected("nowhere"))
    assert (done.returncode, done.stdout) == (1, "") and not list(tmp_path.iterdir())
    assert done.stderr.startswith("Open this notebook in a copy of the whole series: ")
    assert done.stderr.count("\n") == done.stderr.count(". ") + 1 == 1


@pytest.mark.parametrize("setup", SETUPS.values(), ids=["address", "no address"])
def test_set_up_cell_does_nothing_where_the_series_is_at_hand(setup):
    """It starts no program, so neither git nor pip, and writes nothing."""
    watch = """import sys
def hook(event, args):
    started = event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork")
    written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    assert not started and not written, (event, args)
sys.dont_write_bytecode = True
sys.addaudithook(hook)
"""
    done = run(sys.executable, "-c", watch + setup, cwd=FOLDER)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
