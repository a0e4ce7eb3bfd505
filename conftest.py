"""What the tests share, and how nbval runs the notebooks: in kernels without a network."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from unittest import mock

import nbformat
import nbval.kernel
import pytest
from nbval.plugin import IPyNbCell

ROOT = Path(__file__).parent
FOLDER = ROOT / "notebooks"
# Notebooks are found by looking: those of the course, and with them those of beyond/.
NAMES = [path.stem for path in sorted(FOLDER.glob("[0-9]*.py"))]
ALL_NAMES = [*NAMES, *(f"beyond/{path.stem}" for path in sorted(FOLDER.glob("beyond/*.py")))]
NO_NETWORK = ROOT / "tests" / "no_network"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes with two threads each would fight
    os.environ.setdefault("OMP_NUM_THREADS", "1")
REACHED = Path(tempfile.gettempdir()) / f"reached-{os.getpid()}"


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items):
    """Mark the cells of `beyond/`; those of one need a language model."""
    for item in items:
        if isinstance(item, IPyNbCell) and item.path.parent.name == "beyond":
            item.add_marker("model" if item.path.stem == "language_model" else "beyond")


def pytest_configure(config):
    """A figure is compared by what it says, not by the pixels of a machine's browser."""
    config.option.nbval_sanitize_with = str(ROOT / "tests" / "sanitize.cfg")


_start = nbval.kernel.start_new_kernel


def start_kernel(*args, **kwargs):
    """Start a kernel, again if it died: of two at the same moment, one may find its port taken."""
    for _ in range(2):
        with suppress(RuntimeError):
            return _start(*args, **kwargs)
    return _start(*args, **kwargs)


nbval.kernel.start_new_kernel = start_kernel


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Cut the kernel of a notebook off from the network, and from the settings of who runs it."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    path = os.pathsep.join(filter(None, [str(NO_NETWORK), os.environ.get("PYTHONPATH")]))
    env = dict(PYTHONPATH=path, REACHED=str(REACHED), SERIES_PICTURES="no")
    with mock.patch.dict(os.environ, env):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A cell that reached out has failed, whatever it did with the error."""
    REACHED.unlink(missing_ok=True)
    result = yield
    if isinstance(item, IPyNbCell) and REACHED.exists():
        raise AssertionError(f"the cell reached out: {read(REACHED)}")
    return result


def missing(what: str):
    """Skip, and say why; in CI, where everything has to be there, fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture(scope="session")
def trained():
    """The model of the notebooks, which no test may change."""
    from helpers.model import load_trained

    return load_trained()


@pytest.fixture(scope="module")
def browser():
    """The Chromium of this machine, without a window."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        missing("no chromium and no google-chrome on this machine")
    with sync_playwright() as p:
        started = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


# pytest for a notebook that stands elsewhere, and the same as in this project, whatever its tier.
PYTEST = ("-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "-p", "conftest")
NBVAL = (*PYTEST, "-c", str(ROOT / "pyproject.toml"), "-m", "")


def read(path) -> str:
    return Path(path).read_text(encoding="utf-8")


def saved(name: str):
    """The notebook of this name as it is saved."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def words_of_figures(name: str) -> list[str]:
    """What each saved figure of a notebook says in words, in order."""
    from tools import build  # not for who only runs the notebooks

    return [build.says(output) for output, _ in build.figures(saved(name))]


def copy_of_the_series(folder: Path) -> Path:
    """`folder`, with all in it that the series is made of, in files that are new, as in a clone."""
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in ("helpers", "lessons", "notebooks", "research", "tools"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore, copy_function=shutil.copy)
    settings = ("pyproject.toml", ".jupytext.toml", ".gitattributes", "requirements.txt")
    for file in (*settings, "README.md", "LICENSE"):
        shutil.copy(ROOT / file, folder)
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    """What each file below `folder` holds, without those that Python compiled."""
    files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return {path: path.read_bytes() for path in files}


def copy_at(folder: Path, address: str) -> Path:
    """A copy of the series, as a clone of `address` that has been built."""
    copy_of_the_series(folder)
    for command in (["init", "-q"], ["remote", "add", "origin", f"{address}.git"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = python(folder, "tools/build.py", "--sources")
    assert done.returncode == 0, done.stderr
    return folder


def committed(tree: Path) -> str:
    """The address of a repository that holds `tree` as it is."""
    git = ["git", "-C", tree, "-c", "user.name=series", "-c", "user.email=series@example.org"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*git, *command], check=True)
    return tree.as_uri()


def python(folder: Path, *command, **env) -> subprocess.CompletedProcess:
    """Run this Python in `folder`, with `env` added to its environment."""
    command, env = [sys.executable, *map(str, command)], os.environ | env
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def every_link_leads_somewhere(folder: Path, *paths) -> None:
    """By pytest-check-links, which asks no network for what is not a file."""
    options = ["-n0", "-q", "-p", "no:nbval", "-p", "no:cacheprovider", "-c", os.devnull]
    links = ["--check-links", "--check-links-ignore=^https:", "--rootdir", folder]
    done = python(folder, "-m", "pytest", *options, *links, *paths)
    assert done.returncode == 0, done.stdout
