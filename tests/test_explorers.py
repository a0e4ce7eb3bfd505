"""The explorers: figures say what the model does; widgets follow, and answer bad input in words."""

import asyncio
import dataclasses
import sys
import time

import ipywidgets
import pytest
import torch
from samples import contrast

from helpers import interventions, model, task
from helpers.evaluation import by_position
from helpers.training import train
from lessons import lesson_01, lesson_02, lesson_03, lesson_04, lesson_05, lesson_06, line

X = [3, 1, 0, 2, 2, 0, 1, 3]
BAD = {
    "0123": "4 digits so far: type eight digits from 0 to 3, as in 32221200.",
    "012301230": "9 digits are too many: type",
    "0123012a": "x7 is “a”: type",
    "0 1 2 3 0 1 2 4": "x7 is “4”: type",
}
# For each explorer another value of each control; one change after the other is made.
MOVES = {
    lesson_01.explore_task: dict(tokens="00000000"),
    lesson_02.explore_forward: dict(stop="pattern", tokens="00000000"),
    lesson_04.explore_attention: dict(tokens="01232030"),
    lesson_05.explore_lines: dict(output=5, tokens="00000000", mlp=0.0, attention=0.3),
    lesson_06.explore_ablation: dict(
        position=2, tokens="00000000", part="attention", neuron=3, everything=True, how="mean"
    ),
}
EACH = pytest.mark.parametrize("make", MOVES, ids=lambda make: make.__name__)


@pytest.fixture(scope="module")
def given(trained):
    """What each explorer is made from."""
    own = {lesson_01.explore_task: [], lesson_05.explore_lines: [line.find_lines(trained)]}
    return {make: [trained] for make in MOVES} | own


def shown(box):
    """The figure that an explorer shows now, as plotly's JSON."""
    (output,) = box.figure.outputs
    return output["data"]["application/vnd.plotly.v1+json"]


def title(box):
    return shown(box)["layout"]["title"]["text"]


def same(trace, wanted, what="z"):
    return torch.allclose(torch.tensor(trace[what]).double(), wanted, atol=1e-4)


def test_task_figure_holds_the_target_and_marks_what_is_right():
    figure, says = lesson_01.task_figure(X)
    (trace,) = figure.data
    target = task.targets(X).tolist()
    assert [*trace.z[0]] == target and [*trace.z[1]] == X[::-1]  # and "only reversed"
    for name, row, marks in zip(trace.y, trace.z, trace.text):
        right = [a == t for a, t in zip(row, target)]
        assert ["✓" in mark for mark in marks] == right
        assert name == "target" or f":<br>{sum(right)} of 8" in name
    assert "31022013" in figure.layout.title.text and "of 8 right" in says


@pytest.mark.parametrize("kind", ["article", "sum_pairs", model.Kind(dict(d_mlp=8))])
@torch.no_grad()
def test_each_stop_is_the_librarys_tensor_whatever_the_size_of_the_model(kind):
    bridge, rule = model.build(kind), model.get_kind(kind).task
    logits, cache = bridge.run_with_cache(task.full_sequences(X, rule)[:, :16])
    for stop, (name, _) in lesson_02.STOPS.items():
        figure, says = lesson_02.forward_figure(bridge, X, stop)
        wanted = logits.softmax(-1) if stop == "probabilities" else cache[name]
        wanted = wanted.reshape(16, -1)
        assert same(figure.data[0], wanted) and len(figure.data[0].x) == wanted.shape[1]
        assert stop in figure.layout.title.text and f"16 by {wanted.shape[1]} numbers" in says


@torch.no_grad()
def test_value_weighted_pattern_is_the_norm_of_what_the_library_writes(trained):
    figure, says = lesson_04.attention_figure(trained, X)
    _, cache = trained.run_with_cache(task.full_sequences(X)[:, :16])
    written = cache["blocks.0.attn.hook_v"][0, :, 0] @ trained.blocks[0].attn.W_O[0]  # [16, 4]
    pattern = cache["pattern", 0][0, 0, 8:]  # [8, 16]
    weighted = (pattern[..., None] * written).norm(dim=-1)
    assert same(figure.data[0], pattern[:, :9]) and same(figure.data[1], weighted[:, :9])
    assert "31022013" in figure.layout.title.text and "y7 at" in says
    other, _ = lesson_04.attention_figure(trained, "00000000")  # the scales stay as they are
    assert [trace.zmax for trace in other.data] == [trace.zmax for trace in figure.data]


def test_the_lines_explorer_says_the_answers_of_the_model_itself(given):
    (lines,) = given[lesson_05.explore_lines]
    figure, says = lesson_05.lines_figure(lines, 2, X, mlp=0.0)
    silent = lines.zoo.edited({"mlp_out": torch.zeros(1)})
    itself = silent(task.full_sequences(X))[0, 0, 2].argmax()
    assert says.endswith(f"at these strengths, says {task.TOKEN_NAMES[itself]}.")
    assert "Input 31022013" in says and "y2" in figure.layout.title.text


def test_ablation_figure_counts_as_the_interventions_do(trained):
    sequences, box = task.full_sequences(), lesson_06.explore_ablation(trained)
    fires = (interventions.record(trained, "post", sequences) > 0).flatten(0, 2).any(0)
    on, never = box.controls["neuron"].value, int((~fires).nonzero()[0])  # it starts at one that is
    at_y2 = interventions.ablate(trained, "mlp", "mean", positions=[2])
    without = interventions.ablate(trained, "post", neurons=[on])
    for values, edited, words in [
        (dict(part="mlp", how="mean", position=2), at_y2, "mlp → mean at y2"),
        (dict(part="one neuron", neuron=on), without, f"neuron {on} → zero at all outputs"),
    ]:
        figure, says = lesson_06.ablation_figure(trained, tokens=X, **values)
        accuracy = by_position(edited, task.split(sequences)[1])[0]
        assert same(figure.data[0], accuracy, "y")
        assert same(figure.data[1], edited(task.full_sequences(X))[0, 0])
        assert says.startswith(f"{words}: {accuracy.mean():.1%} right on the hold-out")
    box.controls["neuron"].value = never  # who moves the slider wants to see that neuron off
    assert f"neuron {never} → zero" in title(box) and "changed nothing" in box.caption.value
    assert set(shown(box)["data"][0]["y"]) == {1.0}


def test_models_of_another_kind_are_judged_by_their_own_task():
    wide = model.load_zoo("sum_pairs")[0]
    figure, says = lesson_06.ablation_figure(wide, part="nothing", tokens=X, everything=True)
    assert same(figure.data[0], by_position(wide)[0], "y") and "on all 65,536 sequences" in says
    assert f"{''.join(map(str, task.targets(X, 'sum_pairs').tolist()))} is right" in says
    assert lesson_06.explore_ablation(wide).controls["neuron"].max == 63
    box = lesson_06.explore_ablation(model.load_zoo("no_mlp")[0])
    assert "there are" in box.alert.value and "attn_out" in box.alert.value  # no MLP: said
    box.controls["part"].value = "attention"
    assert box.alert.value == "" and title(box).startswith("attention → zero")


@EACH
def test_an_explorer_starts_at_the_static_figure_and_follows_each_control(make, given):
    box, name = make(*given[make]), make.__name__.replace("explore_", "") + "_figure"
    figure, says = getattr(sys.modules[make.__module__], name)(*given[make])
    assert title(box) == figure.layout.title.text and says == shown(box)["layout"]["meta"]["says"]
    assert "Shift+Enter" in repr(box) and len(repr(box)) <= 110  # ipywidgets cuts it there
    # No drop-down: JupyterLab takes the keys of a collapsed one, and the cell pays for it.
    assert not {type(one) for one in box.controls.values()} & {ipywidgets.Dropdown}
    assert set(MOVES[make]) == set(box.controls)
    for name, value in MOVES[make].items():
        before, box.controls[name].value = shown(box), value
        assert box.error is None and box.caption.value and shown(box) != before, name


@EACH
def test_bad_tokens_get_a_message_and_the_next_good_ones_a_figure(make, given):
    box = make(*given[make])
    before, room, typed = title(box), box.alert.layout.min_height, box.controls["tokens"]
    for bad, words in BAD.items():
        typed.value = bad
        assert "role='alert'" in box.alert.value and words in box.alert.value
    typed.value = "<b>"
    assert "<b>" not in box.alert.value and title(box) == before  # the last good one stays
    typed.value = "3 1 0 2 2 0 1 3"
    assert box.alert.value == "" and "31022013" in str(shown(box)["layout"])
    # The room of the message is kept while there is none; and no Enter is needed.
    assert room and box.alert.layout.min_height == room and typed.continuous_update


def test_a_bug_is_said_readably():
    box = lesson_01.explore_task()
    box.draw = lambda tokens: 1 / 0
    box.redraw()
    assert "ZeroDivisionError: division by zero" in box.alert.value and "32221200" in title(box)
    ground, ink = (part.split(";")[0] for part in box.alert.value.split("#")[1:3])
    assert contrast(f"#{ground}", f"#{ink}") > 4.5


def test_set_tokens_and_typed_ones_are_the_same():
    box = lesson_01.explore_task()
    sliders = box.children[1].children
    sliders[7].value = 3
    assert box.controls["tokens"].value == "32221203" and "32221203" in title(box)
    box.controls["tokens"].value = "31022013"
    assert [one.value for one in sliders] == X and "31022013" in title(box)


def test_only_the_latest_of_a_drag_is_drawn():
    box, calls = lesson_01.explore_task(), []
    plain, box.draw = box.draw, lambda **values: calls.append(values) or plain(**values)

    async def drag():
        for value in range(4):
            box.controls["tokens"].value = f"0000000{value}"
        assert not calls  # nothing is computed while the slider moves
        await asyncio.sleep(0.5)

    asyncio.run(drag())
    assert len(calls) == 1 and "00000003" in title(box)


def test_training_draws_what_the_controls_say_and_refuses_what_cannot_be():
    box = lesson_03.explore_training()
    for box.seed.value, box.rate.value in ((-1, 0.05), (0, 0.0), (0, float("nan"))):
        box.button.click()
        assert "allowed are" in box.alert.value and box.thread is None
    box.kind.value, box.seed.value, box.rate.value = "no_mlp", 3, 0.02
    with torch.no_grad():  # as in a notebook that has switched gradients off
        box.button.click()
    assert box.button.description == "Stop" and not box.button.disabled  # the focus stays on it
    while len(shown(box)["data"][0]["y"]) < 21:
        time.sleep(0.02)
        assert box.error is None and box.thread.is_alive()
    box.button.click()
    box.thread.join(30)
    assert title(box).endswith("stopped") and box.button.description == "Train"
    losses, bars = shown(box)["data"][:2]
    recipe, steps = dataclasses.replace(model.KINDS["no_mlp"].recipe, lr=0.02), len(losses["y"])
    _, history = train("no_mlp", [3], recipe, max_steps=steps)
    assert same(losses, history["loss"][:, 0], "y")
    assert same(bars, history["accuracy"][-15:, 0].mean(0), "y")
