"""helpers.explorers: figures from plain values, and widgets that follow, stay calm and never crash."""

import asyncio
import subprocess
import sys
import time

import pytest
import torch

from helpers import explorers as E
from helpers import interventions as I
from helpers import model as M
from helpers import task as T
from helpers.training import by_position, train

X = [3, 1, 0, 2, 2, 0, 1, 3]
BAD = ["0123", "012301239", "0123012a", "0 1 2 3 0 1 2 4", ""]


@pytest.fixture(scope="module")
def model():
    return M.load_trained()


def title(box):
    """The title of the figure that an explorer shows now."""
    (output,) = box.figure.outputs
    return output["data"]["application/vnd.plotly.v1+json"]["layout"]["title"]["text"]


# ---------------------------------------------------------------- the figures


def test_tokens_are_read_as_people_write_them():
    for text in ("31022013", "3 1 0 2 2 0 1 3", " 3,1,0,2, 2,0,1,3 ", X, torch.tensor(X)):
        assert E.read_tokens(text) == X
    for bad in BAD:
        with pytest.raises(ValueError, match="allowed are 8 whole numbers from 0 to 3"):
            E.read_tokens(bad)


def test_task_figure_holds_the_target_and_counts():
    figure, says = E.task_figure(X)
    rows = dict(zip(figure.data[0].y, figure.data[0].z))
    assert list(rows["target"]) == T.targets(X).tolist()
    assert [list(row) for name, row in rows.items() if name.startswith("only reversed")] == [
        X[::-1]
    ]
    assert "31022013" in figure.layout.title.text and "of 8 right" in says


@pytest.mark.parametrize("stop", E.STOPS)
def test_each_stop_is_the_librarys_tensor(model, stop):
    figure, says = E.forward_figure(model, X, stop)
    with torch.no_grad():
        logits, cache = model.run_with_cache(T.full_sequences([X])[:, :16])
    wanted = logits[0].softmax(-1) if stop == "probabilities" else cache[E.STOPS[stop][0]]
    drawn = torch.tensor(figure.data[0].z, dtype=torch.float64)
    assert (drawn - wanted.reshape(16, -1)).abs().max() < 1e-4
    assert len(figure.data[0].x) == drawn.shape[1] and stop in figure.layout.title.text
    assert stop in says


def test_training_figure_shows_the_run(model):
    _, history = train("article", [0], max_steps=30)
    figure, says = E.training_figure(
        "article", 0, 0.05, history["loss"][:, 0], history["accuracy"][:, 0]
    )
    assert len(figure.data[0].y) == 30 and "step 30" in figure.layout.title.text
    wanted = history["accuracy"][-15:, 0].mean(0)
    assert torch.allclose(torch.tensor(figure.data[1].y, dtype=torch.float64), wanted, atol=1e-4)
    assert f"{history['loss'][-1, 0]:.3f}" in says


def test_value_weighted_pattern_is_the_norm_of_what_the_library_writes(model):
    figure, says = E.attention_figure(model, X)
    with torch.no_grad():
        _, cache = model.run_with_cache(T.full_sequences([X])[:, :16])
    written = cache["blocks.0.attn.hook_v"][0, :, 0] @ model.blocks[0].attn.W_O[0]  # [16, 4]
    pattern = cache["pattern", 0][0, 0, 8:]  # [8, 16]
    weighted = (pattern[..., None] * written).norm(dim=-1)
    for trace, wanted in zip(figure.data, (pattern, weighted)):
        drawn = torch.tensor(trace.z, dtype=torch.float64)
        assert (drawn - wanted[:, :9]).abs().max() < 1e-4
    # By hand: all the weights of a row, with the bias, make up what attention writes there.
    whole = pattern @ written + model.blocks[0].attn.b_O
    assert torch.allclose(whole, cache["attn_out", 0][0, 8:])
    assert "31022013" in figure.layout.title.text and "y7 at" in says


@pytest.mark.parametrize("case", [(0, 2, 1), (2, 0, 1), (7, 3, 3)])
def test_case_is_read_with_the_logit_lens(model, case):
    position, source, own = case
    figure, says = E.case_figure(model, *case)
    own = source if position == 0 else own
    sequences = T.full_sequences()
    mask = (sequences[:, 8 - position] == source) & (sequences[:, 8 + position] == own)
    with torch.no_grad():
        _, cache = model.run_with_cache(sequences[mask][:, :16])
        for trace, name in zip(figure.data, ("resid_mid", "resid_post")):
            lens = (model.ln_final(cache[name, 0][:, 8 + position]) @ model.W_U).softmax(-1)
            drawn = torch.tensor(trace.y, dtype=torch.float64)
            assert (drawn - lens.mean(0)).abs().max() < 1e-4
    assert f"y{position}, source {source}, own token {own}" in figure.layout.title.text
    assert f"{int(mask.sum()):,} sequences" in says


def test_ablation_figure_counts_as_the_interventions_do(model):
    sequences = T.full_sequences()
    holdout = T.split(sequences)[1]
    fires = (I.record(model, "post", sequences[::4099]) > 0).flatten(0, 1).any(0)
    on, off = int(fires.nonzero()[0]), int((~fires).nonzero()[0])
    for values, run in [
        (dict(part="mlp", how="zero"), I.ablate(model, "mlp", "zero")),
        (dict(part="attention", how="resample"), I.ablate(model, "attention", "resample")),
        (dict(part="mlp", how="mean", position=2), I.ablate(model, "mlp", "mean", positions=[2])),
        (dict(part="one neuron", neuron=on), I.ablate(model, "post", neurons=[on])),
    ]:
        figure, says = E.ablation_figure(model, tokens=X, **values)
        drawn = torch.tensor(figure.data[0].y, dtype=torch.float64)
        assert (drawn - by_position(run, holdout)).abs().max() < 1e-4
        logits = run(T.full_sequences([X]))[0]
        assert (torch.tensor(figure.data[1].z, dtype=torch.float64) - logits).abs().max() < 1e-4
        assert values["how" if "how" in values else "part"] in figure.layout.title.text or says
    _, says = E.ablation_figure(model, part="one neuron", neuron=off)
    assert "changed nothing at all" in says
    figure, says = E.ablation_figure(model, part="nothing")
    assert set(figure.data[0].y) == {1.0}


def test_figures_refuse_values_that_do_not_exist(model):
    for call in (
        lambda: E.forward_figure(model, stop="resid"),
        lambda: E.case_figure(model, position=8),
        lambda: E.ablation_figure(model, part="head"),
        lambda: E.ablation_figure(model, part="mlp", how="noise"),
    ):
        with pytest.raises(ValueError, match="there are|allowed are"):
            call()


# ---------------------------------------------------------------- the widgets


def explorers(model):
    return {
        "task": (E.explore_task(), E.task_figure()),
        "forward": (E.explore_forward(model), E.forward_figure(model)),
        "attention": (E.explore_attention(model), E.attention_figure(model)),
        "cases": (E.explore_cases(model), E.case_figure(model)),
        "ablation": (E.explore_ablation(model), E.ablation_figure(model)),
    }


MOVES = {
    "task": ("tokens", "00000000"),
    "forward": ("stop", "pattern"),
    "attention": ("tokens", "01232030"),
    "cases": ("position", 5),
    "ablation": ("how", "mean"),
}


@pytest.mark.parametrize("name", MOVES)
def test_explorer_starts_at_the_static_figure_and_follows(model, name):
    box, (figure, says) = explorers(model)[name]
    assert title(box) == figure.layout.title.text and box.alert.value == ""
    control, value = MOVES[name]
    box.controls[control].value = value
    assert title(box) != figure.layout.title.text and box.alert.value == ""
    assert box.caption.value != ""
    assert box.figure.layout.height == f"{E.HEIGHT + 20}px"
    assert "plotly" not in repr(box)


@pytest.mark.parametrize("name", ["task", "forward", "attention", "ablation"])
def test_bad_tokens_get_a_message_and_the_next_good_ones_a_figure(model, name):
    box, (figure, _) = explorers(model)[name]
    for bad in BAD:
        box.controls["tokens"].value = bad
        assert "role='alert'" in box.alert.value and "allowed are" in box.alert.value
    box.controls["tokens"].value = "<b>"
    assert "<b>" not in box.alert.value.removeprefix("<div role='alert' style='color:#a00'><b>")
    assert title(box) == figure.layout.title.text  # the last good one stays
    box.controls["tokens"].value = "3 1 0 2 2 0 1 3"
    assert box.alert.value == "" and "31022013" in title(box)


def test_picked_tokens_and_typed_ones_are_the_same():
    box = E.explore_task()
    lists = box.children[1].children
    lists[7].value = 3
    assert box.controls["tokens"].value == "01232033" and "01232033" in title(box)
    box.controls["tokens"].value = "31022013"
    assert [one.value for one in lists] == X and "31022013" in title(box)


def test_only_the_latest_of_a_drag_is_drawn(model):
    box = E.explore_cases(model)
    drawn, plain = [], box.draw
    box.draw = lambda **values: drawn.append(values) or plain(**values)

    async def drag():
        for value in (0, 1, 3, 4, 5, 6, 7):
            box.controls["position"].value = value
        await asyncio.sleep(0.01)
        assert not drawn  # nothing is computed while the slider moves
        while box.waiting.when() > asyncio.get_running_loop().time():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)

    asyncio.run(drag())
    assert len(drawn) == 1 and title(box).startswith("y7")


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_training_starts_draws_and_stops():
    box = E.explore_training()
    assert "step 0" in title(box) and box.stop_button.disabled
    with torch.no_grad():  # as in a notebook that has switched gradients off
        box.train_button.click()
    assert box.train_button.disabled and not box.stop_button.disabled
    wait(lambda: "step 21" in title(box))
    box.stop_button.click()
    box.thread.join(30)
    assert title(box).endswith("stopped") and box.alert.value == ""
    assert not box.train_button.disabled and box.stop_button.disabled


def test_training_refuses_bad_seeds_and_rates():
    box = E.explore_training()
    _, seed, rate, *_ = box.children[0].children
    for widget, bad, good in ((seed, -1, 0), (rate, 0.0, 0.05), (rate, float("nan"), 0.05)):
        widget.value = bad
        box.train_button.click()
        assert "allowed are" in box.alert.value and not hasattr(box, "thread")
        widget.value = good


def test_import_is_light():
    code = "import sys, helpers.explorers as E; E.explore_task(); assert 'transformer_lens' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
