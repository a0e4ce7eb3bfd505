"""The picture of the line: where attention writes each source token, and what is highest there.

`find_line` finds what the picture needs of a model. `line_figure` draws one output, `line_slider`
the same for several strengths of the MLP on a page without a kernel, `path_figure` all outputs of
one input, `line_svg` README's drawing.
"""

from __future__ import annotations

import dataclasses
import html
from numbers import Real

import torch
from plotly.subplots import make_subplots

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.model import Zoo, as_zoo, stream_table, unembed

POINTS = 181  # of each curve
FINE = 4001  # points between which a border is sought
STRONGEST = 1000
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
INK = [P.ink(colour) for colour in P.TOKEN_COLOURS]  # what can be read on the colour of each token
HERE = dict(symbol="triangle-down", size=14, color="#000")  # where one input is
BOS_DASH = ["solid"] * T.DIGITS + ["dot"]


@dataclasses.dataclass
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

        `mlp` is the strength of the push: 0 takes it away, 1 is the model's own. ValueError for an
        output that is none, or a strength that is no finite number.
        """
        output, mlp = _check(self, output), _strength(mlp)
        start = (self.own + self.usual + mlp * self.push)[output]
        places = torch.as_tensor(places, dtype=start.dtype, device=start.device)
        logits = unembed((start + places[:, None] * self.direction)[None], self.zoo.weights)[0]
        return logits - logits[:, : T.DIGITS].mean(1, keepdim=True)

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
        """The answers `[n, length]` that the picture gives to every input. ValueError for a
        strength that is no finite number."""
        attention = _strength(attention)
        each = zip(range(self.zoo.length), attention * self.places.T)
        return torch.stack([self.logits(i, place, mlp).argmax(1) for i, place in each], 1)

    def place_of(self, tokens, output: int) -> float:
        """Where attention writes for the input `tokens` at this output. ValueErrors as of `logits`,
        and for bad tokens."""
        x = torch.tensor(T.read_tokens(tokens, self.zoo.length))
        return float(self.places[int(T.number(x)), _check(self, output)])

    def model_says(self, tokens, mlp: float = 1.0, attention: float = 1.0) -> list[int]:
        """The answers `[length]` of the model itself, with both parts at these strengths in it.
        ValueErrors as of `place_of`."""
        x, mlp, attention = T.read_tokens(tokens), _strength(mlp), _strength(attention)

        def attended(value, tokens):
            return self.usual + attention * (value - self.usual)

        def pushed(value, tokens):
            return mlp * value

        edits = {"attn_out": attended, "mlp_out": pushed}
        edited = I.intervene(self.zoo, edits, effect=False)
        sequence = T.full_sequences([x], self.zoo.task, self.zoo.length)
        return edited(sequence)[0, 0].argmax(-1).tolist()

    def of_source(self, output: int, token: int) -> torch.Tensor:
        """The places `[n]` of all inputs whose source at this output is `token`; ValueError for an
        output or token that is none."""
        output, token = _check(self, output), T.whole(token, "token", 0, T.DIGITS - 1)
        source = T.all_inputs(self.zoo.length)[:, -1 - output]
        return self.places[source == token, output]


@torch.no_grad()
def find_line(model) -> Line:
    """The `Line` of a TransformerBridge or a `Zoo` of one. ValueError for a zoo of several."""
    zoo = as_zoo(model)
    if len(zoo) != 1:
        raise ValueError(f"got a zoo of {len(zoo)} models; a line is of 1, more are not allowed")
    usual, directions, _ = I.directions_of(zoo)
    usual, direction = usual[0, 0], directions[0, 0]
    push = I.mean_of(zoo, "mlp_out")[0, 0]
    own = stream_table(zoo.weights)[zoo.length :, 0, :, : T.DIGITS].mean(-1)
    sequences = T.full_sequences(task=zoo.task, length=zoo.length)
    written = I.record(zoo, "attn_out", sequences)[0]
    return Line(zoo, direction, usual, push, own, (written - usual) @ direction)


# ---------------------------------------------------------------- what the pictures draw


def _window(line: Line, output: int) -> tuple[float, float, float]:
    """(left end, right end, size of the largest logit) of the picture of an output."""
    low, high = float(line.places[:, output].min()), float(line.places[:, output].max())
    margin = 0.12 * (high - low)
    low, high = low - margin, high + margin
    ends = [line.logits(output, torch.linspace(low, high, POINTS), mlp) for mlp in (0.0, 1.0)]
    return low, high, float(torch.stack(ends).abs().max())


def _sources(line: Line, output: int) -> list[tuple[float, float, float]]:
    """(2 %, middle, 98 %) of the places of each source token."""
    shares = torch.tensor([0.02, 0.5, 0.98]).double()
    return [tuple(line.of_source(output, t).quantile(shares).tolist()) for t in range(T.DIGITS)]


def _is_right(line: Line, output: int, source: int, place: float, mlp: float) -> bool:
    return line.says(output, place, mlp) == (source + 1) % T.DIGITS


def _strip(figure, stretches, y: float, width: int, room: float, **at) -> None:
    """The stretches as a coloured strip; written in is "says t", which needs `room`, or "t"."""
    for token in range(T.VOCAB):
        x = [v for a, b, t in stretches if t == token for v in (a, b, None)]
        style = dict(color=P.TOKEN_COLOURS[token], width=width)
        _silent(figure, x=x, y=[y] * len(x), mode="lines", line=style, **at)
    written = []
    for a, b, token in stretches:
        name = T.TOKEN_NAMES[token]
        fits = [w for w in (f"says {name}", name) if b - a > room * (len(w) + 0.5) / len("says t ")]
        written += [((a + b) / 2, fits[0], INK[token])] if fits else []
    middle, words, inks = zip(*written)
    style = dict(mode="text", text=words, textfont=dict(color=inks, size=12))
    _silent(figure, x=middle, y=[y] * len(words), **style, **at)


def _silent(figure, x, row=1, col=1, **trace) -> None:
    rounded = [v if v is None else round(v, 3) + 0.0 for v in x]
    figure.add_scatter(x=rounded, showlegend=False, hoverinfo="skip", row=row, col=col, **trace)


def _curves(figure, line, output, window, mlp, legend, **at) -> None:
    """The logits along the line, with the name of each digit where it is highest, or nearly."""
    low, high, _ = window
    grid = torch.linspace(low, high, POINTS, dtype=line.usual.dtype)
    logits = line.logits(output, grid, mlp)
    for token in range(T.VOCAB):
        colour, dash = P.TOKEN_COLOURS[token], BOS_DASH[token]
        style = dict(color=colour, width=1.5 if dash == "dot" else 2.5, dash=dash)
        text = dict(name=f"logit of {T.TOKEN_NAMES[token]}", showlegend=legend)
        x, y = P.numbers(grid), P.numbers(logits[:, token], 3)
        figure.add_scatter(x=x, y=y, mode="lines", line=style, **text, **at)
    names = _names(grid, logits)
    ink = dict(color=[P.TOKEN_INKS[t] for t, *_ in names], size=14)
    text = [f"<b>{T.TOKEN_NAMES[t]}</b>" for t, *_ in names]
    placed = dict(mode="text", text=text, textfont=ink, textposition="top center")
    _silent(
        figure, [x for _, x, _ in names], y=P.numbers([y for *_, y in names], 2), **placed, **at
    )


def _names(grid, logits) -> list[tuple[int, float, float]]:
    """(token, place, logit) of a point of each curve where its name can stand.

    A digit's stands where it is highest, or least below the highest; that of BOS where it is
    farthest from any other.
    """
    first = len(grid) // 18
    inner = logits[first:-first]
    highest, second = inner.topk(2, 1).values.unbind(1)
    lead = inner - torch.where(inner == highest[:, None], second[:, None], highest[:, None])
    others = inner[:, : T.DIGITS]
    lead[:, T.BOS] = (others - inner[:, [T.BOS]]).abs().amin(1)
    best = (lead.argmax(0) + first).tolist()
    return [(t, float(grid[i]), float(logits[i, t])) for t, i in enumerate(best)]


def _rows(top: float) -> dict[str, float]:
    """The heights of what stands above and below the curves, by its name on the axis."""
    return {"source": 1.3 * top, "answer": -1.3 * top, "right?": -1.62 * top}


def _dots(figure, line, output, top, attention, **at) -> None:
    """Where attention writes each source token: 2 to 98 % of its places, and their middle."""
    rows = _rows(top)
    places = [[attention * v for v in source] for source in _sources(line, output)]
    for token, (low, middle, high) in enumerate(places):
        style = dict(color=P.TOKEN_COLOURS[token])
        thin = dict(width=1, dash="dot")
        y = [rows["answer"] + 0.15 * top, rows["source"]]
        _silent(figure, [middle] * 2, y=y, mode="lines", line=style | thin, **at)
        y = [rows["source"]] * 2
        _silent(figure, [low, high], y=y, mode="lines", line=style | dict(width=8), **at)
    marker = dict(size=14, color=P.TOKEN_COLOURS[: T.DIGITS], line=dict(width=1, color="#fff"))
    text = dict(text=[f"<b>{t}</b>" for t in range(T.DIGITS)], textposition="top center")
    x, y = [middle for _, middle, _ in places], [rows["source"]] * T.DIGITS
    _silent(figure, x, y=y, mode="markers+text", marker=marker, textfont_size=14, **text, **at)


def _verdicts(figure, line, output, top, mlp, attention, **at) -> None:
    """A tick or a cross below each source token."""
    middles = [attention * middle for _, middle, _ in _sources(line, output)]
    right = [_is_right(line, output, t, x, mlp) for t, x in enumerate(middles)]
    marks = ["✓" if r else "✗" for r in right]
    y = [_rows(top)["right?"]] * T.DIGITS
    _silent(figure, middles, y=y, mode="text", text=marks, textfont_size=16, **at)


def _panel(figure, line, output, window, mlp, attention=1.0, col=1, panels=1) -> None:
    low, high, top = window
    at = dict(row=1, col=col)
    _curves(figure, line, output, window, mlp, col == 1, **at)
    room = 0.15 * panels * (high - low)
    _strip(figure, line.stretches(output, low, high, mlp), _rows(top)["answer"], 24, room, **at)
    _verdicts(figure, line, output, top, mlp, attention, **at)


def _finish(figure, window, title: str):
    """The axes and the look that all pictures of one output share."""
    low, high, top = window
    step = 10 if top < 30 else 20
    ticks = range(-int(top // step) * step, int(top) + 1, step)
    names = {str(t).replace("-", "−"): t for t in ticks} | _rows(top)
    figure.update_yaxes(range=[-1.85 * top, 1.85 * top], zeroline=True, zerolinecolor="#e6e6e6")
    figure.update_yaxes(tickvals=[*names.values()], ticktext=[*names])
    figure.update_yaxes(title="logit", col=1)
    figure.update_xaxes(range=[low, high], title="place on the line")
    return P.sized(figure.update_layout(title=title, showlegend=True), 480)


def _at(strength: float) -> str:
    if strength in (0, 1):
        return "with the MLP" if strength else "without the MLP"
    return f"MLP at {strength:.2f}"


def in_words(line: Line, output: int, mlp: float = 1.0, attention: float = 1.0) -> str:
    """What the picture of one output shows, as a sentence for each half of it. ValueError for an
    output that is none, or a strength that is no finite number."""
    output, mlp, attention = _check(line, output), _strength(mlp), _strength(attention)
    low, high, _ = _window(line, output)
    order = " ".join(T.TOKEN_NAMES[t] for *_, t in line.stretches(output, low, high, mlp))
    middles = {t: attention * m for t, (_, m, _) in enumerate(_sources(line, output))}
    lies = [f"{t} where {line.says(output, m, mlp)} is" for t, m in middles.items()]
    where = f"y{output}, {_at(mlp)}" + ("" if attention == 1 else f", attention at {attention:.2f}")
    return (
        f"{where}: from left to right the highest logit is that of {order}. "
        f"Source tokens lie on these stretches: {', '.join(lies)} highest."
    )


# ---------------------------------------------------------------- the pictures


@torch.no_grad()
def line_figure(line: Line, output: int = 1, mlp=(0.0, 1.0), attention: float = 1.0, tokens=None):
    """The picture of one output, a panel for each strength of the MLP: (figure, says).

    Curves: the logits along the line (mean own token, mean push). Dots: where attention writes each
    source token. `attention` scales the places; an input `tokens` is marked by ▼. ValueError for an
    output, a strength or tokens that cannot be.
    """
    output, attention = _check(line, output), _strength(attention)
    strengths = [_strength(m) for m in (mlp if isinstance(mlp, (tuple, list)) and mlp else [mlp])]
    tokens = None if tokens is None else T.read_tokens(tokens, line.zoo.length)
    window, title = _window(line, output), f"y{output}: the line, and the answer at each place"
    names, space = [_at(strength) for strength in strengths], dict(horizontal_spacing=0.05)
    figure = make_subplots(1, len(names), subplot_titles=names, shared_yaxes=True, **space)
    figure.update_annotations(font_size=13)
    for col, strength in enumerate(strengths, 1):
        _panel(figure, line, output, window, strength, attention, col, len(names))
        _dots(figure, line, output, window[2], attention, row=1, col=col)
        if tokens is not None:
            place = attention * line.place_of(tokens, output)
            y = [_rows(window[2])["answer"] + 0.22 * window[2]]
            _silent(figure, [place], y=y, mode="markers", marker=HERE, row=1, col=col)
    if tokens is not None:
        source = tokens[-1 - output]
        said = line.says(output, place, strengths[-1])
        mark = "✓" if said == (source + 1) % T.DIGITS else "✗"
        title = f"y{output} of {''.join(map(str, tokens))} (▼): "
        title += f"source {source}, says {T.TOKEN_NAMES[said]} {mark}"
    says = " ".join(in_words(line, output, strength, attention) for strength in strengths)
    return _finish(figure, window, title), says


def _check(line: Line, output) -> int:
    """`output` as an int. ValueError unless `line` is a `Line` and has this output."""
    if not isinstance(line, Line):
        raise ValueError(f"got {T.shown(line)}; allowed is a Line, as find_line makes it")
    top = line.zoo.length - 1
    if not T.is_whole(output, 0, top):
        given = T.shown(output)
        raise ValueError(f"output is {given}; allowed are the whole numbers from 0 to {top}")
    return int(output)


def _strength(value) -> float:
    """`value` as a float. ValueError unless it is a number of at most `STRONGEST`, and no bool."""
    value = T.single(value)
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(value) <= STRONGEST:
        given = f"a strength is {T.shown(value)}"
        raise ValueError(f"{given}; allowed are numbers of at most {STRONGEST}, such as 0 to 1")
    return float(value)


@torch.no_grad()
def line_slider(line: Line, output: int = 1):
    """The picture of one output with a slider over `STRENGTHS` of the MLP: (figure, says).

    The slider is plotly's own, so a page without a kernel moves it. ValueError for an output that
    is none.
    """
    output = _check(line, output)
    figure, window = make_subplots(1, 1), _window(line, output)
    _dots(figure, line, output, window[2], 1.0)
    shown = [None] * len(figure.data)  # these stay
    for number, strength in enumerate(STRENGTHS):
        before = len(figure.data)
        _panel(figure, line, output, window, strength)
        shown += [number] * (len(figure.data) - before)
    steps = []
    for number, strength in enumerate(STRENGTHS):
        visible = [n in (None, number) for n in shown]
        steps.append(dict(label=f"{strength:g}", method="restyle", args=["visible", visible]))
    last = len(STRENGTHS) - 1
    for trace, visible in zip(figure.data, steps[last]["args"][1]):
        trace.visible = visible
    now = dict(prefix="strength of the MLP: ", xanchor="left", font_size=14)
    slider = dict(steps=steps, active=last, currentvalue=now, x=0.05, y=0, pad=dict(t=55), len=0.9)
    figure = _finish(figure, window, f"y{output}: slide the strength of the MLP")
    figure.update_layout(sliders=[slider], height=600)
    says = [in_words(line, output, strength) for strength in (0.0, 0.5, 1.0)]
    return figure, " ".join(says)


@torch.no_grad()
def path_figure(line: Line, tokens=T.EXAMPLE, mlp: float = 1.0):
    """One input at all outputs: a strip of stretches each, and its place on it: (figure, says).

    A row is one output; its ends are the outermost places that attention writes there. ValueError
    for bad tokens or a strength that is no finite number.
    """
    _check(line, 0)
    x, figure, mlp = T.read_tokens(tokens), make_subplots(1, 1), _strength(mlp)
    names, heard = [], []
    for output in range(line.zoo.length):
        low, high, _ = _window(line, output)
        y, source = -float(output), x[-1 - output]

        def scaled(place, low=low, high=high):
            return 100 * (place - low) / (high - low)

        place = line.place_of(x, output)
        strip = line.stretches(output, low, high, mlp)
        _strip(figure, [(scaled(a), scaled(b), t) for a, b, t in strip], y, 20, 21.0)
        said = line.says(output, place, mlp)
        mark = "✓" if said == (source + 1) % T.DIGITS else "✗"
        _silent(figure, [scaled(place)], y=[y + 0.42], mode="markers", marker=HERE)
        names.append(f"y{output}, source {source}")
        answer = f"{source} → {T.TOKEN_NAMES[said]} {mark}"
        right = dict(mode="text", text=[answer], textposition="middle right", cliponaxis=False)
        _silent(figure, [100], y=[y], **right)  # in the margin, which is wide enough
        heard.append(f"y{output}: source {source} lies where {T.TOKEN_NAMES[said]} is highest")
    ticks = dict(tickvals=[-float(i) for i in range(len(names))], ticktext=names)
    figure.update_yaxes(**ticks, range=[-len(names) + 0.4, 0.8], showgrid=False)
    figure.update_xaxes(range=[0, 100], showticklabels=False, showgrid=False, zeroline=False)
    figure.update_xaxes(title="place on the line of each output (▼)")
    title = f"Input {''.join(map(str, x))}: eight places, eight stretches ({_at(mlp)})"
    figure.update_layout(title=title, showlegend=False, margin_r=70)
    return P.sized(figure, 440), ". ".join(heard) + "."


# ---------------------------------------------------------------- README's drawing

SVG_WIDTH, SVG_HEIGHT, PANEL = 960, 460, 400


@torch.no_grad()
def line_svg(line: Line, output: int = 1) -> str:
    """The picture of one output without and with the MLP, as the text of an SVG file. ValueError
    for an output that is none."""
    output = _check(line, output)
    low, high, top = _window(line, output)
    rows, body = _rows(top), []
    for left, strength in ((60, 0.0), (60 + PANEL + 80, 1.0)):

        def x(place, left=left):
            return round(left + PANEL * (place - low) / (high - low), 1)

        def y(value):
            return round(230 - 100 * value / top, 1)

        body.append(_text(left + PANEL / 2, 24, f"y{output} {_at(strength)}", 17, weight="bold"))
        grid = torch.linspace(low, high, 61, dtype=line.usual.dtype)
        logits = line.logits(output, grid, strength)
        for token, place, value in _names(grid, logits):
            ink = dict(colour=P.TOKEN_INKS[token], weight="bold")
            body.append(_text(x(place), y(value) - 6, T.TOKEN_NAMES[token], 16, **ink))
        for token, curve in enumerate(logits.T):
            points = " ".join(f"{x(float(p))},{y(float(v))}" for p, v in zip(grid, curve))
            dash = ' stroke-dasharray="2 4"' if token == T.BOS else ""
            style = f'fill="none" stroke="{P.TOKEN_COLOURS[token]}" stroke-width="2.5"{dash}'
            body.append(f'<polyline points="{points}" {style}/>')
        for a, b, token in line.stretches(output, low, high, strength):
            style = f'y="{y(rows["answer"]) - 13}" height="26" fill="{P.TOKEN_COLOURS[token]}"'
            body.append(f'<rect x="{x(a)}" width="{round(x(b) - x(a), 1)}" {style}/>')
            words = f"says {T.TOKEN_NAMES[token]}" if x(b) - x(a) > 56 else T.TOKEN_NAMES[token]
            if x(b) - x(a) > 14:
                middle = (x(a) + x(b)) / 2
                body.append(_text(middle, y(rows["answer"]) + 5, words, 16, INK[token]))
        for token, (first, middle, last) in enumerate(_sources(line, output)):
            colour, height = P.TOKEN_COLOURS[token], y(rows["source"])
            ends = f'y1="{height}" y2="{y(rows["answer"]) - 13}" stroke="{colour}"'
            body.append(f'<line x1="{x(middle)}" x2="{x(middle)}" {ends} stroke-dasharray="2 3"/>')
            ends = f'y1="{height}" y2="{height}" stroke="{colour}" stroke-width="8"'
            body.append(f'<line x1="{x(first)}" x2="{x(last)}" {ends}/>')
            body.append(f'<circle cx="{x(middle)}" cy="{height}" r="7" fill="{colour}"/>')
            body.append(_text(x(middle), height - 14, f"source {token}", 15))
            mark = "✓" if _is_right(line, output, token, middle, strength) else "✗"
            body.append(_text(x(middle), y(rows["right?"]) + 8, mark, 20))
        axis = "place on the line → (curves: the logits of the tokens)"
        body.append(_text(left + PANEL / 2, 440, axis, 16))
    says = html.escape(in_words(line, output, 0.0) + " " + in_words(line, output))
    size = f'viewBox="0 0 {SVG_WIDTH} {SVG_HEIGHT}" width="{SVG_WIDTH}" height="{SVG_HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
            'font-family="system-ui, sans-serif">',
            f"<title>{says}</title>",
            f'<rect width="{SVG_WIDTH}" height="{SVG_HEIGHT}" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _text(x, y, words, size, colour="#222", weight="normal") -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="middle"'
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" {style}>{html.escape(words)}</text>'
