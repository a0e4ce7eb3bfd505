"""The series where it is not at home: a crowd, a folder that cannot be written, a kill at any time.

`THOROUGH=1 pytest -n0 -s tests/test_rough.py` takes all six notebooks, not one, kills at twenty
random moments, not three, and prints what was found after each.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from conftest import FOLDER, NAMES, NBVAL, PYTEST, ROOT, copy_of_the_series, missing, read
from helpers import storage
from helpers.model import load_zoo
from tools.mutants import contents

pytestmark = pytest.mark.slow
THOROUGH = "THOROUGH" in os.environ
KILLS = 20 if THOROUGH else 3
SOME = NAMES if THOROUGH else ["02_transformer"]


@pytest.fixture
def series(tmp_path):
    return copy_of_the_series(tmp_path / "series")


def start(command, folder, **env):
    """A program that runs in `folder`, with whatever it starts in one group."""
    return subprocess.Popen(
        [*map(str, command)], cwd=folder, env={**os.environ, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def others(series, path):
    """Everything in a copy but this file."""
    return {k: v for k, v in contents(series).items() if not k.endswith(path.name)}


def check(series, *names, **env):
    """What nbval says of notebooks in a copy: each cell is run, its output compared."""
    paths = [series / "notebooks" / f"{name}.ipynb" for name in names]
    return start([sys.executable, *NBVAL, "--rootdir", series, *paths], ROOT, **env)


def passes(running):
    said, _ = running.communicate()
    assert running.returncode == 0, said
    return said


def without_outputs(page, path):
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(page, path)


def without_pictures(path):
    """A notebook but for its PNGs, which another Chromium or another font draws otherwise."""
    page = nbformat.read(path, as_version=4)
    for cell in page.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    return page


# ---------------------------------------------------------------- a crowd


def test_three_notebooks_at_once_in_one_folder(series):
    before = contents(series)
    running = [check(series, name) for name in ("01_dataset", "02_transformer", "beyond/more")]
    for one in running:
        passes(one)
    assert contents(series) == before


def test_two_builds_at_once(series):
    """Both make the same notebook; whichever is last, it is whole and what one alone makes."""
    name = "01_dataset"
    path = series / "notebooks" / f"{name}.ipynb"
    wanted, page = without_pictures(path), nbformat.read(path, as_version=4)
    without_outputs(page, path)
    before = others(series, path)
    command = [sys.executable, "tools/build.py", name]
    for one in [start(command, series), start(command, series)]:
        passes(one)
    passes(start([*command, "--check"], series))
    assert without_pictures(path) == wanted and others(series, path) == before


def test_two_threads_print_what_one_prints(series):
    """The other tests run with one thread, and what is saved may have been made with any number."""
    passes(check(series, *SOME, OMP_NUM_THREADS="2"))


KERNEL = """
import runpy, sys
from pathlib import Path

marks = Path(__file__).parent
for i in range(int((marks / "deaths").read_text())):
    try:
        (marks / f"died-{i}").touch(exist_ok=False)
    except FileExistsError:
        continue
    sys.exit(1)
runpy.run_module("ipykernel_launcher", run_name="__main__")
"""


@pytest.mark.parametrize("by", ["build", "nbval"])
@pytest.mark.parametrize("deaths, rescued", [(2, True), (3, False)])
def test_a_kernel_that_died_at_its_start_is_started_again(by, deaths, rescued, tmp_path):
    """As one does that finds its port taken; three times in a row is another matter."""
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.py").write_text(KERNEL)
    (spec / "deaths").write_text(str(deaths))
    argv = [sys.executable, str(spec / "kernel.py"), "-f", "{connection_file}"]
    spec.joinpath("kernel.json").write_text(json.dumps(dict(argv=argv, display_name="it dies")))
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    page.metadata["kernelspec"] = dict(name="python3", display_name="it dies")
    nbformat.write(page, path := tmp_path / "page.ipynb")
    command = ["-c", RUN, path, tmp_path]
    if by == "nbval":
        command = [*PYTEST, "--nbval-lax", "-c", os.devnull, "--rootdir", tmp_path, path]
    running = start([sys.executable, *command], ROOT, JUPYTER_PATH=str(tmp_path))
    said, _ = running.communicate()
    assert (running.returncode == 0) == rescued, said
    assert len(list(spec.glob("died-*"))) == deaths


RUN = """
import sys
from pathlib import Path

import nbformat

from tools import build

page = nbformat.read(sys.argv[1], as_version=4)
build.execute(page, Path(sys.argv[2]))
assert page.cells[0].outputs[0].data["text/plain"] == "2"
"""


# ---------------------------------------------------------------- folders


def without_rights() -> list[str]:
    """What stands before a command so that file permissions bind it, for a root user too."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        missing("no setpriv: root can write everywhere, so nothing is read-only")
    return ["setpriv", "--bounding-set=-dac_override"]


@pytest.fixture
def locked(series):
    """A copy of the series in which nothing can be written, though the source of 01 was edited."""
    source = series / "notebooks" / "01_dataset.py"
    source.write_text(read(source).replace("**You will**", "**You will** "), encoding="utf-8")
    for path in [series, *series.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    yield series
    for path in [series, *series.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def test_a_checkout_that_cannot_be_written(locked):
    bound, before = without_rights(), contents(locked)
    refused = start([*bound, "touch", "new", "README.md"], locked)
    refused.communicate()
    assert refused.returncode, "this folder can be written"
    pages = [locked / "notebooks" / f"{name}.ipynb" for name in SOME]
    passes(start([*bound, sys.executable, *NBVAL, "--rootdir", locked, *pages], ROOT))
    build = start([*bound, sys.executable, "tools/build.py", "--sources", "01_dataset"], locked)
    said, _ = build.communicate()
    assert build.returncode and "Permission denied" in said
    assert contents(locked) == before


@pytest.mark.skipif(os.name == "nt", reason="a path of such letters is not every file system's")
def test_a_path_with_spaces_and_letters_of_all_kinds(tmp_path):
    series = copy_of_the_series(tmp_path / "für später (2) – 変換器 'x'")
    passes(check(series, *SOME))
    passes(start([sys.executable, "tools/build.py", "--sources"], series))
    passes(start([sys.executable, "tools/build.py", "--check"], series))


def test_a_home_that_cannot_be_written(series, tmp_path):
    home = tmp_path / "home"
    home.touch()  # a file, in which no folder can be made, not even by root
    passes(check(series, *SOME, HOME=str(home), USERPROFILE=str(home)))
    assert home.read_bytes() == b""


# ---------------------------------------------------------------- killed

SAVING = """
import sys
from pathlib import Path

from helpers import proof, storage
from helpers.model import load_trained, load_zoo
from tools import build

folder, model = Path(sys.argv[1]), load_trained()
zoo, shown = load_zoo("article"), proof.prove(model)
page = (folder / "page.ipynb").read_text().rstrip(" ")  # one that was killed may have left one
storage.save(folder / "weights.safetensors", zoo.weights, {})
proof.save(folder / "proof.json", shown)
print("ready", flush=True)
while True:
    storage.save(folder / "weights.safetensors", zoo.weights, {})
    proof.save(folder / "proof.json", shown)
    build.write(folder / "page.ipynb", page + " ")
    build.write(folder / "page.ipynb", page)
"""


def kill(running):
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no groups of processes to kill")
def test_files_are_whole_whenever_a_program_that_saves_is_killed(tmp_path):
    """Weights, a proof and a notebook that are written over and over."""
    choose, zoo = random.Random(seed := time.time_ns()), load_zoo("article")
    print(f"\nmoments of random.Random({seed})")
    page = tmp_path / "page.ipynb"
    text = read(FOLDER / "06_ablation.ipynb")
    page.write_text(text, encoding="utf-8")
    for _ in range(KILLS):
        running = start([sys.executable, "-c", SAVING, tmp_path], ROOT)
        assert running.stdout.readline() == "ready\n"
        time.sleep(after := choose.uniform(0.05, 0.5))
        kill(running)
        weights, _ = storage.load(tmp_path / "weights.safetensors")
        assert all((weights[k] == zoo.weights[k]).all() for k in weights)
        json.loads(read(tmp_path / "proof.json"))
        assert read(page) in (text, text + " ")
        parts = len(list(tmp_path.glob(".*")))
        print(f"killed after {after:.2f} s: all whole, {parts} parts of files beside them")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no groups of processes to kill")
def test_a_build_that_is_killed_leaves_the_notebook_whole(series):
    """It is the old one or the new one, and nothing else has changed."""
    choose = random.Random(seed := time.time_ns())
    print(f"\nmoments of random.Random({seed})")
    path = series / "notebooks" / "01_dataset.ipynb"
    new, old = without_pictures(path), nbformat.read(path, as_version=4)
    without_outputs(old, path)
    was, before = path.read_bytes(), others(series, path)
    for _ in range(KILLS):
        running = start([sys.executable, "tools/build.py", "01_dataset"], series)
        time.sleep(after := choose.uniform(1, 20))
        kill(running)
        found = "old" if path.read_bytes() == was else "new"
        print(f"killed after {after:.1f} s: the notebook is the {found} one")
        assert found == "old" or without_pictures(path) == new
        now = others(series, path)
        assert all(now[name] == before[name] for name in before)  # parts of files may be left
        path.write_bytes(was)
    passes(start([sys.executable, "tools/build.py", "01_dataset"], series))
    assert without_pictures(path) == new
