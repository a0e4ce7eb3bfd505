"""Install what a notebook machine such as Colab lacks, and nothing else."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

# What the notebooks import beyond what such a machine has, as requirements.txt asks for it. The
# rest of that file (JupyterLab, jupytext) is for a machine of one's own.
WANTED = {
    "transformer-lens": "transformer-lens>=4.3,<4.4",
    "circuitsvis": "circuitsvis==1.43.3",
    "scipy": "scipy>=1.11,<2",
    "python-flint": "python-flint>=0.7,<0.10",
}


def install_missing() -> list[str]:
    """pip-install those of `WANTED` that are not there, keeping every installed package as it is.

    Returns the names of what was installed. RuntimeError when pip would have to replace a package
    (then nothing is changed) or fails; the message says what to do.
    """
    missing = [name for name in WANTED if not _has(name)]
    if not missing:
        return []
    specs = [WANTED[name] for name in missing]
    command = [sys.executable, "-m", "pip", "install", "-q", *specs]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "keep.txt"
        constraints.write_text("\n".join(_installed()), encoding="utf-8")
        done = subprocess.run([*command, "-c", str(constraints)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"pip could not add {', '.join(specs)} without replacing a package of this machine. "
            f"Run `pip install {' '.join(map(repr, specs))}` yourself, restart the kernel and "
            f"run this cell again. pip said: {done.stderr.strip()[-400:]}"
        )
    importlib.invalidate_caches()
    return missing


def _has(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _installed() -> list[str]:
    """`name==version` of every package here: a running kernel may have loaded any of them."""
    found = {d.metadata["Name"]: d.version for d in distributions()}
    return [f"{n}=={v}" for n, v in found.items() if n and re.fullmatch(r"[\w.+!]+", v or "")]
