"""Install what a notebook machine such as Colab lacks, and nothing else."""

import importlib
import re
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

# What the notebooks import beyond what such a machine has, as requirements.txt asks for it. The
# rest of that file (JupyterLab, jupytext) is for a machine of one's own.
WANTED = {
    "transformer_lens": "transformer-lens>=4.3,<4.4",
    "circuitsvis": "circuitsvis==1.43.3",
    "scipy": "scipy>=1.11,<2",
    "flint": "python-flint>=0.7,<0.10",
}


def install_missing() -> list[str]:
    """pip-install those of `WANTED` that are not there, and return them. Every installed package
    stays as it is: RuntimeError, which says what to do, where pip would have to replace one."""
    missing = [wanted for module, wanted in WANTED.items() if not find_spec(module)]
    if not missing:
        return []
    # A running kernel may have loaded any package: each has to stay the version that it is.
    here = [f"{d.metadata['Name']}=={d.version}" for d in distributions()]
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / "keep.txt"
        keep.write_text("\n".join(x for x in here if re.fullmatch(r"[\w.+!=-]+", x)), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", *missing, "-c", str(keep)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"pip could not add {', '.join(missing)} without replacing a package of this machine. "
            f"Run `pip install {' '.join(map(repr, missing))}` yourself, restart the kernel and "
            f"run this cell again. pip said: {done.stderr.strip()[-400:]}"
        )
    importlib.invalidate_caches()
    return missing
