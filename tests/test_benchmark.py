"""tools/benchmark.py runs and writes what it measured. How fast the machine is, is not judged."""

import json
import math

import pytest

from conftest import ROOT, python

SCRIPT = ROOT / "tools" / "benchmark.py"


@pytest.mark.slow
def test_the_sweep_part_runs_and_writes_its_numbers(tmp_path):
    file = tmp_path / "benchmark.json"
    done = python(ROOT, SCRIPT, "--quick", "--only", "3", "--json", file)
    assert done.returncode == 0, done.stderr
    assert "How to read it" in done.stdout and "nan" not in done.stdout
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["quick"] is True and found["machine"]["torch"]
    for name in ("sweep_ratio", "sweep_ratio_plain", "torch_func_ratio"):
        assert math.isfinite(found[name]) and found[name] > 0, name
    assert all(0 < seconds < math.inf for seconds in found["sweep_seconds"].values())
    # Not a matter of speed: every way of training leads to the same weights.
    assert found["sweep_weights_apart"].keys() == {"plain", "alone", "torch_func"}
    assert max(found["sweep_weights_apart"].values()) < 1e-4


@pytest.mark.slow
def test_an_unknown_part_is_refused():
    done = python(ROOT, SCRIPT, "--only", "6")
    assert done.returncode == 2 and "invalid choice: 6" in done.stderr
