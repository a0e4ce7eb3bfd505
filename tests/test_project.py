"""What stands around the series: packages, requirements, what lint and CI run."""

import ast
import json
import re
import tomllib
import zipfile
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec

from conftest import ALL_NAMES, ROOT, copy_of_the_series, missing, python, read
from helpers.reader import colab
from tools import build, licences, mutants

PROJECT = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
WORKFLOWS = {path.stem: path for path in (ROOT / ".github" / "workflows").glob("*.yml")}
FAST = 'pytest -m "not slow and not browser and not network"'


# ---------------------------------------------------------------- what is installed


def requirements():
    return [line for line in read(ROOT / "requirements.txt").splitlines() if line[:1] not in "#"]


def test_every_requirement_has_a_name_and_a_range_and_stands_once():
    wanted = [Requirement(line) for line in requirements()]
    assert all(r.specifier and not r.url for r in wanted)
    names = [r.name.lower().replace("_", "-") for r in wanted]
    assert len(set(names)) == len(names)


def test_what_is_installed_lies_within_the_ranges():
    """So each range is one that a version can be had from, of which this one is tested."""
    for wanted in map(Requirement, [*requirements(), *colab.WANTED.values()]):
        assert wanted.specifier.contains(version(wanted.name), prereleases=True), wanted


def test_there_is_one_licence_and_every_file_that_names_it_agrees():
    assert read(ROOT / "LICENSE").startswith(f"{PROJECT['license']} License\n")
    assert yaml.safe_load(read(ROOT / "CITATION.cff"))["license"] == PROJECT["license"] == "MIT"


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


def test_the_licence_of_each_direct_dependency_is_known_and_allowed():
    done = python(ROOT, "tools/licences.py")
    assert done.returncode == 0, done.stderr
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert listed == licences.direct() and {"torch", "pytest", "dask"} <= set(listed)
    assert {canonicalize_name(Requirement(line).name) for line in requirements()} <= set(listed)


@pytest.mark.parametrize("licence, wrong", [
    ("MIT", ""),
    ("MIT AND Zlib", ""),
    ("Apache-2.0 WITH LLVM-exception", ""),
    ("UNKNOWN", "UNKNOWN"),
    ("MIT AND GPL-3.0-only", "GPL-3.0-only"),
    ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),  # nobody has looked at it yet
])  # fmt: skip
def test_a_licence_that_is_not_in_the_list_is_named(licence, wrong):
    says = licences.complaint("mine", {"mine": ("1.0", licence)})
    assert says == (f"has the licence {wrong}, which is not in the list" if wrong else "")
    assert "not installed" in licences.complaint("other", {"mine": ("1.0", licence)})


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
    assert any(name.endswith("/LICENSE") for name in names)
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
    *before, last = read(ROOT / ".ci" / "run").splitlines()
    assert last.endswith(".venv/bin/pytest") and last in readme.splitlines()
    assert [line for line in before if "exit" in line] == []
    assert any(line.startswith("export CI=true") for line in before)  # skips are failures


def commands(workflow):
    """The lines of every `run` of a workflow."""
    for job in yaml.safe_load(read(workflow))["jobs"].values():
        for step in job["steps"]:
            yield from step.get("run", "").splitlines()


def hooks():
    config = yaml.safe_load(read(ROOT / ".pre-commit-config.yaml"))
    return [hook for repo in config["repos"] for hook in repo["hooks"]]


# When a workflow runs, and the lines for which it is there.
RUNS = {
    "nightly": ({"schedule", "workflow_dispatch"}, ["python tools/mutants.py --jobs 2 --shard "
                                                    "${{ matrix.shard }}",
                                                    "pytest -n0 -s tests/test_rough.py",
                                                    "pytest -n0 -rP tests/test_hostile.py",
                                                    "python tools/flakes.py --times 10 "
                                                    + FAST.removeprefix("pytest ")]),
    "push": ({"push", "pull_request", "workflow_dispatch"}, ["bash .ci/run", FAST]),
    "weekly": ({"schedule", "workflow_dispatch"}, ["pytest notebooks "
                                                   "${{ matrix.versions.options }}",
                                                   "command -v jupyterlab-a11y-check",
                                                   "pytest -n0 tests/test_accessibility.py "
                                                   "-k checker",
                                                   "pip-audit --skip-editable",
                                                   "python tools/licences.py"]),
}  # fmt: skip


def test_workflows_are_whole_and_run_what_is_there():
    assert set(WORKFLOWS) == set(RUNS)
    for name, workflow in WORKFLOWS.items():
        made, (when, what) = yaml.safe_load(read(workflow)), RUNS[name]
        assert made["name"] == name and made["permissions"]
        assert set(made[True]) == when  # yaml reads `on` as true
        for job in made["jobs"].values():
            assert job["timeout-minutes"] and job["runs-on"]
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        lines = list(commands(workflow))
        assert set(what) <= set(lines)
        for path in re.findall(r"[\w./-]+\.(?:py|txt|toml|ipynb|yml|md)\b", "\n".join(lines)):
            assert (ROOT / path).exists() or f"-o {path}" in "\n".join(lines), path
    assert FAST in read(ROOT / "CONTRIBUTING.md")


def test_no_workflow_goes_on_after_a_failure_or_leaves_a_job_out():
    for name, workflow in WORKFLOWS.items():
        assert not re.search("continue-on-error|\\|\\| *true|set \\+e", read(workflow))
        for job_name, job in yaml.safe_load(read(workflow))["jobs"].items():
            assert ("if" in job) == (job_name == "report"), f"{name}: {job_name}"
            conditions = [step["if"] for step in job["steps"] if "if" in step]
            assert conditions in ([], ["always()"])


def test_a_failure_by_the_clock_is_reported():
    all_of = dict(nightly=["mutants", "rough"], weekly=["everybody", "notebooks", "packages"])
    for name, needs in all_of.items():
        report = yaml.safe_load(read(WORKFLOWS[name]))["jobs"]["report"]
        assert report["needs"] == needs and report["if"].startswith("failure()")
        assert "gh issue create" in "\n".join(commands(WORKFLOWS[name]))


def test_ci_runs_readmes_command_on_the_oldest_and_newest_python_and_lint_as_before_a_commit():
    push = yaml.safe_load(read(WORKFLOWS["push"]))
    versions = push["jobs"]["readme"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == PROJECT["requires-python"]
    lint = {hook["entry"] for hook in hooks()}
    assert lint <= set(commands(WORKFLOWS["push"])) and len(lint) == 2
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks())
    done = python(ROOT, "-m", "pre_commit", "validate-config")
    assert done.returncode == 0, done.stdout


def test_weekly_runs_the_notebooks_on_three_systems_with_lowest_and_newest_versions():
    matrix = yaml.safe_load(read(WORKFLOWS["weekly"]))["jobs"]["notebooks"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert {one["resolution"] for one in matrix["versions"]} == {"lowest-direct", "highest"}


def test_nightly_takes_every_shard_of_the_mutants():
    matrix = yaml.safe_load(read(WORKFLOWS["nightly"]))["jobs"]["mutants"]["strategy"]["matrix"]
    n = len(matrix["shard"])
    assert list(map(mutants.shard_of, matrix["shard"])) == [(k + 1, n) for k in range(n)]


# ---------------------------------------------------------------- no test is left out


def test_pytests_options_leave_nothing_out():
    """Such an option could leave out the test below, too."""
    options = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert options["testpaths"] == ["tests", "notebooks"] and "--nbval" in options["addopts"]
    for option in options["addopts"]:
        assert not re.match("-[mk]|--ignore|--deselect|--nbval-lax", option), option


COLLECT = """
import json, sys
import pytest

class Collected:
    def pytest_collection_modifyitems(self, items):
        self.items = items

seen = Collected()
status = pytest.main(["--collect-only", "-qq", "-n0", "-p", "no:cacheprovider"], [seen])
left_out = [
    item.nodeid for item in seen.items for mark in item.iter_markers()
    if mark.name in ("skip", "xfail") or (mark.name == "skipif" and any(mark.args))
]
found = [i.nodeid.partition("[")[0] for i in seen.items]
json.dump([int(status), found, left_out], open(sys.argv[1], "w"))
"""


def test_what_is_missing_is_a_skip_here_and_a_failure_in_ci(monkeypatch):
    for ci, outcome in (("", pytest.skip.Exception), ("true", pytest.fail.Exception)):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(BaseException, match="no browser") as raised:  # a skip would get out
            missing("no browser")
        assert raised.type is outcome


@pytest.mark.slow
def test_every_test_that_is_written_is_run_and_none_is_skipped(tmp_path):
    """By the options of pyproject.toml alone, as README's command runs it."""
    done = python(ROOT, "-c", COLLECT, tmp_path / "found.json", PYTEST_ADDOPTS="")
    status, found, left_out = json.loads(read(tmp_path / "found.json"))
    assert status == 0, done.stdout + done.stderr
    assert not left_out
    written = {f"notebooks/{name}.ipynb::Cell 0" for name in ALL_NAMES}
    for path in (ROOT / "tests").glob("test_*.py"):
        text = read(path)
        skips = re.findall(r"pytest\.(?:skip|importorskip|xfail)\(", text)
        # The checker of notebooks is of npm, and the series must not need that.
        assert len(skips) == (path.name == "test_accessibility.py"), path.name
        names = [n.name for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)]
        written |= {f"tests/{path.name}::{n}" for n in names if n.startswith("test_")}
    assert written <= set(found), written - set(found)
