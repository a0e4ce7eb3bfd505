"""What the tests of `tests/` and the notebooks share.

Each notebook is executed once in a run, by nbval, in a kernel that is cut off from the network.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import nbformat
import nbval.kernel
import pytest
from nbval.plugin import IPyNbCell

ROOT = Path(__file__).parent
FOLDER = ROOT / "notebooks"
NAMES = ["01_dataset", "02_transformer", "03_training", "04_attention", "05_mlp", "06_ablation"]
# Names of all notebooks, those of `beyond` included.
ALL_NAMES = [*NAMES, *(f"beyond/{path.stem}" for path in sorted(FOLDER.glob("beyond/*.py")))]
NO_NETWORK = ROOT / "tests" / "no_network"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes with two threads each would fight
    os.environ.setdefault("OMP_NUM_THREADS", "1")
REACHED = Path(tempfile.gettempdir()) / f"reached-{os.getpid()}"
# One worker of xdist runs the tests of a file, and takes the next file when it is done: the longest
# files first, so that none runs alone at the end.
FIRST = ("test_browser", "test_colab", "06_", "04_", "03_", "05_", "02_", "01_", "beyond")


# ---------------------------------------------------------------- how the tests are run


def pytest_collection_modifyitems(items):
    """The longest files first; the cells of a notebook count as slow."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.add_marker("slow")
    place = {name: i for i, name in enumerate(FIRST)}

    def order(item):
        found = re.search("|".join(FIRST), item.nodeid.split("::")[0])
        return place[found[0]] if found else len(FIRST)

    items.sort(key=order)


_start = nbval.kernel.start_new_kernel


def start_kernel(*args, tries=3, **kwargs):
    """Start the kernel of a notebook. Of two that start at the same moment, one may find its port
    taken and die; then it is started again."""
    try:
        return _start(*args, **kwargs)
    except RuntimeError:
        if tries == 1:
            raise
        return start_kernel(*args, tries=tries - 1, **kwargs)


nbval.kernel.start_new_kernel = start_kernel


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Cut the kernel of a notebook off from the network, and from the settings of who runs it."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    path = os.pathsep.join(filter(None, [str(NO_NETWORK), os.environ.get("PYTHONPATH")]))
    with mock.patch.dict(os.environ, PYTHONPATH=path, REACHED=str(REACHED)):
        os.environ.pop("PLOTLY_RENDERER", None)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A cell that reached out has failed, whatever it did with the error."""
    REACHED.unlink(missing_ok=True)
    result = yield
    if isinstance(item, IPyNbCell) and REACHED.exists():
        raise AssertionError(f"the cell reached out: {REACHED.read_text(encoding='utf-8')}")
    return result


def missing(what: str):
    """Skip, and say why; in CI, where everything has to be there, fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


# ---------------------------------------------------------------- what many tests do

# pytest for a notebook that stands elsewhere, and the same as in this project.
PYTEST = ("-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "-p", "conftest")
NBVAL = (*PYTEST, "-c", str(ROOT / "pyproject.toml"))


def read(path) -> str:
    return Path(path).read_text(encoding="utf-8")


def saved(name: str):
    """The notebook of this name as it is saved."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def copy_of_the_series(folder: Path) -> Path:
    """`folder`, with all in it that the series is made of; returns it.

    The files are new, as in a clone: jupytext opens no notebook that is newer than its source.
    """
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in ("helpers", "notebooks", "tools"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore, copy_function=shutil.copy)
    for file in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / file, folder)
    return folder


def copy_at(folder: Path, address: str) -> Path:
    """A copy of the series that is published at `address`, as far as it knows."""
    pyproject = copy_of_the_series(folder) / "pyproject.toml"
    text, line = read(pyproject), f'repository = "{address}"'
    pyproject.write_text(re.sub(r'^repository = ".*"$', line, text, flags=re.M), encoding="utf-8")
    assert line in read(pyproject)
    done = python(folder, "tools/build.py", "--sources")
    assert done.returncode == 0, done.stderr
    return folder


def python(folder: Path, *command, **env) -> subprocess.CompletedProcess:
    """Run this Python in `folder`, with `env` added to its environment."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **env},
    )
