"""The picture of the line: where attention writes each source token, and what is highest there.

`find_line` finds what the picture needs of a model. `line_figure` draws one output, `line_slider`
the same for several strengths of the MLP on a page without a kernel, `path_figure` all outputs of
one input. All give (figure, the figure in words).
"""

import dataclasses

import torch
from plotly.subplots import make_subplots

from helpers import interventions, plotting, task
from helpers.model import Zoo, as_zoo, stream_table, unembed

POINTS = 181  # of each curve
FINE = 4001  # points between which a border is sought
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
INK = [plotting.ink(colour) for colour in plotting.TOKEN_COLOURS]  # what can be read on them
MARK = {True: "✓", False: "✗"}
HERE = dict(symbol="triangle-down", size=14, color="#000")  # where one input is


@dataclasses.dataclass(frozen=True)
class Line:
    """One model's line. Vectors are at each output, `[length, d_model]`.

    `direction` `[d_model]` is where attention's output varies most, from source 1 to source 2;
    `usual` its mean, `push` the mean of what the MLP adds, `own` the mean of what stands at the
    place itself. `places` `[n, length]` is where attention writes on each of all inputs, measured
    along `direction` from `usual`.
    """

    zoo: Zoo
    direction: torch.Tensor
    usual: torch.Tensor
    push: torch.Tensor
    own: torch.Tensor
    places: torch.Tensor

    def logits(self, output: int, places, mlp: float = 1.0) -> torch.Tensor:
        """Logits `[n, vocab]` at these `places` `[n]` of an output, less the mean of the digits'.
        `mlp` is the strength of the push: 0 takes it away, 1 is the model's own."""
        start = (self.own + self.usual + mlp * self.push)[output]
        places = torch.as_tensor(places, dtype=start.dtype)
        logits = unembed((start + places[:, None] * self.direction)[None], self.zoo.weights)[0]
        return logits - logits[:, : task.DIGITS].mean(1, keepdim=True)

    def says(self, output: int, place: float, mlp: float = 1.0) -> int:
        """The token whose logit is highest at this place."""
        return int(self.logits(output, [place], mlp)[0].argmax())

    def stretches(self, output: int, low: float, high: float, mlp: float = 1.0) -> list[tuple]:
        """(from, to, token) of the parts between `low` and `high` where one logit is highest."""
        grid = torch.linspace(low, high, FINE, dtype=self.usual.dtype)
        best = self.logits(output, grid, mlp).argmax(1)
        borders = ((best[1:] != best[:-1]).nonzero().flatten() + 1).tolist()
        ends = [0, *borders, FINE - 1]
        return [(float(grid[a]), float(grid[b]), int(best[a])) for a, b in zip(ends, ends[1:])]

    def predicts(self, mlp: float = 1.0, attention: float = 1.0) -> torch.Tensor:
        """The answers `[n, length]` that the picture gives to every input."""
        each = enumerate(attention * self.places.T)
        return torch.stack([self.logits(i, place, mlp).argmax(1) for i, place in each], 1)

    def place_of(self, tokens, output: int) -> float:
        """Where attention writes for the input `tokens` at this output; ValueError for bad ones."""
        x = torch.tensor(task.read_tokens(tokens, self.zoo.length))
        return float(self.places[task.number(x), output])

    def model_says(self, tokens, mlp: float = 1.0, attention: float = 1.0) -> list[int]:
        """The answers `[length]` of the model itself, with both parts at these strengths in it;
        ValueError for bad tokens."""
        edits = {
            "attn_out": lambda value, _: self.usual + attention * (value - self.usual),
            "mlp_out": lambda value, _: mlp * value,
        }
        sequence = task.full_sequences(task.read_tokens(tokens, self.zoo.length), self.zoo.task)
        return self.zoo.edited(edits)(sequence)[0, 0].argmax(-1).tolist()

    def of_source(self, output: int, token: int) -> torch.Tensor:
        """The places `[n]` of all inputs whose source at this output is `token`."""
        source = torch.arange(len(self.places)) // task.DIGITS**output % task.DIGITS
        return self.places[source == token, output]


def find_line(model) -> Line:
    """The `Line` of a TransformerBridge or a `Zoo` of one (a `Line` is its own). ValueError for a
    zoo of several."""
    if isinstance(model, Line):
        return model
    zoo = as_zoo(model)
    if len(zoo) != 1:
        raise ValueError(f"got a zoo of {len(zoo)} models; a line is of 1, as zoo[0] is")
    usual, directions, _ = interventions.directions_of(zoo)
    usual, direction = usual[0, 0], directions[0, 0]
    push = interventions.mean_of(zoo, "mlp_out")[0, 0]
    own = stream_table(zoo.weights)[0, zoo.length :, : task.DIGITS].mean(1)
    sequences = task.full_sequences(task=zoo.task, length=zoo.length)
    written = interventions.record(zoo, "attn_out", sequences)[0]
    return Line(zoo, direction, usual, push, own, (written - usual) @ direction)


def window(line: Line, output: int) -> tuple[float, float, float]:
    """(left end, right end, size of the largest logit) of the picture of an output."""
    low, high = float(line.places[:, output].min()), float(line.places[:, output].max())
    margin = 0.12 * (high - low)
    low, high = low - margin, high + margin
    both = [line.logits(output, torch.linspace(low, high, POINTS), mlp) for mlp in (0.0, 1.0)]
    return low, high, float(torch.stack(both).abs().max())


def sources(line: Line, output: int) -> list[tuple[float, float, float]]:
    """(2 %, middle, 98 %) of the places of each source token."""
    shares = torch.tensor([0.02, 0.5, 0.98]).double()
    each = [line.of_source(output, token) for token in range(task.DIGITS)]
    return [tuple(places.quantile(shares).tolist()) for places in each]


def names(grid, logits) -> list[tuple[int, float, float]]:
    """(token, place, logit) where the name of each curve can stand: that of a digit where it is
    highest, or least below the highest; that of BOS where it is farthest from any other."""
    first = len(grid) // 18
    inner = logits[first:-first]
    highest, second = inner.topk(2, 1).values.unbind(1)
    lead = inner - torch.where(inner == highest[:, None], second[:, None], highest[:, None])
    others = inner[:, : task.DIGITS]
    lead[:, task.BOS] = (others - inner[:, [task.BOS]]).abs().amin(1)
    best = (lead.argmax(0) + first).tolist()
    return [(t, float(grid[i]), float(logits[i, t])) for t, i in enumerate(best)]


def rows(top: float) -> dict[str, float]:
    """The heights of what stands above and below the curves, by its name on the axis."""
    return {"source": 1.3 * top, "answer": -1.3 * top, "right?": -1.62 * top}


def is_right(line: Line, output: int, source: int, place: float, mlp: float) -> bool:
    """Whether what is highest at this place is the answer to this source token."""
    return line.says(output, place, mlp) == (source + 1) % task.DIGITS


def strength_in_words(mlp: float) -> str:
    """How strong the MLP is, as the pictures say it."""
    if mlp in (0, 1):
        return "with the MLP" if mlp else "without the MLP"
    return f"MLP at {mlp:.2f}"


def in_words(line: Line, output: int, mlp: float = 1.0, attention: float = 1.0) -> str:
    """What the picture of one output shows, as a sentence for each half of it."""
    low, high, _ = window(line, output)
    order = " ".join(task.TOKEN_NAMES[t] for *_, t in line.stretches(output, low, high, mlp))
    middles = {t: attention * m for t, (_, m, _) in enumerate(sources(line, output))}
    lies = [f"{t} where {line.says(output, m, mlp)} is" for t, m in middles.items()]
    attended = "" if attention == 1 else f", attention at {attention:.2f}"
    return (
        f"y{output}, {strength_in_words(mlp)}{attended}: from left to right the highest logit is "
        f"that of {order}. Source tokens lie on these stretches: {', '.join(lies)} highest."
    )


def _silent(figure, x, y, mode, col=1, **trace) -> None:
    """Add a trace that neither the legend nor the pointer names."""
    x = [v if v is None else round(v, 3) + 0.0 for v in x]
    style = dict(mode=mode, showlegend=False, hoverinfo="skip", row=1, col=col)
    figure.add_scatter(x=x, y=plotting.numbers(y), **style, **trace)


def _strip(figure, stretches, y: float, width: int, room: float, col=1) -> None:
    """The stretches as a coloured strip; written in is "says t", which needs `room`, or "t"."""
    for token in range(task.VOCAB):
        x = [v for a, b, t in stretches if t == token for v in (a, b, None)]
        style = dict(color=plotting.TOKEN_COLOURS[token], width=width)
        _silent(figure, x, [y] * len(x), "lines", col, line=style)
    written = []
    for a, b, token in stretches:
        name = task.TOKEN_NAMES[token]
        fits = [w for w in (f"says {name}", name) if b - a > room * (len(w) + 0.5) / len("says t ")]
        written += [((a + b) / 2, fits[0], INK[token])] if fits else []
    x, words, inks = zip(*written)
    _silent(figure, x, [y] * len(x), "text", col, text=words, textfont=dict(color=inks, size=12))


def _dots(figure, line, output, attention=1.0, col=1) -> None:
    """Where attention writes each source token: 2 to 98 % of its places, and their middle."""
    top = window(line, output)[2]
    source, answer = rows(top)["source"], rows(top)["answer"]
    places = [[attention * v for v in places] for places in sources(line, output)]
    for (low, middle, high), colour in zip(places, plotting.TOKEN_COLOURS):
        thin, wide = dict(color=colour, width=1, dash="dot"), dict(color=colour, width=8)
        _silent(figure, [middle] * 2, [answer + 0.15 * top, source], "lines", col, line=thin)
        _silent(figure, [low, high], [source] * 2, "lines", col, line=wide)
    x, colours = [middle for _, middle, _ in places], plotting.TOKEN_COLOURS[: task.DIGITS]
    marker = dict(size=14, color=colours, line=dict(width=1, color="#fff"))
    style = dict(marker=marker, textposition="top center", textfont_size=14)
    text = [f"<b>{token}</b>" for token in range(task.DIGITS)]
    _silent(figure, x, [source] * len(x), "markers+text", col, text=text, **style)


def _panel(figure, line, output, mlp, attention=1.0, col=1, panels=1) -> None:
    """What depends on the strength of the MLP: the logits along the line, each with its name where
    it is highest, or nearly; the strip of stretches; a verdict below each source."""
    low, high, top = window(line, output)
    grid = torch.linspace(low, high, POINTS, dtype=line.usual.dtype)
    logits = line.logits(output, grid, mlp)
    for token, name in enumerate(task.TOKEN_NAMES):
        width, dash = (1.5, "dot") if token == task.BOS else (2.5, "solid")
        figure.add_scatter(
            x=plotting.numbers(grid), y=plotting.numbers(logits[:, token], 3), mode="lines",
            line=dict(color=plotting.TOKEN_COLOURS[token], width=width, dash=dash),
            name=f"logit of {name}", showlegend=col == 1, row=1, col=col,
        )  # fmt: skip
    tokens, x, y = zip(*names(grid, logits))
    ink = dict(color=[plotting.TOKEN_INKS[t] for t in tokens], size=14)
    text = dict(text=[f"<b>{task.TOKEN_NAMES[t]}</b>" for t in tokens], textposition="top center")
    _silent(figure, x, plotting.numbers(y, 2), "text", col, textfont=ink, **text)
    room = 0.15 * panels * (high - low)
    _strip(figure, line.stretches(output, low, high, mlp), rows(top)["answer"], 24, room, col)
    x = [attention * middle for _, middle, _ in sources(line, output)]
    marks = [MARK[is_right(line, output, t, place, mlp)] for t, place in enumerate(x)]
    _silent(figure, x, [rows(top)["right?"]] * len(x), "text", col, text=marks, textfont_size=16)


def _finish(figure, line, output, title: str):
    """The axes and the look that all pictures of one output share."""
    low, high, top = window(line, output)
    step = 10 if top < 30 else 20
    ticks = range(-int(top // step) * step, int(top) + 1, step)
    heights = {str(t).replace("-", "−"): t for t in ticks} | rows(top)
    ends, ticks = plotting.numbers([-1.85 * top, 1.85 * top]), [*heights.values()]
    figure.update_yaxes(range=ends, tickvals=plotting.numbers(ticks), ticktext=[*heights])
    figure.update_yaxes(zeroline=True, zerolinecolor="#e6e6e6").update_yaxes(title="logit", col=1)
    figure.update_xaxes(range=plotting.numbers([low, high]), title="place on the line")
    return plotting.sized(figure.update_layout(title=title, showlegend=True), 480)


def line_figure(line: Line, output: int = 1, mlp=(0.0, 1.0), attention: float = 1.0, tokens=None):
    """The picture of one output, a panel for each strength of the MLP: (figure, says).

    Curves: the logits along the line (mean own token, mean push). Dots: where attention writes each
    source token. `mlp` is one strength or a tuple of them, `attention` scales the places; an input
    `tokens` is marked by ▼. ValueError for bad tokens.
    """
    strengths = mlp if isinstance(mlp, (tuple, list)) else [mlp]
    panels, space = [*map(strength_in_words, strengths)], dict(horizontal_spacing=0.05)
    figure = make_subplots(1, len(panels), subplot_titles=panels, shared_yaxes=True, **space)
    figure.update_annotations(font_size=13)
    for col, strength in enumerate(strengths, 1):
        _panel(figure, line, output, strength, attention, col, len(panels))
        _dots(figure, line, output, attention, col)
    title = f"y{output}: the line, and the answer at each place"
    if tokens is not None:
        x, top = task.read_tokens(tokens, line.zoo.length), window(line, output)[2]
        place, source = attention * line.place_of(x, output), x[-1 - output]
        for col in range(1, len(panels) + 1):
            y = [rows(top)["answer"] + 0.22 * top]
            _silent(figure, [place], y, "markers", col, marker=HERE)
        says = task.TOKEN_NAMES[line.says(output, place, strengths[-1])]
        mark = MARK[is_right(line, output, source, place, strengths[-1])]
        title = f"y{output} of {''.join(map(str, x))} (▼): source {source}, says {says} {mark}"
    says = " ".join(in_words(line, output, strength, attention) for strength in strengths)
    return _finish(figure, line, output, title), says


def line_slider(line: Line, output: int = 1):
    """The picture of one output with a slider over `STRENGTHS` of the MLP: (figure, says). The
    slider is plotly's own, so a page without a kernel moves it."""
    figure, steps = make_subplots(1, 1), []
    _dots(figure, line, output)
    ends = [len(figure.data)]  # of the traces that stay, and of those of each strength
    for strength in STRENGTHS:
        _panel(figure, line, output, strength)
        ends.append(len(figure.data))
    for strength, start, end in zip(STRENGTHS, ends, ends[1:]):
        visible = [i < ends[0] or start <= i < end for i in range(ends[-1])]
        steps.append(dict(label=f"{strength:g}", method="restyle", args=["visible", visible]))
    for trace, on in zip(figure.data, visible):  # the last strength at first
        trace.visible = on
    now = dict(prefix="strength of the MLP: ", xanchor="left", font_size=14)
    place = dict(x=0.05, y=0, pad=dict(t=55), len=0.9)
    slider = dict(steps=steps, active=len(steps) - 1, currentvalue=now, **place)
    figure = _finish(figure, line, output, f"y{output}: slide the strength of the MLP")
    says = [in_words(line, output, strength) for strength in (0.0, 0.5, 1.0)]
    return figure.update_layout(sliders=[slider], height=600), " ".join(says)


def path_figure(line: Line, tokens=task.EXAMPLE, mlp: float = 1.0):
    """One input at all outputs: a strip of stretches each, and its place on it: (figure, says). The
    ends of a strip are the outermost places that attention writes. ValueError for bad tokens."""
    x, figure = task.read_tokens(tokens, line.zoo.length), make_subplots(1, 1)
    labels, heard = [], []
    for output, source in enumerate(x[::-1]):
        low, high, _ = window(line, output)
        place, y, scale = line.place_of(x, output), -float(output), 100 / (high - low)
        strip = line.stretches(output, low, high, mlp)
        # Rounded, or what lies half-way between two steps would be rounded by the last bit later.
        percent = [[round((end - low) * scale, 6) for end in ends] for *ends, _ in strip]
        _strip(figure, [(*ends, t) for ends, (*_, t) in zip(percent, strip)], y, 20, 21.0)
        _silent(figure, [(place - low) * scale], [y + 0.42], "markers", marker=HERE)
        says = task.TOKEN_NAMES[line.says(output, place, mlp)]
        answer = [f"{source} → {says} {MARK[is_right(line, output, source, place, mlp)]}"]
        beside = dict(textposition="middle right", cliponaxis=False)  # the margin is wide enough
        _silent(figure, [100], [y], "text", text=answer, **beside)
        labels.append(f"y{output}, source {source}")
        heard.append(f"y{output}: source {source} lies where {says} is highest")
    ticks = dict(tickvals=[-float(i) for i in range(len(labels))], ticktext=labels)
    figure.update_yaxes(**ticks, range=[-len(labels) + 0.4, 0.8], showgrid=False)
    figure.update_xaxes(range=[0, 100], showticklabels=False, showgrid=False, zeroline=False)
    figure.update_xaxes(title="place on the line of each output (▼)")
    n = {8: "eight"}.get(len(x), len(x))
    title = f"Input {''.join(map(str, x))}: {n} places, {n} stretches ({strength_in_words(mlp)})"
    figure.update_layout(title=title, showlegend=False, margin_r=70)
    return plotting.sized(figure, 440), ". ".join(heard) + "."
