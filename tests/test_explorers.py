"""helpers.reader.explorers: figures from plain values, and widgets that follow and stay calm."""

import asyncio
import dataclasses
import re
import subprocess
import sys
import time

import ipywidgets as W
import pytest
import torch

from helpers import interventions as I
from helpers import model as M
from helpers import plotting as P
from helpers import task as T
from helpers.evaluation import by_position
from helpers.reader import explorers as E
from helpers.reader import line as L
from helpers.training import recipe_of, train

X = [3, 1, 0, 2, 2, 0, 1, 3]
BAD = {
    "0123": "4 digits so far: type eight digits from 0 to 3, as in 32221200.",
    "012301230": "9 digits are too many: type",
    "0123012a": "x7 is “a”: type",
    "0 1 2 3 0 1 2 4": "x7 is “4”: type",
    "": "0 digits so far: type",
}


@pytest.fixture(scope="module")
def model():
    return M.load_trained()


@pytest.fixture(scope="module")
def explorers(model):
    """The explorers of all six notebooks, each made once; a test leaves its own as it likes."""
    return {
        "task": E.explore_task(),
        "forward": E.explore_forward(model),
        "training": E.explore_training(),
        "attention": E.explore_attention(model),
        "line": E.explore_line(model),
        "ablation": E.explore_ablation(model),
    }


@pytest.fixture
def explorer(explorers, request):
    """One of them by name, with its controls as they were at the start, drawn again."""
    box = explorers[request.param]
    yield box
    for control, value in STARTS.get(request.param, {}).items():
        box.controls[control].value = value
    box.redraw()


STARTS = {
    "task": {"tokens": E.EXAMPLE},
    "forward": {"stop": "resid_pre", "tokens": E.EXAMPLE},
    "attention": {"tokens": E.EXAMPLE},
    "line": {"output": 1, "tokens": E.EXAMPLE, "mlp": 1.0, "attention": 1.0},
    "ablation": {"part": "mlp", "how": "zero", "position": E.ALL, "tokens": E.EXAMPLE},
}
MOVES = {
    "task": ("tokens", "00000000"),
    "forward": ("stop", "pattern"),
    "attention": ("tokens", "01232030"),
    "line": ("output", 5),
    "ablation": ("how", "mean"),
}


def shown(box):
    """The figure that an explorer shows now, as plotly's JSON."""
    (output,) = box.figure.outputs
    return output["data"]["application/vnd.plotly.v1+json"]


def title(box):
    return shown(box)["layout"]["title"]["text"]


def drawn(trace, what="z"):
    return torch.tensor(trace[what], dtype=torch.float64)


# ---------------------------------------------------------------- the figures


def test_tokens_are_read_as_people_write_them():
    for text in ("31022013", "3 1 0 2 2 0 1 3", " 3,1,0,2, 2,0,1,3 ", X, torch.tensor(X)):
        assert T.read_tokens(text) == X
    for bad in BAD:
        with pytest.raises(ValueError, match="allowed are 8 whole numbers from 0 to 3"):
            T.read_tokens(bad)


def test_task_figure_holds_the_target_and_marks_what_is_right():
    figure, says = E.task_figure(X)
    (trace,) = figure.data
    rows, target = dict(zip(trace.y, trace.z)), T.targets(X).tolist()
    assert list(rows["target"]) == target
    assert [list(r) for name, r in rows.items() if name.startswith("only reversed")] == [X[::-1]]
    for name, row, marks in zip(trace.y, trace.z, trace.text):
        right = [a == t for a, t in zip(row, target)]
        assert ["✓" in mark for mark in marks] == right
        assert name == "target" or f":<br>{sum(right)} of 8" in name
    assert "31022013" in figure.layout.title.text and "of 8 right" in says


@pytest.mark.parametrize("stop", E.STOPS)
def test_each_stop_is_the_librarys_tensor(model, stop):
    figure, says = E.forward_figure(model, X, stop)
    with torch.no_grad():
        logits, cache = model.run_with_cache(T.full_sequences([X])[:, :16])
    wanted = logits[0].softmax(-1) if stop == "probabilities" else cache[E.STOPS[stop][0]]
    values = drawn(figure.data[0])
    assert (values - wanted.reshape(16, -1)).abs().max() < 1e-4
    assert len(figure.data[0].x) == values.shape[1] and stop in figure.layout.title.text
    assert stop in says


def test_training_figure_shows_the_run():
    _, history = train("article", [0], max_steps=30)
    losses, accuracies = history["loss"][:, 0], history["accuracy"][:, 0]
    figure, says = E.training_figure("article", 0, 0.05, losses, accuracies)
    assert len(figure.data[0].y) == 30 and "step 30" in figure.layout.title.text
    wanted = accuracies[-15:].mean(0)
    assert torch.allclose(drawn(figure.data[1], "y"), wanted, atol=1e-4)
    assert f"{losses[-1]:.3f}" in says


def test_value_weighted_pattern_is_the_norm_of_what_the_library_writes(model):
    figure, says = E.attention_figure(model, X)
    with torch.no_grad():
        _, cache = model.run_with_cache(T.full_sequences([X])[:, :16])
    written = cache["blocks.0.attn.hook_v"][0, :, 0] @ model.blocks[0].attn.W_O[0]  # [16, 4]
    pattern = cache["pattern", 0][0, 0, 8:]  # [8, 16]
    weighted = (pattern[..., None] * written).norm(dim=-1)
    for trace, wanted in zip(figure.data, (pattern, weighted)):
        assert (drawn(trace) - wanted[:, :9]).abs().max() < 1e-4
    # By hand: all the weights of a row, with the bias, make up what attention writes there.
    whole = pattern @ written + model.blocks[0].attn.b_O
    assert torch.allclose(whole, cache["attn_out", 0][0, 8:])
    assert "31022013" in figure.layout.title.text and "y7 at" in says


def test_the_scales_of_attention_do_not_move_with_the_input(model):
    tops = [[trace.zmax for trace in E.attention_figure(model, x)[0].data] for x in ("00000000", X)]
    assert tops[0] == tops[1] and tops[0][0] == 1
    assert tops[0][1] > 0.9 * max(E.attention_figure(model, "11111112")[0].data[1].z[0])


def test_the_line_explorer_says_the_answers_of_picture_and_model(model):
    for values in (dict(output=1), dict(output=2, mlp=0.0), dict(output=4, mlp=0.5, attention=0.3)):
        figure, says = E.line_figure(model, tokens=X, **values)
        strengths = {part: values.get(part, 1.0) for part in ("mlp", "attention")}
        itself = L.find_line(model).model_says(X, **strengths)[values["output"]]
        assert says.endswith(f"at these strengths, says {T.TOKEN_NAMES[itself]}.")
        assert f"y{values['output']} of 31022013" in figure.layout.title.text
        assert figure.layout.height == E.HEIGHT


@pytest.fixture(scope="module")
def neurons(model):
    """(one that fires at some output, one that never does)."""
    fires = (I.record(model, "post", T.full_sequences()) > 0).flatten(0, 2).any(0)
    return int(fires.nonzero()[0]), int((~fires).nonzero()[0])


def test_ablation_figure_counts_as_the_interventions_do(model, neurons):
    holdout, on = T.split(T.full_sequences())[1], neurons[0]
    for values, edited, words in [
        (dict(part="mlp", how="zero"), I.ablate(model, "mlp", "zero"), "mlp → zero at all outputs"),
        (
            dict(part="attention", how="resample"),
            I.ablate(model, "attention", "resample"),
            "attention → resample at all outputs",
        ),
        (
            dict(part="mlp", how="mean", position=2),
            I.ablate(model, "mlp", "mean", positions=[2]),
            "mlp → mean at y2",
        ),
        (
            dict(part="one neuron", neuron=on),
            I.ablate(model, "post", neurons=[on]),
            f"neuron {on} → zero at all outputs",
        ),
    ]:
        figure, says = E.ablation_figure(model, tokens=X, **values)
        accuracy = by_position(edited, holdout)[0]
        assert (drawn(figure.data[0], "y") - accuracy).abs().max() < 1e-4
        logits = edited(T.full_sequences([X]))[0, 0]
        assert (drawn(figure.data[1]) - logits).abs().max() < 1e-4
        wanted = f"{words}: {accuracy.mean():.1%} right on the hold-out"
        assert says.startswith(wanted)
        assert wanted.replace(": ", " ") in figure.layout.title.text.replace("<br>", " ")


def test_ablation_of_what_does_nothing_says_so_and_all_inputs_can_be_asked(model, neurons):
    figure, says = E.ablation_figure(model, part="one neuron", neuron=neurons[1])
    assert "changed nothing on 512" in says and set(figure.data[0].y) == {1.0}
    figure, says = E.ablation_figure(model, part="nothing", everything=True)
    assert set(figure.data[0].y) == {1.0} and "100.0% right on all 65,536 sequences" in says
    assert "changed nothing" not in says
    figure, _ = E.ablation_figure(model, "mlp", "zero", everything=True)
    accuracy = by_position(I.ablate(model, "mlp"))[0]
    assert (drawn(figure.data[0], "y") - accuracy).abs().max() < 1e-4


def test_an_edit_is_counted_even_where_it_missed_the_sample(model, monkeypatch):
    """It may change something on the inputs that are counted, if not on those that were tried."""

    def ablate(*args, effect=True, **settings):
        if effect:
            raise I.NothingChanged
        return plain(*args, **settings)

    plain = I.ablate
    monkeypatch.setattr(I, "ablate", ablate)
    figure, says = E.ablation_figure(model, "mlp", "zero")
    assert "changed nothing on 512" in says and min(figure.data[0].y) < 0.6


def test_models_of_another_kind_are_judged_by_their_own_task(model):
    wide = M.load_zoo("sum_pairs").where([True] + [False] * 31)
    figure, says = E.ablation_figure(wide, part="nothing", tokens=X, everything=True)
    assert (drawn(figure.data[0], "y") - by_position(wide)[0]).abs().max() < 1e-4
    assert f"{''.join(map(str, T.targets(X, 'sum_pairs').tolist()))} is right" in says
    assert E.explore_ablation(wide).controls["neuron"].max == 63
    box = E.explore_ablation(M.load_zoo("no_mlp").where([True] + [False] * 31))
    assert "without an MLP" in box.alert.value  # said, and the rest can be chosen
    box.controls["part"].value = "attention"
    assert box.alert.value == "" and title(box).startswith("attention → zero")


def test_figures_refuse_values_that_do_not_exist(model):
    for call in (
        lambda: E.forward_figure(model, stop="resid"),
        lambda: E.line_figure(model, output=8),
        lambda: E.ablation_figure(model, part="head"),
        lambda: E.ablation_figure(model, part="one neuron", neuron=16),
        lambda: E.ablation_figure(model, position=8),
        lambda: E.ablation_figure(model, part="mlp", how="noise"),
    ):
        with pytest.raises(ValueError, match="there are|allowed are"):
            call()
    for bad, words in BAD.items():
        with pytest.raises(ValueError, match=words):
            E.task_figure(bad)


# ---------------------------------------------------------------- the widgets


@pytest.mark.parametrize("explorer", MOVES, indirect=True)
def test_explorer_starts_at_the_static_figure_and_follows(model, explorer, request):
    name = request.node.callspec.params["explorer"]
    figure, _ = getattr(E, name + "_figure")(*(() if name == "task" else (model,)))
    assert title(explorer) == figure.layout.title.text and explorer.alert.value == ""
    control, value = MOVES[name]
    explorer.controls[control].value = value
    assert title(explorer) != figure.layout.title.text and explorer.alert.value == ""
    assert explorer.caption.value != ""
    assert explorer.figure.layout.height == f"{E.HEIGHT + 20}px"


MOVED = {
    "task": dict(tokens="00000000"),
    "forward": dict(stop="pattern", tokens="00000000"),
    "attention": dict(tokens="01232030"),
    "line": dict(output=5, tokens="00000000", mlp=0.0, attention=0.3),
    "ablation": dict(
        part="attention", how="mean", everything=True, neuron=3, position=2, tokens="00000000"
    ),
}


@pytest.mark.parametrize(
    "explorer, control", [(n, c) for n in MOVED for c in MOVED[n]], indirect=["explorer"]
)
def test_each_control_moves_what_is_shown(explorer, control, request):
    moved = MOVED[request.node.callspec.params["explorer"]]
    assert set(moved) == set(explorer.controls)
    before, value = shown(explorer)["data"], explorer.controls[control].value
    explorer.controls[control].value = moved[control]
    after = shown(explorer)["data"]
    explorer.controls[control].value = value
    assert explorer.error is None and after != before


def test_no_explorer_has_a_drop_down(explorers):
    """JupyterLab takes the keys of a collapsed one, and the cell pays for it."""

    def inside(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from inside(child)

    for name, box in explorers.items():
        kinds = {type(widget) for widget in inside(box)}
        assert not kinds & {W.Dropdown, W.Select, W.RadioButtons, W.Combobox}, name
        assert kinds & {W.ToggleButtons, W.SelectionSlider, W.IntSlider, W.Text}, name


def test_a_page_without_a_kernel_says_what_to_do(explorers):
    for box in explorers.values():
        assert "Shift+Enter" in repr(box) and "figure above" in repr(box)
        assert len(repr(box)) <= 110  # ipywidgets cuts it there


TYPED = ["task", "forward", "attention", "line", "ablation"]  # those with tokens to be typed


@pytest.mark.parametrize("explorer", TYPED, indirect=True)
def test_bad_tokens_get_a_message_and_the_next_good_ones_a_figure(explorer):
    before, room = title(explorer), explorer.alert.layout.min_height
    for bad, words in BAD.items():
        explorer.controls["tokens"].value = bad
        assert "role='alert'" in explorer.alert.value and words in explorer.alert.value
        assert isinstance(explorer.error, ValueError)
    explorer.controls["tokens"].value = "<b>"
    assert "<b>" not in explorer.alert.value
    assert title(explorer) == before  # the last good one stays
    explorer.controls["tokens"].value = "3 1 0 2 2 0 1 3"
    assert explorer.alert.value == "" and explorer.error is None
    assert "31022013" in str(shown(explorer)["layout"])  # in a title, or in that of a panel
    # the room of the message is kept while there is none: the figure does not move
    assert room and explorer.alert.layout.min_height == room
    assert explorer.controls["tokens"].continuous_update  # no Enter is needed


@pytest.mark.parametrize("explorer", ["task"], indirect=True)
def test_a_bug_is_said_and_kept_with_its_traceback(explorer, monkeypatch):
    def broken(tokens):
        raise ZeroDivisionError("division by nothing")

    before = title(explorer)
    monkeypatch.setattr(explorer, "draw", broken)
    explorer.controls["tokens"].value = "11111111"
    assert "ZeroDivisionError: division by nothing" in explorer.alert.value
    assert explorer.error.__traceback__ is not None and title(explorer) == before
    monkeypatch.undo()
    explorer.redraw()
    assert explorer.error is None and "11111111" in title(explorer)


@pytest.mark.parametrize("explorer", ["task"], indirect=True)
def test_a_message_can_be_read_on_any_page(explorer):
    explorer.say("a message")
    style = dict(
        rule.strip().split(":")
        for rule in explorer.alert.value.split("style='")[1].split("'")[0].split(";")
    )
    assert P.contrast(style["background"], style["color"]) > 4.5


@pytest.mark.parametrize("explorer", ["task"], indirect=True)
def test_set_tokens_and_typed_ones_are_the_same(explorer):
    sliders = explorer.children[1].children
    sliders[7].value = 3
    changed = T.EXAMPLE[:7] + "3"
    assert explorer.controls["tokens"].value == changed != T.EXAMPLE and changed in title(explorer)
    explorer.controls["tokens"].value = "31022013"
    assert [one.value for one in sliders] == X and "31022013" in title(explorer)


@pytest.mark.parametrize("explorer", ["ablation"], indirect=True)
def test_the_neuron_slider_starts_at_one_that_matters_and_chooses_neurons(explorer):
    neuron = explorer.controls["neuron"]
    explorer.controls["part"].value = "one neuron"
    assert f"neuron {neuron.value} → zero" in title(explorer)
    assert "changed nothing" not in explorer.caption.value
    explorer.controls["part"].value = "mlp"
    neuron.value = (neuron.value + 1) % 16
    assert explorer.controls["part"].value == "one neuron"
    assert f"neuron {neuron.value} → zero" in title(explorer)


@pytest.mark.parametrize("explorer", ["line"], indirect=True)
def test_only_the_latest_of_a_drag_is_drawn(explorer):
    calls, plain = [], explorer.draw
    explorer.draw = lambda **values: calls.append(values) or plain(**values)

    async def drag():
        for value in (0, 1, 3, 4, 5, 6, 7):
            explorer.controls["output"].value = value
        assert not calls  # nothing is computed while the slider moves
        while explorer.waiting.when() > asyncio.get_running_loop().time():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)

    asyncio.run(drag())
    assert len(calls) == 1 and title(explorer).startswith("y7")


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def drawn_for(box, kind):
    """Whether steps of a model of this kind are drawn."""
    found = re.match(rf"{kind}, .*: step (\d+)", title(box))
    return found and int(found[1]) > 0


def test_training_starts_draws_and_stops(explorers):
    box = explorers["training"]
    assert "step 0" in title(box) and box.button.description == "Train"
    with torch.no_grad():  # as in a notebook that has switched gradients off
        box.button.click()
    assert box.button.description == "Stop" and not box.button.disabled  # the focus stays on it
    wait(lambda: drawn_for(box, "article"))
    box.button.click()
    box.thread.join(30)
    assert title(box).endswith("stopped") and box.alert.value == "" and box.error is None
    assert box.button.description == "Train"


def test_what_is_trained_is_what_the_controls_say(explorers):
    box = explorers["training"]
    box.kind.value, box.seed.value, box.rate.value = "no_mlp", 3, 0.02
    box.button.click()
    wait(lambda: drawn_for(box, "no_mlp"))
    box.button.click()
    box.thread.join(30)
    box.kind.value, box.seed.value, box.rate.value = "article", 0, 0.05
    losses = drawn(shown(box)["data"][0], "y")
    recipe = dataclasses.replace(recipe_of("no_mlp"), lr=0.02)
    _, history = train("no_mlp", [3], recipe, max_steps=len(losses))
    assert torch.allclose(losses, history["loss"][:, 0], atol=1e-4)


def test_training_refuses_bad_seeds_and_rates(explorers):
    box = explorers["training"]
    before = box.thread
    for widget, bad, good in (
        (box.seed, -1, 0),
        (box.rate, 0.0, 0.05),
        (box.rate, float("nan"), 0.05),
    ):
        widget.value = bad
        box.button.click()
        assert "allowed are" in box.alert.value and box.thread is before
        widget.value = good


def test_explorers_and_exercises_open_without_the_library():
    code = (
        "import sys\n"
        "from helpers.reader import exercises as X, explorers as E\n"
        "E.explore_task(); X.check('01-targets', lambda x: x); X.check('01-forgotten-mod', 0.1)\n"
        "assert 'transformer_lens' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
