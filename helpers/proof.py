"""A proof that a model is right on every input, or the exact number of inputs on which it is not.

All arithmetic is ball arithmetic (`arb` of python-flint: each result is an interval that holds the
true one, for exp, division and roots too). The weights are floats, which are exact numbers, so the
proof is about the function of real numbers that they define. Floats only guess what to prove.

What attention adds at an output is N / D, two sums over the keys. A node of the search knows some
input tokens; each of the others adds one of a few pairs to (N, D). The largest value of u·N / D
over all choices is r exactly when the sum of the largest (u·N - r D) is 0. Such bounds along a few
axes are a box; the rest of the model is computed once for the whole box. If the margins of the
right logit leave the sign open, the search asks for one more token: four nodes.
"""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import torch
from flint import arb, arb_mat, ctx

from helpers import task as T
from helpers.model import LN_EPS, as_zoo

PRECISION = 96  # bits of a ball's middle


@dataclasses.dataclass
class Node:
    """The inputs with the tokens `fixed` `{place: token}`, at one output.

    `verdict`: all of them are "right" or "wrong", or one more token was "asked": then `nodes` are
    the four children. `box` `[axes, 2]`: proved bounds of what attention adds, along `axes`.
    """

    output: int
    fixed: dict
    axes: np.ndarray
    box: np.ndarray
    verdict: str = "asked"
    nodes: list = dataclasses.field(default_factory=list)

    def walk(self):
        yield self
        for node in self.nodes:
            yield from node.walk()


@dataclasses.dataclass
class Proof:
    """`proved`, how many `cases` (nodes) were bounded, `wrong` tokens by output, the `tree`."""

    proved: bool
    cases: int
    wrong: list
    tree: list


def prove(model) -> Proof:
    """Prove a TransformerBridge or Zoo of one right on every input, or count where it is wrong.

    It always ends: when all tokens are asked, an input is computed by itself. ValueError for more
    than one model, for an edited one, and for weights that are not finite.
    """
    zoo = as_zoo(model)
    if len(zoo) != 1 or zoo.edits:
        what = f"{len(zoo)} models" if len(zoo) != 1 else "an edited model"
        raise ValueError(f"got {what}; allowed is one model without edits")
    for name, value in zoo.weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds nan or infinity; allowed are finite weights")
    with ctx.workprec(PRECISION):
        machine = _Machine(zoo)
        tree = [node for output in range(zoo.length) for node in machine.roots(output)]
    nodes, wrong = [node for root in tree for node in root.walk()], [0] * zoo.length
    for node in nodes:
        if node.verdict == "wrong":
            wrong[node.output] += T.DIGITS ** (zoo.length - len(node.fixed))
    return Proof(not any(wrong), len(nodes), wrong, tree)


def _column(values) -> arb_mat:
    return arb_mat([[value] for value in values])


def _diagonal(column: arb_mat) -> arb_mat:
    n = column.nrows()
    return arb_mat([[column[i, 0] if i == j else 0 for j in range(n)] for i in range(n)])


def _balls(array) -> arb_mat:
    """Floats `[n]` or `[n, m]` as exact balls, a vector as a column."""
    array = np.asarray(array, dtype=float)
    array = array[:, None] if array.ndim == 1 else array
    return arb_mat([[arb(x) for x in row] for row in array.tolist()])


def _floats(balls: arb_mat) -> np.ndarray:
    return np.array([[float(x.mid()) for x in row] for row in balls.table()])


class _Machine:
    """One model on balls: what each key adds, the bounds of a node, and the rest of the model."""

    def __init__(self, zoo):
        self.n, w = zoo.length, {k: _balls(v[0].cpu().numpy()) for k, v in zoo.weights.items()}
        self.w, self.norm, self.d = w, "ln_final.weight" in w, w["embed.weight"].ncols()
        self.identity = _balls(np.eye(self.d))
        self.centre = self.identity  # the matrix that takes away the mean, where there is a norm
        if self.norm:
            self.centre = self.identity - _balls(np.ones((self.d, self.d))) * (arb(1) / self.d)
        self.sources = [T.SOURCES[zoo.task](i, self.n) for i in range(self.n)]
        self.answers = [self._answers(zoo.task, i) for i in range(self.n)]
        self.adds = {}

    def _answers(self, task, i) -> dict:
        """The right y_i for each choice of the tokens at its sources."""
        found = {}
        for tokens in product(range(T.DIGITS), repeat=len(self.sources[i])):
            x = torch.zeros(self.n, dtype=torch.long)
            x[list(self.sources[i])] = torch.tensor(tokens)
            found[tokens] = int(T.TASKS[task](x)[i])
        return found

    def answer(self, i, fixed) -> int | None:
        """y_i where the tokens `fixed` decide it, else None."""
        return self.answers[i].get(tuple(fixed.get(k) for k in self.sources[i]))

    # ------------------------------------------------------------ what each key adds to N and D

    def _normed(self, x, name):
        if not self.norm:
            return x
        x = self.centre * x
        size = (sum(a * a for a in x.entries()) / self.d + arb(LN_EPS)).sqrt()
        return _diagonal(self.w[f"{name}.weight"]) * x * (1 / size) + self.w[f"{name}.bias"]

    def _reads(self, part, position, token):
        stream = self.stream(position, token)
        name = f"blocks.0.attn.{part}"
        return self.w[f"{name}.weight"] * self._normed(stream, "blocks.0.ln1") + self.w[f"{name}.bias"]

    def stream(self, position, token):
        embed, place = self.w["embed.weight"], self.w["pos_embed.weight"]
        return _column(embed[token, j] + place[position, j] for j in range(self.d))

    def key(self, output, own, position, token):
        """What a key adds: the row (N, D) of `[1, d + 1]` balls."""
        name = (output, own, position, token)
        if name not in self.adds:
            value = self._cached("v", position, token)
            weight = (self._score(*name) - self._largest(output, own)).exp()
            written = self.centre * (self.w["blocks.0.attn.o.weight"] * value) * weight
            self.adds[name] = arb_mat([[*written.entries(), weight]])
        return self.adds[name]

    def _score(self, output, own, position, token):
        query, key = self._cached("q", self.n + output, own), self._cached("k", position, token)
        return (query.transpose() * key)[0, 0] / arb(key.nrows()).sqrt()

    def _largest(self, output, own):
        """About the largest score: taken from all of them, so that no exp leaves the floats."""
        if ("largest", output, own) not in self.adds:
            places = [(0, T.BOS), *product(range(1, self.n + output + 1), range(T.DIGITS))]
            largest = max(float(self._score(output, own, *place).mid()) for place in places)
            self.adds["largest", output, own] = arb(largest)
        return self.adds["largest", output, own]

    def _cached(self, *name):
        if name not in self.adds:
            self.adds[name] = self._reads(*name)
        return self.adds[name]

    def parts(self, output, fixed):
        """(N, D) of the keys that `fixed` decides, and the groups of choices of the others.

        A group is (places of inputs, rows): one of the rows is added. Each free input is a group,
        with the answers it decides; an answer that two free inputs decide is taken as a group of
        its own, which allows more than can happen.
        """
        own = fixed[self.n - 1] if output == 0 else self.answer(output - 1, fixed)
        add = lambda position, token: self.key(output, own, position, token)  # noqa: E731
        total, groups = add(0, T.BOS), {}
        answers = list(range(output))
        for k in range(self.n):
            if k in fixed:
                total = total + add(k + 1, fixed[k])
                continue
            rows = [add(k + 1, t) for t in range(T.DIGITS)]
            for j in answers:
                known = [self.answer(j, fixed | {k: t}) for t in range(T.DIGITS)]
                if self.answer(j, fixed) is None and None not in known:
                    rows = [r + add(self.n + 1 + j, y) for r, y in zip(rows, known)]
            groups[(k,)] = rows
        for j in answers:
            free = tuple(k for k in self.sources[j] if k not in fixed)
            if not free:
                total = total + add(self.n + 1 + j, self.answer(j, fixed))
            elif len(free) > 1:
                groups[free] = [add(self.n + 1 + j, t) for t in range(T.DIGITS)]
        return own, total, groups

    # ------------------------------------------------------------ the search

    def roots(self, output):
        """The nodes of an output: own and source token known, the rest free."""
        asked = {*self.sources[output], *(self.sources[output - 1] if output else (self.n - 1,))}
        for tokens in product(range(T.DIGITS), repeat=len(asked)):
            fixed = dict(zip(sorted(asked), tokens))
            own, total, groups = self.parts(output, fixed)
            axes = self._axes(total, groups)
            yield self._search(output, fixed, axes, self._rest(output, own, fixed, axes))

    def _search(self, output, fixed, axes, rest):
        own, total, groups = self.parts(output, fixed)
        turn = _turn(axes)
        total, rows = total * turn, {k: [r * turn for r in g] for k, g in groups.items()}
        box, widths = _bounds(total, rows)
        node = Node(output, fixed, axes, box)
        margins = rest([arb(low).union(arb(high)) for low, high in box.tolist()])
        if all(m > 0 for m in margins):
            node.verdict = "right"
        elif any(m < 0 for m in margins):
            node.verdict = "wrong"
        elif len(fixed) == self.n:
            raise ArithmeticError(f"a tie, or too few bits, at the input {fixed}, output {output}")
        else:
            spread = {k: 0.0 for k in range(self.n) if k not in fixed}
            for places, width in widths.items():
                for k in places:
                    spread[k] += width / len(places)
            k = max(spread, key=spread.get)
            node.nodes = [
                self._search(output, fixed | {k: t}, axes, rest) for t in range(T.DIGITS)
            ]
        return node

    def _axes(self, total, groups):
        """Axes of largest spread `[axes, d]` of N / D, from a sample of choices: a guess."""
        rng, rows = np.random.default_rng(0), np.repeat(_floats(total), 256, 0)
        for options in groups.values():
            options = np.concatenate([_floats(r) for r in options])
            rows = rows + options[rng.integers(len(options), size=256)]
        points = rows[:, :-1] / rows[:, -1:]
        axes = np.linalg.svd(points - points.mean(0))[2]
        if not self.norm:
            return axes
        ones = np.ones(self.d) / self.d**0.5  # no layer sees this direction
        helmert = np.linalg.svd(np.eye(self.d) - np.outer(ones, ones))[0][:, :-1].T
        inside = helmert @ (points - points.mean(0)).T
        return np.linalg.svd(inside)[0].T @ helmert

    def _rest(self, output, own, fixed, axes):
        """The rest of the model: a function from a box to the margins over the other logits."""
        w, d = self.w, self.d
        U = _balls(axes)
        full = axes if not self.norm else np.concatenate([axes, np.ones((1, d))])
        back = _balls(full).inv()  # from coordinates along the axes to the (centred) stream
        B = arb_mat([row[: len(axes)] for row in back.table()])
        start = U * (self.centre * (self.stream(self.n + output, own) + w["blocks.0.attn.o.bias"]))
        right = self.answer(output, fixed)
        others = [t for t in range(w["unembed.weight"].nrows()) if t != right]
        unembed = w["unembed.weight"].table()
        G = arb_mat([[a - b for a, b in zip(unembed[right], unembed[t])] for t in others])
        scale = [arb(0)] * len(others)
        if self.norm:
            scale = (G * w["ln_final.bias"]).entries()
            G = G * _diagonal(w["ln_final.weight"])
        G = G * self.centre
        GB = G * B
        square = B.transpose() * B
        mlp = "blocks.0.mlp.in.weight" in w
        if mlp:
            A, bias = w["blocks.0.mlp.in.weight"], w["blocks.0.mlp.in.bias"]
            if self.norm:
                bias = bias + A * w["blocks.0.ln2.bias"]
                A = A * _diagonal(w["blocks.0.ln2.weight"])
            A, bias = A * self.centre * B, bias.entries()
            out = self.centre * w["blocks.0.mlp.out.weight"]
            shift = self.centre * w["blocks.0.mlp.out.bias"]
            Gout, Gshift = (G * out).table(), (G * shift).entries()
            Arows = A.table()

        def size(x, quadratic=None):
            if quadratic is not None:
                s = (x.transpose() * quadratic * x)[0, 0]
            else:
                s = sum((a * a for a in x.entries()), arb(0))
            return (abs(s) / d + arb(LN_EPS)).sqrt()

        def margins(box):
            f = start + _column(box)
            if not mlp:
                final = size(f, square) if self.norm else arb(0)
                return [m + s * final for m, s in zip((GB * f).entries(), scale)]
            inverse = 1 / size(f, square) if self.norm else arb(1)
            pre = [p * inverse + b for p, b in zip((A * f).entries(), bias)]
            on = [n for n, p in enumerate(pre) if p > 0]
            open_ = [n for n, p in enumerate(pre) if not p > 0 and not p < 0]
            post = [p if p > 0 else arb(0) if p < 0 else arb(0).union(p.upper()) for p in pre]
            final = size(B * f + out * _column(post) + shift) if self.norm else arb(0)
            found = []
            for row, g, constant, s in zip(GB.table(), Gout, Gshift, scale):
                rate = [sum((g[n] * Arows[n][j] for n in on), arb(0)) for j in range(len(row))]
                value = sum(((r + inverse * a) * x for r, a, x in zip(row, rate, f.entries())), constant)
                value += sum((g[n] * bias[n] for n in on), arb(0))
                value += sum((g[n] * post[n] for n in open_), arb(0))
                found.append(value + s * final)
            return found

        return margins


def _turn(axes) -> arb_mat:
    """The matrix that takes a row (N, D) to (N along the axes, D)."""
    m, d = axes.shape
    whole = np.zeros((d + 1, m + 1))
    whole[:d, :m], whole[d, m] = axes.T, 1
    return _balls(whole)


def _bounds(total, rows):
    """Proved bounds `[axes, 2]` of N / D, and how much each group moves it (a guess)."""
    fixed = _floats(total)[0]
    options = [np.concatenate([_floats(r) for r in group]) for group in rows.values()]
    m = len(fixed) - 1
    sign = np.repeat([1.0, -1.0], m)  # highest, then lowest: the highest of the negative
    axis = np.tile(np.arange(m), 2)
    r = np.full(2 * m, -np.inf)
    best = [np.zeros(2 * m, dtype=int) for _ in options]
    for _ in range(50):
        top = sign * fixed[axis] + sum(sign * o[b, axis] for o, b in zip(options, best))
        bottom = fixed[m] + sum(o[b, m] for o, b in zip(options, best))
        new = top / bottom
        if (new <= r).all():
            break
        r = np.maximum(r, new + 2**-40 * (1 + abs(new)))
        best = [(sign * o[:, axis] - o[:, [m]] * r).argmax(0) for o in options]
    box = np.array([_proved(total, rows, a, s, value) for a, s, value in zip(axis, sign, r)])
    box = np.stack([-box[m:], box[:m]], 1)
    widths = {}
    for places, o in zip(rows, options):
        moved = sign * o[:, axis] - o[:, [m]] * r
        widths[places] = float((np.ptp(moved, axis=0) / bottom).sum())
    return box, widths


def _proved(total, rows, axis, sign, guess) -> float:
    """A number a little above `guess` that sign * N / D is proved not to exceed."""
    m, sign = total.ncols() - 1, int(sign)
    for power in range(-40, 0, 4):
        bound = guess if power == -40 else float(guess + 2.0**power * (1 + abs(guess)))
        r = arb(bound)
        left = sign * total[0, axis] - r * total[0, m]
        for group in rows.values():
            most = None
            for row in group:
                value = sign * row[0, axis] - r * row[0, m]
                most = value if most is None else most.max(value)
            left += most
        if left <= 0:
            return bound
    raise ArithmeticError("a bound could not be proved")
