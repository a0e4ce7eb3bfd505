"""A census of models: what is measured of each, and which descriptions run in its place.

A description keeps less than the model has: of what attention writes, of the token at the output's
own place, of what the MLP says. It is run in the model's place and counted on every input. With one
layer the outputs do not meet, so each is counted by itself, and what attention writes on every
input is computed once.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from helpers import task
from helpers.interventions import ideal_pattern, partners, record
from helpers.model import as_zoo, attention_writes, layernorm, linear, stream_table, unembed
from research.routes import ROUTES, follow  # noqa: F401 (notebooks read census.ROUTES)

N = task.LENGTH
SEQUENCES = task.full_sequences()
SOURCE = SEQUENCES[:, 1 : N + 1].flip(1).T  # [output, input]: the token that decides the answer
OWN = SEQUENCES[:, N : 2 * N].T  # the token at the output's own place; at y0 this is its source
ANSWER = SEQUENCES[:, N + 1 :].T
# Sixteen inputs, x_k = a + k b mod 4, which show each pair (own token, source) once at each output
# but y0. What depends on nothing else is counted on them, and each stands for 4096 inputs.
_A, _B = torch.cartesian_prod(torch.arange(task.DIGITS), torch.arange(task.DIGITS)).T[..., None]
FEW = task.number((_A + torch.arange(N) * _B) % task.DIGITS)
KEYS = list(range(N, 0, -1))  # the positions of the sources of y0, y1, ...
# [4, 3]: an orthonormal basis of what layer norm leaves of d_model = 4 (all vectors of mean zero).
SPHERE = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 2


class Opened:
    """One model, with what its parts write on all inputs.

    `attn`, `stream`, `mlp` `[output, input, d_model]`: what attention writes, what stood there
    before, what the MLP writes (zero in a model without one). `own` `[output, token, d_model]`:
    what stands there by the token at the output's own place; `mean_own` and `no_own`: this and
    `stream` without that token, but at y0. `weight` `[output, input]`: how much of its attention an
    output gives its source; `pattern` `[output, key]`: all of it, in the mean.
    """

    @torch.no_grad()
    def __init__(self, model):
        self.zoo = zoo = as_zoo(model)
        assert len(zoo) == 1 and zoo.task == "reverse_plus_one", "one model that adds 1"
        self.has_mlp = "mlp_out" in zoo.places
        attn, pattern = (record(zoo, name, SEQUENCES)[0] for name in ("attn_out", "pattern"))
        self.attn = attn.transpose(0, 1).contiguous()
        self.weight, self.pattern = pattern[:, range(N), KEYS].T, pattern.mean(0)
        self.own = stream_table(zoo.weights)[0, N:, : task.DIGITS]
        self.stream = by_token(self.own, OWN)
        self.mlp = self.mlp_of(self.attn, self.stream)
        self.mean_own = self.own.mean(1, keepdim=True).repeat(1, task.DIGITS, 1)
        self.mean_own[0] = self.own[0]  # at y0 the own token is the source
        self.no_own = by_token(self.mean_own, OWN)

    def mlp_of(self, attn: torch.Tensor, stream: torch.Tensor) -> torch.Tensor:
        """What the MLP writes where it reads these two together."""
        if not self.has_mlp:
            return torch.zeros_like(stream)
        w, name = self.zoo.weights, "blocks.0.mlp.out"
        return torch.cat([linear(self.neurons(x), w, name) for x in attn + stream])

    def neurons(self, resid: torch.Tensor) -> torch.Tensor:
        """How far the neurons are on `[1, n, d_mlp]` at one output, where they read `resid`."""
        w = self.zoo.weights
        return linear(layernorm(resid[None], w, "blocks.0.ln2"), w, "blocks.0.mlp.in").relu_()

    def says(self, attn=None, stream=None, mlp=None) -> torch.Tensor:
        """The answers `[output, n]` with parts replaced; the MLP reads them unless it is given."""
        attn = self.attn if attn is None else attn
        stream = self.stream if stream is None else stream
        mlp = self.mlp_of(attn, stream) if mlp is None else mlp
        return unembed((attn + stream + mlp)[None], self.zoo.weights)[0].argmax(-1)


def by_token(table: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Rows `[output, n, d]` of a `table` `[output, token, d]` by `tokens` `[output, n]`."""
    return torch.stack([rows[t] for rows, t in zip(table, tokens)])


def means(value: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The table of the means of `value` `[output, n, d]` by token: `[output, token, d]`."""
    member = F.one_hot(tokens, task.DIGITS).to(value)  # [output, n, token]
    return (member / member.sum(1, keepdim=True)).mT @ value


def along(value: torch.Tensor, k: int, shared: bool, centred: bool) -> tuple:
    """`value` `[output, n, d]` cut down to its mean at each output and its part along the `k`
    directions in which it varies most: of all outputs together (`shared`), or of each. Also the
    share of the squared size that they have, and the (first output's) directions `[d, k]`."""
    mean = value.mean(1, keepdim=True)
    varying = value - mean
    if centred:
        varying = varying - varying.mean(2, keepdim=True)
    squares = varying.mT @ varying
    sizes, found = torch.linalg.eigh(squares.sum(0, keepdim=True) if shared else squares)
    found = found[..., -k:]  # ascending: the last are the largest
    share = sizes[..., -k:].sum() / sizes.sum()
    return mean + varying @ found @ found.mT, share, found[0]


def look_or_default(model: Opened) -> torch.Tensor:
    """The table w V + (1 - w) d: an output looks at its source with the weight w that this token
    has there in the mean, and what else it looks at is one default d, whatever the tokens."""
    bias = model.zoo.weights["blocks.0.attn.o.bias"][0]
    value = attention_writes(model.zoo.weights)[0, KEYS, : task.DIGITS]  # [output, token, d]
    w = means(model.weight[..., None], SOURCE)
    rest = means(model.attn, SOURCE) - bias - w * value
    size = (1 - w).pow(2).sum(1, keepdim=True).clamp(1e-12)
    return bias + w * value + (1 - w) * ((1 - w) * rest).sum(1, keepdim=True) / size


def four_vectors(table: torch.Tensor) -> torch.Tensor:
    """`table` `[output, token, d]` as m + g v: at y1 to y7 a mean and a factor at each, and four
    vectors v that all of them share; y0 as it is. The best in the sense of squares."""
    mean = table.mean(1, keepdim=True)
    u, s, v = torch.linalg.svd((table - mean)[1:].flatten(1), full_matrices=False)
    found = mean[1:] + (s[0] * u[:, :1] @ v[:1]).view(table[1:].shape)
    return torch.cat([table[:1], found])


# Directions in the three dimensions that layer norm leaves, spread evenly over half a sphere.
_K = torch.arange(300).double() + 0.5
_UP, _TURN = 1 - _K / 300, math.pi * (1 + 5**0.5) * _K
_HALF = torch.stack([(1 - _UP**2).sqrt() * _TURN.cos(), (1 - _UP**2).sqrt() * _TURN.sin(), _UP], 1)


def directions(points: torch.Tensor) -> torch.Tensor:
    """Unit vectors `[k, d_model]` without a mean, of points `[k, 3]` of any length."""
    return F.normalize(points, dim=1) @ torch.from_numpy(SPHERE.T)


def cut_down(model: Opened, axes: torch.Tensor) -> torch.Tensor:
    """What attention writes, cut down to its mean at each output and these axes `[k, d_model]`,
    unit vectors at right angles."""
    usual = model.attn.mean(1, keepdim=True)
    return usual + (model.attn - usual) @ axes.T @ axes


def find_line(model: Opened) -> torch.Tensor | None:
    """Search a direction `[1, d_model]`, one for all outputs, with which attention, cut down to it,
    is right on every input. None if none was found, which proves nothing. From 300 directions to
    the best and around them, on a few inputs, to which go those that a good one gets wrong."""
    generator, usual = torch.Generator().manual_seed(0), model.attn.mean(1, keepdim=True)
    sample, points = torch.randint(len(SEQUENCES), (96,), generator=generator), _HALF
    for width in (0.1, 0.05, 0.02, 0.01, 0.005, 0.0025):
        few = [part[:, sample] for part in (model.attn, model.stream, ANSWER)]
        axes = directions(points)
        places = torch.einsum("ond,kd->kon", few[0] - usual, axes)
        streams = usual + places[..., None] * axes[:, None, None] + few[1]
        says = model.says(0, streams.flatten(1, 2)).view(places.shape)
        best = (says == few[2]).flatten(1).sum(1).argsort(descending=True)[:20]
        wrong = model.says(cut_down(model, axes[best[:1]])) != ANSWER
        if not wrong.any():
            return axes[best[:1]]
        wrong = wrong.any(0).nonzero().flatten()
        more = torch.randperm(len(wrong), generator=generator)[:48]
        sample = torch.cat([sample, wrong[more]])
        around = torch.randn(len(best), 20, 3, generator=generator, dtype=points.dtype)
        points = F.normalize(points[best], dim=1)
        points = torch.cat([points, (points[:, None] + width * around).flatten(0, 1)])
    return None


@torch.no_grad()
def measure(model, everything: bool = True) -> dict[str, torch.Tensor]:
    """What the survey records of one model, as `survey.COLUMNS` says: name -> a number, `[8]` for
    each output, or `[8, 4]` by source too. Not `everything`: what is quick, for other kinds."""
    m = _Counted(model)
    m.count_quick()
    if everything:
        if m.has_mlp:
            m.count_mlp()
        m.count_attention()
        m.count_descriptions()
        if m.norm:
            m.count_lines()
    return m.out


class _Counted(Opened):
    """An opened model and what was counted of it, `out`."""

    def __init__(self, model):
        super().__init__(model)
        self.norm = "ln_final.weight" in self.zoo.weights
        self.usual, self.push = (x.mean(1, keepdim=True) for x in (self.attn, self.mlp))
        self.table = means(self.attn, SOURCE)
        self.plane, *_ = along(self.attn, 2, True, self.norm)
        self.another, self.out = torch.from_numpy(partners(len(SEQUENCES))), {}

    def count(self, name, attn=None, stream=None, mlp=None, bos=False, answer=ANSWER):
        """Count what is right with parts replaced, and how often it `bos` says BOS."""
        says, each = self.says(attn, stream, mlp), len(SEQUENCES) // answer.shape[1]
        self.out[name] = (says == answer).sum(1) * each
        if bos:
            self.out[f"{name}_bos"] = (says == task.BOS).sum() * each
        return says

    def count_few(self, name, attn, own=None, bos=False):
        """The same where attention is a table by source `[8, 4, d]` (or `[8, 1, d]`), and the
        stream one by own token."""
        attn = by_token(attn.expand(-1, task.DIGITS, -1), SOURCE[:, FEW])
        stream = by_token(self.own if own is None else own, OWN[:, FEW])
        self.count(name, attn, stream, bos=bos, answer=ANSWER[:, FEW])

    def right_with(self, pattern):
        """Which answers are right with another pattern: bool `[8, input]`."""
        return self.zoo.edited({"pattern": pattern})(SEQUENCES)[0].argmax(-1).T == ANSWER

    def count_quick(self):
        w = self.zoo.weights
        self.count("right")
        self.out["weight"] = self.weight.mean(1)
        self.count("plane_no_own", self.plane, self.no_own)
        self.count_few("table_no_own", self.table, self.mean_own)
        for name, pattern in {"ideal": ideal_pattern(), "frozen": self.pattern}.items():
            self.out[name] = self.right_with(pattern).sum(1)
        self.count_few("attn_zero", 0 * self.usual, bos=True)
        self.count_few("W_O_zero", w["blocks.0.attn.o.bias"].expand_as(self.usual), bos=True)
        self.count_few("attn_mean", self.usual)
        if self.has_mlp:
            self.count("W_out_zero", mlp=w["blocks.0.mlp.out.bias"], bos=True)

    def count_mlp(self):
        before = self.count("mlp_zero", mlp=0 * self.push, bos=True)
        self.out["source_before"] = (before == SOURCE).sum(1)
        self.count("mlp_mean", mlp=self.push)
        self.count("mlp_resample", mlp=self.mlp[:, self.another])
        self.count("mlp_by_own", mlp=by_token(means(self.mlp, OWN), OWN))
        self.count("mlp_by_source", mlp=by_token(means(self.mlp, SOURCE), SOURCE))
        on = [(self.neurons(x) > 0).any(1)[0] for x in self.attn + self.stream]
        self.out["silent_neurons"] = (~torch.stack(on).any(0)).sum()
        centred = self.mlp[1:] - self.mlp[1:].mean(-1, keepdim=True)  # at y1 to y7
        varying = centred - centred.mean(1, keepdim=True)
        by_source = by_token(means(varying, SOURCE[1:]), SOURCE[1:])
        sizes = [x.pow(2).sum() for x in (centred, varying, by_source)]
        self.out["mlp_varies"], self.out["mlp_follows"] = sizes[1] / sizes[0], sizes[2] / sizes[1]

    def count_attention(self):
        self.count("attn_resample", self.attn[:, self.another])

        def not_at_the_source(value, tokens):
            value[..., range(N), KEYS] = 0
            return value / value.sum(-1, keepdim=True).clamp(min=1e-300)

        right = self.right_with(not_at_the_source)[..., None].double()
        self.out["away"] = means(right, SOURCE)[..., 0] * len(SEQUENCES) / task.DIGITS
        self.out["weight_by_source"] = means(self.weight[..., None], SOURCE)[..., 0]

    def count_descriptions(self):
        line, self.out["share"], axis = along(self.attn, 1, True, self.norm)
        places = means((self.attn - self.usual) @ axis, SOURCE)[..., 0]
        left_to_right = (places[:, 2] - places[:, 1]).sum()
        self.out["places"] = -places if left_to_right < 0 else places  # source 2 right of source 1
        dots = self.usual + places[..., None] * axis[:, 0]  # each source at its mean place
        says = self.says(dots, self.own.mean(1, keepdim=True).expand_as(dots), self.push)
        self.out["dots"] = (says == (torch.arange(task.DIGITS) + 1) % task.DIGITS).sum(1)
        each, *_ = along(self.attn, 1, False, self.norm)
        self.count("plane", self.plane)
        self.count("no_own", stream=self.no_own)
        for name, attn in {"line": line, "line_each": each}.items():
            self.count(name, attn)
            self.count(f"{name}_no_own", attn, self.no_own)
        if self.has_mlp:
            self.count("line_mean", line, mlp=self.push)
        self.count_few("table", self.table)
        self.count_few("look_no_own", look_or_default(self), self.mean_own)
        self.count_few("four_no_own", four_vectors(self.table), self.mean_own)
        any_own = torch.ones(N, len(SEQUENCES), dtype=torch.bool)
        for more in range(1, task.DIGITS):
            other = by_token(self.own, (OWN + more) % task.DIGITS)
            other[0] = self.stream[0]
            any_own &= self.says(stream=other) == ANSWER
        self.out["any_own"] = any_own.sum(1)

    def count_lines(self):
        """Lines and planes at random, and whether some line was found; the routes of y0."""
        generator = torch.Generator().manual_seed(self.zoo.seeds[0])
        drawn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator).double())
        axes = directions(drawn.T)
        self.count("random_line", cut_down(self, axes[:1]))
        self.count("random_plane", cut_down(self, axes[1:]))
        enough = (self.out["line"] == len(SEQUENCES)).all()
        self.out["some_line"] = enough | torch.tensor(not enough and find_line(self) is not None)
        drawn = torch.randperm(4 ** (N - 1), generator=torch.Generator().manual_seed(0))[:4096]
        self.out["routes"] = follow(self.zoo, 0, SEQUENCES[task.DIGITS * drawn])[0][0]


# ---------------------------------------------------------------- what the curve tells

PAIRS = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]  # four tokens in two pairs
WINDOW = 10  # steps over which a curve is averaged


def pause_of(accuracy: torch.Tensor) -> int:
    """The step at which the accuracy `[steps, 8]` of y1 to y7 has come to one half, or -1: the mean
    of `WINDOW` steps, for the first time."""
    reached = accuracy[:, 1:].mean(1).unfold(0, WINDOW, 1).mean(1) >= 0.5
    return int(reached.nonzero()[0]) + WINDOW if reached.any() else -1


@torch.no_grad()
def pairs_said(model) -> torch.Tensor:
    """Which pair each output knows `[8]`: the number in `PAIRS` where it gives most often the same
    answer for both tokens of a pair, and another for the others; else -1."""
    said = zip(Opened(model).says(), SOURCE)
    most = [[y[x == t].bincount().argmax() for t in range(task.DIGITS)] for y, x in said]
    return torch.tensor([_pairs(labels) for labels in most])


def _pairs(labels: list) -> int:
    """The number in `PAIRS` of the two pairs with equal `labels`; -1 if there are none."""
    for number, ((a, b), (c, d)) in enumerate(PAIRS):
        if labels[a] == labels[b] != labels[c] == labels[d]:
            return number
    return -1


def halves(places: torch.Tensor) -> torch.Tensor:
    """The number in `PAIRS` of the left two and the right two tokens at `places` `[..., 4]`."""
    side = places.argsort(-1).argsort(-1) // 2
    return (side[..., 1:] == side[..., :1]).int().argmax(-1)  # who stands with token 0
