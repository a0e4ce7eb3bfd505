"""What stands around the series: packages, requirements, lint, and the command that CI runs."""

import json
import subprocess
import tomllib
import zipfile
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement

from conftest import ROOT, committed, contents, copy_of_the_series, python, read
from tools import build

PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
LINES = read(ROOT / "requirements.txt").splitlines()
REQUIREMENTS = [line for line in LINES if line[:1] not in "#"]


def test_every_requirement_has_a_range_that_what_is_installed_lies_in():
    """So each range is one that a version can be had from, of which this one is tested."""
    for wanted in map(Requirement, REQUIREMENTS):
        assert wanted.specifier and not wanted.url, wanted
        assert wanted.specifier.contains(version(wanted.name), prereleases=True), wanted


def test_conda_takes_its_packages_from_requirements():
    wanted = yaml.safe_load(read(ROOT / "environment.yml"))["dependencies"]
    python = f"python{PROJECT['requires-python']}"
    assert wanted == [python, "pip", {"pip": ["-r requirements.txt"]}]


@pytest.mark.nightly
def test_the_quick_benchmark_prints_its_numbers():
    """How fast the machine is, is not judged."""
    done = python(ROOT, "tools/benchmark.py", "--quick")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(0 < found[f"{name}_ratio"] < 1e4 for name in ("seconds_to_exact", "evaluation"))


INSTALLED = """
import sys
from importlib.metadata import distribution
from pathlib import Path

import helpers
from helpers import colab, model, page
from lessons import exercises, explorer
from research import survey

assert Path(helpers.__file__).is_relative_to(sys.argv[1]), helpers.__file__
assert page.claims() and page.captions() and model.load_trained() and survey.load_models()
assert any(r.startswith("torch") for r in distribution("from-zero-to-interpretability").requires)
assert colab.set_up() is None
"""


@pytest.mark.nightly
def test_an_installed_package_holds_all_that_it_reads(tmp_path):
    """A wheel, built without a network and laid out elsewhere; nothing of this tree is in reach."""
    copy, installed = copy_of_the_series(tmp_path / "series"), tmp_path / "installed"
    alone = ("--no-deps", "--no-build-isolation", "--no-index")
    done = python(copy, "-m", "pip", "wheel", "-q", *alone, "-w", tmp_path, ".")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        file.extractall(installed)
    rooms = [copy / room for room in ("helpers", "lessons", "research")]
    there = {p.relative_to(copy).as_posix() for r in rooms for p in r.rglob("*") if p.is_file()}
    assert names == there
    done = python(tmp_path, "-c", INSTALLED, installed, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr


def test_readme_is_as_built_and_names_the_command_that_ci_runs():
    readme, script = read(ROOT / "README.md"), read(ROOT / ".ci" / "run")
    assert readme == build.stamp_readme(readme)
    commands = [line for line in readme.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2 and commands[1].endswith(".venv/bin/pytest")
    assert commands[1] in map(str.strip, script.splitlines())


@pytest.mark.reader
def test_a_clone_on_windows_is_as_built_too(tmp_path):
    """There git is usually set to give text files other ends of lines."""
    tree, clone = copy_of_the_series(tmp_path / "tree"), tmp_path / "clone"
    made = contents(tree)
    command = ["git", "clone", "-q", "-c", "core.autocrlf=true", committed(tree), clone]
    subprocess.run(command, check=True)
    differ = [p for p in made if (clone / p.relative_to(tree)).read_bytes() != made[p]]
    done = python(clone, "tools/build.py", "--check")
    assert not differ and done.returncode == 0, done.stdout


def test_ruff_finds_nothing():
    done = python(ROOT, "-m", "ruff", "check", ".")
    assert done.returncode == 0, done.stdout


def test_each_room_imports_what_it_may():
    code = "from importlinter import cli; raise SystemExit(cli.lint_imports(no_cache=True))"
    done = python(ROOT, "-c", code)
    assert done.returncode == 0, done.stdout
