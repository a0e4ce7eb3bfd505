"""tools/benchmark.py runs and writes what it measured. How fast the machine is, is not judged."""

import json

import pytest

from conftest import ROOT, python


@pytest.mark.nightly
def test_the_quick_benchmark_writes_its_numbers(tmp_path):
    file = tmp_path / "benchmark.json"
    done = python(ROOT, "tools/benchmark.py", "--quick", "--json", file)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    for name in ("seconds_to_exact", "evaluation"):
        assert 0 < found[f"{name}_ratio"] < 1e4, name
