"""Install what a notebook machine such as Colab lacks, and nothing else."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
# What the notebooks import beyond what such a machine has. The rest of requirements.txt (JupyterLab,
# jupytext) is for a machine of one's own.
WANTED = ("transformer-lens", "circuitsvis")


def install_missing() -> list[str]:
    """pip-install those of `WANTED` that are not there, keeping every installed package as it is.

    Returns what was installed. RuntimeError when pip would have to replace a package (then nothing
    is changed) or fails; the message says what to do.
    """
    missing = [name for name in WANTED if not _has(name)]
    if not missing:
        return []
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    specs = [line for line in lines if line.startswith(tuple(missing))]
    command = [sys.executable, "-m", "pip", "install", "-q", *specs]
    keep = _installed()
    constraints = Path("series-keep.txt")
    constraints.write_text("\n".join(f"{n}=={v}" for n, v in keep.items()), encoding="utf-8")
    try:
        done = subprocess.run([*command, "-c", str(constraints)], capture_output=True, text=True)
    finally:
        constraints.unlink()
    if done.returncode:
        raise RuntimeError(
            f"pip could not add {', '.join(specs)} without replacing a package of this machine. "
            f"Run `pip install {' '.join(repr(s) for s in specs)}` yourself, restart the kernel and "
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


def _installed() -> dict[str, str]:
    """Versions of the packages that a running kernel may have loaded already."""
    names = ("torch", "numpy", "plotly", "ipywidgets", "ipython", "pandas")
    return {name: version(name) for name in names if _has(name)}
