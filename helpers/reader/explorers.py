"""The explorers: for each notebook one figure from plain values, and the widgets that choose them.

A function `..._figure` gives (figure, the figure in words); the notebook shows it beside the
explorer, so that a saved page says the same without a kernel. `explore_...` puts widgets around it.
Works with ipywidgets 7.7 and 8 and plotly 5.24 to 7.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import sys
import threading
from functools import lru_cache

import ipywidgets as W
import numpy as np
import torch
from plotly.subplots import make_subplots

from helpers import interventions as I
from helpers import model as M
from helpers import plotting as P
from helpers import task as T
from helpers.training import RECIPE, Recipe, by_position, n_right, recipe_of, train

EXAMPLE = "01232031"  # the worked example of notebook 01
TOKEN_NAMES = ["0", "1", "2", "3", "BOS"]
ALL = -1  # the choice "all outputs"; a drop-down shows None as nothing chosen
HEIGHT = 420  # of every figure in pixels, so that the page does not jump
WIDTH = 660  # what JupyterLab leaves of a small window beside its file browser
# Colab neither shows what a thread draws nor hears a button while Python runs.
COLAB = "google.colab" in sys.modules


def read_tokens(tokens) -> list[int]:
    """Eight tokens from text such as "01232031" or "0 1 2 3 2 0 3 1", or from a list or tensor.

    ValueError, with what is allowed, for anything else.
    """
    if isinstance(tokens, str):
        pieces = re.split(r"[\s,]+", tokens.strip()) if re.search(r"[\s,]", tokens) else tokens
        tokens = [int(p) if re.fullmatch(r"-?[0-9]+", p) else p for p in pieces if p]
    return T.check_tokens(tokens).flatten().tolist()


def _text(tokens) -> str:
    return "".join(str(t) for t in tokens)


def _sequence(tokens) -> torch.Tensor:
    """The full sequence `[1, 17]` of eight input tokens."""
    return T.full_sequences([read_tokens(tokens)])


# ---------------------------------------------------------------- 01: the task


@lru_cache
def _best_constant() -> tuple[int, ...]:
    """For each output the token that is right most often on the train set."""
    train_set, _ = T.split(T.full_sequences())
    return tuple(train_set[:, 9:].mode(0).values.tolist())


def task_figure(tokens=EXAMPLE):
    """The target of eight tokens and three answers that are not the rule: (figure, says)."""
    x = read_tokens(tokens)
    target = T.targets(x).tolist()
    answers = {
        "only reversed": x[::-1],
        "only 1 added": [(t + 1) % 4 for t in x],
        "best constant": list(_best_constant()),
    }
    count = {name: sum(a == t for a, t in zip(row, target)) for name, row in answers.items()}
    rows = {"target": target} | {
        f"{name}: {count[name]} of 8": row for name, row in answers.items()
    }
    colours = [[(t + d) / 4, P.TOKEN_COLOURS[t]] for t in range(4) for d in (0, 1)]
    figure = P.heatmap(
        list(rows.values()), y=list(rows), x_title="output position", y_title="",
        x=T.OUTPUT_NAMES, title=f"Input {_text(x)} → target {_text(target)}",
    )  # fmt: skip
    figure.update_traces(
        zmin=-0.5, zmax=3.5, colorscale=colours, showscale=False, texttemplate="%{z}",
        textfont=dict(size=18, color="#000"), xgap=2, ygap=2,
    )  # fmt: skip
    right = "; ".join(f"{name}: {n} of 8 right" for name, n in count.items())
    says = f"For the input {_text(x)} the target is {_text(target)}. {right}. On average over all inputs the constant gets 2 of 8, like a guess."
    return figure.update_layout(height=HEIGHT, width=WIDTH), says


# ---------------------------------------------------------------- 02: the forward pass

# A stop of the forward pass: name -> (name in the cache, what happens there).
STOPS = {
    "embedding": ("hook_embed", "Each token becomes its row of W_E."),
    "position": ("hook_pos_embed", "Each place has its row of W_pos."),
    "resid_pre": ("blocks.0.hook_resid_pre", "Their sum begins the residual stream."),
    "ln1": ("blocks.0.ln1.hook_out", "Layer norm makes it comparable for attention."),
    "query": ("blocks.0.attn.hook_q", "What each position looks for."),
    "key": ("blocks.0.attn.hook_k", "What each position offers to be found by."),
    "value": ("blocks.0.attn.hook_v", "What each position hands over when it is found."),
    "pattern": ("blocks.0.attn.hook_pattern", "How much each position looks at each other one."),
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


@torch.no_grad()
def forward_figure(model, tokens=EXAMPLE, stop: str = "resid_pre"):
    """The tensor at one of `STOPS` of the forward pass of a TransformerBridge: (figure, says)."""
    if stop not in STOPS:
        raise ValueError(f"unknown stop {stop!r}; there are {', '.join(STOPS)}")
    sequence, number = _sequence(tokens), list(STOPS).index(stop) + 1
    name, what = STOPS[stop]
    value = model.run_with_cache(sequence[:, :16])[1][name].reshape(16, -1)
    value = value.softmax(-1) if stop == "probabilities" else value
    share, columns = stop in ("pattern", "probabilities"), [str(c) for c in range(value.shape[1])]
    x = {"pattern": T.POSITION_NAMES, "logits": TOKEN_NAMES, "probabilities": TOKEN_NAMES}
    x_title = {"pattern": "position looked at", "logits": "next token", "neurons": "neuron"}
    x_title["probabilities"] = "next token"
    names = ["BOS", *(f"{n}={t}" for n, t in zip(T.POSITION_NAMES[1:], sequence[0, 1:].tolist()))]
    text = _text(read_tokens(tokens))
    shape = "position, " + x_title.get(stop, "component")
    figure = P.heatmap(
        value, x=x.get(stop, columns), y=names, signed=not share, top=1 if share else None,
        x_title=x_title.get(stop, "component"), y_title="position and token read there",
        title=f"Stop {number} of {len(STOPS)}: {stop}, input {text}",
    )  # fmt: skip
    high = np.unravel_index(int(value.abs().argmax()), tuple(value.shape))
    says = (
        f"Stop {number}, {stop} [{shape}], 16 by {value.shape[1]} numbers. {what} The largest one is "
        f"{value[high].item():.2f}, at {names[high[0]]} in column {x.get(stop, columns)[high[1]]}."
    )
    return figure.update_layout(height=HEIGHT, width=WIDTH), says


# ---------------------------------------------------------------- 03: training


def training_figure(kind: str, seed: int, rate: float, losses, accuracies, end: str = ""):
    """Loss and accuracy of each output so far: (figure, says).

    `losses` `[steps]` in nats per token, `accuracies` `[steps, 8]`; `end` is added to the title.
    """
    losses, steps = np.asarray(losses, dtype=float), len(losses)
    recent = np.asarray(accuracies, dtype=float).reshape(-1, T.LENGTH)[-15:]
    now = recent.mean(0) if len(recent) else np.zeros(T.LENGTH)
    title = f"{kind}, seed {seed}, rate {rate:g}: step {steps}{end}"
    curve = P.lines(range(steps), {"loss": losses}, title="", x_title="step",
                    y_title="loss (nats per token)", reference={"": np.log(4)})  # fmt: skip
    curve.update_yaxes(range=[0, 2])
    bars = P.bars(now, title="", y_title="accuracy", reference={"": 0.25})
    names = ["Loss (dashed: ln 4, guessing)", "Last 15 batches (dashed: chance)"]
    if not steps:
        return _beside(title, names, curve, bars), f"{title}. Nothing is trained yet."
    shares = ", ".join(f"{n} {v:.0%}" for n, v in zip(T.OUTPUT_NAMES, now))
    says = f"{title}. The loss is {losses[-1]:.3f}. Right in the last batches: {shares}."
    return _beside(title, names, curve, bars), says


# ---------------------------------------------------------------- 04: attention


@torch.no_grad()
def attention_figure(model, tokens=EXAMPLE):
    """The pattern, and the pattern times the norm of what each key writes: (figure, says).

    Kobayashi et al. 2020, "Attention is not only a weight": weight of the key times the norm of
    its value written through W_V and W_O. Rows y0..y7, columns BOS and x0..x7.
    """
    zoo, sequence = M.as_zoo(model), _sequence(tokens)
    w = {name: value[0] for name, value in zoo.weights.items()}
    pattern = I.record(zoo, "pattern", sequence)[0, 0]  # [8, 16]
    stream = w["embed.weight"][sequence[:, :16]] + w["pos_embed.weight"][:16]
    normed = M.layernorm(stream, zoo.weights, "blocks.0.ln1")[0]
    value = normed @ w["blocks.0.attn.v.weight"].T + w["blocks.0.attn.v.bias"]
    norm = (value @ w["blocks.0.attn.o.weight"].T).norm(dim=-1)  # [16]
    keys = ["BOS", *(f"{n}={t}" for n, t in zip(T.INPUT_NAMES, sequence[0, 1:9].tolist()))]
    weighted = pattern * norm
    panels = [
        P.heatmap(z[:, :9], x=keys, title="", top=top, unit=unit, x_title="key",
                  y_title=y_title)
        for z, top, unit, y_title in ((pattern, 1, "weight", "query: the output predicted"),
                                      (weighted, None, "norm", ""))
    ]  # fmt: skip
    text = _text(read_tokens(tokens))
    figure = _beside(f"Input {text}: where each output looks", ["weight", "weight × norm"], *panels)
    looks = lambda z: ", ".join(f"{o} at {keys[k]}" for o, k in zip(T.OUTPUT_NAMES, z.argmax(1)))
    says = (
        f"Input {text}. By weight the outputs look most: {looks(pattern[:, :9])}. By what is written: "
        f"{looks(weighted[:, :9])}. {pattern[:, 9:].sum() / 8:.0%} of the weight is on earlier outputs, "
        "which are not drawn."
    )
    return figure, says


# ---------------------------------------------------------------- 05: the cases


@torch.no_grad()
def case_figure(model, position: int = 2, source: int = 0, own: int = 1):
    """Probabilities before and after the MLP, mean over the sequences of one case: (figure, says).

    A case: output `position` 0..7, its `source` token, and the `own` token, the one that stands where
    the output is predicted. y0 is predicted at its source, so there `own` has no say.
    """
    for name, value, top in (("position", position, 7), ("source", source, 3), ("own", own, 3)):
        if value not in range(top + 1):
            raise ValueError(f"{name} is {value!r}; allowed are the whole numbers from 0 to {top}")
    zoo, sequences, output = M.as_zoo(model), T.full_sequences(), T.OUTPUT_NAMES[position]
    own = source if position == 0 else own
    mask = (sequences[:, 8 - position] == source) & (sequences[:, 8 + position] == own)
    seen = {}
    keep = lambda name: lambda value: seen.setdefault(name, value)
    M.logits(zoo, sequences[mask], {name: keep(name) for name in ("mlp_out", "resid_post")})
    after = seen["resid_post"][:, :, position : position + 1]
    before = after - seen["mlp_out"][:, :, position : position + 1]
    p = {
        name: M.unembed(stream, zoo.weights).softmax(-1)[0, :, 0]  # [sequences, 5]
        for name, stream in (("before the MLP", before), ("after the MLP", after))
    }
    right = int(sequences[mask][0, 9 + position])
    title = f"{output}, source {source}, own token {own}: the right answer is {right}"
    figure = P.bars({name: value.mean(0) for name, value in p.items()}, x=TOKEN_NAMES, title=title,
                    x_title="next token", y_title="mean probability")  # fmt: skip
    share = [f"{name} {(v.argmax(-1) == right).double().mean():.0%}" for name, v in p.items()]
    says = f"{title}. Of its {int(mask.sum()):,} sequences the answer is read {', '.join(share)}."
    return figure.update_layout(height=HEIGHT, width=WIDTH), says


# ---------------------------------------------------------------- 06: parts switched off

PARTS = ("nothing", "attention", "mlp", "one neuron")


@lru_cache(maxsize=16)
@torch.no_grad()
def _ablated(zoo, part, how, neuron, position, everything):
    """(function tokens -> logits, accuracy `[8]`, whether it changed anything). Kept: 1 s if slow."""
    order = np.random.default_rng(0).permutation(T.N_SEQUENCES)  # the first batch is a fair sample
    sequences = T.full_sequences()
    sequences = sequences[order] if everything else T.split(sequences)[1]
    plain = lambda tokens: M.logits(zoo, tokens)[0]
    if part == "nothing":
        return plain, by_position(plain, sequences), True
    name, neurons = ("post", [neuron]) if part == "one neuron" else (part, None)
    run = I.ablate(zoo, name, how, positions=position, neurons=neurons)
    ours = lambda tokens: run(tokens)[0]
    try:
        return ours, by_position(ours, sequences), True
    except I.NothingChanged:  # such as a neuron that never fires: a result, not a mistake
        return plain, by_position(plain, sequences), False


@torch.no_grad()
def ablation_figure(
    model, part="mlp", how="zero", neuron=0, position=None, tokens=EXAMPLE, everything=False
):
    """Accuracy with a part switched off, and the logits of one sequence: (figure, says).

    `part` one of `PARTS`, `how` one of zero, mean, resample; `neuron` counts for "one neuron" only;
    `position` 0..7 limits it to one output. Accuracy is on the hold-out, or on all with `everything`.
    """
    if part not in PARTS or neuron not in range(16) or position not in (None, *range(8)):
        raise ValueError(
            f"got {part!r}, neuron {neuron!r}, position {position!r}; allowed are {', '.join(PARTS)}, "
            "neurons from 0 to 15, positions from 0 to 7 or None"
        )
    x, sequence = _text(read_tokens(tokens)), _sequence(tokens)
    at = None if position is None else (position,)
    neuron = neuron if part == "one neuron" else None
    run, accuracy, changed = _ablated(M.as_zoo(model), part, how, neuron, at, everything)
    logits = run(sequence)[0]  # [8, 5]
    what = f"neuron {neuron}" if part == "one neuron" else part
    where = "all outputs" if position is None else T.OUTPUT_NAMES[position]
    data = "all 65,536 sequences" if everything else "the hold-out"
    off = "nothing switched off" if part == "nothing" else f"{what} → {how} at {where}"
    title = f"{off}: {accuracy.mean():.1%} right on {data}; input {x}"
    bars = P.bars(accuracy, title="", y_title="accuracy", reference={"": 0.25})
    target = [f"{n} ({t})" for n, t in zip(T.OUTPUT_NAMES, sequence[0, 9:].tolist())]
    panel = P.heatmap(logits, x=TOKEN_NAMES, y=target, title="", signed=True, unit="logit",
                      x_title="next token", y_title="output (right answer)")  # fmt: skip
    answer = logits.argmax(-1)
    shares = ", ".join(f"{n} {v:.0%}" for n, v in zip(T.OUTPUT_NAMES, accuracy.tolist()))
    says = (
        f"{title}. By output: {shares}. For this input it says {_text(answer.tolist())}, and "
        f"{_text(sequence[0, 9:].tolist())} is right."
        + ("" if changed else " Switching it off changed nothing at all.")
    )
    return _beside(title, ["accuracy (dashed: chance)", f"logits, input {x}"], bars, panel), says


# ---------------------------------------------------------------- the shell around a figure


def _beside(title, names, *figures):
    """Two figures with one title, each with the axes it had, under its name."""
    both = make_subplots(1, 2, subplot_titles=names, horizontal_spacing=0.22)
    for column, one in enumerate(figures, 1):
        for trace in one.data:
            both.add_trace(trace, row=1, col=column)
        for axis, update in (("xaxis", both.update_xaxes), ("yaxis", both.update_yaxes)):
            settings = getattr(one.layout, axis).to_plotly_json()
            update(**{k: v for k, v in settings.items() if v is not None}, row=1, col=column)
        for line in one.layout.shapes:
            both.add_hline(y=line.y0, line=dict(dash="dash", color=P.GREY), row=1, col=column)
        right = 0.39 if column == 1 else 1
        both.update_traces(colorbar=dict(x=right + 0.01, thickness=12, title=dict(text="")),
                           selector=dict(type="heatmap"), row=1, col=column)  # fmt: skip
    both.update_annotations(font_size=13)
    return both.update_layout(
        title=title, template=P.LOOK, height=HEIGHT, width=WIDTH, showlegend=False, margin_t=90
    )


def _put(out: W.Output, figure, says: str) -> None:
    """Show `figure` in `out`, in place of what was there; may be called from a thread."""
    import plotly.io as pio

    figure.update_layout(template=P.LOOK, meta=dict(says=says))
    if COLAB:
        from IPython.display import clear_output, display

        with out:
            clear_output(wait=True)
            display(pio.renderers["colab"].to_mimebundle(figure.to_dict()), raw=True)
    else:
        data = {"application/vnd.plotly.v1+json": json.loads(figure.to_json()), "text/plain": says}
        out.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


class Explorer(W.VBox):
    """Controls, a place for messages, a figure and its words; `draw(**values)` makes the last two.

    `controls` maps the names that `draw` takes to widgets. A change is drawn a moment later, and only
    the latest one: what was asked for in between is dropped. Errors become messages, never tracebacks.
    """

    def __init__(self, draw, controls: dict, rows=None):
        self.draw, self.controls, self.waiting = draw, controls, None
        self.figure = W.Output(layout=W.Layout(height=f"{HEIGHT + 20}px", overflow="auto hidden"))
        self.alert, self.caption = W.HTML(), W.HTML()
        for control in controls.values():
            control.observe(self.ask, "value")
        line = lambda row: W.HBox(row, layout=W.Layout(flex_flow="row wrap"))
        self.redraw()
        rows = [list(controls.values())] if rows is None else rows
        super().__init__([*map(line, rows), self.alert, self.figure, self.caption])

    def __repr__(self):  # what a page without a kernel shows
        return "An explorer: it needs a running kernel. The figure beside it shows where it starts."

    def ask(self, change=None) -> None:
        """Draw soon what the controls say by then."""
        try:
            loop = asyncio.get_running_loop() if not COLAB else None
        except RuntimeError:  # no kernel
            loop = None
        if loop is None:
            return self.redraw()
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = loop.call_later(0.05, self.redraw)

    def redraw(self) -> None:
        try:
            self.show(*self.draw(**{name: c.value for name, c in self.controls.items()}))
        except Exception as error:
            self.say(str(error) if isinstance(error, ValueError) else repr(error))

    def show(self, figure, says: str) -> None:
        _put(self.figure, figure, says)
        self.caption.value = f"<p role='status'><em>{html.escape(says)}</em></p>"
        self.say("")

    def say(self, message: str) -> None:
        """A message in place, read out by a screen reader; "" takes it away."""
        shown = f"<div role='alert' style='color:#a00'><b>{html.escape(message)}</b></div>"
        self.alert.value = shown if message else ""


def _named(widget_type, name, **settings):
    style = {"description_width": "initial"}
    return widget_type(description=name, style=style, continuous_update=False, **settings)


def _choice(name, options, value, width="200px"):
    return W.Dropdown(
        description=name, options=options, value=value, style={"description_width": "initial"},
        layout=W.Layout(width=width),
    )  # fmt: skip


def _token_text():
    return _named(W.Text, "eight tokens", value=EXAMPLE, layout=W.Layout(width="220px"))


def _token_pickers(text: W.Text):
    """Eight small lists that write into `text` and follow it."""
    tokens = read_tokens(text.value)
    lists = [_choice(n, list(range(4)), t, "76px") for n, t in zip(T.INPUT_NAMES, tokens)]
    following = []

    def follow(change):
        try:
            tokens = read_tokens(text.value)
        except ValueError:
            return  # the explorer says what is wrong
        following.append(True)
        for one, token in zip(lists, tokens):
            one.value = token
        following.pop()

    def write(change):
        if not following:
            text.value = _text(one.value for one in lists)

    text.observe(follow, "value")
    for one in lists:
        one.observe(write, "value")
    return lists


def explore_task() -> Explorer:
    """01: type or pick eight tokens; see the target and the answers that miss a part of the rule."""
    text = _token_text()
    return Explorer(task_figure, {"tokens": text}, [[text], _token_pickers(text)])


def explore_forward(model) -> Explorer:
    """02: step through the forward pass with one slider."""
    stop = _named(W.SelectionSlider, "stop", options=list(STOPS), value="resid_pre",
                  layout=W.Layout(width="420px"))  # fmt: skip
    text = _token_text()
    return Explorer(
        lambda **values: forward_figure(model, **values), {"stop": stop, "tokens": text}
    )


def explore_attention(model) -> Explorer:
    """04: change one token, and watch the pattern and the value-weighted pattern."""
    zoo, text = M.as_zoo(model), _token_text()
    draw = lambda tokens: attention_figure(zoo, tokens)
    return Explorer(draw, {"tokens": text}, [[text], _token_pickers(text)])


def explore_cases(model) -> Explorer:
    """05: slide along the cases; see the probabilities before and after the MLP."""
    zoo = M.as_zoo(model)
    slider = lambda name, value, top: _named(W.IntSlider, name, value=value, min=0, max=top)
    controls = dict(position=slider("output y", 2, 7), source=slider("source token", 0, 3),
                    own=slider("own token", 1, 3))  # fmt: skip
    return Explorer(lambda **values: case_figure(zoo, **values), controls)


def explore_ablation(model) -> Explorer:
    """06: switch a part off; see the accuracy of each output and the logits of one sequence."""
    zoo = M.as_zoo(model)
    controls = dict(
        part=_choice("switch off", PARTS, "mlp"),
        how=_choice("replace by", I.HOW, "zero"),
        neuron=_named(W.IntSlider, "neuron", value=0, min=0, max=15),
        position=_choice("at", [("all outputs", ALL), *zip(T.OUTPUT_NAMES, range(8))], ALL),
        everything=_choice("count on", [("hold-out", False), ("all 65,536 (slow)", True)], False),
        tokens=_token_text(),
    )
    controls["neuron"].disabled = True
    toggle = lambda change: setattr(controls["neuron"], "disabled", change.new != "one neuron")
    controls["part"].observe(toggle, "value")

    def draw(position, **values):
        return ablation_figure(zoo, position=None if position == ALL else position, **values)

    return Explorer(draw, controls)


def explore_training(losses=(), accuracies=()) -> Explorer:
    """03: choose seed, rate and model, train live, stop. Starts from a finished run of seed 0.

    `losses` `[steps]` and `accuracies` `[steps, 8]` are drawn before the first start.
    """
    kinds = _choice("model", list(M.KINDS), "article", "260px")
    seed, rate = (_named(kind, name, value=value, layout=W.Layout(width="150px")) for kind, name, value
                  in ((W.IntText, "seed", 0), (W.FloatText, "rate", RECIPE.lr)))  # fmt: skip
    start = W.Button(description="Train", button_style="primary")
    stop = W.Button(description="Stop", disabled=True)
    record = dict(losses=list(losses), accuracies=list(accuracies))
    values = lambda: dict(kind=kinds.value, seed=seed.value, rate=rate.value)
    box = Explorer(
        lambda: training_figure(**values(), **record), {}, [[kinds, seed, rate, start, stop]]
    )
    box.stopping = threading.Event()

    def run(kind, seed, rate, recipe):
        losses, accuracies = [], []

        def on_step(step, loss, accuracy):
            losses.append(loss[0].item())
            accuracies.append(accuracy[0].tolist())
            if step % 20 == 0:
                box.show(*training_figure(kind, seed, rate, losses, accuracies))
            return box.stopping.is_set()

        end = ", stopped"
        try:
            with torch.enable_grad():
                zoo, history = train(kind, [seed], recipe, on_step=on_step)
            if not box.stopping.is_set():
                count = n_right(zoo, T.full_sequences(task=M.get_kind(kind).task)).item()
                end = f", done: {count:,} of 65,536 right"
            box.show(*training_figure(kind, seed, rate, losses, accuracies, end))
        except KeyboardInterrupt:  # how a run is stopped in Colab
            box.show(*training_figure(kind, seed, rate, losses, accuracies, end))
        except Exception as error:
            box.say(str(error) if isinstance(error, ValueError) else repr(error))
        finally:
            start.disabled, stop.disabled = False, True

    def begin(button):
        chosen = values()
        if chosen["seed"] < 0 or not 0 < chosen["rate"] <= 1:
            box.say(f"seed {chosen['seed']}, rate {chosen['rate']:g}: allowed are seeds from 0 and rates "
                    "above 0, up to 1")  # fmt: skip
            return
        recipe = Recipe(**{**vars(recipe_of(chosen["kind"])), "lr": chosen["rate"]})
        start.disabled, stop.disabled = True, COLAB
        box.stopping.clear()
        if COLAB:
            box.say("Training. To stop it here, interrupt the kernel.")
            return run(**chosen, recipe=recipe)
        box.thread = threading.Thread(target=run, kwargs=dict(**chosen, recipe=recipe), daemon=True)
        box.thread.start()

    start.on_click(begin)
    stop.on_click(lambda button: box.stopping.set())
    box.train_button, box.stop_button = start, stop
    return box
