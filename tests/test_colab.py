"""A single notebook on a machine like Colab: older packages, no series, nothing beside the file.

The set-up cell is left as the build makes it where an address is set. git is told to read that
address from a local repository, made of the work tree as it is now; pip really installs what is
missing. No two notebooks differ more in what they import than 04 and 06.
"""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from conftest import FOLDER, copy_at, missing
from helpers import colab
from tools import build

# What Colab had in August 2026 of what the notebooks use, and what runs a notebook without a page.
THERE = ["torch>=2.6,<2.14", "numpy>=2.0,<2.5", "plotly==5.24.1", "ipywidgets==7.7.1", "tqdm",
         "pandas", "joblib", "safetensors", "ipykernel", "nbclient"]  # fmt: skip
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
    done = run(python, "-m", "pip", "install", "-q", "--no-compile", "--retries", "1", *THERE)
    if done.returncode:
        missing(f"pip could not install Colab's packages: {done.stderr.strip()[-300:]}")
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


@pytest.mark.reader
@pytest.mark.parametrize("name", ["04_attention", "06_ablation"])
def test_single_notebook_runs_and_replaces_nothing(name, machine, published, tmp_path):
    folder = tmp_path / "content"  # no helpers here, and none in the folder above
    folder.mkdir()
    path, (tree, repository) = folder / f"{name}.ipynb", published
    shutil.copy(tree / "notebooks" / path.name, path)
    before = freeze(machine)
    command = (machine, "-m", "jupyter", "execute", path.name, "--inplace", "--timeout=600")
    done = run(*command, cwd=folder, env=redirected(repository))
    assert done.returncode == 0, done.stderr[-3000:]
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code if c.source)
    assert sorted(p.name for p in folder.iterdir()) == [path.name, "series"]
    after = freeze(machine)
    assert before <= after, f"replaced: {before - after}"
    there = {line.partition("==")[0].lower() for line in after}
    assert {re.split("[=<>]", wanted)[0] for wanted in colab.WANTED.values()} <= there


# -S: without any installed package, so without the series
BARE = [sys.executable, "-S", "-c"]


@pytest.mark.parametrize(
    "address, says",
    [
        (ADDRESS, f"Could not fetch {ADDRESS}: check the address and the network."),
        (UNSET, "Open this notebook in a copy of the series: "),
    ],
)
def test_opened_elsewhere_without_the_series_it_says_what_to_do(address, says, tmp_path):
    nowhere = redirected((tmp_path / "nowhere.git").as_uri())
    done = run(*BARE, SETUPS[address], cwd=tmp_path, env=nowhere)
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    assert done.stderr.splitlines()[-1].startswith(says) and "Traceback" not in done.stderr


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
