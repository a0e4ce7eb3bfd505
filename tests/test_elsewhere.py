"""What a run leaves is seen elsewhere too: other servers, other front ends, exported pages.

The kernel is that of the series. The server's page gets no part of plotly, as on a JupyterHub, or
is an older front end; plotly.js comes from where plotly publishes it (here: from the package).
"""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import plotly
import pytest
from test_browser import KERNEL, LAB_FLAGS, MINUTE, address_in, command

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
SAYS = "Two bars."
LAB = ("jupyterlab", "/lab/tree/notebooks/small.ipynb?reset")
SERVERS = {
    "JupyterLab": LAB,
    "Notebook 7": ("notebook", "/notebooks/notebooks/small.ipynb"),
    "nbclassic": ("nbclassic", "/nbclassic/notebooks/notebooks/small.ipynb"),
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
def test_a_run_shows_its_figures_and_explorers_where_the_server_has_no_plotly(
    server, folder, browser
):
    module, path = SERVERS[server]
    env = {f"JUPYTER_{name}_DIR": str(folder.parent / name) for name in ("CONFIG", "DATA")}
    env["SERIES_PICTURES"] = "no"
    log = folder.parent / f"{module}.log"
    with open(log, "w", encoding="utf-8") as out:
        where = dict(cwd=folder, env=os.environ | env, stdout=out, stderr=out)
        seen = [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
        starts = [sys.executable, "-m", module, *LAB_FLAGS[:4], *seen]
        started = subprocess.Popen(starts, **where)
    script = read(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")
    page, asked = browser.new_page(viewport={"width": 1100, "height": 900}), []

    def gate(route):
        url, leave = route.request.url, {"Access-Control-Allow-Origin": "*"}
        asked.append(url)
        if url == PLOTLY_JS:
            route.fulfill(body=script, content_type="text/javascript", headers=leave)
        elif url.startswith((address, "data:", "blob:")) and "/jupyterlab-plotly/" not in url:
            route.continue_()
        else:
            route.abort()

    try:
        address = address_in(log)
        page.route("**/*", gate)
        page.goto(address + path)
        if module == "nbclassic":
            connected = "window.Jupyter?.notebook?.kernel?.is_connected()"
            page.wait_for_function(connected, timeout=2 * MINUTE)
            page.evaluate("Jupyter.notebook.execute_all_cells()")
        else:
            page.wait_for_function("window.jupyterapp?.shell?.currentWidget", timeout=2 * MINUTE)
            page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
            command(page, "notebook:run-all-cells")
        # The widgets of today do not start in nbclassic; its figures are seen.
        n = 1 if module == "nbclassic" else 2
        page.locator(".gtitle").nth(n - 1).wait_for(timeout=2 * MINUTE)
        assert page.locator(".gtitle").first.text_content() == "A figure"
        assert PLOTLY_JS in asked
    finally:
        page.screenshot(path=f"test-artefacts/{module}.png")
        page.close()
        started.terminate()
        started.wait(60)


@pytest.mark.parametrize("pictures", ["yes", "no"])
@pytest.mark.parametrize("to", ["html", "latex"])
def test_an_export_of_a_run_shows_its_figure_or_says_what_would(to, pictures, folder, tmp_path):
    how = ("--execute", "--to", to, "--output-dir", tmp_path, "small.ipynb")
    done = python(folder / "notebooks", "-m", "nbconvert", *how, SERIES_PICTURES=pictures)
    assert done.returncode == 0, done.stderr
    made = read(next(tmp_path.glob("small.*")))
    assert SAYS in made
    if to == "html":
        assert PLOTLY_JS in made and ("data:image/webp" in made) == (pictures == "yes")
    assert (r"\adjustimage{" in made) == ((to, pictures) == ("latex", "yes"))
    assert pictures == "yes" or " ".join(HINT.split()[:4]) in " ".join(made.split())
