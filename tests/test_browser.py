"""The notebooks as a reader meets them: JupyterLab, a real browser, Run All, a moved explorer.

By keyboard alone and by mouse, in a wide and a small window, on a light and a dark page, and asked
by axe whether everybody can use it; and the exported page, on a phone too.

One JupyterLab on loopback and one Chromium serve all. Nothing from outside is let through: the
script of CircuitsVis, which a reader's browser takes from a CDN, comes from the installed package.
Screenshots are left in `test-artefacts/`.
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
from contextlib import contextmanager
from pathlib import Path

import axe
import circuitsvis
import nbformat
import pytest

from conftest import ALL_NAMES, NAMES, ROOT, copy_of_the_series, missing, python, read, saved
from helpers import plotting as P
from tools import build

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ARTEFACTS = ROOT / "test-artefacts"
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


EXPLORERS = """from helpers.model import load_trained
from helpers.reader import explorers as E
from helpers.training import train

model = load_trained()
history = train("article", [0], max_steps=30)[1]
losses, by_output = history["loss"][:, 0], history["accuracy"][:, 0]"""


# ---------------------------------------------------------------- one server, one browser


def explorers_of(name):
    """The cells of a notebook that make an explorer."""
    return [c for c in build.from_source(name).cells if re.search(r"\bE\.explore_\w+\(", c.source)]


WITH_EXPLORER = [name for name in ALL_NAMES for _ in explorers_of(name)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves a copy of the series.

    Beside the notebooks stands `explorers`, with the explorers of all of them.
    """
    folder = tmp_path_factory.mktemp("lab")
    notebooks = copy_of_the_series(folder / "series") / "notebooks"
    cells = [c.source for name in ALL_NAMES for c in explorers_of(name)]
    cells = [nbformat.v4.new_code_cell(source) for source in (build.setup("a"), EXPLORERS, *cells)]
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": build.KERNEL})
    nbformat.write(made, notebooks / "explorers.ipynb")

    env = {k: v for k, v in os.environ.items() if k != "PLOTLY_RENDERER"}
    for what in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):
        env[f"JUPYTER_{what}"] = str(folder / what)
    for what in ("SETTINGS_DIR", "WORKSPACES_DIR"):
        env[f"JUPYTERLAB_{what}"] = str(folder / what)
    for plugin, value in LAB_SETTINGS.items():
        path = folder / "SETTINGS_DIR" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
    flags = [
        "--ip=127.0.0.1",
        "--no-browser",
        "--allow-root",
        "--ServerApp.port_retries=0",
        "--ServerApp.password=",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={folder / 'series'}",
        "--LabApp.news_url=",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    ARTEFACTS.mkdir(exist_ok=True)
    for _ in range(3):  # a port that is free now may be taken when the server comes to it
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(ARTEFACTS / "jupyterlab.log", "w") as log:
            command = [sys.executable, "-m", "jupyterlab", f"--port={port}", *flags]
            server = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        if answers(address, server):
            break
    else:
        pytest.fail(f"JupyterLab did not answer: {read(ARTEFACTS / 'jupyterlab.log')}")
    try:
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def answers(address, server) -> bool:
    """Whether the server is there within two minutes, and has not ended."""
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=2).close()
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    server.kill()
    return False


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("the package playwright is not installed")
    if not chromium:
        missing("no chromium and no google-chrome on this machine")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    with sync_playwright() as p:
        started = p.chromium.launch(executable_path=chromium, headless=True, args=flags)
        yield started
        started.close()


def cdn_script(cell_sources: str) -> str:
    """The bundle of the installed CircuitsVis as the module that the CDN would send.

    The package holds it as a plain script that makes one object; a module exports names.
    """
    script = Path(circuitsvis.__file__).parent / "dist" / "cdn" / "iife.js"
    names = {"render", *re.findall(r"import \{ render, (\w+) \}", cell_sources)}
    exports = "".join(f"\nexport const {n} = CircuitsVis.{n};" for n in sorted(names))
    return script.read_text(encoding="utf-8") + exports


@pytest.fixture
def opened(lab, browser):
    """A function name -> context in which that notebook is open, with no request to the outside."""

    @contextmanager
    def open_page(name):
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        page = context.new_page()
        script = cdn_script(json.dumps(saved("04_attention")))
        outside = []

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
                outside.append(url)
                route.abort()

        context.route("**/*", gate)
        try:
            page.goto(f"{lab}/lab/tree/notebooks/{name}.ipynb?reset")
            page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=2 * MINUTE)
            page.wait_for_function(
                "window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')", timeout=MINUTE
            )
            # Not what the page shows: it says idle before there is a kernel, and Run All would ask.
            page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
            yield page
            assert not outside
        finally:
            page.screenshot(path=ARTEFACTS / f"{name.replace('/', '-')}.png")
            page.evaluate(f"{PANEL}?.sessionContext?.shutdown()")
            context.close()

    return open_page


PANEL = "window.jupyterapp.shell.currentWidget"
KERNEL = f"{PANEL}?.sessionContext?.session?.kernel"
CODE = f"{PANEL}.content.widgets.filter(c => c.model.type === 'code')"
ERRORS = f"""{CODE}.flatMap(c => c.model.outputs.toJSON())
    .filter(o => o.output_type === 'error' || o.name === 'stderr')"""
ALL_RUN = f"""() => {ERRORS}.some(o => o.output_type === 'error')
    || ({KERNEL}?.status === 'idle' && {CODE}.every(c => c.model.executionCount !== null))"""
NOTEBOOK = ".jp-NotebookPanel .jp-Notebook"
FIGURE = ".jp-Notebook .js-plotly-plot"


def run_all(page):
    """Every output made anew. What a command starts is not waited for by the command."""
    start = "name => void window.jupyterapp.commands.execute(name)"
    for command in ("notebook:clear-all-cell-outputs", "notebook:run-all-cells"):
        page.evaluate(start, command)
    page.wait_for_function(ALL_RUN, timeout=10 * MINUTE)
    no_errors(page)


def no_errors(page):
    """No traceback, nothing on stderr, no widget that could not be drawn, in cells or widgets."""
    found = [o.get("text") or o.get("evalue") for o in page.evaluate(f"() => {ERRORS}")]
    assert not found, found
    for mime in ("error", "stderr"):
        seen = page.locator(f".jp-Notebook [data-mime-type='application/vnd.jupyter.{mime}']")
        assert not seen.all_text_contents()
    assert not page.get_by_text("Error displaying widget").count()


def wait_for_figures(page, number):
    """Until so many figures have their title drawn; plotly draws after the kernel is idle."""
    drawn = f"n => document.querySelectorAll('{FIGURE} .main-svg').length >= n"
    page.wait_for_function(drawn, arg=number, timeout=MINUTE)
    assert page.locator(FIGURE).count() == number


def figures(name):
    return len(list(build.figures(saved(name))))


# ---------------------------------------------------------------- what an eye would tell

WIDTHS = (1280, 1000)  # of the window, with JupyterLab's own panels in it
PHONE = 390
THEMES = ("JupyterLab Light", "JupyterLab Dark")
SMALLEST = 12  # pixels of the smallest letters in a figure, as helpers.plotting makes them
# What a figure or a picture shows beside its place, and what of its letters is cut.
CUT = """() => [...document.querySelectorAll('.jp-Notebook .js-plotly-plot, .jp-OutputArea img')]
    .filter(e => e.offsetParent).flatMap(e => {
        const box = e.getBoundingClientRect()
        const room = e.closest('.jp-Cell-outputWrapper').getBoundingClientRect()
        const out = r => r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1
        const texts = [...e.querySelectorAll('.main-svg text')].filter(t => t.textContent)
        const cut = texts.filter(t => out(t.getBoundingClientRect())).map(t => t.textContent)
        return box.right > room.right + 1 ? [`${Math.round(box.width)} px`, ...cut] : cut })"""
# Names of controls that stand on each other.
TOUCHING = """() => [...document.querySelectorAll('.jp-Notebook .widget-hbox')].flatMap(row => {
    const boxes = [...row.children].map(e => e.getBoundingClientRect())
    const inner = [...row.querySelectorAll('label, .widget-readout')].filter(e => e.textContent)
    return inner.filter(e => boxes.some((box, i) => {
        const r = e.getBoundingClientRect()
        return !row.children[i].contains(e) && r.right > box.left && r.left < box.right &&
            r.bottom > box.top && r.top < box.bottom })).map(e => e.textContent) })"""
# (letters, ground) as #rrggbb: the ground is that of the first thing below that has one.
INK = """e => { const hex = c => '#' + c.match(/\\d+/g).slice(0, 3)
        .map(v => (+v).toString(16).padStart(2, '0')).join('')
    let below = e
    while (/, 0\\)$|transparent/.test(getComputedStyle(below).backgroundColor))
        below = below.parentElement
    const style = getComputedStyle(e), ink = e.closest('svg') ? style.fill : style.color
    return [hex(ink), hex(getComputedStyle(below).backgroundColor)] }"""


def look(page, theme, width=None):
    """The page in this theme of JupyterLab, in a window of this width."""
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    page.wait_for_function(f"document.body.dataset.jpThemeName === {theme!r}", timeout=MINUTE)
    if width:
        page.set_viewport_size({"width": width, "height": 900})


def nothing_is_cut(page):
    """Every figure fits its place, and its letters fit it; plotly takes a moment to follow."""
    end = time.monotonic() + 10
    while (cut := page.evaluate(CUT)) and time.monotonic() < end:
        page.wait_for_timeout(200)
    assert not cut


def can_be_read(places):
    """The letters of each place stand out from what is below them."""
    found = places.all()
    assert found
    for place in found:
        ink, ground = place.evaluate(INK)
        said = f"{place.text_content()!r}: {ink} on {ground}"
        assert P.contrast(ink, ground) >= 4.5, said


# ---------------------------------------------------------------- a saved page, and a run


# JupyterLab shows the saved PNG of a figure until the pointer is over it; its words stand below.
PICTURES = """() => [...document.querySelectorAll('.jp-OutputArea img')].map(i => (
    {figure: i.className === 'plot-img', drawn: i.complete && i.naturalWidth > 0, alt: i.alt}))"""


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_saved_notebook_is_shown_whole(name, opened):
    """Before anything is run: every figure and drawing, and words where an explorer will be."""
    with opened(name) as page:
        assert page.locator(".jp-Notebook .jp-Cell").count() == len(saved(name).cells)
        page.locator(".plot-img").nth(figures(name) - 1).wait_for(timeout=MINUTE)
        pictures = page.evaluate(PICTURES)
        assert all(p["drawn"] and (p["figure"] or len(p["alt"]) > 20) for p in pictures)
        assert sum(p["figure"] for p in pictures) == figures(name)
        assert page.get_by_text("Here is an explorer").count() == len(explorers_of(name))
        assert "…" not in "".join(page.get_by_text("Here is an explorer").all_text_contents())
        no_errors(page)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            nothing_is_cut(page)
        page.locator(".plot-img").first.hover(force=True)  # it goes as soon as it is touched
        page.locator(FIGURE).first.wait_for(timeout=MINUTE)


def test_a_notebook_runs_through(opened):
    """04, which has a view of CircuitsVis."""
    with opened("04_attention") as page:
        page.locator(".plot-img").last.wait_for(timeout=MINUTE)
        axe.nothing_is_ours(page, "04_attention, saved", axe.SAVED, NOTEBOOK)
        run_all(page)
        wait_for_figures(page, figures("04_attention") + len(explorers_of("04_attention")))
        circuitsvis_is_drawn(page)
        for theme in THEMES:
            look(page, theme)
            ground = page.locator("[id^=circuits-vis-] canvas").last.evaluate(INK)[1]
            assert P.contrast(ground, "#666666") >= 4.5, theme  # the grey of its names, painted
            can_be_read(page.locator("[id^=circuits-vis-]").get_by_text(re.compile("[a-z]{3}")))
            axe.nothing_is_ours(page, f"04_attention, run, {theme}", axe.RUN, NOTEBOOK)
        page.locator("[id^=circuits-vis-]").screenshot(path=ARTEFACTS / "circuitsvis-dark.png")
        no_errors(page)


COLOURS = """c => new Set(new Uint32Array(
    c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"""


def circuitsvis_is_drawn(page):
    """The view holds what its script draws: the head to choose, and a picture that is not blank."""
    view = page.locator("[id^=circuits-vis-]").first
    view.scroll_into_view_if_needed()
    view.get_by_text("head 0 Zoomed").wait_for(timeout=MINUTE)
    page.wait_for_timeout(1000)  # it is drawn with a short animation
    colours = view.locator("canvas").last.evaluate(COLOURS)
    assert colours > 10, f"the picture has {colours} colours"
    view.screenshot(path=ARTEFACTS / "circuitsvis.png")


# ---------------------------------------------------------------- explorers

CONTROLS = ".jupyter-widgets :is(.noUi-handle, .jupyter-button, input)"
# The place of the focus among the controls of a cell; how a control looks.
FOCUS = f"cell => [...cell.querySelectorAll('{CONTROLS}')].indexOf(document.activeElement)"
LOOKS = """e => { const s = getComputedStyle(e)
    const line = s.outlineStyle === 'none' ? '' : s.outlineWidth + s.outlineColor
    return [line, s.boxShadow, s.borderColor, s.borderWidth, s.backgroundColor].join(' ') }"""
# What a cell says: of its controls, of its figure, and in words.
SAYS = """cell => [...cell.querySelectorAll('input, .noUi-handle, .gtitle, .mod-active, em')].map(
    e => e.value ?? e.getAttribute('aria-valuetext') ?? e.textContent).join(' | ')"""
TITLES = "cell => [...cell.querySelectorAll('.gtitle')].map(t => t.textContent).join(' | ')"


def move(page, control):
    """Move a slider, press a button, turn a text, step a number: by keyboard alone."""
    control.scroll_into_view_if_needed()
    control.focus()
    tag = control.evaluate("e => e.tagName")
    if control.get_attribute("type") == "number":
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
    elif tag == "INPUT":
        before = control.input_value()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(before[::-1])
    elif tag == "BUTTON":
        page.keyboard.press("Enter")
    else:
        value, top = (float(control.get_attribute(f"aria-value{w}")) for w in ("now", "max"))
        page.keyboard.press("ArrowLeft" if value >= top else "ArrowRight")


def wait_for_other_titles(page, cell, before, limit):
    changed = f"([cell, before]) => {{ const t = ({TITLES})(cell); return t && t !== before }}"
    page.wait_for_function(changed, arg=[cell.element_handle(), before], timeout=limit)


def train_and_stop(page, cell, before):
    """The explorer of 03: press Train, see the figure change while it trains, press Stop.

    At so low a rate the criterion is never met, so that there is something to stop.
    """
    rate = cell.get_by_label("rate")
    rate.fill("0.0001")
    rate.press("Enter")
    cell.get_by_role("button", name="Train", exact=True).press("Enter")
    wait_for_other_titles(page, cell, before, 2 * MINUTE)
    focus_comes_to(page, "Stop")
    page.keyboard.press("Enter")
    cell.locator(".gtitle", has_text=", stopped").wait_for(timeout=MINUTE)
    focus_comes_to(page, "Train")


def focus_comes_to(page, words):
    page.wait_for_function(f"document.activeElement.textContent === '{words}'", timeout=MINUTE)


def tab_reaches_all_and_shows_where_it_is(page, cell):
    """From one control of a cell to the next, in the order in which they stand; returns them."""
    controls = cell.locator(CONTROLS).all()
    assert controls
    resting = [control.evaluate(LOOKS) for control in controls]
    controls[0].focus()
    page.keyboard.press("Shift+Tab")
    for number, (control, rest) in enumerate(zip(controls, resting)):
        said, presses = f"control {number} of {len(controls)}", 0
        while cell.evaluate(FOCUS) != number and presses < 2:  # a slider's number is a stop too
            page.keyboard.press("Tab")
            presses += 1
        assert cell.evaluate(FOCUS) == number, f"Tab does not come to {said}"
        assert control.evaluate(LOOKS) != rest, f"nothing shows that {said} has the focus"
    return controls


def every_control_does_something(page, cell, controls, limit=MINUTE / 4):
    """Each control changes what its cell says."""
    changed = f"([cell, before]) => ({SAYS})(cell) !== before"
    for number, control in enumerate(controls):
        if control.evaluate("e => e.matches('.mod-active') || e.textContent === 'Train'"):
            continue  # what is chosen, and what is pressed below
        before = cell.evaluate(SAYS)
        move(page, control)
        try:
            page.wait_for_function(changed, arg=[cell.element_handle(), before], timeout=limit)
        except Exception as error:
            raise AssertionError(f"control {number} changed nothing: {before}") from error


def a_broken_control_is_noticed(page, cell):
    """One that Tab passes by, one that hides the focus, one that hears no key; the first ones."""
    first, second = cell.locator(CONTROLS).all()[:2]
    second.evaluate("e => e.tabIndex = -1")
    with pytest.raises(AssertionError, match="Tab does not come to control 1"):
        tab_reaches_all_and_shows_where_it_is(page, cell)
    second.evaluate("e => e.tabIndex = 0")
    first.evaluate("e => e.style = 'outline: none; box-shadow: none; border: 1px solid #777'")
    with pytest.raises(AssertionError, match="nothing shows that control 0"):
        tab_reaches_all_and_shows_where_it_is(page, cell)
    first.evaluate("e => e.style = ''")
    second.evaluate("e => e.addEventListener('keydown', k => k.stopImmediatePropagation(), true)")
    with pytest.raises(AssertionError, match="control 0 changed nothing"):
        every_control_does_something(page, cell, [second], limit=2000)


def test_every_explorer_answers_to_the_keyboard(opened):
    """Tab reaches each control, each does something, and the title of the figure follows."""
    with opened("explorers") as page:
        run_all(page)
        cells = page.locator(".jp-Notebook .jp-Cell")
        n_cells = cells.count()
        assert n_cells == 2 + len(WITH_EXPLORER) and set(NAMES) <= set(WITH_EXPLORER)
        for name, cell in zip(WITH_EXPLORER, cells.all()[2:]):
            cell.scroll_into_view_if_needed()
            cell.locator(".gtitle").first.wait_for(timeout=MINUTE)
            before = cell.evaluate(TITLES)
            controls = tab_reaches_all_and_shows_where_it_is(page, cell)
            every_control_does_something(page, cell, controls)
            if cell.get_by_role("button", name="Train", exact=True).count():
                train_and_stop(page, cell, before)
            else:
                wait_for_other_titles(page, cell, before, MINUTE)
            print(f"{name}: {before!r} -> {cell.evaluate(TITLES)!r}")
            cell.screenshot(path=ARTEFACTS / f"{name.replace('/', '-')}-explorer.png")
        a_message_moves_nothing(page, cells.nth(2))
        mouse_and_keys_take_turns(page, cells.nth(n_cells - 1))
        a_broken_control_is_noticed(page, cells.nth(2))
        for theme in THEMES:
            for width in WIDTHS:
                look(page, theme, width)
                nothing_is_cut(page)
                assert not page.evaluate(TOUCHING), (theme, width)
            axe.nothing_is_ours(page, f"explorers, {theme}", axe.EXPLORERS, NOTEBOOK)
            can_be_read(page.locator(".jp-Notebook .widget-label:visible, [role=status] em"))
            page.screenshot(path=ARTEFACTS / f"explorers-{theme.split()[1]}.png")
        page.locator("[role=slider]").first.evaluate("e => e.removeAttribute('aria-label')")
        nameless, *more = axe.sort_out(axe.violations(page, NOTEBOOK), axe.EXPLORERS)[0]
        assert nameless.startswith("aria-input-field-name") and not more
        tips = str(page.locator(".modebar-btn").evaluate_all(TIPS))
        assert "Download" in tips and "Share" not in tips
        page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
        no_errors(page)
        assert cells.count() == n_cells  # JupyterLab took no key for itself
        assert {"code"} == set(page.evaluate(f"{PANEL}.content.widgets.map(c => c.model.type)"))


BELOW = "buttons => buttons.map(b => b.style.boxShadow)"
TIPS = "buttons => buttons.map(b => b.dataset.title)"


def a_message_moves_nothing(page, cell):
    """Typing without Enter is answered, in words; the figure stays where it is."""
    text, figure = cell.locator("input[type=text]").first, cell.locator(".js-plotly-plot")
    before = text.input_value()

    def way():
        return figure.bounding_box()["y"] - text.bounding_box()["y"]

    text.focus()
    far = way()
    for key, words in (("Backspace", "7 digits so far: type eight"), ("a", "x7 is “a”: type")):
        page.keyboard.press("End")
        page.keyboard.press(key)
        alert = cell.get_by_role("alert").filter(has_text=words)
        alert.wait_for(timeout=MINUTE)
        assert way() == far
        for theme in THEMES:
            look(page, theme)
            can_be_read(alert)
    text.fill(before)
    cell.get_by_role("alert").wait_for(state="detached", timeout=MINUTE)
    assert way() == far


def mouse_and_keys_take_turns(page, cell):
    """In 06: a button clicked keeps the focus, the next one follows by keyboard; a slider drawn."""
    before = cell.evaluate(TITLES)
    cell.get_by_role("button", name="attention", exact=True).click()
    wait_for_other_titles(page, cell, before, MINUTE)
    assert cell.locator(":focus").text_content() == "attention"
    chosen = cell.locator(".widget-toggle-button.mod-active").all_text_contents()
    assert cell.locator("[aria-pressed=true]").all_text_contents() == chosen and len(chosen) == 3
    for pressed in (True, False):
        lines = cell.locator(f"[aria-pressed={pressed}]".lower()).evaluate_all(BELOW)
        assert lines and all(("inset" in line) == pressed for line in lines)
    before = cell.evaluate(TITLES)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    wait_for_other_titles(page, cell, before, MINUTE)
    assert cell.locator(":focus").text_content() == "mlp"
    for letter in "mabx":  # JupyterLab's commands; the end of the test counts the cells
        page.keyboard.press(letter)
    assert cell.locator(":focus").text_content() == "mlp"
    slider = cell.get_by_role("slider").first
    before, box = cell.evaluate(TITLES), slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 30, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    wait_for_other_titles(page, cell, before, MINUTE)


# ---------------------------------------------------------------- the exported page, on a phone

# What is too wide, but for drawings: these scroll in a box of ours. (A cell's own box scrolls too.)
WIDE = """() => [...document.querySelectorAll('main :is(p, h1, h2, h3, h4, li, summary, img)')]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .filter(e => !e.closest('[style*="overflow-x"]')).map(e => e.textContent || e.alt)"""
SHOWN = """() => [...document.querySelectorAll('main img[src^="data:image/png"]')].map(
    i => [i.clientWidth / i.naturalWidth, i.naturalWidth])"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with all notebooks as pages, by the command that CONTRIBUTING has."""
    folder = tmp_path_factory.mktemp("exported")
    command = re.search(r"jupyter nbconvert(.+?)notebooks/", read(ROOT / "CONTRIBUTING.md"), re.S)
    pages = [f"notebooks/{name}.ipynb" for name in ALL_NAMES]
    options = [*command[1].split(), "--output-dir", folder]
    done = python(ROOT, "-m", "nbconvert", *options, *pages)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def exported_page(exported, browser):
    """A function (name, width) -> that exported page, in a window of this width."""
    contexts = []

    def open_page(name, width):
        contexts.append(browser.new_context(viewport={"width": width, "height": 844}))
        contexts[-1].route("http*://**/*", lambda route: route.abort())
        page = contexts[-1].new_page()
        page.goto(f"file://{exported / name.split('/')[-1]}.html")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", ALL_NAMES)
def test_an_exported_page_fits_a_phone(name, exported_page):
    """Nothing but code and tables scrolls sideways, and the letters of figures can be read."""
    page = exported_page(name, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE
    assert not page.evaluate(WIDE)
    page.evaluate("document.querySelector('main p').style.width = '600px'")
    assert page.evaluate(WIDE), "this check would not notice"
    page.evaluate("document.querySelector('main p').style.width = ''")
    shown = page.evaluate(SHOWN)
    assert len(shown) == figures(name)
    for share, width in shown:
        assert share * SMALLEST >= 9, f"a picture {width} px wide is shown at {share:.0%}"
    page.screenshot(path=ARTEFACTS / f"phone-{name.replace('/', '-')}.png")


@pytest.mark.parametrize("name", ALL_NAMES)
def test_axe_finds_nothing_on_an_exported_page(name, exported_page):
    page = exported_page(name, WIDTHS[0])
    page.evaluate(axe.THINNED)
    axe.nothing_is_ours(page, f"{name}, exported")


BROKEN = {
    "image-alt": "main img[alt]: e.removeAttribute('alt')",
    "link-in-text-block": "main p > a: e.style.textDecoration = 'none'",
    "color-contrast": "main p: e.style.color = '#999'",
    "heading-order": "main h2: e.outerHTML = '<h4>Below its rank</h4>'",
}


def test_axe_sees_what_is_broken_on_an_exported_page(exported_page):
    """Each way to break a page breaks the rule that it should, and is said to be ours."""
    page = exported_page("04_attention", WIDTHS[0])
    page.evaluate(axe.THINNED)
    for where, what in (how.split(": ") for how in BROKEN.values()):
        page.locator(where).first.evaluate(f"e => {{ {what} }}")
    ours, gone, _ = axe.sort_out(axe.violations(page), "")
    assert {line.split(":")[0] for line in ours} == set(BROKEN) and not gone
    assert axe.sort_out([], axe.RUN)[1], "what is found no more has to be seen"
