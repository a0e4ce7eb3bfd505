"""Four straight lines: where attention writes each source, and whose line is the highest there.

Before the last layer norm divides, the logit of each token is a straight line over the *place*, the
part of what attention writes that lies along one direction. `find_lines` finds them in a model.
The pictures draw them undivided; whether an answer is right is always judged as the model's last
layer norm leaves it, divided and with its bias added.
"""

import dataclasses
from itertools import combinations

import numpy as np
import torch
from plotly.subplots import make_subplots

from helpers import interventions, plotting, task
from helpers.model import Zoo, as_zoo, stream_table, unembed

SUCCESSOR = [1, 2, 3, 0]  # the right answer to each source token
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
MARK = {True: "✓", False: "✗"}
DASHES = ["dot", "dash", "dashdot", "longdash", "longdashdot"]  # of 0, 1, 2, 3, BOS


@dataclasses.dataclass(frozen=True)
class Lines:
    """One model's lines. Vectors are at each output, `[length, d_model]`.

    `direction` `[d_model]` is where attention's output varies most, from source 1 to source 2;
    `written` the mean of that output, `push` the mean of what the MLP adds, `own` the mean of what
    stands at the position itself. `places` `[n, length]`: how far along `direction` attention
    writes from its mean, on each of all inputs.
    """

    zoo: Zoo
    direction: torch.Tensor
    written: torch.Tensor
    push: torch.Tensor
    own: torch.Tensor
    places: torch.Tensor

    @property
    def reader(self) -> torch.Tensor:
        """What reads each token from the undivided stream: `[vocab, d_model]`."""
        reader, norm = self.zoo.weights["unembed.weight"][0], "ln_final.weight"
        if norm in self.zoo.weights:
            reader = reader * self.zoo.weights[norm][0]
            reader = reader - reader.mean(-1, keepdim=True)
        return reader

    @property
    def slopes(self) -> torch.Tensor:
        """How steeply each token's line rises `[vocab]`, less the mean of the digits'."""
        return _relative(self.reader @ self.direction)

    def start(self, output: int, mlp: float = 1.0) -> torch.Tensor:
        """The stream at place 0, the MLP's mean at strength `mlp`: `[d_model]`."""
        return (self.own + self.written + mlp * self.push)[output]

    def heights(self, output: int, mlp: float = 1.0) -> torch.Tensor:
        """Where each token's line is at place 0 `[vocab]`, less the mean of the digits'."""
        return _relative(self.reader @ self.start(output, mlp))

    def logits(self, output: int, places, mlp: float = 1.0, bias: bool = True) -> torch.Tensor:
        """Logits `[n, vocab]` at these places `[n]`: as the last layer norm leaves them, or without
        its `bias` and undivided, which is the lines themselves."""
        places = torch.as_tensor(places, dtype=self.direction.dtype)[:, None]
        if not bias:
            return self.heights(output, mlp) + places * self.slopes
        stream = self.start(output, mlp) + places * self.direction
        return unembed(stream[None], self.zoo.weights)[0]

    def predicts(self, mlp: float = 1.0, attention: float = 1.0, bias: bool = True):
        """The answers `[n, length]` that the lines give to every input."""
        each = enumerate(attention * self.places.T)
        return torch.stack([self.logits(i, at, mlp, bias).argmax(1) for i, at in each], 1)

    def dots(self, output: int) -> torch.Tensor:
        """The mean place of each source token `[digits]`."""
        source = task.all_inputs(self.zoo.length)[:, -1 - output]
        return torch.stack([self.places[source == t, output].mean() for t in range(task.DIGITS)])

    def place_of(self, tokens, output: int) -> float:
        """Where attention writes for one input at this output; ValueError for bad tokens."""
        x = torch.tensor(task.read_tokens(tokens, self.zoo.length))
        return float(self.places[task.number(x), output])


def _relative(values: torch.Tensor) -> torch.Tensor:
    return values - values[: task.DIGITS].mean()


@torch.no_grad()
def find_lines(model) -> Lines:
    """The `Lines` of a TransformerBridge or a `Zoo` of one. ValueError for a zoo of several."""
    if isinstance(model, Lines):
        return model
    zoo = as_zoo(model)
    if len(zoo) != 1:
        raise ValueError(f"got a zoo of {len(zoo)} models; allowed is one, as zoo[0] is")
    written, directions, _ = interventions.directions_of(zoo)
    written, direction = written[0, 0], directions[0, 0]
    push = interventions.mean_of(zoo, "mlp_out")[0, 0]
    own = stream_table(zoo.weights)[0, zoo.length :, : task.DIGITS].mean(1)
    every = task.full_sequences(task=zoo.task, length=zoo.length)
    places = (interventions.record(zoo, "attn_out", every)[0] - written) @ direction
    return Lines(zoo, direction, written, push, own, places)


@torch.no_grad()
def lifted(lines: Lines, output: int, heights) -> Lines:
    """The same lines with a constant in the MLP's place that gives them these `heights` `[digits]`
    at an output, less their mean."""
    wanted = _relative(torch.as_tensor(heights, dtype=lines.direction.dtype))
    reader = lines.reader[: task.DIGITS] - lines.reader[: task.DIGITS].mean(0)
    missing = wanted - lines.heights(output, mlp=0)[: task.DIGITS]
    push = lines.push.clone()
    push[output] = torch.linalg.lstsq(reader, missing[:, None]).solution[:, 0]
    return dataclasses.replace(lines, push=push)


def window(lines: Lines, output: int) -> tuple[float, float, float]:
    """(left end, right end, height of the highest line at an end) of the picture of an output."""
    low, high = float(lines.places[:, output].min()), float(lines.places[:, output].max())
    margin = 0.15 * (high - low)
    ends = [low - margin, high + margin]
    both = [lines.logits(output, ends, mlp, bias=False).max() for mlp in (0, 1)]
    return *ends, float(max(both))


def pieces(lines: Lines, output: int, mlp: float = 1.0) -> list[tuple[float, float, int]]:
    """(from, to, token) of the parts of the window on which one line is the highest."""
    low, high, _ = window(lines, output)
    heights, slopes = lines.heights(output, mlp), lines.slopes
    pairs = combinations(range(task.VOCAB), 2)
    crossings = [float((heights[a] - heights[b]) / (slopes[b] - slopes[a])) for a, b in pairs]
    ends = sorted({low, high, *(x for x in crossings if low < x < high)})
    found = []
    for a, b in zip(ends, ends[1:]):
        token = int(lines.logits(output, [(a + b) / 2], mlp, bias=False)[0].argmax())
        start = found.pop()[0] if found and found[-1][2] == token else a
        found.append((start, b, token))
    return found


def is_right(lines: Lines, output: int, source: int, place: float, mlp: float = 1.0) -> bool:
    """Whether a source at this place gets its successor, after the layer norm."""
    return int(lines.logits(output, [place], mlp)[0].argmax()) == SUCCESSOR[source]


def strength_in_words(mlp: float) -> str:
    if mlp in (0, 1):
        return "with the MLP's mean" if mlp else "without the MLP"
    return f"MLP's mean at {mlp:.2f}"


def in_words(lines: Lines, output: int, mlp: float = 1.0, attention: float = 1.0) -> str:
    """What the picture of one output shows, in two sentences."""
    order = " ".join(task.TOKEN_NAMES[token] for *_, token in pieces(lines, output, mlp))
    places = (attention * lines.dots(output)).tolist()
    marks = [MARK[is_right(lines, output, t, at, mlp)] for t, at in enumerate(places)]
    dots = ", ".join(f"{t} {mark}" for t, mark in enumerate(marks))
    where = f"y{output}, {strength_in_words(mlp)}"
    where += "" if attention == 1 else f", attention at {attention:.2f}"
    return f"{where}: from left to right the highest line is that of {order}. Sources: {dots}."


def _silent(figure, x, y, mode, at, **trace) -> None:
    """Add a trace that neither the legend nor the pointer names."""
    style = dict(mode=mode, showlegend=False, hoverinfo="skip")
    figure.add_scatter(x=plotting.numbers(x, 3), y=plotting.numbers(y, 2), **style, **trace, **at)


def _straight(figure, ends, y, token, at, legend=True) -> None:
    """The line of one answer, from end to end."""
    x, y = plotting.numbers(ends, 3), plotting.numbers(y, 2)
    style = dict(color=plotting.TOKEN_COLOURS[token], width=1.5, dash=DASHES[token])
    name = dict(name=f"answer {task.TOKEN_NAMES[token]}", showlegend=legend)
    figure.add_scatter(x=x, y=y, mode="lines", line=style, **name, **at)


def _sources(figure, x, y, at, small=False) -> None:
    """A dot for each source token."""
    colours = plotting.TOKEN_COLOURS[: task.DIGITS]
    marker = dict(size=13 if small else 20, color=colours, line=dict(width=1.5, color="#fff"))
    ink = dict(color=[plotting.ink(colour) for colour in colours], size=9 if small else 13)
    digits = dict(text=task.TOKEN_NAMES[: task.DIGITS], textfont=ink)
    _silent(figure, x, y, "markers+text", at, marker=marker, **digits)


def _draw(figure, lines, output, mlp, at, attention=1.0, small=False, legend=False, verdicts=True):
    """The lines of one output, the highest of them thick, the dots and their verdicts."""
    low, high, top = window(lines, output)
    ends, places = [low, high], attention * lines.dots(output)
    for token, y in enumerate(lines.logits(output, ends, mlp, bias=False).T):
        _straight(figure, ends, y, token, at, legend)
    for a, b, token in pieces(lines, output, mlp):
        y = lines.logits(output, [a, b], mlp, bias=False)[:, token]
        style = dict(color=plotting.TOKEN_COLOURS[token], width=4 if small else 6)
        _silent(figure, [a, b], y, "lines", at, line=style)
        if not small and b - a > 0.05 * (high - low):  # room for its name, away from the dots
            spots = [a + part * (b - a) for part in (0.5, 0.3, 0.7)]
            x = max(spots, key=lambda spot: float((places - spot).abs().min()))
            y = lines.logits(output, [x], mlp, bias=False)[0, token] + 0.05 * top
            ink = dict(color=plotting.TOKEN_INKS[token], size=14)
            text = dict(text=[f"<b>{task.TOKEN_NAMES[token]}</b>"], textposition="top center")
            _silent(figure, [x], [y], "text", at, textfont=ink, **text)
    values = lines.logits(output, places, mlp, bias=False)
    y = torch.stack([values[t, SUCCESSOR[t]] for t in range(task.DIGITS)])
    _sources(figure, places, y, at, small)
    if not verdicts:
        return
    marks = [MARK[is_right(lines, output, t, x, mlp)] for t, x in enumerate(places.tolist())]
    style = dict(text=marks, textfont=dict(size=11 if small else 16))
    _silent(figure, places, [-0.4 * top] * len(marks), "text", at, **style)


def _axes(figure, lines, output, at, small=False) -> None:
    low, high, top = window(lines, output)
    shown = dict(showticklabels=not small, **at)
    figure.update_xaxes(range=plotting.numbers([low, high], 3), **shown)
    figure.update_yaxes(range=plotting.numbers([-0.5 * top, 1.15 * top], 2), **shown)


def _mark(figure, lines, output, tokens, at, attention=1.0, size=14) -> None:
    """▼ at the place of one input."""
    here = dict(symbol="triangle-down", size=size, color="#000")
    place, height = attention * lines.place_of(tokens, output), 1.05 * window(lines, output)[2]
    _silent(figure, [place], [height], "markers", at, marker=here)


@torch.no_grad()
def figure(lines: Lines, output: int = 1, mlp=(0, 1), attention: float = 1.0, tokens=None):
    """The lines of one output, a panel for each strength of the MLP's mean.

    Dots: each source at its mean place, on the line of its successor. `attention` scales the
    places; an input `tokens` is marked by ▼. ValueError for bad tokens.
    """
    names = [strength_in_words(strength) for strength in mlp]
    made = make_subplots(len(mlp), 1, subplot_titles=names, vertical_spacing=0.09)
    for row, strength in enumerate(mlp, 1):
        at = dict(row=row, col=1)
        _draw(made, lines, output, strength, at, attention, legend=row == 1)
        _axes(made, lines, output, at)
        if tokens is not None:
            _mark(made, lines, output, tokens, at, attention)
    made.update_annotations(font_size=13).update_xaxes(title="place", row=len(mlp))
    made.update_yaxes(title="logit, not yet divided")
    made.update_layout(title=f"y{output}: the highest line is the answer", showlegend=True)
    return plotting.sized(made, 160 + 270 * len(mlp))


@torch.no_grad()
def all_outputs(lines: Lines, tokens=task.EXAMPLE, mlp: float = 1.0, verdicts: bool = True):
    """The lines of all outputs in small, with the place of one input (▼) in each, and whether it is
    right, unless there shall be no `verdicts`. ValueError for bad tokens."""
    x, n = task.read_tokens(tokens, lines.zoo.length), lines.zoo.length
    names = []
    for output, source in enumerate(x[::-1]):
        place = lines.place_of(x, output)
        says = task.TOKEN_NAMES[int(lines.logits(output, [place], mlp)[0].argmax())]
        answer = f" → {says} {MARK[says == str(SUCCESSOR[source])]}" if verdicts else ""
        names.append(f"y{output}: source {source}{answer}")
    space = dict(vertical_spacing=0.06, horizontal_spacing=0.06)
    made = make_subplots(-(-n // 2), 2, subplot_titles=names, **space)
    for output in range(n):
        at = dict(row=output // 2 + 1, col=output % 2 + 1)
        _draw(made, lines, output, mlp, at, 1.0, True, output == 0, verdicts)
        _axes(made, lines, output, at, small=True)
        _mark(made, lines, output, x, at, size=10)
    made.update_annotations(font_size=13)
    title = f"Input {''.join(map(str, x))} (▼), {strength_in_words(mlp)}"
    return plotting.sized(made.update_layout(title=title, showlegend=True), 190 * -(-n // 2))


@torch.no_grad()
def slider(lines: Lines, output: int = 1):
    """The lines of one output with a slider over the strength of the MLP's mean.

    The slider is plotly's own, so a page without a kernel moves it.
    """
    made, at, ends, steps = make_subplots(1, 1), dict(row=1, col=1), [0], []
    for strength in STRENGTHS:
        _draw(made, lines, output, strength, at, legend=True)
        ends.append(len(made.data))
    for strength, start, end in zip(STRENGTHS, ends, ends[1:]):
        visible = [start <= i < end for i in range(ends[-1])]
        steps.append(dict(label=f"{strength:g}", method="restyle", args=["visible", visible]))
    for trace, on in zip(made.data, visible):  # the last strength at first
        trace.visible = on
    _axes(made, lines, output, at)
    now = dict(prefix="strength of the MLP's mean: ", xanchor="left", font_size=14)
    bar = dict(steps=steps, active=len(steps) - 1, currentvalue=now, x=0.05, y=0, len=0.9)
    made.update_xaxes(title="place").update_yaxes(title="logit, not yet divided")
    made = plotting.sized(made.update_layout(title=f"y{output}: slide the MLP's mean"), 560)
    return made.update_layout(sliders=[bar | dict(pad=dict(t=55))], showlegend=True)


@torch.no_grad()
def bowl(lines: Lines, output: int = 1):
    """Why fitting heights exist: a bowl that has, at each dot, the slope of its successor's line,
    and the four rulers that touch it there."""
    dots, slopes = lines.dots(output).numpy(), lines.slopes.numpy()
    order = np.argsort(dots)
    low, high, _ = window(lines, output)
    # The slope of the bowl goes straight from dot to dot, and its height is the sum of that.
    x = np.linspace(low, high, 4001)
    slope = np.interp(x, dots[order], slopes[[SUCCESSOR[t] for t in order]])
    slope += np.minimum(x - dots[order[0]], 0) + np.maximum(x - dots[order[-1]], 0)
    height = np.cumsum(slope) * (x[1] - x[0])
    made, at, ends = make_subplots(1, 1), dict(row=1, col=1), np.array([low, high])
    curve = dict(mode="lines", name="a bowl", line=dict(color=plotting.NEUTRAL[1], width=7))
    made.add_scatter(x=plotting.numbers(x[::40], 3), y=plotting.numbers(height[::40], 2), **curve)
    touch = np.interp(dots, x, height)
    for source in map(int, order):
        y = touch[source] + slopes[SUCCESSOR[source]] * (ends - dots[source])
        _straight(made, ends, y, SUCCESSOR[source], at)
    _sources(made, dots, touch, at)
    tall = np.ptp(height)
    around = [height.min() - 0.5 * tall, height.max() + 0.1 * tall]
    made.update_yaxes(range=plotting.numbers(around, 2), title="height")
    made.update_xaxes(range=plotting.numbers(ends, 3), title="place")
    made.update_layout(title="Four rulers against a bowl", showlegend=True)
    return plotting.sized(made, 440)
