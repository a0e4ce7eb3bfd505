"""The page that lives, in a real browser: it computes what torch does, and all can use it."""

import json
import re
import runpy
import shutil
import subprocess

import axe
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose
from playwright.sync_api import expect

from conftest import ROOT, missing, read
from helpers import interventions, task
from helpers import model as M
from helpers.evaluation import n_right, right
from helpers.training import train

pytestmark = pytest.mark.reader
LIVE, PAGE = ROOT / "site/live", (ROOT / "site/live/index.html").as_uri()
TOKENS, WAIT = task.full_sequences(), dict(timeout=60_000)  # milliseconds
SOME = torch.randint(0, task.N_SEQUENCES, (1000,), generator=torch.Generator().manual_seed(0))
NODE = """const { train } = await import(process.argv[1]); let end
    for (end of train(Number(process.argv[2])));
    console.log(JSON.stringify([end.step, ...end.weights]))"""
KEYS = [  # a control, keys, and where which words must stand then
    ("#heads button >> nth=0", "ArrowUp", "#target", "11323331"),
    ("#heads button >> nth=1", "0", "#target", "11323311"),
    ("#pattern button >> nth=3", "Enter", "#picture-title", "y3: the highest line"),
    ("#typed", "End Backspace 3", "#status", "A new input. The model says 01323311: all right."),
    ("#write", "Enter Enter", "#status", "y0: it writes 0 ✓"),
    ("#mlp", "Home", "#lines-says", "y0, without the MLP"),
    ("[name=attention] >> nth=0", "ArrowRight", "#status", "Counted: 131,072"),
    ("[name=x7]", "ArrowUp", "#status", "Counted"),
    ("#check", "Enter", "#broken", "y7"),
    ("#seed", "Enter", "#learning", "y7"),
    ("#train button", "Enter", "#whose", "of 32 dots right"),
    ("#back", "Enter", "#whose", "the ready-made model."),
]
BAD = [
    ("#heads button >> nth=2", "a", "x2 is “a”: type eight digits from 0 to 3, as in 32221200"),
    ("#typed", "322212003", "9 digits are too many: type eight digits from 0 to 3"),
    ("#seed", "-1\n", "The seed is “-1”: type a whole number from 0 to 999,999"),
]


@pytest.fixture
def live(browser):  # noqa: F811
    """The page, once it is measured. At the end nothing was asked for, and nothing has failed."""
    page, wrong = browser.new_page(viewport=dict(width=1200, height=800)), []
    page.on("request", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(error))
    page.goto(PAGE)
    expect(page.locator("#lines-says")).to_contain_text("0 ✓, 1 ✓, 2 ✓, 3 ✓.", **WAIT)
    yield page
    page.close()
    assert not [what for what in wrong if not str(what).startswith((PAGE, "blob:"))]


def flat(weights):
    """The 360 numbers in the order of the page."""
    return torch.cat([weights[name].flatten() for name in M.shapes("article")]).tolist()


def test_the_committed_page_is_what_its_sources_give_and_small():
    made = runpy.run_path(str(LIVE / "build.py"))["made"]()
    assert read(LIVE / "index.html") == made and len(made.encode()) < 100_000


def test_logits_gradients_and_counts_are_those_of_torch(live):
    ours = live.evaluate("inputs => inputs.map(x => series.logits(x))", TOKENS[SOME, 1:9].tolist())
    assert_allclose(ours, M.as_zoo(M.load_trained())(TOKENS[SOME])[0], rtol=0, atol=1e-10)
    zoos, batch = [train("article", [3], max_steps=n)[0] for n in (0, 150)], SOME[:64]
    for zoo in (*zoos, M.as_zoo(M.load_trained())):  # at the start, on the way, and at the end
        weights = {k: v.clone().requires_grad_() for k, v in zoo.weights.items()}
        logits = M.forward(weights, TOKENS[batch]).flatten(0, 2)
        F.cross_entropy(logits, TOKENS[batch, 9:].flatten()).backward()
        given = [flat(weights), batch.tolist()]
        found = live.evaluate("([weights, inputs]) => series.gradient(weights, inputs).flat", given)
        assert_allclose(found, flat({k: v.grad for k, v in weights.items()}), rtol=0, atol=1e-12)
        count = live.evaluate("weights => series.countExact(weights)", flat(weights))
        assert count == n_right(zoo).item()
    assert count == task.N_SEQUENCES


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_a_seed_gives_the_same_exact_model_in_another_engine(live, seed):
    node, module = shutil.which("node") or missing("no node"), LIVE / "src/training.mjs"
    command = [node, "--input-type=module", "-e", NODE, module.as_uri(), str(seed)]
    there = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    here = live.evaluate("seed => series.train(seed).then(e => [e.step, ...e.weights])", seed)
    assert here == there
    assert live.evaluate("w => series.countExact(w)", here[1:]) == task.N_SEQUENCES


def test_each_switch_counts_what_the_helpers_count(live, monkeypatch):
    zoo = M.as_zoo(M.load_trained())
    zoos = {("mlp", how): interventions.ablate(zoo, "mlp", how) for how in ("zero", "mean")}
    zoos["attention", "mean"] = interventions.ablate(zoo, "attention", "mean")
    zoos["attention", "ideal"] = zoo.edited({"pattern": interventions.ideal_pattern()})
    hits = {switch: right(edited)[0] for switch, edited in zoos.items()}
    tables = [*M.attention_reads(zoo.weights), M.stream_table(zoo.weights)]
    for i, route in enumerate(("query", "key", "value", "direct")):
        new = [table.clone() for table in tables]
        new[i][:, 8] = new[i][:, 8, 2:3]  # whatever x7 is, this route carries a 2
        monkeypatch.setattr(M, "attention_reads", lambda _, new=new: new[:3])
        monkeypatch.setattr(M, "stream_table", lambda _, new=new: new[3])
        hits["route", route] = right(zoo)[0]
    live.locator("[name=x7]").select_option("2")  # a 3 on the direct route changes no answer
    for (name, value), hit in hits.items():
        assert not hit.all(), "a switch that did nothing would pass"
        live.locator(f"[name={name}][value={value}]").check()
        counts = f"{hit.sum():,} of 524,288.*; {hit.all(-1).sum():,} of 65,536"
        expect(live.get_by_role("status")).to_have_text(re.compile(counts), **WAIT)
        live.locator(f"[name={name}][value='']").check()


def test_all_works_by_keyboard_and_axe_finds_nothing_in_either_theme(live):
    for control, keys, where, words in KEYS:
        while not live.locator(control).evaluate("e => e === document.activeElement"):
            live.keyboard.press("Tab")
        for key in keys.split():
            live.keyboard.press(key)
        expect(live.locator(where)).to_contain_text(words, **WAIT)
    for theme in ("light", "dark"):
        live.emulate_media(color_scheme=theme)
        axe.nothing_is_ours(live)


def test_it_fits_one_screen_and_a_phone_with_room_for_fingers(live):
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert live.evaluate(size) == [1200, 800]
    live.set_viewport_size(dict(width=390, height=844))
    assert live.evaluate(size)[0] == 390
    targets = live.locator("button:visible, select, summary, #typed, #seed, #mlp, fieldset label")
    boxes = targets.evaluate_all("all => all.map(e => e.getBoundingClientRect().toJSON())")
    assert len(boxes) > 30 and min(min(box["width"], box["height"]) for box in boxes) >= 40


def test_bad_input_gets_a_sentence_and_changes_nothing(live):
    shown = live.locator("#target, #pattern, #whose, #lines-says")
    before = shown.all_inner_texts()
    for control, given, says in BAD:
        live.locator(control).press("Control+a")
        live.keyboard.type(given)
        expect(live.get_by_role("alert")).to_contain_text(says)
        assert shown.all_inner_texts() == before
