"""What stands around the series: packages, requirements, what lint and CI run."""

import re
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec

from conftest import ALL_NAMES, ROOT, copy_of_the_series, python, read
from tools import build

PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


# ---------------------------------------------------------------- what is installed


def requirements():
    return [line for line in read(ROOT / "requirements.txt").splitlines() if line[:1] not in "#"]


def test_every_requirement_has_a_name_and_a_range_and_stands_once():
    wanted = [Requirement(line) for line in requirements()]
    assert all(r.specifier and not r.url for r in wanted)
    names = [r.name.lower().replace("_", "-") for r in wanted]
    assert len(set(names)) == len(names)


def test_conda_takes_its_packages_from_requirements():
    environment = yaml.safe_load(read(ROOT / "environment.yml"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["name"] == PROJECT["name"]
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    (rest,) = [d for d in environment["dependencies"] if not isinstance(d, str)]
    specs = {MatchSpec(d).name.normalized: MatchSpec(d) for d in plain}
    assert set(specs) == {"python", "pip"}, "every other package belongs in requirements.txt"
    assert str(specs["python"].version) == PROJECT["requires-python"]
    assert rest == {"pip": ["-r requirements.txt"]}  # conda reads it beside environment.yml


INSTALLED = """
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

import helpers
from helpers.model import KINDS, load_trained, load_zoo, read_weights
from helpers.plotting import DRAWINGS
from helpers.reader import answers, claims, colab, exercises, explorers
from helpers import evaluation, interventions, proof, training

assert Path(helpers.__file__).is_relative_to(sys.argv[1]), helpers.__file__
assert len(claims.claims()) > 50 and len(load_zoo(list(KINDS)[-1])) and load_trained()
assert {p.name for p in DRAWINGS.iterdir()} == set(sys.argv[2:])
wanted = set(map(Requirement, distribution("from-zero-to-interpretability").requires))
assert set(map(Requirement, colab.WANTED.values())) <= wanted
"""


@pytest.mark.slow
def test_an_installed_package_holds_all_that_it_reads(tmp_path):
    """A wheel, built without a network and laid out elsewhere; nothing of this tree is in reach."""
    copy = copy_of_the_series(tmp_path / "series")
    alone = ("--no-deps", "--no-build-isolation", "--no-index")
    done = python(copy, "-m", "pip", "wheel", "-q", *alone, "-w", tmp_path, ".")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        file.extractall(tmp_path / "installed")
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "helpers").rglob("*") if p.is_file()}
    there = {name for name in there if "__pycache__" not in name and "/." not in name}
    assert {name for name in names if ".dist-info/" not in name} == there
    drawings = [p.name for p in (ROOT / "helpers" / "drawings").iterdir()]
    done = python(
        tmp_path, "-c", INSTALLED, tmp_path / "installed", *drawings,
        PYTHONPATH=str(tmp_path / "installed"),
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- what lint and CI run


def test_ruff_finds_nothing():
    done = python(ROOT, "-m", "ruff", "check", ".")
    assert done.returncode == 0, done.stdout


def test_readme_is_as_built_and_names_the_command_that_ci_runs():
    readme = read(ROOT / "README.md")
    assert not build.readme_drift()
    assert readme.count("[![Open in Colab]") in (0, len(ALL_NAMES))
    last = [line for line in read(ROOT / ".ci" / "run").splitlines() if "pytest" in line][-1]
    assert last.strip() in readme


def commands(workflow):
    """The lines of every `run` of a workflow."""
    for job in yaml.safe_load(read(workflow))["jobs"].values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


def hooks():
    config = yaml.safe_load(read(ROOT / ".pre-commit-config.yaml"))
    return [hook for repo in config["repos"] for hook in repo["hooks"]]


def test_workflows_are_whole_and_run_what_is_there():
    assert [w.name for w in WORKFLOWS] == ["push.yml", "weekly.yml"]
    for workflow in WORKFLOWS:
        made = yaml.safe_load(read(workflow))
        assert made["name"] and made["permissions"] and True in made  # yaml reads `on` as true
        for job in made["jobs"].values():
            assert job["timeout-minutes"] and job["runs-on"]
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        lines = list(commands(workflow))
        assert lines
        for path in re.findall(r"[\w./-]+\.(?:py|txt|toml|ipynb|yml|md)\b", "\n".join(lines)):
            assert (ROOT / path).exists() or f"-o {path}" in "\n".join(lines), path


def test_ci_runs_readmes_command_on_the_oldest_and_newest_python_and_lint_as_before_a_commit():
    push = yaml.safe_load(read(WORKFLOWS[0]))
    versions = push["jobs"]["readme"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["requires-python"]
    assert "bash .ci/run" in list(commands(WORKFLOWS[0]))
    lint = {hook["entry"] for hook in hooks()}
    assert lint <= set(commands(WORKFLOWS[0])) and len(lint) == 2
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks())
    done = python(ROOT, "-m", "pre_commit", "validate-config")
    assert done.returncode == 0, done.stdout


def test_weekly_runs_the_notebooks_on_three_systems_with_lowest_and_newest_versions():
    weekly = yaml.safe_load(read(WORKFLOWS[1]))
    matrix = weekly["jobs"]["notebooks"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert {one["resolution"] for one in matrix["versions"]} == {"lowest-direct", "highest"}
    report = weekly["jobs"]["report"]
    assert report["needs"] == "notebooks" and report["if"].startswith("failure()")
    assert "gh issue create" in "\n".join(commands(WORKFLOWS[1]))
