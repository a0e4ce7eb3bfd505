"""What axe finds on a page, and what of it is not ours to mend.

`NOT_OURS` is the one list of what the tools do, each with the place where it can be mended. The
list is exact: what stands in it and is found no more on its pages fails, as what is new does.
"""

import dataclasses
import re

from axe_playwright_python.sync_playwright import Axe


@dataclasses.dataclass(frozen=True)
class Known:
    """A rule of axe that a tool breaks in each of these pages, where the HTML of a node matches."""

    rule: str
    whose: str
    node: str
    why: str
    pages: tuple


SAVED, RUN, EXPLORERS = "saved notebook", "notebook that was run", "explorers"
LAB = (SAVED, RUN, EXPLORERS)
NOT_OURS = [
    Known("aria-input-field-name", "JupyterLab", 'class="cm-content"',
          "the editor of a cell has no name; the cell around it has one", LAB),
    Known("aria-required-children", "JupyterLab", 'role="feed"',
          "the list of cells is a feed, whose children should be articles", LAB),
    Known("button-name", "JupyterLab", "jp-collapseHeadingButton",
          "the button that folds what is below a heading has a picture and no name",
          (SAVED, RUN)),
    Known("scrollable-region-focusable", "JupyterLab", 'class="cm-scroller',
          "long lines of a cell's editor scroll; the keys reach them once the cell is edited",
          LAB),
    Known("image-alt", "plotly", 'class="plot-img"',
          "the picture that stands for a figure until it is touched; its words stand below it",
          (SAVED,)),
    Known("role-img-alt", "CircuitsVis", "<canvas",
          "chart.js makes an image of its canvas; the same numbers stand in a map above", (RUN,)),
]  # fmt: skip
FEW = {"resultTypes": ["violations"]}
# A page has thousands of pieces of code in a dozen colours: one of each is enough for the contrast.
THINNED = """() => { const seen = new Set()
    for (const e of document.querySelectorAll('.highlight pre > span')) {
        if (seen.has(e.className)) e.replaceWith(e.textContent)
        seen.add(e.className) } }"""


def violations(page, where=None) -> list[tuple[str, str]]:
    """(rule, HTML) of each node that breaks a rule of axe, in `where` or in all of a page."""
    found = Axe().run(page, context=where, options=FEW).response["violations"]
    return [(v["id"], node["html"]) for v in found for node in v["nodes"]]


def sort_out(found: list, kind: str) -> tuple[list, list, dict]:
    """(those that are ours, what is known of `kind` but not found, {(rule, whose): nodes})."""
    here = [known for known in NOT_OURS if kind in known.pages]
    ours, counts = [], {}
    for rule, html in found:
        whose = [k for k in here if k.rule == rule and re.search(k.node, html)]
        ours += [] if whose else [f"{rule}: {html[:200]}"]
        key = rule, whose[0].whose if whose else "ours"
        counts[key] = counts.get(key, 0) + 1
    gone = [k for k in here if (k.rule, k.whose) not in counts]
    return ours, gone, counts


def nothing_is_ours(page, name: str, kind: str = "", where=None) -> None:
    """No rule of axe is broken but those that tools are known to break on pages of this kind.

    Prints a line for each rule: page, rule, number of nodes, whose it is.
    """
    ours, gone, counts = sort_out(violations(page, where), kind)
    for (rule, whose), n in sorted(counts.items()) or [(("none", "nobody"), 0)]:
        print(f"axe | {name} | {rule} | {n} | {whose}")
    assert not ours, (name, ours)
    assert not gone, f"{name}: no longer found, take them out of NOT_OURS: {gone}"
