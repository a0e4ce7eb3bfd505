"""The page that lives: `site/live/index.html`, opened from its file in a real browser.

Its JavaScript computes, counts, differentiates and trains what torch does, and every reader can
use it: by mouse, by keyboard, on a phone, in a dark room, without seeing it.
"""

import json
import re
import runpy
import shutil
import subprocess

import axe
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import expect
from test_browser import browser  # noqa: F401 (the one browser of the tests)

from conftest import ROOT, missing, read
from helpers import interventions, task
from helpers import model as M
from helpers.evaluation import n_right, right
from helpers.training import train

LIVE = ROOT / "site" / "live"
SECONDS = 1000  # playwright counts in milliseconds
COUNTED = 30 * SECONDS


def flat(weights):
    """The 360 numbers in the order of the page."""
    return torch.cat([weights[name].flatten() for name in M.shapes("article")])


def zoo_of(numbers):
    """A zoo of one model that has these 360 numbers."""
    sizes = {name: torch.Size(shape) for name, shape in M.shapes("article").items()}
    parts = torch.tensor(numbers, dtype=torch.float64).split([s.numel() for s in sizes.values()])
    weights = {n: p.view(1, *s) for (n, s), p in zip(sizes.items(), parts)}
    return M.Zoo("article", weights, [0])


@pytest.fixture
def live(browser):  # noqa: F811
    """The page, measured; at the end nothing has been asked for and nothing has failed."""
    page, wrong = browser.new_page(viewport={"width": 1200, "height": 800}), []
    page.on("request", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((LIVE / "index.html").as_uri())
    expect(page.locator("#lines-says")).to_contain_text("0 ✓, 1 ✓, 2 ✓, 3 ✓", timeout=COUNTED)
    yield page
    page.close()
    assert not [what for what in wrong if what != (LIVE / "index.html").as_uri() and "blob:" not in what]


def test_the_committed_page_is_what_its_sources_give_and_small():
    made = runpy.run_path(str(LIVE / "build.py"))["made"]()
    assert read(LIVE / "index.html") == made and len(made.encode()) < 100_000


@pytest.mark.reader
def test_logits_and_counts_are_torchs(live):
    x = torch.randint(0, 4, (1000, 8), generator=torch.Generator().manual_seed(0))
    ours = live.evaluate("inputs => inputs.map(x => series.logits(x))", x.tolist())
    theirs = M.as_zoo(M.load_trained())(task.full_sequences(x))[0]
    assert (torch.tensor(ours, dtype=torch.float64) - theirs).abs().max() < 1e-10
    assert live.evaluate("series.countExact()") == task.N_SEQUENCES
    failed = M.load_zoo("article")
    failed = failed.where(~failed.exact)[0]
    weights = flat({name: value[0] for name, value in failed.weights.items()}).tolist()
    assert live.evaluate("w => series.countExact(w)", weights) == n_right(failed).item()


@pytest.mark.reader
def test_the_gradient_is_autograds(live):
    """At the start, on the way, and at the end."""
    numbers = torch.randint(0, 65536, (64,), generator=torch.Generator().manual_seed(1))
    batch = task.full_sequences()[numbers]
    start = {k: v[None] for k, v in M.initial_weights(seed=3).items()}
    way = train("article", [3], max_steps=150)[0].weights
    for weights in (start, way, M.as_zoo(M.load_trained()).weights):
        weights = {k: v.clone().requires_grad_() for k, v in weights.items()}
        with torch.enable_grad():
            loss = F.cross_entropy(M.forward(weights, batch).flatten(0, 2), batch[:, 9:].flatten())
            loss.backward()
        numbers_only = [flat(weights).tolist(), numbers.tolist()]
        found = live.evaluate("([w, n]) => series.gradient(w, n)", numbers_only)
        theirs = flat({k: v.grad for k, v in weights.items()})
        assert abs(found["loss"] - loss.item()) < 1e-12
        assert (torch.tensor(found["flat"], dtype=torch.float64) - theirs).abs().max() < 1e-12
        assert theirs.abs().max() > 1e-5, "nothing to compare"
