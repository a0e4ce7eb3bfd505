"""A bound on how many inputs a model gets right, from 116 cases instead of 65,536 runs.

A case is an output y_i with its source token and the token at its own place (y_{i-1}, or x7 for y_0,
whose source that is): 4 cases for y_0 and 16 for each other output, 116 in all. Under the ideal
pattern these two tokens decide the output (`ideal_cases`). Under the real one the other tokens have
a say too, so `certify` allows each of them to be *anything*, except x_{8-i}, which y_{i-1} fixes, and
carries intervals through the rest of the model. A case whose right logit stays above the others
whatever they are is certain. Gross et al. 2024, "Compact proofs of model performance via mechanistic
interpretability", do this for one-layer models with attention only. The rounding of the arithmetic is
left out here.
"""

from __future__ import annotations

import math

import torch

from helpers import task as T
from helpers.interventions import ideal_pattern, set_pattern
from helpers.model import as_zoo

N_CASES = T.DIGITS + (T.LENGTH - 1) * T.DIGITS**2  # 116


ROUNDS, MOST_BOXES = 14, 4096  # how finely a case is cut up before it is given up


@torch.no_grad()
def certify(model) -> dict:
    """For one model (TransformerBridge or a Zoo of one) of the article's task.

    Returns `cases`: bool `[8, 4, 4]` over (output, own token, source token), which are certain;
    `n_certain`: how many of the 65,536 inputs have eight certain cases; `n_cases`: how many were
    looked at, by bounding `n_boxes` boxes. ValueError for a zoo of several models or of another kind.
    """
    w = {name: value[0] for name, value in _one(model).weights.items()}
    cases = torch.zeros(T.LENGTH, T.DIGITS, T.DIGITS, dtype=torch.bool)
    n_boxes = 0
    for i in range(T.LENGTH):
        of_this_output = [case for case in _all_cases() if case[0] == i]
        reads = [_attention(w, *case) for case in of_this_output]
        e, u, allowed = (torch.stack(part) for part in zip(*(read[:3] for read in reads)))
        lows, highs = _extremes(e, u, allowed)  # all cases of an output at once
        for case, (*_, axes, start, bounded), low, high in zip(of_this_output, reads, lows, highs):
            if bounded:
                right = (case[2] + 1) % T.DIGITS
                cases[case], boxes = _right_in_box(w, start, axes, low, high, right)
                n_boxes += boxes
    x = T.all_inputs()
    certain = torch.ones(len(x), dtype=torch.bool)
    for i in range(T.LENGTH):
        source = x[:, 7 - i]
        own = (x[:, 8 - i] + 1) % T.DIGITS if i else source  # y_{i-1} stands where y_i is predicted
        certain &= cases[i, own, source]
    return dict(
        cases=cases, n_certain=int(certain.sum()), n_cases=len(_all_cases()), n_boxes=n_boxes
    )


@torch.no_grad()
def ideal_cases(model) -> torch.Tensor:
    """Which cases are right under the ideal pattern: bool `[8, 4, 4]` (output, own, source).

    One input is run for each; under that pattern the other tokens make no difference.
    """
    run = set_pattern(_one(model), ideal_pattern())
    cases = torch.zeros(T.LENGTH, T.DIGITS, T.DIGITS, dtype=torch.bool)
    for i, own, source in _all_cases():
        x = torch.zeros(T.LENGTH, dtype=torch.long)
        x[7 - i] = source
        if i:
            x[8 - i] = (own - 1) % T.DIGITS  # then y_{i-1}, the token at its place, is `own`
        tokens = T.full_sequences(x[None])
        cases[i, own, source] = run(tokens)[0, 0, i].argmax() == tokens[0, 9 + i]
    return cases


def _all_cases() -> list[tuple[int, int, int]]:
    """(output, own token, source token) of each case."""
    every = range(T.DIGITS)
    return [(i, own, s) for i in range(T.LENGTH) for own in every for s in (every if i else [own])]


def _one(model):
    zoo = as_zoo(model)
    if len(zoo) != 1 or zoo.kind not in ("article", "article_default_init"):
        raise ValueError(
            f"got {len(zoo)} models of kind {zoo.kind!r}; allowed is one 'article' model"
        )
    return zoo


def _layernorm(x, w, name):
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def _attention(w, i, own, source):
    """What attention can write in a case, before its tokens are chosen.

    For each key and token: e, its weight before normalising `[key, token]`; u, what it writes along
    four axes `[key, token, axis]`; whether it is allowed in this case. Then the axes, the stream that
    it is added to, and whether no weight is too small for a float, which the bound would then miss.
    """
    place = T.LENGTH + i  # where y_i is predicted
    known = {0: T.BOS, place: own, T.LENGTH - i: source}
    if i:
        known[T.LENGTH + 1 - i] = (own - 1) % T.DIGITS  # own is y_{i-1} = x_{8-i} + 1
    stream = w["embed.weight"][None] + w["pos_embed.weight"][: place + 1, None]  # [key, token, d]
    normed = _layernorm(stream, w, "blocks.0.ln1")

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    query = linear(normed[place, own], "blocks.0.attn.q")
    scores = linear(normed, "blocks.0.attn.k") @ query / math.sqrt(len(query))  # [key, token]
    values = linear(normed, "blocks.0.attn.v") @ w["blocks.0.attn.o.weight"].T  # [key, token, d]
    allowed = torch.zeros_like(scores, dtype=torch.bool)
    allowed[:, : T.DIGITS] = True
    for key, token in known.items():
        allowed[key] = torch.arange(T.VOCAB) == token
    below = scores - scores[allowed].max()
    bounded = bool(below[allowed].min() > -700)
    # Along the axes of largest spread the extremes over all choices make a tight box.
    spread = values[allowed] - values[allowed].mean(0)
    axes = torch.linalg.svd(spread, full_matrices=False).Vh.T  # [d, d], orthonormal
    start = stream[place, own] + w["blocks.0.attn.o.bias"]
    return below.exp(), values @ axes, allowed, axes, start, bounded


def _extremes(e, u, allowed):
    """Smallest and largest of sum(e u) / sum(e) over one allowed token for each key, by axis.

    e `[..., key, token]`, u `[..., key, token, axis]`; two `[..., axis]`. The ratio can exceed r
    exactly when the sum over keys of the largest e (u - r) is positive: r is found by bisection.
    """
    u = torch.cat([-u, u], dim=-1)  # the smallest is minus the largest of the negative
    out = ~allowed[..., None]
    low = u.masked_fill(out, math.inf).amin((-3, -2))
    high = u.masked_fill(out, -math.inf).amax((-3, -2))
    for _ in range(50):
        r = (low + high) / 2
        gain = (e[..., None] * (u - r[..., None, None, :])).masked_fill(out, -math.inf)
        above = gain.amax(-2).sum(-2) > 0
        low, high = torch.where(above, r, low), torch.where(above, high, r)
    smallest, largest = high.chunk(2, -1)  # `high` is the safe end of both
    return -smallest, largest


def _times(matrix, low, high):
    """Interval of `matrix` @ x for x between `low` and `high` `[boxes, n]`: two `[boxes, m]`."""
    middle, radius = (low + high) / 2 @ matrix.T, (high - low) / 2 @ matrix.abs().T
    return middle - radius, middle + radius


def _scale(low, high):
    """Interval of layer norm's divisor for centred x between `low` and `high` `[boxes, d]`."""
    most = torch.maximum(low.abs(), high.abs()).pow(2)
    least = torch.where((low <= 0) & (high >= 0), 0.0, torch.minimum(low.abs(), high.abs()).pow(2))
    return [(s.mean(-1, keepdim=True) + 1e-5).sqrt() for s in (least, most)]


def _lowest_margin(w, start, axes, low, high, right):
    """A lower bound of (right logit - best other logit), up to a positive factor, for each box."""
    d = len(start)
    centre = torch.eye(d, dtype=start.dtype) - 1 / d
    # The MLP's input: centred, divided by an interval, weighted.
    offset = centre @ start
    c_low, c_high = (side + offset for side in _times(centre @ axes, low, high))
    s_low, s_high = _scale(c_low, c_high)
    n_low = torch.where(c_low < 0, c_low / s_low, c_low / s_high)
    n_high = torch.where(c_high > 0, c_high / s_low, c_high / s_high)
    weight, bias = w["blocks.0.ln2.weight"], w["blocks.0.ln2.bias"]
    n_low, n_high = _times(torch.diag(weight), n_low, n_high)
    pre = _times(w["blocks.0.mlp.in.weight"], n_low + bias, n_high + bias)
    p_low, p_high = ((side + w["blocks.0.mlp.in.bias"]).clamp(min=0) for side in pre)
    out, out_bias = w["blocks.0.mlp.out.weight"], w["blocks.0.mlp.out.bias"]
    # The last divisor: from the centred stream after the MLP.
    m_low, m_high = _times(centre @ out, p_low, p_high)
    moved = centre @ out_bias
    f_low, f_high = _scale(c_low + m_low + moved, c_high + m_high + moved)
    # margin * divisor = stream . g + divisor * (bias . difference), g the centred reading direction
    unembed = w["unembed.weight"]
    lowest = []
    for other in range(T.VOCAB):
        if other == right:
            continue
        difference = unembed[right] - unembed[other]
        g = centre @ (w["ln_final.weight"] * difference)
        by_stream = _times((g @ axes)[None], low, high)[0][:, 0] + g @ start
        by_mlp = _times((g @ out)[None], p_low, p_high)[0][:, 0] + g @ out_bias
        constant = w["ln_final.bias"] @ difference
        by_bias = torch.minimum(f_low * constant, f_high * constant)[:, 0]
        lowest.append(by_stream + by_mlp + by_bias)
    return torch.stack(lowest).amin(0)


def _right_in_box(w, start, axes, low, high, right) -> tuple[bool, int]:
    """Whether the right logit is highest in all of the box, cut up as needed; boxes bounded."""
    low, high, boxes = low[None], high[None], 0
    for _ in range(ROUNDS):
        boxes += len(low)
        unsure = _lowest_margin(w, start, axes, low, high, right) <= 0
        if not unsure.any():
            return True, boxes
        low, high = low[unsure], high[unsure]
        middle = (low + high) / 2
        if (_lowest_margin(w, start, axes, middle, middle, right) <= 0).any() or len(
            low
        ) > MOST_BOXES:
            return False, boxes
        widest = (high - low).argmax(-1, keepdim=True)
        cut = torch.zeros_like(low, dtype=torch.bool).scatter(-1, widest, True)
        low, high = (
            torch.cat([low, torch.where(cut, middle, low)]),
            torch.cat([torch.where(cut, middle, high), high]),
        )
    return False, boxes
