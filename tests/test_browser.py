"""The notebooks as a reader meets them: JupyterLab, a real browser, Run All, a moved explorer.

One JupyterLab on loopback and one Chromium serve all six. Nothing from outside is let through: the
script of CircuitsVis, which a reader's browser takes from a CDN, comes from the installed package.
Screenshots are left in `test-artefacts/`. Skipped, with the reason, where there is no browser.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import circuitsvis
import nbformat
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is missing")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if not CHROMIUM:
    pytest.skip("no chromium and no google-chrome on this machine", allow_module_level=True)

ROOT = Path(__file__).parents[1]
ARTEFACTS = ROOT / "test-artefacts"
NAMES = ["01_dataset", "02_transformer", "03_training", "04_attention", "05_mlp", "06_ablation"]
MINUTE = 60_000  # playwright counts in milliseconds
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
CDN = re.compile(r"https://unpkg\.com/circuitsvis@[\d.]+/dist/cdn/esm\.js")
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='117' height='20'/>"

LAB_SETTINGS = {
    # every cell stays in the page, also those out of sight
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}


# ---------------------------------------------------------------- one server, one browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves a copy of the series."""
    folder = tmp_path_factory.mktemp("lab")
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in ("helpers", "notebooks"):
        shutil.copytree(ROOT / part, folder / "series" / part, ignore=ignore)
    env = {k: v for k, v in os.environ.items() if k != "PLOTLY_RENDERER"}
    for what in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
                 "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"):  # fmt: skip
        env[what] = str(folder / what)
    for plugin, value in LAB_SETTINGS.items():
        path = folder / "JUPYTERLAB_SETTINGS_DIR" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    ARTEFACTS.mkdir(exist_ok=True)
    with open(ARTEFACTS / "jupyterlab.log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
             f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
             "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", "--LabApp.news_url=",
             "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
             "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={folder / 'series'}"],
            env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        for _ in range(600):
            assert server.poll() is None, (ARTEFACTS / "jupyterlab.log").read_text()
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail("JupyterLab did not answer within five minutes")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]  # fmt: skip
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        yield chromium
        chromium.close()


def cdn_script(cell_sources: str) -> str:
    """The bundle of the installed CircuitsVis as the module that the CDN would send.

    The package holds it as a plain script that makes one object; a module exports names.
    """
    script = Path(circuitsvis.__file__).parent / "dist" / "cdn" / "iife.js"
    names = {"render", *re.findall(r"import \{ render, (\w+) \}", cell_sources)}
    exports = "".join(f"\nexport const {n} = CircuitsVis.{n};" for n in sorted(names))
    return script.read_text(encoding="utf-8") + exports


@pytest.fixture
def notebook(lab, browser, request):
    """The page of one notebook after Run All, every output made in this run."""
    name = request.param
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    page.name, page.outside = name, []
    page.saved = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    script = cdn_script(json.dumps(page.saved))

    def gate(route):
        url = route.request.url
        if url.startswith((lab, "data:", "blob:")):
            route.continue_()
        elif CDN.fullmatch(url):
            headers = {"Access-Control-Allow-Origin": "*"}  # a module comes only with leave
            route.fulfill(body=script, content_type="text/javascript", headers=headers)
        elif url == BADGE:
            route.fulfill(body=SVG, content_type="image/svg+xml")
        else:
            page.outside.append(url)
            route.abort()

    context.route("**/*", gate)
    try:
        page.goto(f"{lab}/lab/tree/notebooks/{name}.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=2 * MINUTE)
        page.wait_for_function(
            "window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')", timeout=MINUTE
        )
        # Not what the page shows: it says idle before there is a kernel, and Run All would ask which.
        page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
        command(page, "notebook:clear-all-cell-outputs")
        command(page, "notebook:run-all-cells")
        page.wait_for_function(ALL_RUN, timeout=10 * MINUTE)
        page.wait_for_timeout(1500)  # the last figures are drawn after the kernel is idle
        yield page
    finally:
        page.screenshot(path=ARTEFACTS / f"{name}.png")
        page.evaluate(f"{PANEL}?.sessionContext?.shutdown()")
        context.close()


PANEL = "window.jupyterapp.shell.currentWidget"
KERNEL = f"{PANEL}?.sessionContext?.session?.kernel"
CODE = f"{PANEL}.content.widgets.filter(c => c.model.type === 'code')"
ERRORS = f"""{CODE}.flatMap(c => c.model.outputs.toJSON())
    .filter(o => o.output_type === 'error' || o.name === 'stderr')"""
ALL_RUN = f"""() => {ERRORS}.some(o => o.output_type === 'error')
    || ({KERNEL}?.status === 'idle' && {CODE}.every(c => c.model.executionCount !== null))"""


def command(page, name):
    """Start a command of JupyterLab; do not wait for its end."""
    page.evaluate("name => void window.jupyterapp.commands.execute(name)", name)


def no_errors(page):
    """No traceback, nothing on stderr, no widget that could not be drawn: in cells or in widgets."""
    found = [o.get("text") or o.get("evalue") for o in page.evaluate(f"() => {ERRORS}")]
    assert not found, found
    for mime in ("error", "stderr"):
        seen = page.locator(f".jp-Notebook [data-mime-type='application/vnd.jupyter.{mime}']")
        assert not seen.all_text_contents()
    assert not page.get_by_text("Error displaying widget").count()


def cells_with(page, pattern):
    """(number, cell of the page) of the code cells whose source matches."""
    shown = page.locator(".jp-Notebook .jp-Cell")
    assert shown.count() == len(page.saved.cells), "cells are missing from the page"
    for number, cell in enumerate(page.saved.cells):
        if cell.cell_type == "code" and re.search(pattern, cell.source):
            yield number, shown.nth(number)


# ---------------------------------------------------------------- explorers

CONTROLS = ", ".join(
    f".jp-OutputArea .jupyter-widgets {what}"
    for what in (".noUi-handle", "select", "input[type=text]", "input[type=number]")
)
TITLES = "cell => [...cell.querySelectorAll('.gtitle')].map(t => t.textContent).join(' | ')"


def move(control):
    """Move a slider, choose the next entry of a list, or type the text backwards."""
    control.scroll_into_view_if_needed()
    tag = control.evaluate("e => e.tagName")
    if tag == "SELECT":
        now, count = control.evaluate("e => [e.selectedIndex, e.options.length]")
        control.select_option(index=(now + 1) % count)
    elif tag == "INPUT":
        before = control.input_value()
        number = control.get_attribute("type") == "number" or len(before) < 2
        after = str(int(before or 0) + 1) if number else before[::-1]
        control.fill(after if after != before else before[1:] + before[:1])
        control.press("Enter")
    else:
        value, top = (control.get_attribute(f"aria-value{w}") for w in ("now", "max"))
        control.focus()
        control.press("ArrowLeft" if float(value) >= float(top) else "ArrowRight")


def wait_for_other_titles(page, cell, before, limit):
    changed = f"([cell, before]) => {{ const t = ({TITLES})(cell); return t && t !== before }}"
    page.wait_for_function(changed, arg=[cell.element_handle(), before], timeout=limit)


def explore(page, cell):
    """Move the first widget of an explorer and see the title of its figure change."""
    cell.scroll_into_view_if_needed()
    cell.locator(".gtitle").first.wait_for(timeout=MINUTE)
    before = cell.evaluate(TITLES)
    move(cell.locator(CONTROLS).first)
    if cell.get_by_role("button", name="Train", exact=True).count():
        train_and_stop(page, cell, before)
    else:
        wait_for_other_titles(page, cell, before, MINUTE / 6)
    return before, cell.evaluate(TITLES)


def train_and_stop(page, cell, before):
    """The explorer of 03: press Train, see the figure change while it trains, press Stop.

    At so low a rate the criterion is never met, so that there is something to stop.
    """
    rate = cell.get_by_label("rate")
    rate.fill("0.0001")
    rate.press("Enter")
    cell.get_by_role("button", name="Train", exact=True).click()
    wait_for_other_titles(page, cell, before, 2 * MINUTE)
    cell.get_by_role("button", name="Stop", exact=True).click()
    cell.locator(".gtitle", has_text=", stopped").wait_for(timeout=MINUTE)


@pytest.mark.parametrize("notebook", NAMES, indirect=True)
def test_notebook_in_the_browser(notebook):
    """Runs without an error, every explorer answers, and nothing was asked of the world outside."""
    page = notebook
    no_errors(page)
    assert page.locator(".jp-Notebook .js-plotly-plot .gtitle").count() >= 3
    if page.name == "04_attention":
        circuitsvis_is_drawn(page)
    for number, cell in cells_with(page, r"\bexplore_\w+\("):
        before, after = explore(page, cell)
        print(f"{page.name}: {before!r} -> {after!r}")
        cell.screenshot(path=ARTEFACTS / f"{page.name}-explorer-{number}.png")
    page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
    no_errors(page)
    assert not page.outside


COLOURS = """c => new Set(new Uint32Array(
    c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"""


def circuitsvis_is_drawn(page):
    """The view holds what its script draws: the head to choose, and a picture that is not blank."""
    cells = list(cells_with(page, r"P\.circuitsvis\("))
    assert cells, "04 shows no CircuitsVis view"
    for number, cell in cells:
        cell.scroll_into_view_if_needed()
        view = cell.locator("[id^=circuits-vis-]")
        view.get_by_text("head 0 Zoomed").wait_for(timeout=MINUTE)
        page.wait_for_timeout(1000)  # it is drawn with a short animation
        colours = view.locator("canvas").last.evaluate(COLOURS)
        assert colours > 10, f"the picture has {colours} colours"
        cell.screenshot(path=ARTEFACTS / f"{page.name}-circuitsvis-{number}.png")
