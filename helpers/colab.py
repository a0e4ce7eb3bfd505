"""What a set-up cell calls once it has found the series; where all is well one sees nothing."""

import importlib
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from tempfile import mkdtemp

ROOT = Path(__file__).parents[1]
ANEW = "make an environment as README says, and choose its kernel"
REMEDIES = {  # by what pip says
    "No module named pip": f"there is no pip: run `{sys.executable} -m ensurepip`, or {ANEW}",
    "managed|denied|permitted|Read-only": f"its Python may not be written to: {ANEW}",
    "Impossible": f"a package that is here would have to be replaced: {ANEW}",
    "versions: none|timed out": "there is no network: connect, and run this cell again",
}


def set_up() -> None:
    """Put the series first, and pip-install what notebooks import and is missing; nothing that is
    here is replaced. SystemExit says what is in the way, and what to do."""
    if not (ROOT / "requirements.txt").exists():
        return  # pip has put the series here, and seen to the rest
    sys.path.insert(0, str(ROOT))
    if (there := importlib.import_module("helpers").__file__) != str(ROOT / "helpers/__init__.py"):
        sys.exit(f"Another helpers is loaded, {there}: restart, and run this cell first.")
    from packaging.requirements import Requirement  # every kernel of Jupyter has it

    texts = [(ROOT / name).read_text("utf-8") for name in ("pyproject.toml", "requirements.txt")]
    python, needed = sys.version.split()[0], re.search('requires-python = "(.+)"', texts[0])[1]
    if not Requirement(f"python{needed}").specifier.contains(python.strip("+"), True):
        sys.exit(f"This is Python {python}, and the series needs {needed}: {ANEW}.")
    # No notebook imports jupyterlab or jupytext.
    asked = [Requirement(line) for line in re.findall("^(?!jupy)[a-z].*", texts[1], re.M)]
    here = {r: [d.version for d in distributions(name=r.name)][:1] for r in asked}
    lows = {r: [s for s in r.specifier if s.operator[0] != "<"] for r in asked}  # newer may do
    if old := [r for r in asked if not all(s.contains(v, True) for v in here[r] for s in lows[r])]:
        said = [f"{r.name} is {here[r][0]}: `%pip install '{r}'`" for r in old]
        sys.exit(f"Too old: {', '.join(said)}. Then restart the kernel and run this cell again.")
    if missing := [str(r) for r in asked if not here[r]]:
        # A running kernel may have loaded any package: each has to stay the version that it is.
        lines, keep = [f"{d.name}=={d.version}" for d in distributions()], Path(mkdtemp(), "keep")
        keep.write_text("\n".join(x for x in lines if re.fullmatch(r"[\w.+!=-]+", x)), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", *missing, "-c", str(keep)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            why = [do for says, do in REMEDIES.items() if re.search(says, done.stderr)] or [ANEW]
            sys.exit(f"pip cannot add {' '.join(missing)}: {why[0]}. pip: {done.stderr[-400:]}")
        importlib.invalidate_caches()
