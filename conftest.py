"""What the tests of `tests/` and the notebooks share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent


def copy_of_the_series(folder: Path) -> Path:
    """`folder`, with all in it that the series is made of; returns it."""
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in ("helpers", "notebooks", "tools"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt"):
        shutil.copy(ROOT / file, folder)
    return folder


def python(folder: Path, *command, **env) -> subprocess.CompletedProcess:
    """Run this Python in `folder`, with `env` added to its environment."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **env},
    )
