"""tools/benchmark.py runs and prints what it measured. How fast the machine is, is not judged."""

import json

import pytest

from conftest import ROOT, python


@pytest.mark.nightly
def test_the_quick_benchmark_prints_its_numbers():
    done = python(ROOT, "tools/benchmark.py", "--quick")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name in ("seconds_to_exact", "evaluation"):
        assert 0 < found[f"{name}_ratio"] < 1e4, name
