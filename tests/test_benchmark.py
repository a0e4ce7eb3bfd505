"""tests/benchmark.py runs and writes what it measured. How fast the machine is, is not judged."""

import json
import math
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("benchmark.py")


def test_the_sweep_part_runs_and_writes_its_numbers(tmp_path):
    file = tmp_path / "benchmark.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--only", "3", "--json", str(file)],
        capture_output=True,
        text=True,
    )
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


def test_an_unknown_part_is_refused():
    done = subprocess.run([sys.executable, str(SCRIPT), "--only", "6"], capture_output=True)
    assert done.returncode == 2
