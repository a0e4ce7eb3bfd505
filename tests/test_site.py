"""The series as a site, read in a real browser, from files: nothing else can be asked."""

import axe
import pytest

from conftest import ALL_NAMES, ROOT, every_link_leads_somewhere, python, words_of_figures

pytestmark = pytest.mark.reader
PAGES = ["index", "search", "GLOSSARY", "CONTRIBUTING", "CHANGELOG", *ALL_NAMES]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the pages, made where something to print is."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "series.pdf").write_bytes(b"%PDF-1.4")
    done = python(ROOT, "site/build.py", "--to", folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture
def opened(site, browser):
    """A function name -> that page, and the words of its figures. It makes no error, and asks no
    server."""
    wrong = []

    def open_page(name, **how):
        page = browser.new_page(viewport={"width": 390, "height": 844}, **how)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url))
        page.goto(f"file://{site}/{'notebooks/' * (name in ALL_NAMES)}{name}.html")
        return page, words_of_figures(name) if name in ALL_NAMES else []

    yield open_page
    assert not [what for what in wrong if not what.startswith(("file:", "data:"))]


@pytest.mark.parametrize("name", PAGES)
def test_each_figure_moves_on_a_page_that_fits_a_phone_and_axe_finds_nothing(name, opened):
    page, words = opened(name)
    for button in page.get_by_text("Show the whole page").all()[:1]:
        button.click()
    for place in page.locator(".plot").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()
    assert page.locator(".js-plotly-plot").evaluate_all("e => e.map(f => f.ariaLabel)") == words
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for theme, width in (("light", 1000), ("dark", 1280)):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"document.documentElement.dataset.theme === {theme!r}")
        page.wait_for_function("!document.getAnimations().length")  # the colours have changed
        axe.nothing_is_ours(page)


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_every_figure_is_a_picture_and_nothing_is_hidden(name, opened):
    page, words = opened(name, java_script_enabled=False)
    seen = page.locator(".plot > img").evaluate_all("e => e.map(i => i.naturalWidth && i.alt)")
    assert seen == words
    all_of_it = page.locator("article :is(h1, h2, p, .cell):not(details *, form *)")
    assert all_of_it.evaluate_all("e => e.every(block => block.checkVisibility())")
    assert not page.locator("form.ask").filter(visible=True).count()


def test_every_link_leads_somewhere_and_there_is_something_to_print(site):
    """Places in a page, and pictures, too."""
    every_link_leads_somewhere(site, "--check-anchors", *site.rglob("*.html"))
    assert "series.pdf" in (site / "notebooks" / "01_dataset.html").read_text(encoding="utf-8")


def test_a_prediction_is_made_or_skipped_by_keyboard_before_the_page_goes_on(opened):
    page, _ = opened("05_mlp")
    boxes, result = page.get_by_label("Your answer"), page.get_by_text("· measured 0")
    boxes.first.focus()
    for key, shown in (("Enter", False), ("5", False), ("Enter", True)):
        page.keyboard.press(key)
        assert result.is_visible() == shown
    assert page.locator(":focus").text_content() == "Your answer: 5"
    assert "predicted 5 · measured 0" in result.text_content()
    later = page.get_by_text("no prediction made · measured 2")
    assert boxes.is_visible() and not later.is_visible()
    boxes.focus()
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    assert page.locator(":focus").text_content() == "Skipped." and later.is_visible()
