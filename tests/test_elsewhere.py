"""What a run leaves is seen elsewhere too: other servers, other front ends, exported pages.

The kernel is that of the series. The server's page gets no part of plotly, as on a JupyterHub, or
is an older front end; plotly.js comes from where plotly publishes it (here: from the package).
"""

import re
from pathlib import Path

import nbformat
import plotly
import pytest
from test_browser import KERNEL, LAB_FLAGS, MINUTE, command, gate, serving

from conftest import copy_of_the_series, python, read
from helpers.page import HINT, PLOTLY_JS
from tools import build

pytestmark = pytest.mark.reader
CELLS = """import sys; sys.path[:0] = [".."]
from helpers import plotting
from helpers.model import load_trained
from helpers.page import show
from lessons import lesson_04

show(plotting.bars([1, 2], x="ab", title="A figure", y_title=""), says="Two bars.")

lesson_04.explore_attention(load_trained())"""
SERVERS = {
    "jupyterlab": "lab/tree/notebooks/small.ipynb?reset",
    "notebook": "notebooks/notebooks/small.ipynb",  # version 7
    "nbclassic": "nbclassic/notebooks/notebooks/small.ipynb",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the series with a small notebook."""
    copy = copy_of_the_series(tmp_path_factory.mktemp("elsewhere") / "series")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.split("\n\n")]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": build.KERNEL})
    nbformat.write(book, copy / "notebooks" / "small.ipynb")
    return copy


@pytest.mark.parametrize("server", SERVERS)
def test_a_run_shows_its_figures_and_explorers_without_a_plotly(server, folder, browser):
    script = read(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    seen = [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    with serving(folder, server, *LAB_FLAGS[:4], *seen) as address:
        asked = gate(page, address, re.escape(PLOTLY_JS), script, but="/jupyterlab-plotly/")
        try:
            page.goto(f"{address}/{SERVERS[server]}")
            if server == "nbclassic":
                connected = "window.Jupyter?.notebook?.kernel?.is_connected()"
                page.wait_for_function(connected, timeout=2 * MINUTE)
                page.evaluate("Jupyter.notebook.execute_all_cells()")
            else:
                page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=2 * MINUTE)
                page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
                command(page, "notebook:run-all-cells")
            # The widgets of today do not start in nbclassic; its figures are seen.
            n = 1 if server == "nbclassic" else 2
            page.locator(".gtitle").nth(n - 1).wait_for(timeout=2 * MINUTE)
            assert page.locator(".gtitle").first.text_content() == "A figure"
            assert PLOTLY_JS in asked
        finally:
            page.screenshot(path=f"test-artefacts/{server}.png")
            page.close()


@pytest.mark.parametrize("pictures", ["yes", "no"])
@pytest.mark.parametrize("to", ["html", "latex"])
def test_an_export_of_a_run_shows_its_figure_or_says_what_would(to, pictures, folder, tmp_path):
    how = ("--execute", "--to", to, "--output-dir", tmp_path, "small.ipynb")
    done = python(folder / "notebooks", "-m", "nbconvert", *how, SERIES_PICTURES=pictures)
    assert done.returncode == 0, done.stderr
    made = read(next(tmp_path.glob("small.*")))
    assert "Two bars." in made
    if to == "html":
        assert PLOTLY_JS in made and ("data:image/webp" in made) == (pictures == "yes")
    assert (r"\adjustimage{" in made) == ((to, pictures) == ("latex", "yes"))
    assert pictures == "yes" or " ".join(HINT.split()[:4]) in " ".join(made.split())
