"""What axe finds on a page and what of it is not ours to mend; and what an eye would find."""

import re

from axe_playwright_python.sync_playwright import Axe

# (rule, what the HTML of the node holds, whose it is and why it stays): the one list of what the
# tools do, each to be mended at its own place.
NOT_OURS = [
    ("aria-input-field-name", 'class="cm-content"',
     "JupyterLab: the editor of a cell has no name; the cell around it has one"),
    ("aria-required-children", 'role="feed"',
     "JupyterLab: the list of cells is a feed, whose children should be articles"),
    ("button-name", "jp-collapseHeadingButton",
     "JupyterLab: the button that folds what is below a heading has a picture and no name"),
    ("scrollable-region-focusable", 'class="cm-scroller',
     "JupyterLab: long lines of an editor scroll; the keys reach them once the cell is edited"),
    ("image-alt", 'class="plot-img"',
     "plotly: the picture that stands for a figure until it is touched; its words stand below it"),
    ("role-img-alt", "<canvas",
     "CircuitsVis: chart.js makes an image of its canvas; the same numbers stand in a map above"),
]  # fmt: skip
FEW = {"resultTypes": ["violations"], "preload": False}  # from a file nothing can be preloaded
# A page has thousands of pieces of code in a dozen colours: one of each is enough for the contrast.
THINNED = """() => { const seen = new Set()
    for (const e of document.querySelectorAll('.highlight pre > span')) {
        if (seen.has(e.className)) e.replaceWith(e.textContent)
        seen.add(e.className) } }"""


def nothing_is_ours(page, where: str | None = None) -> None:
    """No rule of axe is broken, in `where` or in all of a page, but those of `NOT_OURS`."""
    page.evaluate(THINNED)
    violations = Axe().run(page, context=where, options=FEW).response["violations"]
    found = [(v["id"], node["html"]) for v in violations for node in v["nodes"]]

    def is_known(rule, html):
        return any(rule == known and re.search(node, html) for known, node, _ in NOT_OURS)

    ours = [f"{rule}: {html[:200]}" for rule, html in found if not is_known(rule, html)]
    assert not ours, ours


# What a figure or a picture shows beside its place, and what of its letters is cut; and the names
# and values that stand out of their control, on the next one.
CUT = """[...document.querySelectorAll('.js-plotly-plot, .jp-OutputArea img')]
    .filter(e => e.offsetParent).flatMap(e => {
        const box = e.getBoundingClientRect()
        const room = e.closest('.jp-Cell-outputWrapper').getBoundingClientRect()
        const out = r => r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1
        const texts = [...e.querySelectorAll('.main-svg text')].filter(t => t.textContent)
        const cut = texts.filter(t => out(t.getBoundingClientRect()))
        return box.right > room.right + 1 ? [e, ...cut] : cut })
    .concat([...document.querySelectorAll('.widget-label, .widget-readout')].filter(e =>
        e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right + 1))"""


def nothing_is_cut(page) -> None:
    """In JupyterLab, in a wide and in a small window, everything fits its place."""
    for width in (1280, 1000):
        page.set_viewport_size({"width": width, "height": 900})
        # plotly takes a moment to follow
        page.wait_for_function(f"() => {CUT}.length === 0", timeout=15_000)
