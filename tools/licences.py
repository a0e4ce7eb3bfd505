"""The licences of what the series needs directly: `python tools/licences.py`.

Prints name, version and licence of every package that requirements.txt or an extra of
pyproject.toml names. The exit status is 1 when one is not installed, or when a part of its licence
is not in `ALLOWED`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# As packages write them: SPDX names, and the older ones of PyPI. All may be used and passed on; of
# LGPL and MPL only changes to the package itself would have to be published.
ALLOWED = {
    "0BSD", "Apache License 2.0", "Apache Software License", "Apache-2.0", "BSD License",
    "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "LGPL-3.0-or-later", "LLVM-exception",
    "MIT", "MIT License", "MIT-CMU", "MPL-2.0", "The MIT License (MIT)", "Zlib",
}  # fmt: skip
# Read in the licence that comes with the package, where its other papers name none.
READ = {"axe-playwright-python": "MIT"}


def direct(root: Path = ROOT) -> list[str]:
    """Names of the packages that requirements.txt and the extras of pyproject.toml ask for."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    lines += sum(project["optional-dependencies"].values(), [])
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    return sorted(names - {canonicalize_name(project["name"])})


def licences(names: list[str]) -> dict[str, tuple[str, str]]:
    """name -> (version, licence) of those of `names` that are installed."""
    asked = ["--from=mixed", "--with-system", "--format=json", "--packages", *names]
    made = subprocess.run(
        [sys.executable, "-m", "piplicenses", *asked], check=True, capture_output=True, text=True
    )
    found = {canonicalize_name(row["Name"]): row for row in json.loads(made.stdout)}
    # Some give the whole text of their licence, whose first line is its name.
    first = {n: r["License"].strip().splitlines()[0] for n, r in found.items()}
    first |= {n: READ[n] for n, name in first.items() if name == "UNKNOWN" and n in READ}
    return {n: (row["Version"], first[n]) for n, row in found.items()}


def complaint(name: str, found: dict[str, tuple[str, str]]) -> str:
    """What is wrong with the licence of `name`, or ""."""
    if name not in found:
        return "is not installed: pip install -e '.[test]'"
    parts = re.split(r" AND | WITH |; ", found[name][1])
    wrong = [part for part in parts if part.strip("() ") not in ALLOWED and part not in ALLOWED]
    return f"has the licence {', '.join(wrong)}, which is not in the list" if wrong else ""


def main() -> None:
    names = direct()
    found = licences(names)
    for name in names:
        print(f"{name:24} {'{:14} {}'.format(*found.get(name, ('-', '-')))}")
    if wrong := [f"{name} {says}" for name in names if (says := complaint(name, found))]:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
