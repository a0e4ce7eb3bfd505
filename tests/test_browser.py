"""The notebooks as a reader meets them: in JupyterLab, in a real browser.

Nothing from outside is let through: the script of CircuitsVis, which a reader's browser takes from
a CDN, comes from the installed package. A picture of each page as left is in `test-artefacts/`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import axe
import circuitsvis
import nbformat
import pytest

from conftest import ALL_NAMES, ROOT, copy_of_the_series, read, saved, words_of_figures
from tools import build

pytestmark = pytest.mark.reader
ARTEFACTS = ROOT / "test-artefacts"
MINUTE = 60_000  # playwright counts in milliseconds
CDN = re.compile(r"https://unpkg\.com/circuitsvis@[\d.]+/dist/cdn/esm\.js")
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
THEMES = ("JupyterLab Light", "JupyterLab Dark")
EXPLORE = re.compile(r"\b(lesson_\w+)\.explore_\w+\(")


def explorers_of(name):
    """The sources of the cells of a notebook that make an explorer."""
    sources = [cell.source for cell in build.from_source(name).cells]
    return [source for source in sources if EXPLORE.search(source)]


# The notebook of each explorer, in the order in which `explorers.ipynb` has them; what they need.
EXPLORERS = [name for name in ALL_NAMES for _ in explorers_of(name)]
BEFORE_EXPLORERS = """from helpers.model import load_trained
from helpers.training import train

model = load_trained()
history = train("article", [0], max_steps=30)[1]
losses, by_output = history["loss"][:, 0], history["accuracy"][:, 0]"""
LAB_FLAGS = """--ip=127.0.0.1 --no-browser --allow-root --IdentityProvider.token=
    --ServerApp.disable_check_xsrf=True --LabApp.expose_app_in_browser=True --LabApp.news_url=
    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate""".split()
LAB_SETTINGS = {  # every cell stays in the page, also out of sight; and nothing pops up
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false"}',
}


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A copy of the series, with the copy of its notebooks that README recommends."""
    copy = copy_of_the_series(tmp_path_factory.mktemp("lab") / "series")
    shutil.copytree(copy / "notebooks", copy / "mine")
    return copy


@pytest.fixture(scope="module")
def lab(series):
    """The address of a JupyterLab that serves a copy of the series.

    Beside the notebooks stands `explorers`, with the explorers of all of them.
    """
    folder, notebooks = series.parent, series / "notebooks"
    made = [source for name in ALL_NAMES for source in explorers_of(name)]
    lessons = sorted({EXPLORE.search(source)[1] for source in made})
    before = f"{BEFORE_EXPLORERS}\nfrom lessons import {', '.join(lessons)}"
    cells = [nbformat.v4.new_code_cell(c) for c in (build.setup("explorers"), before, *made)]
    together = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": build.KERNEL})
    nbformat.write(together, notebooks / "explorers.ipynb")

    for name, value in LAB_SETTINGS.items():
        settings = folder / "CONFIG" / "lab" / "user-settings" / "@jupyterlab" / name
        settings.parent.mkdir(parents=True)
        settings.with_suffix(".jupyterlab-settings").write_text(value, encoding="utf-8")
    with serving(series, "jupyterlab", *LAB_FLAGS) as address:
        yield address


@contextmanager
def serving(series, module, *flags):
    """The address of a server of notebooks, once it answers; its settings are beside `series`."""
    env = {f"JUPYTER_{name}_DIR": str(series.parent / name) for name in ("CONFIG", "DATA")}
    env["SERIES_PICTURES"] = "no"  # README's environment has no kaleido
    path = series.parent / f"{module}.log"
    with open(path, "w", encoding="utf-8") as log:
        where = dict(cwd=series, env=os.environ | env, stdout=log, stderr=log)
        server = subprocess.Popen([sys.executable, "-m", module, *flags], **where)
    try:
        for _ in range(240):
            if found := re.search(r"http://127\.0\.0\.1:\d+(?=/)", read(path)):
                break
            time.sleep(0.5)
        else:
            pytest.fail(f"{module} did not answer: {read(path)}")
        yield found[0]
    finally:
        server.terminate()
        server.wait(60)


def gate(pages, address, known, script, but=""):
    """The list of what is asked outside: a `known` place gives `script`; what has `but` fails."""
    outside = []

    def answer(route):
        url, ours = route.request.url, (address, "data:", "blob:")
        if url.startswith(ours) and not (but and but in url):
            return route.continue_()
        outside.append(url)
        if not re.fullmatch(known, url):
            return route.abort()
        leave = {"Access-Control-Allow-Origin": "*"}  # without it no module comes
        route.fulfill(body=script, content_type="text/javascript", headers=leave)

    pages.route("**/*", answer)
    return outside


PANEL = "window.jupyterapp.shell.currentWidget"
KERNEL = f"{PANEL}?.sessionContext?.session?.kernel"
NOTEBOOK = ".jp-NotebookPanel .jp-Notebook"
FIGURE = f"{NOTEBOOK} .js-plotly-plot"
# A traceback or a line on stderr, of a cell or of a widget.
WRONG = f"{NOTEBOOK} :is([data-mime-type$='jupyter.error'], [data-mime-type$='jupyter.stderr'])"
ALL_RUN = f"""() => document.querySelector("{WRONG}") || ({KERNEL}?.status === 'idle' &&
    {PANEL}.content.widgets.every(c => c.model.executionCount !== null))"""


@pytest.fixture(scope="module")
def opened(lab, browser):
    """A function name -> context in which that notebook is open, with no request to the outside."""

    script = read(Path(circuitsvis.__file__).parent / "dist" / "cdn" / "iife.js")
    script += "\nexport const {render, AttentionHeads} = CircuitsVis"  # as the CDN's module

    @contextmanager
    def open_page(name):
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        outside, page = gate(context, lab, CDN, script), context.new_page()
        try:
            page.goto(f"{lab}/lab/tree/notebooks/{name}.ipynb?reset")
            page.wait_for_selector(f"{NOTEBOOK} .jp-Cell", timeout=2 * MINUTE)
            # Not what the page shows: it says idle before there is a kernel, and Run All would ask.
            page.wait_for_function(f"{KERNEL}?.status === 'idle'", timeout=2 * MINUTE)
            yield page
            no_errors(page)
            assert all(url == BADGE or CDN.fullmatch(url) for url in outside)
        finally:
            page.screenshot(path=ARTEFACTS / f"{name.replace('/', '-')}.png")
            page.evaluate(f"{PANEL}?.sessionContext?.shutdown()")
            context.close()

    return open_page


def command(page, name, **arguments):
    start = "([name, how]) => void window.jupyterapp.commands.execute(name, how)"
    page.evaluate(start, [name, arguments])


def run_all(page):
    """Every output made anew."""
    command(page, "notebook:clear-all-cell-outputs")
    command(page, "notebook:run-all-cells")
    page.wait_for_function(ALL_RUN, timeout=10 * MINUTE)
    no_errors(page)


def no_errors(page):
    assert not page.locator(WRONG).all_text_contents()
    assert not page.get_by_text("Error displaying widget").count()


def axe_finds_nothing_in_either_theme(page):
    for theme in THEMES:
        command(page, "apputils:change-theme", theme=theme)
        page.wait_for_function(f"document.body.dataset.jpThemeName === {theme!r}", timeout=MINUTE)
        axe.nothing_is_ours(page, NOTEBOOK)


def ask(url, model=None):
    """What the server answers when JupyterLab opens a notebook, or saves it: `model`."""
    data, method = (None, "GET") if model is None else (json.dumps(model).encode(), "PUT")
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
        return json.load(answer)


@pytest.mark.parametrize("newer", [".py", ".ipynb"])
@pytest.mark.parametrize("folder", ["notebooks", "mine"])
def test_an_answer_typed_elsewhere_is_shown_and_a_save_changes_nothing(folder, newer, series, lab):
    """Typed into the .ipynb by VS Code, Colab or an editor; whichever file of the pair is newer."""
    pair = [series / folder / f"02_transformer{suffix}" for suffix in (".ipynb", ".py")]
    notebook = nbformat.read(pair[0], as_version=4)
    answered = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    answered.source = f"my_answer = 'typed elsewhere, the {newer} is newer'"
    nbformat.write(notebook, pair[0])
    for path in pair:
        os.utime(path, (2e9, 2e9) if path.suffix == newer else (1e9, 1e9))
    before = [path.read_bytes() for path in pair]
    opened = ask(f"{lab}/api/contents/{folder}/02_transformer.ipynb")
    assert answered.source in ["".join(c["source"]) for c in opened["content"]["cells"]]
    ask(f"{lab}/api/contents/{folder}/02_transformer.ipynb", opened)
    assert [path.read_bytes() for path in pair] == before


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_saved_notebook_is_shown_whole(name, opened):
    """Before anything is run; where an explorer will be, a sentence."""
    words = words_of_figures(name)
    with opened(name) as page:
        assert page.locator(f"{NOTEBOOK} .jp-Cell").count() == len(saved(name).cells)
        assert page.locator(f"{NOTEBOOK} .jp-InputPlaceholder").count() == 1  # the set-up cell
        pictures = page.locator(".plot-img")  # the saved PNGs, until the pointer is over them
        pictures.nth(len(words) - 1).wait_for(timeout=MINUTE)
        assert page.locator(".jp-OutputArea img").evaluate_all("e => e.every(i => i.naturalWidth)")
        assert set(words) <= set(page.locator(".jp-OutputArea em").all_text_contents())
        waiting = page.get_by_text("Here is an explorer").all_text_contents()
        assert len(waiting) == len(explorers_of(name)) and "…" not in "".join(waiting)
        axe.nothing_is_ours(page, NOTEBOOK)
        axe.nothing_is_cut(page)
        pictures.first.hover(force=True)
        page.locator(FIGURE).first.wait_for(timeout=MINUTE)


def test_a_notebook_runs_through(opened):
    """04, which has a view of CircuitsVis: what its script draws is there too."""
    with opened("04_attention") as page:
        run_all(page)
        n = len(words_of_figures("04_attention")) + len(explorers_of("04_attention"))
        page.locator(f"{FIGURE} .gtitle").nth(n - 1).wait_for(timeout=MINUTE)
        page.locator("[id^=circuits-vis-]").get_by_text("head 0 Zoomed").wait_for(timeout=MINUTE)
        named = "() => !document.querySelector('.noUi-handle:not([aria-label])')"
        page.wait_for_function(named, timeout=MINUTE)  # half a second after they are drawn
        axe_finds_nothing_in_either_theme(page)


CONTROLS = ".jupyter-widgets :is(.noUi-handle, .jupyter-button, input)"
# The place of the focus among the controls of a cell; how a control looks.
FOCUS = f"cell => [...cell.querySelectorAll('{CONTROLS}')].indexOf(document.activeElement)"
LOOKS = """e => { const s = getComputedStyle(e)
    const line = s.outlineStyle === 'none' ? '' : s.outlineWidth + s.outlineColor
    return [line, s.boxShadow, s.borderColor, s.borderWidth, s.backgroundColor].join(' ') }"""
# What is said of the figure: its titles, and its words.
SAYS = """cell => [...cell.querySelectorAll('.gtitle, em')].map(e => e.textContent).join(' | ')"""


@pytest.fixture(scope="module")
def explorers(opened):
    """The page with all explorers, which have been drawn, and their cells."""
    with opened("explorers") as page:
        run_all(page)
        cells = page.locator(f"{NOTEBOOK} .jp-Cell").all()[2:]
        for cell in cells:
            cell.scroll_into_view_if_needed()
            cell.locator(".gtitle").first.wait_for(timeout=MINUTE)
        yield page, cells
        assert page.locator(f"{NOTEBOOK} .jp-CodeCell").count() == 2 + len(EXPLORERS)


@contextmanager
def changes(page, cell):
    """Wait until a cell says something else of its figure than at the start."""
    before = cell.evaluate(SAYS)
    yield
    changed = f"([cell, before]) => {{ const now = ({SAYS})(cell); return now && now !== before }}"
    page.wait_for_function(changed, arg=[cell.element_handle(), before], timeout=MINUTE)


def move(page, control):
    """Move a slider, press a button, turn a text around: by keyboard alone."""
    control.scroll_into_view_if_needed()
    control.focus()
    if control.get_attribute("type") == "text":
        before = control.input_value()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(before[::-1])
    elif control.get_attribute("role") == "slider":
        value, top = (float(control.get_attribute(f"aria-value{w}")) for w in ("now", "max"))
        page.keyboard.press("ArrowLeft" if value >= top else "ArrowRight")
    else:
        page.keyboard.press("Enter")


@pytest.mark.parametrize("number", range(len(EXPLORERS)), ids=EXPLORERS)
def test_an_explorer_answers_to_the_keyboard(number, explorers):
    page, cell = explorers[0], explorers[1][number]
    controls = cell.locator(CONTROLS).all()
    resting = [control.evaluate(LOOKS) for control in controls]
    controls[0].focus()
    page.keyboard.press("Shift+Tab")
    for i, (control, rest) in enumerate(zip(controls, resting)):
        for _ in range(2):  # a slider's number is a stop too
            if cell.evaluate(FOCUS) != i:
                page.keyboard.press("Tab")
        assert cell.evaluate(FOCUS) == i, f"Tab does not come to control {i}"
        assert control.evaluate(LOOKS) != rest, f"nothing shows that control {i} has the focus"
    if cell.get_by_role("button", name="Train", exact=True).count():
        return train_and_stop(page, cell)
    for control in controls:
        if not control.evaluate("e => e.matches('.mod-active')"):
            with changes(page, cell):
                move(page, control)


def train_and_stop(page, cell):
    """In 03 what the controls say counts from the start. At so low a rate no run ends by itself."""
    move(page, cell.get_by_role("slider"))
    for name, value in (("seed", "1"), ("rate", "0.0001")):
        cell.get_by_label(name).fill(value)
        cell.get_by_label(name).press("Enter")
    cell.get_by_role("button", name="Train", exact=True).press("Enter")
    cell.locator(".gtitle", has_text="_init, seed 1, rate 0.0001").wait_for(timeout=MINUTE)
    assert cell.locator(":focus").text_content() == "Stop"  # one button, which keeps the focus
    page.keyboard.press("Enter")
    cell.locator(".gtitle", has_text=", stopped").wait_for(timeout=MINUTE)
    assert cell.locator(":focus").text_content() == "Train"


def test_half_a_prompt_is_answered_in_words_and_moves_nothing(explorers):
    cell = explorers[1][EXPLORERS.index("01_dataset")]
    text, figure = cell.locator("input[type=text]"), cell.locator(".js-plotly-plot")
    way = lambda: figure.bounding_box()["y"] - text.bounding_box()["y"]  # noqa: E731
    far = way()
    for key, words in (("Backspace", "7 digits so far: type eight"), ("a", "x7 is “a”: type")):
        text.press("End")
        text.press(key)
        cell.get_by_role("alert").filter(has_text=words).wait_for(timeout=MINUTE)
        assert way() == far


def test_mouse_and_keys_take_turns(explorers):
    page, cells = explorers
    cell = cells[EXPLORERS.index("06_ablation")]
    with changes(page, cell):
        cell.get_by_role("button", name="attention", exact=True).click()
    assert cell.locator(":focus").text_content() == "attention"
    chosen = cell.locator(".widget-toggle-button.mod-active").all_text_contents()
    assert cell.locator("[aria-pressed=true]").all_text_contents() == chosen and len(chosen) == 3
    with changes(page, cell):
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
    for letter in "mabx":  # JupyterLab's commands; at the end all cells are there, and code
        page.keyboard.press(letter)
    assert cell.locator(":focus").text_content() == "mlp"


def test_explorers_fit_a_window_and_axe_finds_nothing(explorers):
    """Nor in the message that was left above."""
    page, _ = explorers
    axe.nothing_is_cut(page)
    axe_finds_nothing_in_either_theme(page)
