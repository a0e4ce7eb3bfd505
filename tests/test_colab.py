"""A single notebook on a machine like Colab: older packages, no series, nothing beside the file.

The set-up cell is left as the build makes it where an address is set. git is told to read that
address from a local repository, made of the work tree as it is now; pip really installs what is
missing. No two notebooks differ more in what they import than 04 and 06. What else the cell has to
say is asked of a Python that really lacks it; only Colab's chooser of files is imitated.
"""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import packaging
import pytest

from conftest import FOLDER, NO_NETWORK, ROOT, committed, copy_at, missing, read
from tools import build

# What Colab had in August 2026 of what the notebooks use, and what runs a notebook without a page.
THERE = ["torch>=2.6,<2.14", "numpy>=2.0,<2.5", "plotly==5.24.1", "ipywidgets==7.7.1", "tqdm",
         "pandas", "joblib", "safetensors", "ipykernel", "nbclient"]  # fmt: skip
ADDRESS = "https://github.com/some-school/interpretability"
UNSET = ""
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


@pytest.mark.reader
@pytest.mark.parametrize("name", ["04_attention", "06_ablation"])
def test_single_notebook_runs_and_replaces_nothing(name, machine, tmp_path):
    folder, tree = tmp_path / "content", copy_at(tmp_path / "published" / "tree", ADDRESS)
    folder.mkdir()  # no helpers here, and none in the folder above
    path = folder / f"{name}.ipynb"
    shutil.copy(tree / "notebooks" / path.name, path)
    before = freeze(machine)
    command = (machine, "-m", "jupyter", "execute", path.name, "--inplace", "--timeout=600")
    done = run(*command, cwd=folder, env=redirected(committed(tree)))
    assert done.returncode == 0, done.stderr[-3000:]
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code if c.source)
    assert sorted(p.name for p in folder.iterdir()) == [path.name, "series"]
    after = freeze(machine)
    assert before <= after, f"replaced: {before - after}"
    assert {"transformer-lens", "circuitsvis"} <= {line.partition("==")[0] for line in after}


# A Python with all packages but the series, of which pip has installed no more than a link.
ALONE, SITE = (sys.executable, "-S", "-c"), str(Path(packaging.__file__).parents[1])
ASKED, GOES_ON = read(ROOT / "requirements.txt"), "\nimport helpers\nprint(helpers.__file__)"


def does(setup, cwd, python=ALONE, target="nowhere", **env):
    """What a set-up cell does in `cwd`: its exit status, what it prints, and what it says."""
    env = redirected(target) | {"PYTHONPATH": SITE} | env
    # Without this capability root, too, may write only where others may.
    drop = None if os.geteuid() else lambda: ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
    done = run(*python, setup, cwd=cwd, env=env, preexec_fn=drop)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, " ".join(done.stderr.split())


def series(folder, asked=ASKED, python=">=3.11"):
    """`folder` with as much of the series as a set-up cell needs, and what that asks for."""
    shutil.copytree(ROOT / "helpers", folder / "helpers")
    (folder / "requirements.txt").write_text(asked, "utf-8")
    (folder / "pyproject.toml").write_text(f'requires-python = "{python}"', "utf-8")
    return folder


@pytest.mark.parametrize(
    "address, env, mode, says",
    [
        (ADDRESS, {}, 0o755, f"nor can {ADDRESS} be fetched: check the network, or"),
        (ADDRESS, {"PATH": "/nowhere"}, 0o755, "be fetched: install git, or start in the folder"),
        (ADDRESS, {}, 0o555, "be fetched: start where you can write, or start in the folder"),
        (UNSET, {}, 0o755, "start in its folder notebooks (papermill: --cwd), or on Colab choose"),
    ],
)
def test_opened_elsewhere_without_the_series_it_says_what_to_do(address, env, mode, says, tmp_path):
    tmp_path.chmod(mode)
    status, _, said = does(SETUPS[address], tmp_path, **env)
    assert status == 1 and f"is not in {tmp_path} or above it" in said and says in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at", ["helpers.py", "helpers/x.py", "../helpers.py", "../s/helpers.py"])
def test_another_helpers_is_not_taken_for_the_series(at, tmp_path):
    """Beside the notebook, in a folder, above it, installed; one that is loaded is in the way."""
    folder, other = tmp_path / "content", tmp_path / "content" / at
    folder.mkdir()
    other.parent.mkdir(exist_ok=True)
    other.write_text("", encoding="utf-8")
    env = {"target": committed(series(tmp_path / "tree")), "PYTHONPATH": f"{tmp_path}/s:{SITE}"}
    ours = folder / "series" / "helpers" / "__init__.py"
    assert does(SETUPS[ADDRESS] + GOES_ON, folder, **env) == (0, f"{ours}\n", "")
    if at == "helpers.py":
        said = does("import helpers\n" + SETUPS[ADDRESS], folder, **env)[2]
        assert said == f"Another helpers is loaded, {other}: restart, and run this cell first."


COLAB = """import pathlib, sys, types
files = types.SimpleNamespace(upload=lambda: {"a.zip": pathlib.Path("FILE").read_bytes()})
sys.modules["google.colab"] = types.SimpleNamespace(files=files)
"""


def test_on_colab_it_asks_for_the_zip_file_and_goes_on(tmp_path):
    """Again where that was another file; and no more once the series is there."""
    series(tmp_path / "tree" / "from-zero")
    zipped = shutil.make_archive(tmp_path / "series", "zip", tmp_path / "tree")
    folder, ours = tmp_path / "content", "content/series/from-zero/helpers/__init__.py"
    folder.mkdir()
    wrong, right = (COLAB.replace("FILE", f) + SETUPS[UNSET] + GOES_ON for f in (__file__, zipped))
    done = [does(cell, folder)[:2] for cell in (wrong, right, right)]
    asks, goes_on = "Choose the zip file of the series:\n", f"{tmp_path / ours}\n"
    assert done == [(1, asks), (0, asks + goes_on), (0, goes_on)]


@pytest.mark.reader
def test_an_old_library_or_another_python_is_named(tmp_path):
    command = f"pip install -q --no-deps --target {tmp_path} transformer-lens==2.16.1".split()
    if run(sys.executable, "-m", *command).returncode:
        missing("pip could not install an old TransformerLens")
    said = does(SETUPS[UNSET], ROOT, PYTHONPATH=f"{tmp_path}:{SITE}")[2]
    assert said.startswith("Too old: transformer-lens is 2.16.1: `%pip install 'transformer-lens")
    said = does(SETUPS[UNSET], series(tmp_path / "later", python=">=4"))[2]
    assert re.match(r"This is Python 3[\d.]+, and the series needs >=4: make an environment", said)


@pytest.mark.reader
def test_what_pip_could_not_do_is_said_in_other_words(tmp_path):
    """It finds no network, would have to replace a package, may not write, or is not there."""
    run(sys.executable, "-m", "venv", tmp_path / "env", check=True)
    python, (site,) = tmp_path / "env/bin/python", tmp_path.glob("env/lib/*/site-packages")
    if run(python, "-m", "pip", "install", "-q", "packaging", "idna==2.0").returncode:
        missing("pip could not install an old idna")
    six, requests = (series(tmp_path / w, f"{w},<3\n") for w in ("six>=1.16", "requests>=2.31"))
    none = dict(PYTHONPATH=str(NO_NETWORK), REACHED=str(tmp_path / "reached"), PIP_RETRIES="0")
    none |= dict(PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)

    def said(folder, PYTHONPATH="", **env):
        return does(SETUPS[UNSET], folder, (python, "-c"), PYTHONPATH=PYTHONPATH, **env)[2]

    assert "cannot add six<3,>=1.16: there is no network: connect, and" in said(six, **none)
    assert "a package that is here would have to be replaced: make" in said(requests)
    site.chmod(0o555)
    assert "its Python may not be written to: make an environment" in said(six)
    site.chmod(0o755)
    shutil.rmtree(site / "pip")
    assert "there is no pip: run `" in said(six)


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "beyond", ROOT, ROOT / "tests" / "research"])
@pytest.mark.parametrize("setup", SETUPS.values(), ids=["address", "no address"])
def test_set_up_cell_does_nothing_where_the_series_is_at_hand(setup, folder):
    """Nor installed: it starts no program, so neither git nor pip, and writes nothing."""
    watch = """import sys
def hook(event, args):
    started = event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork")
    written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    assert not started and not written, (event, args)
sys.dont_write_bytecode = True
sys.addaudithook(hook)
"""
    assert does(watch + setup, folder) == (0, "", "")
