"""Run the tests again and again on a busy machine, and say which of them did not always pass.

    python tools/flakes.py [--times 10] [--busy 1] [PYTEST OPTIONS, such as -m "not slow"]

All cores but one are kept busy meanwhile, or as many as `--busy` says. Exit status 1 if a test
failed in any of the runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def busy(cores: int):
    """Keep so many cores busy."""
    idle = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(idle) for _ in range(cores)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def one_run(options: list[str]) -> tuple[int, dict[str, str], int]:
    """Run the tests once: how many were run, what each that failed said, the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *options]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        if not report.exists():
            sys.exit(f"pytest ended with {done.returncode} and reported nothing")
        cases = list(ET.parse(report).iter("testcase"))
    said = {
        f"{case.get('classname')}::{case.get('name')}": what.text or what.get("message", "")
        for case in cases
        for what in case
        if what.tag in ("failure", "error")
    }
    return len(cases), said, done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--busy", type=int, default=max((os.cpu_count() or 2) - 1, 1))
    options, rest = parser.parse_known_args()
    failed, bad = Counter(), 0
    with busy(options.busy):
        for run in range(1, options.times + 1):
            start = time.perf_counter()
            n, said, status = one_run(rest)
            bad += status != 0
            failed.update(said.keys())
            seconds = time.perf_counter() - start
            print(f"run {run}: {n} tests, {len(said)} failed, {seconds:.0f} s", flush=True)
            # A flake may not come again: what it said is all that there is to find its cause.
            for name, text in said.items():
                print(f"--- {name}\n{text}", flush=True)
    print(f"{options.times} runs, {options.busy} other core(s) busy: {bad} with a failure")
    for name, times in failed.most_common():
        print(f"  failed {times} of {options.times} times: {name}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
