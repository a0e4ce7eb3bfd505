"""The explorers: for each notebook one figure from plain values, and the widgets that choose them.

A function `..._figure` gives (figure, the figure in words); the notebook shows it above the
explorer, so that a saved page says the same without a kernel. `explore_...` puts widgets around it.
Every widget works by keyboard alone: JupyterLab takes the keys of a drop-down (ipywidgets issue
3912), so there is none. Works with ipywidgets 7.7 and 8 and plotly 5.24 to 7.
"""

from __future__ import annotations

import asyncio
import html
import operator
import re
import sys
import threading
from dataclasses import replace
from functools import cache, partial
from numbers import Real

import ipywidgets as W
import numpy as np
import torch
from IPython.display import Javascript
from plotly.subplots import make_subplots

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.evaluation import by_position, n_right
from helpers.model import KINDS, as_zoo, attention_writes, get_kind
from helpers.reader import line as L
from helpers.training import RECIPE, recipe_of, train

EXAMPLE = T.EXAMPLE
ALL = -1  # the choice "all outputs"; a widget shows None as nothing chosen
HEIGHT = 420  # of every figure in pixels, so that the page does not jump
# Colab neither shows what a thread draws nor hears a button while Python runs.
COLAB = "google.colab" in sys.modules


def _read(tokens) -> list[int]:
    """Eight tokens as people write them; ValueError in words for readers, not for programmers."""
    if not isinstance(tokens, str):
        return T.read_tokens(tokens)
    typed = re.sub(r"[\s,]", "", tokens)  # wherever the spaces stand, as in "3222 1200"
    try:
        return T.read_tokens(typed)
    except ValueError:
        pass
    wrong = [f"{name} is “{t}”" for name, t in zip(T.INPUT_NAMES, typed) if t not in "0123"]
    many = "so far" if len(typed) < T.LENGTH else "are too many"
    what = wrong[0] if wrong else f"{len(typed)} digits {many}"
    raise ValueError(f"{what}: type eight digits from 0 to 3, as in {EXAMPLE}.")


def _text(tokens) -> str:
    return "".join(str(t) if t < T.BOS else " BOS " for t in tokens).strip()


def _named(names, tokens) -> list[str]:
    return [f"{name}={token}" for name, token in zip(names, tokens)]


def _shares(values) -> str:
    return ", ".join(f"{name} {value:.0%}" for name, value in zip(T.OUTPUT_NAMES, values))


# ---------------------------------------------------------------- 01: the task


@cache
def _best_constant() -> list[int]:
    """For each output the token that is right most often on the train set."""
    train_set, _ = T.split(T.full_sequences())
    return train_set[:, 9:].mode(0).values.tolist()


def task_figure(tokens=EXAMPLE):
    """The target of eight tokens and three answers that are not the rule: (figure, says).

    A tick marks what an answer has right. ValueError for bad tokens, in words for readers.
    """
    x = _read(tokens)
    target = T.targets(x).tolist()
    answers = {
        "only reversed": x[::-1],
        "only 1 added": [(t + 1) % 4 for t in x],
        "best constant": _best_constant(),
    }
    count = {name: sum(map(operator.eq, row, target)) for name, row in answers.items()}
    rows = {"target": target}
    rows |= {f"{name}:<br>{count[name]} of 8": row for name, row in answers.items()}
    marks = [[f"{a} ✓" if a == t else str(a) for a, t in zip(row, target)] for row in rows.values()]
    title = f"Input {_text(x)} → target {_text(target)}"
    axes = dict(x=T.OUTPUT_NAMES, y=list(rows), x_title="output position", y_title="")
    z = list(rows.values())
    figure = P.heatmap(z, title=title, **axes)
    colours = [[(t + d) / 4, P.TOKEN_COLOURS[t]] for t in range(4) for d in (0, 1)]
    scale = dict(zmin=-0.5, zmax=3.5, colorscale=colours)
    figure.update_traces(**P.cell_texts(marks, z, **scale), **scale)
    right = "; ".join(f"{name}: {n} of 8 right" for name, n in count.items())
    says = (
        f"For the input {_text(x)} the target is {_text(target)}. {right}. "
        "On average over all inputs the constant gets 2 of 8, like a guess."
    )
    return _sized(figure.update_traces(showscale=False, xgap=2, ygap=2)), says


# ---------------------------------------------------------------- 02: the forward pass

# A stop of the forward pass: name -> (name in the library's cache, what happens there).
STOPS = {
    "embedding": ("hook_embed", "Each token becomes its row of W_E."),
    "position": ("hook_pos_embed", "Each place has its row of W_pos."),
    "resid_pre": ("blocks.0.hook_resid_pre", "Their sum begins the residual stream."),
    "ln1": ("blocks.0.ln1.hook_out", "Layer norm makes it comparable for attention."),
    "query": ("blocks.0.attn.hook_q", "What each position looks for."),
    "key": ("blocks.0.attn.hook_k", "What each position offers to be found by."),
    "value": ("blocks.0.attn.hook_v", "What each position hands over when it is found."),
    "pattern": ("blocks.0.attn.hook_pattern", "How much each position looks at each one up to it."),
    "z": ("blocks.0.attn.hook_z", "The values, collected by these weights."),
    "attn_out": ("blocks.0.hook_attn_out", "What attention adds to the stream, through W_O."),
    "resid_mid": ("blocks.0.hook_resid_mid", "The stream after attention."),
    "ln2": ("blocks.0.ln2.hook_out", "Layer norm makes it comparable for the MLP."),
    "neurons": ("blocks.0.mlp.hook_post", "The sixteen neurons; a negative one is set to zero."),
    "mlp_out": ("blocks.0.hook_mlp_out", "What the MLP adds to the stream, through W_out."),
    "resid_post": ("blocks.0.hook_resid_post", "The stream at its end."),
    "ln_final": ("ln_final.hook_out", "The last layer norm."),
    "logits": ("hook_unembed", "A number for each token, through W_U."),
    "probabilities": ("hook_unembed", "A softmax turns logits into probabilities."),
}
# The columns of a stop, where they are not components of a vector: (title, names).
COLUMNS = {
    "pattern": ("position looked at", T.POSITION_NAMES),
    "neurons": ("neuron", [str(n) for n in range(16)]),
    "logits": ("next token", T.TOKEN_NAMES),
    "probabilities": ("next token", T.TOKEN_NAMES),
}


@torch.no_grad()
def forward_figure(model, tokens=EXAMPLE, stop: str = "resid_pre"):
    """The tensor at one of `STOPS` of the forward pass of a TransformerBridge: (figure, says).

    ValueError for another stop or bad tokens.
    """
    if not T.named(stop, STOPS):
        raise ValueError(f"unknown stop {T.shown(stop)}; there are {', '.join(STOPS)}")
    x, number = _read(tokens), list(STOPS).index(stop) + 1
    sequence, (name, what) = T.full_sequences([x]), STOPS[stop]
    value = model.run_with_cache(sequence[:, :16])[1][name].reshape(16, -1)
    value = value.softmax(-1) if stop == "probabilities" else value
    x_title, columns = COLUMNS.get(stop, ("component", [str(c) for c in range(value.shape[1])]))
    read = ["BOS", *_named(T.POSITION_NAMES[1:], sequence[0, 1:].tolist())]
    rows = [f"{out} at {here}" for out, here in zip(T.INPUT_NAMES + T.OUTPUT_NAMES, read)]
    share = stop in ("pattern", "probabilities")
    title = f"Stop {number} of {len(STOPS)}: {stop}, input {_text(x)}"
    axes = dict(x=columns, y=rows, x_title=x_title, y_title="what is predicted, at the token read")
    figure = P.heatmap(value, title=title, signed=not share, top=1 if share else None, **axes)
    row, column = np.unravel_index(int(value.abs().argmax()), tuple(value.shape))
    says = (
        f"Stop {number}, {stop} [position, {x_title}], 16 by {value.shape[1]} numbers. {what} The "
        f"largest one is {value[row, column]:.2f}, in row {rows[row]}, column {columns[column]}."
    )
    return _sized(figure), says


# ---------------------------------------------------------------- 03: training


def training_figure(kind: str, seed: int, rate: float, losses, accuracies, end: str = ""):
    """Loss and accuracy of each output so far: (figure, says).

    `losses` `[steps]` in nats per token, `accuracies` `[steps, 8]`; `end` is added to the title.
    ValueError for an unknown kind, a seed or rate that is none, or other shapes.
    """
    get_kind(kind)
    T.whole(seed, "seed")
    if isinstance(rate, bool) or not isinstance(rate, Real):
        raise ValueError(f"the rate is {T.shown(rate)}; allowed are numbers")
    try:
        losses, accuracies = (np.asarray(v, dtype=float) for v in (losses, accuracies))
    except (TypeError, ValueError) as error:
        raise ValueError(f"got {error}; allowed are lists of numbers") from None
    steps = losses.size
    if losses.ndim != 1 or accuracies.shape not in ((steps, T.LENGTH), (steps * T.LENGTH,)):
        rule = f"allowed are [steps] and [steps, {T.LENGTH}]"
        raise ValueError(f"got the shapes {losses.shape} and {accuracies.shape}; {rule}")
    recent = accuracies.reshape(-1, T.LENGTH)[-15:]
    now = recent.mean(0) if len(recent) else np.zeros(T.LENGTH)
    title = f"{kind}, seed {seed}, rate {rate:g}: step {steps}{end}"
    axes = dict(title="", x_title="step", y_title="loss (nats per token)")
    curve = P.lines(range(steps), {"loss": losses}, reference={"": np.log(4)}, **axes)
    curve.update_yaxes(range=[0, 2])
    bars = P.bars(now, title="", y_title="accuracy", reference={"": 0.25})
    names = ["Loss<br>(dashed: ln 4, guessing)", "Last 15 batches<br>(dashed: chance)"]
    says = f"{title}. Nothing is trained yet."
    if steps:
        says = f"{title}. The loss is {losses[-1]:.3f}. Right in the last batches: {_shares(now)}."
    return _beside(title, names, curve, bars), says


# ---------------------------------------------------------------- 04: attention


@torch.no_grad()
def attention_figure(model, tokens=EXAMPLE):
    """The pattern, and the pattern times the norm of what each key writes: (figure, says).

    Kobayashi et al. 2020, "Attention is not only a weight": weight of the key times the norm of
    its value written through W_V and W_O. Rows y0..y7, columns BOS and x0..x7. The scale of the
    second ends at the largest norm on a thousand fixed inputs, whatever the input shown. ValueError
    for bad tokens.
    """
    zoo, x = as_zoo(model), _read(tokens)
    many = torch.cat([T.full_sequences([x]), T.full_sequences()[::61]])  # the first is shown
    patterns = I.record(zoo, "pattern", many)[0]
    norms = attention_writes(zoo.weights)[0].norm(dim=-1)  # [position, token]
    products = patterns * norms[range(16), many[:, None, :16]]  # [sequences, 8, 16]
    pattern, weighted, top = patterns[0], products[0], products[1:].max().item()
    keys = ["BOS", *_named(T.INPUT_NAMES, x)]
    axes = dict(x=keys, title="", x_title="key")
    query = "query: the output predicted"
    panels = [
        P.heatmap(pattern[:, :9], top=1, unit="weight", y_title=query, **axes),
        P.heatmap(weighted[:, :9], top=top, unit="norm", y_title="", **axes),
    ]
    title = f"Input {_text(x)}: where each output looks"
    figure = _beside(title, ["weight", "weight × norm"], *panels)
    figure.update_xaxes(dtick=1)  # every key, also in a small window

    def looks(z):
        most = zip(T.OUTPUT_NAMES, z[:, :9].argmax(1).tolist())
        return ", ".join(f"{output} at {keys[key]}" for output, key in most)

    says = (
        f"Input {_text(x)}. By weight the outputs look most: {looks(pattern)}. By what is written: "
        f"{looks(weighted)}. {pattern[:, 9:].sum() / 8:.0%} of the weight is on earlier outputs, "
        "which are not drawn."
    )
    return figure, says


# ---------------------------------------------------------------- 05: the line


@torch.no_grad()
def line_figure(model, output: int = 1, tokens=EXAMPLE, mlp: float = 1.0, attention: float = 1.0):
    """The picture of `helpers.reader.line` for one output and one input: (figure, says).

    `model` may be its `Line`. `mlp` and `attention` are strengths, 0 to 1: how much of the push is
    added, and how far from their middle the places lie. ValueError for an output, a strength or
    tokens that cannot be.
    """
    line = model if isinstance(model, L.Line) else L.find_line(model)
    x = _read(tokens)
    figure, says = L.line_figure(line, output, mlp, attention, x)
    own = T.TOKEN_NAMES[line.model_says(x, mlp, attention)[output]]
    title = figure.layout.title.text.replace("<br>", " ")
    says = f"{title}. {says} The model itself, at these strengths, says {own}."
    return _sized(figure), says


# ---------------------------------------------------------------- 06: parts switched off

PARTS = ("nothing", "attention", "mlp", "one neuron")


@torch.no_grad()
def ablation_figure(
    model, part="mlp", how="zero", neuron=0, position=None, tokens=EXAMPLE, everything=False
):
    """Accuracy with a part switched off, and the logits of one sequence: (figure, says).

    `part` one of `PARTS`, `how` one of zero, mean, resample; `neuron` counts for "one neuron" only;
    `position` 0..7 limits it to one output. Accuracy is on the hold-out, or on all inputs with
    `everything`. ValueError for what is none of these, and for bad tokens.
    """
    if not T.named(part, PARTS):
        raise ValueError(f"unknown part {T.shown(part)}; there are {', '.join(PARTS)}")
    if not T.named(how, I.HOW):
        raise ValueError(f"no ablation {T.shown(how)}; there are {', '.join(I.HOW)}")
    if position is not None:
        position = T.whole(position, "position", 0, T.LENGTH - 1)
    zoo, x = as_zoo(model), _read(tokens)
    edited, note = zoo, ""
    if part != "nothing":
        place, neurons = ("post", [neuron]) if part == "one neuron" else (part, None)
        at = None if position is None else [position]
        switch_off = partial(I.ablate, zoo, place, how, positions=at, neurons=neurons)
        try:
            edited = switch_off()
        except I.NothingChanged:  # such as a neuron that never fires: a result, not a mistake
            edited = switch_off(effect=False)
            note = f" It changed nothing on {I.N_TRIED} random inputs."
    holdout = None if everything else T.split(T.full_sequences(task=zoo.task))[1]
    accuracy = by_position(edited, holdout)[0]
    target, logits = T.targets(x, zoo.task).tolist(), edited(T.full_sequences([x]))[0, 0]  # [8, 5]
    what = f"neuron {neuron}" if part == "one neuron" else part
    where = "all outputs" if position is None else T.OUTPUT_NAMES[position]
    off = "nothing switched off" if part == "nothing" else f"{what} → {how} at {where}"
    data = "all 65,536 sequences" if everything else "the hold-out"
    score = f"{accuracy.mean():.1%} right on {data}"
    bars = P.bars(accuracy, title="", y_title="accuracy", reference={"": 0.25})
    rows = [f"{n} ({t})" for n, t in zip(T.OUTPUT_NAMES, target)]
    axes = dict(x=T.TOKEN_NAMES, y=rows, x_title="next token", y_title="")
    panel = P.heatmap(logits, title="", signed=True, unit="logit", **axes)
    says = (
        f"{off}: {score}. By output: {_shares(accuracy.tolist())}. For {_text(x)} it says "
        f"{_text(logits.argmax(-1).tolist())}, and {_text(target)} is right.{note}"
    )
    names = ["accuracy<br>(dashed: chance)", f"logits of {_text(x)}<br>(right answers)"]
    return _beside(f"{off}<br>{score}", names, bars, panel), says


# ---------------------------------------------------------------- the shell around a figure


def _sized(figure):
    return P.sized(figure, HEIGHT)


def _beside(title, names, *figures):
    """Two figures with one title, each with the axes it had, under its name."""
    both = make_subplots(1, 2, subplot_titles=names, horizontal_spacing=0.22)
    for column, one in enumerate(figures, 1):
        at = dict(row=1, col=column)
        both.add_traces(one.data, rows=1, cols=column)
        both.update_xaxes(one.layout.xaxis, **at).update_yaxes(one.layout.yaxis, **at)
        for line in one.layout.shapes:
            both.add_hline(y=line.y0, line=line.line, **at)
        bar = dict(x=0.195 if column == 1 else 0.805, len=0.39, title=dict(text=""))  # below it
        both.update_traces(colorbar=bar, selector=dict(type="heatmap"), **at)
    both.update_annotations(font_size=13)
    return _sized(both.update_layout(title=title, showlegend=False))


def _put(out: W.Output, figure, says: str) -> None:
    """Show `figure` in `out`, in place of what was there; may be called from a thread."""
    data = P.in_words(figure, says)
    if COLAB:
        import plotly.io as pio
        from IPython.display import clear_output, display

        with out:
            clear_output(wait=True)
            display(pio.renderers["colab"].to_mimebundle(figure.to_dict()), raw=True)
    else:
        out.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


# While a button has the focus, JupyterLab takes letters for its commands: `m` makes Markdown of the
# cell. The first attribute keeps its hands off, where it stands on the control itself. And a slider
# of ipywidgets has neither a name nor, where it steps through words, a value that a screen reader
# could say: it gets those that stand beside it. Which button is chosen, a shade alone would say: it
# is marked as pressed, and has a line. The script runs before the explorer is on the page.
KEYS = """if (typeof element !== "undefined") setTimeout(() => {
    const all = what => element.closest(".widget-vbox")?.querySelectorAll(what) ?? []
    all("button, [tabindex]").forEach(e => e.setAttribute("data-lm-suppress-shortcuts", "true"))
    all(".widget-slider").forEach(row => {
        const words = what => row.querySelector(what).textContent
        const handle = row.querySelector("[role=slider]"), name = "aria-valuetext"
        const say = () => handle.getAttribute(name) === words(".widget-readout") ||
            handle.setAttribute(name, words(".widget-readout"))
        handle.setAttribute("aria-label", words(".widget-label"))
        new MutationObserver(say).observe(row,
            {subtree: true, childList: true, characterData: true, attributeFilter: [name]})
        say()
    })
    all(".widget-toggle-button").forEach(button => {
        const say = () => {
            const chosen = button.classList.contains("mod-active")
            button.setAttribute("aria-pressed", chosen)
            button.style.boxShadow = chosen ? "inset 0 -3px" : ""
        }
        new MutationObserver(say).observe(button, {attributeFilter: ["class"]})
        say()
    })
}, 500)"""


class Explorer(W.VBox):
    """Controls, a place for messages, a figure and its words; `draw(**values)` makes the last two.

    `controls` maps the names that `draw` takes to widgets; `rows` says how they stand. A change is
    drawn a moment later, and only the latest one: what was asked for in between is dropped. Errors
    become messages; `error` holds the last one, with its traceback, until something is drawn.
    """

    def __init__(self, draw, controls: dict, rows=None):
        super().__init__()
        self.draw, self.controls, self.waiting, self.error = draw, controls, None, None
        # The room of figure and message is kept, so that nothing below them moves.
        self.figure = W.Output(layout=dict(height=f"{HEIGHT + 20}px", max_width="900px"))
        self.alert = W.HTML(layout=dict(min_height="34px"))
        self.caption = W.HTML()
        for control in controls.values():
            control.observe(self.ask, "value")
        lines = [
            W.HBox(row, layout=dict(flex_flow="row wrap")) for row in rows or [[*controls.values()]]
        ]
        keys = W.Output()
        keys.append_display_data(Javascript(KEYS))
        self.children = [*lines, self.alert, self.figure, self.caption, keys]
        self.redraw()

    def __repr__(self):  # what a page without a kernel shows
        # ipywidgets cuts it after 110 letters, and a phone breaks a line after 38.
        return (
            "Here is an explorer. To move it,\nrun the cells from the top (Shift+Enter).\n"
            "The figure above is its start."
        )

    def ask(self, _change=None) -> None:
        """Draw soon what the controls say by then; at once where there is no loop to wait in."""
        try:
            loop = None if COLAB else asyncio.get_running_loop()
        except RuntimeError:  # no kernel
            loop = None
        if loop is None:
            return self.redraw()
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = loop.call_later(0.05, self.redraw)

    def redraw(self) -> None:
        """Draw what the controls say now."""
        try:
            self.show(*self.draw(**{name: c.value for name, c in self.controls.items()}))
        except Exception as error:
            self.failed(error)

    def show(self, figure, says: str) -> None:
        """Put up a figure and its words, and take the message away."""
        _put(self.figure, figure, says)
        self.caption.value = f"<p role='status'><em>{html.escape(says)}</em></p>"
        self.error, self.alert.value = None, ""

    def failed(self, error: Exception) -> None:
        """Keep `error` and say it: a ValueError is a value that does not exist, others are bugs."""
        self.error, message = error, str(error)
        if not isinstance(error, ValueError):
            message = f"This should not happen: {type(error).__name__}: {error}."
            message += " The figure is the last one."
        self.say(message)

    def say(self, message: str) -> None:
        """Put up a message, which a screen reader reads out."""
        # Its own ground, so that it reads the same on a light and on a dark page.
        style = "background:#fde7e7; color:#7a0000; padding:2px 8px; line-height:1.3"
        self.alert.value = f"<div role='alert' style='{style}'>{html.escape(message)}</div>"


def _control(widget, name, value, width="auto", **settings):
    """A widget with its whole name beside it, no wider than the page."""
    layout = dict(width=width, min_width="150px", max_width="100%", margin="2px 12px 2px 2px")
    style = dict(description_width="initial")
    return widget(description=name, value=value, style=style, layout=layout, **settings)


def _slider(name, value, top, width="200px"):
    return _control(W.IntSlider, name, value, width, min=0, max=top, continuous_update=False)


def _steps(name, value, options, width):
    settings = dict(options=options, continuous_update=False)
    return _control(W.SelectionSlider, name, value, width, **settings)


def _buttons(name, value, options):
    buttons = _control(W.ToggleButtons, name, value, options=options)
    buttons.style.button_width = "auto"
    return buttons


def _token_text():
    """Eight tokens to be typed; each key is read, so no Enter is needed."""
    return _control(W.Text, "eight tokens", EXAMPLE, "220px", continuous_update=True)


def _token_explorer(draw) -> Explorer:
    """Eight tokens to be typed, or set with sliders, which follow what is typed."""
    text = _token_text()
    sliders = [_slider(n, int(t), 3, "23%") for n, t in zip(T.INPUT_NAMES, EXAMPLE)]
    following = []

    def follow(_change):
        try:
            tokens = _read(text.value)
        except ValueError:
            return  # the explorer says what is wrong
        following.append(True)
        for slider, token in zip(sliders, tokens):
            slider.value = token
        following.pop()

    def write(_change):
        if not following:
            text.value = _text(slider.value for slider in sliders)

    text.observe(follow, "value")
    for slider in sliders:
        slider.observe(write, "value")
    return Explorer(draw, {"tokens": text}, [[text], sliders])


def explore_task() -> Explorer:
    """01: type or set eight tokens; see the target and the answers that miss a part of the rule."""
    return _token_explorer(task_figure)


def explore_forward(model) -> Explorer:
    """02: step through the forward pass of a TransformerBridge with one slider."""
    stop = _steps("stop", "resid_pre", list(STOPS), "420px")
    return Explorer(partial(forward_figure, model), {"stop": stop, "tokens": _token_text()})


def explore_attention(model) -> Explorer:
    """04: change one token, and watch the pattern and the value-weighted pattern."""
    return _token_explorer(partial(attention_figure, as_zoo(model)))


def explore_line(model) -> Explorer:
    """05: choose an output and an input, slide the strengths of the parts; see what it says."""
    output, tokens = _slider("output y", 1, 7), _token_text()
    names = dict(mlp="strength of the MLP", attention="strength of attention")
    shares = [(f"{step / 20:.2f}", step / 20) for step in range(21)]
    parts = {part: _steps(name, 1.0, shares, "330px") for part, name in names.items()}
    controls = dict(output=output, tokens=tokens, **parts)
    draw = partial(line_figure, L.find_line(model))
    return Explorer(draw, controls, [[output, tokens], [*parts.values()]])


def explore_ablation(model) -> Explorer:
    """06: switch a part off; see the accuracy of each output and the logits of one sequence."""
    zoo = as_zoo(model)
    config = get_kind(zoo.kind).config
    often = 0
    if not config.get("attn_only"):  # start at the neuron that fires most often
        often = (I.record(zoo, "post", T.full_sequences()[::97])[0] > 0).sum((0, 1)).argmax()
    outputs = [("all", ALL), *zip(T.OUTPUT_NAMES, range(8))]
    controls = dict(
        part=_buttons("switch off", "mlp", PARTS),
        how=_buttons("replace by", "zero", I.HOW),
        everything=_buttons("count on", False, [("hold-out", False), ("all 65,536", True)]),
        neuron=_slider("neuron", int(often), config["d_mlp"] - 1),
        position=_steps("at outputs", ALL, outputs, "220px"),
        tokens=_token_text(),
    )
    part, how, everything, neuron, position, tokens = controls.values()

    def choose_neurons(_change):  # who moves the slider wants to see that neuron off
        part.value = PARTS[-1]

    def draw(position, **values):
        return ablation_figure(zoo, position=None if position == ALL else position, **values)

    neuron.observe(choose_neurons, "value")
    return Explorer(draw, controls, [[part], [how, everything], [neuron, position, tokens]])


class TrainingExplorer(Explorer):
    """03: training live, in a thread; `button` starts it and stops it, and so keeps the focus.

    `kind`, `seed` and `rate` are the controls. What they say counts from the next start.
    """

    def __init__(self, losses, accuracies):
        start = training_figure("article", 0, RECIPE.lr, losses, accuracies)
        row = [
            _steps("model", "article", list(KINDS), "360px"),
            _control(W.IntText, "seed", 0, "150px"),
            _control(W.FloatText, "rate", RECIPE.lr, "150px", step=0.01),
            W.Button(description="Train", button_style="primary"),
        ]
        super().__init__(lambda: start, {}, [row])
        self.kind, self.seed, self.rate, self.button = row
        self.button.on_click(self.press)
        self.thread, self.stopping = None, threading.Event()

    def press(self, _button) -> None:
        """Start, or stop what runs."""
        if self.button.description == "Stop":
            return self.stopping.set()
        kind, seed, rate = self.kind.value, self.seed.value, self.rate.value
        if seed < 0 or not 0 < rate <= 1:
            return self.say(
                f"Seed {seed}, rate {rate:g}: allowed are seeds from 0 and rates above 0, up to 1."
            )
        self.stopping.clear()
        if COLAB:
            self.button.disabled = True
            self.say("Training. To stop it here, interrupt the kernel.")
            return self.train(kind, seed, rate)
        self.button.description = "Stop"
        self.thread = threading.Thread(target=self.train, args=(kind, seed, rate), daemon=True)
        self.thread.start()

    def train(self, kind: str, seed: int, rate: float) -> None:
        """One run, drawn every twenty steps."""
        losses, accuracies = [], []

        def draw(end=""):
            self.show(*training_figure(kind, seed, rate, losses, accuracies, end))

        def on_step(step, loss, accuracy):
            losses.append(loss[0].item())
            accuracies.append(accuracy[0].tolist())
            if step % 20 == 0:
                draw()
            return self.stopping.is_set()

        try:
            zoo, _ = train(kind, [seed], replace(recipe_of(kind), lr=rate), on_step=on_step)
            done = f"done: {n_right(zoo).item():,} of 65,536 right"
            draw(", stopped" if self.stopping.is_set() else f", {done}")
        except KeyboardInterrupt:  # how a run is stopped in Colab
            draw(", stopped")
        except Exception as error:
            self.failed(error)
        finally:
            self.button.description, self.button.disabled = "Train", False


def explore_training(losses=(), accuracies=()) -> TrainingExplorer:
    """03: choose seed, rate and model, train live, stop. Starts from a finished run of seed 0.

    `losses` `[steps]` and `accuracies` `[steps, 8]` are drawn before the first start.
    """
    return TrainingExplorer(losses, accuracies)
