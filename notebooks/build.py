"""Make the notebooks from their sources: `python notebooks/build.py [NAME ...]`.

For each NN_name.py: to .ipynb, executed, cleaned. People edit the .py; the .ipynb is what they read.
Figures are saved as plotly data and, where a Chromium is found for kaleido, as PNG beside it, so
that a static page shows them too. `--sources` stops before execution (the tests use it).
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import shutil
import sys
import tomllib
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path

import jupytext
import nbformat
import plotly.io as pio
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError

FOLDER = Path(__file__).resolve().parent
PROJECT = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = PROJECT["urls"]["repository"]
SOURCES = sorted(FOLDER.glob("0*_*.py"))
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

# The two cells that are the same in all six notebooks, by tag. The address stands in pyproject.toml.
SETUP = f'''import importlib.util, subprocess, sys  # does nothing where the series is at hand, as in JupyterLab
sys.path[:0] = ["..", "series"]
if importlib.util.find_spec("helpers") is None and subprocess.run(["git", "clone", "-q", "--depth=1", "{ADDRESS}", "series"]).returncode:
    raise SystemExit("The series could not be fetched from {ADDRESS}: check the address and the network.")
importlib.invalidate_caches(); import helpers.colab; helpers.colab.install_missing()'''


def badge(name: str) -> str:
    """The Colab badge of a notebook."""
    page = ADDRESS.removeprefix("https://github.com/")
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{page}/blob/main/notebooks/{name}.ipynb)"
    )


def stamp(source: Path) -> str:
    """The text of a source with its set-up cell and badge as they should be."""
    notebook = jupytext.read(source)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "setup" in tags:
            cell.source = SETUP
        if "badge" in tags:
            cell.source = badge(source.stem)
    notebook.metadata = {}
    notebook.metadata["jupytext"] = {
        "text_representation": {"extension": ".py", "format_name": "percent"},
        "notebook_metadata_filter": "-all",
        "cell_metadata_filter": "tags,-all",
    }
    return jupytext.writes(notebook, fmt="py:percent")


def stamp_readme(text: str) -> str:
    """README with the badges of its table as they should be."""
    return re.sub(r"\[!\[Open in Colab\]\S*?/(\w+)\.ipynb\)", lambda m: badge(m[1]), text)


def from_source(source: Path) -> nbformat.NotebookNode:
    """The notebook of a percent-format .py, without outputs; cell ids count the cells."""
    notebook = jupytext.reads(stamp(source), fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem[:2]}-{number:03d}"
    return notebook


def execute(notebook, folder: Path, timeout: int = 180, tries: int = 3) -> None:
    """Run all cells in place. A cell that feeds an Output widget can stall nbclient: try again."""
    for left in reversed(range(tries)):
        client = NotebookClient(
            notebook, timeout=timeout, resources={"metadata": {"path": str(folder)}},
            record_timing=False,
        )  # fmt: skip
        try:
            client.execute()
            break
        except CellTimeoutError:
            if not left:
                raise
            print(f"stalled, {left} tries left", file=sys.stderr)
    notebook.metadata.pop("widgets", None)  # GitHub refuses notebooks with widget state
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            last = outputs[-1] if outputs else {}
            if output.output_type == "stream" and last.get("name") == output.name:
                last["text"] += output.text  # one stream, however the kernel cut it
            else:
                outputs.append(output)
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        for output in outputs:  # of a progress bar only what stands there at the end
            if output.output_type == "stream":
                output["text"] = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
        if cell.cell_type == "code":
            cell.outputs = [o for o in outputs if o.get("data") != {}]


def keep_picture(notebook, path: Path) -> None:
    """Write the PNG of the finished circuit, which opens README, from the executed 06_ablation."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            figure = data.get("application/vnd.plotly.v1+json", {}).get("layout", {})
            if "image/png" in data and figure["title"].get("text") == "How seed 0 does it":
                path.write_bytes(base64.b64decode(data["image/png"]))


@contextmanager
def browser():
    """Yield a function plotly figure (as a dict) -> PNG bytes, with one Chromium for all; or None.

    None, with a message, when there is no kaleido or no Chromium to draw with.
    """
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    found = os.environ.get("BROWSER_PATH") or found
    try:
        import kaleido
    except ImportError:
        found = None
    if found is None:
        print(
            "no Chromium or no kaleido found: figures are saved without PNG, so a static page "
            "will show their captions only",
            file=sys.stderr,
        )
        yield None
        return
    os.environ["BROWSER_PATH"] = found
    warnings.filterwarnings("ignore", "The kopts argument")  # said once for every figure
    kaleido.start_sync_server(silence_warnings=True)
    try:
        yield lambda figure: _few_colours(pio.to_image(figure, format="png", validate=False))
    finally:
        kaleido.stop_sync_server(silence_warnings=True)


def _few_colours(png: bytes) -> bytes:
    """The same picture with a palette of 256 colours: a third of the size."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(out, "PNG", optimize=True)
    return out.getvalue()


def add_pngs(notebook, draw) -> None:
    """Put a PNG beside the plotly data of every figure, for pages without scripts."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            figure = output.get("data", {}).get("application/vnd.plotly.v1+json")
            if figure:
                plain = {k: figure[k] for k in ("data", "layout")}
                output.data["image/png"] = base64.b64encode(draw(plain)).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="such as 01_dataset; default: all six")
    parser.add_argument("--sources", action="store_true", help="do not execute")
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder for the .ipynb")
    options = parser.parse_args()
    known = {source.stem: source for source in SOURCES}
    for name in options.names:
        if name not in known:
            parser.error(f"no notebook {name!r}; there are {', '.join(known)}")
    # The figures' data only, whatever the caller's settings: what the tests compare.
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    with nullcontext() if options.sources else browser() as draw:
        make(options, known, draw)


def make(options, known: dict, draw) -> None:
    """Stamp, execute and write the chosen notebooks."""
    readme = FOLDER.parent / "README.md"
    readme.write_text(stamp_readme(readme.read_text(encoding="utf-8")), encoding="utf-8")
    for name in options.names or known:
        text = stamp(known[name])
        if text != known[name].read_text(encoding="utf-8"):
            known[name].write_text(text, encoding="utf-8")
        notebook = from_source(known[name])
        if not options.sources:
            execute(notebook, FOLDER)
            if draw is not None:
                add_pngs(notebook, draw)
            keep_picture(notebook, options.into / "circuit.png")
        target = options.into / f"{name}.ipynb"
        nbformat.write(notebook, target)
        print(f"{target.name}: {target.stat().st_size // 1024} KiB", flush=True)


if __name__ == "__main__":
    main()
