"""A proof that a model is right on every input, or the exact number of tokens that it gets wrong.

All arithmetic is ball arithmetic (`arb` of python-flint: each result is an interval that holds the
true one, for exp, division and roots too). The weights are floats, which are exact numbers, so the
proof is about the function of real numbers that they define. Floats only guess what to prove.

What attention adds at an output is N / D, two sums over the keys. A node of the search knows some
input tokens; each of the others adds one of a few pairs to (N, D). The largest value of u·N / D
over all choices is r exactly when the sum of the largest (u·N - r D) is 0. Such bounds along a few
axes u are a box; the rest of the model is computed once for the whole box. If that leaves open
which logit is the highest, the search asks for one more token: four nodes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import reduce
from itertools import product
from operator import add
from pathlib import Path

import numpy as np
import torch
from flint import arb, arb_mat, ctx

from helpers import task
from helpers.model import LN_EPS, as_zoo
from helpers.storage import write_whole

PRECISION = 96  # bits of a ball's middle
SLACK = 2.0**-40  # what is added to a bound that floats have guessed, relative to 1 + its size
FORMAT = {"format": "proof by balls", "version": 1}


@dataclasses.dataclass
class Node:
    """All inputs with the tokens `fixed` `{place: token}`, at one output.

    `verdict`: its token is "right" or "wrong" on all of them; or None, and `nodes` are these inputs
    by their token at place `asks`. `box` `[axes, 2]`: proved bounds of what attention adds, along
    `axes` `[axes, d_model]`, which stand at the first node that has a box and hold for those below.
    """

    output: int
    fixed: dict
    verdict: str | None = None
    asks: int | None = None
    nodes: list = dataclasses.field(default_factory=list)
    axes: np.ndarray | None = None
    box: np.ndarray | None = None

    def walk(self):
        yield self
        for node in self.nodes:
            yield from node.walk()


@dataclasses.dataclass
class Proof:
    """What was found of the model with these weights (`digest`); `tree` holds a Node an output.

    `proved`: right on every input. `cases`: how many nodes were bounded. `wrong`: at each output,
    on how many of the 4**length inputs its token is wrong; exact.
    """

    task: str
    digest: str
    tree: list

    def __post_init__(self):
        nodes = [node for root in self.tree for node in root.walk()]
        self.cases, self.wrong = sum(node.box is not None for node in nodes), [0] * len(self.tree)
        for node in nodes:
            if node.verdict == "wrong":
                self.wrong[node.output] += task.DIGITS ** (len(self.tree) - len(node.fixed))
        self.proved = not any(self.wrong)


def prove(model) -> Proof:
    """Prove a TransformerBridge or Zoo of one right on every input, or count where it is wrong.

    It always ends: when all tokens are asked, an input is computed by itself. ValueError for
    several models, an edited one, and weights that are not finite. ArithmeticError for a tie of two
    logits.
    """
    zoo, weights = _one(model)
    with ctx.workprec(PRECISION):
        balls = _Model(weights, zoo.task, zoo.length)
        tree = [_grow(Node(output, {}), balls) for output in range(zoo.length)]
    return Proof(zoo.task, _digest(weights), tree)


def _one(model):
    """The zoo of one and its weights as arrays, or the ValueErrors of `prove`."""
    zoo = as_zoo(model)
    if len(zoo) != 1 or zoo.edits:
        what = f"{len(zoo)} models" if len(zoo) != 1 else "an edited model"
        raise ValueError(f"got {what}; allowed is one model without edits")
    weights = {name: value[0].double().cpu().numpy() for name, value in zoo.weights.items()}
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} holds nan or infinity; allowed are finite weights")
    return zoo, weights


def _grow(node, model, case=None) -> Node:
    """Bound `node`; where that decides nothing, or too little is known, ask for a token."""
    needed = [k for k in model.needed(node.output) if k not in node.fixed]
    if not needed and case is None:
        case = _Case(model, node)
    node.asks = needed[0] if needed else case.bound(node)
    if node.asks is not None:
        children = [Node(node.output, node.fixed | {node.asks: t}) for t in range(task.DIGITS)]
        node.nodes = [_grow(child, model, case) for child in children]
    return node


def _balls(array) -> arb_mat:
    """Floats `[n]` or `[n, m]` as exact balls, a vector as a column."""
    array = np.asarray(array, dtype=float)
    rows = (array[:, None] if array.ndim == 1 else array).tolist()
    return arb_mat([[arb(x) for x in row] for row in rows])


def _scaled(factors, matrix) -> arb_mat:
    """`matrix` with each row times its factor."""
    rows = [[f * x for x in row] for f, row in zip(factors, matrix.table())]
    return arb_mat(rows) if rows else matrix


def _row(position, token) -> int:
    """Which of a list is `token` at `position`, where BOS is number 0."""
    return 1 + task.DIGITS * (position - 1) + token


class _Model:
    """One model on balls: its matrices, what each key adds to (N, D), and what the task asks."""

    def __init__(self, weights, task_name, length):
        self.w, self.n = {name: _balls(value) for name, value in weights.items()}, length
        self.d, self.norms = self.w["embed.weight"].ncols(), "ln_final.weight" in self.w
        self.embed, self.place = (self.w[f"{e}.weight"].table() for e in ("embed", "pos_embed"))
        mean = np.full((self.d, self.d), float(self.norms))
        self.centre = _balls(np.eye(self.d)) - _balls(mean) * (1 / arb(self.d))
        self.sources = [task.SOURCES[task_name](i, length) for i in range(length)]
        self.answers = []  # for each output, the token for each choice of those at its sources
        for i, places in enumerate(self.sources):
            choices = list(product(range(task.DIGITS), repeat=len(places)))
            x = torch.zeros(len(choices), length, dtype=torch.long)
            x[:, list(places)] = torch.tensor(choices)
            self.answers.append(dict(zip(choices, task.TASKS[task_name](x)[:, i].tolist())))
        keys = [(0, task.BOS), *product(range(1, 2 * length), range(task.DIGITS))]
        reads = [self.normed(*key) for key in keys]
        self.keys = arb_mat([self.linear("attn.k", x).entries() for x in reads])
        W_O = self.centre * self.w["blocks.0.attn.o.weight"]
        self.writes = [W_O * self.linear("attn.v", x) for x in reads]

    def needed(self, output) -> list:
        """The inputs that decide y_output and the token at its place."""
        own = self.sources[output - 1] if output else (self.n - 1,)
        return list(dict.fromkeys(self.sources[output] + own))

    def answer(self, i, fixed) -> int | None:
        """y_i where the tokens `fixed` decide it, else None."""
        return self.answers[i].get(tuple(fixed.get(k) for k in self.sources[i]))

    def norm(self, name):
        """Layer norm as (W, b): x becomes W x / size(x) + b."""
        if not self.norms:
            return self.centre, arb_mat(self.d, 1)
        scale = self.w[f"{name}.weight"].entries()
        return _scaled(scale, self.centre), self.w[f"{name}.bias"]

    def size(self, x, form) -> arb:
        """What layer norm divides by, where the quadratic `form` of x is its squared length."""
        square = abs((x.transpose() * form * x)[0, 0])
        return (square / self.d + arb(LN_EPS)).sqrt() if self.norms else arb(1)

    def linear(self, name, x) -> arb_mat:
        return self.w[f"blocks.0.{name}.weight"] * x + self.w[f"blocks.0.{name}.bias"]

    def stream(self, position, token) -> arb_mat:
        return arb_mat([[a + b] for a, b in zip(self.embed[token], self.place[position])])

    def normed(self, position, token) -> arb_mat:
        """What attention reads where `token` stands at `position`."""
        x, (W, b) = self.stream(position, token), self.norm("blocks.0.ln1")
        return W * x * (1 / self.size(x, self.centre)) + b

    def adds(self, output, own) -> arb_mat:
        """What each key adds to (N, D), `[keys, d_model + 1]`, for the token `own` at its place."""
        query = self.linear("attn.q", self.normed(self.n + output, own))
        scores = (self.keys * query * (1 / arb(query.nrows()).sqrt())).entries()
        scores = scores[: _row(self.n + output + 1, 0)]
        largest = arb(max(float(s.mid()) for s in scores))  # so that no exp leaves the floats
        weights = [(s - largest).exp() for s in scores]
        return arb_mat([[*(v * a).entries(), a] for v, a in zip(self.writes, weights)])

    def groups(self, output, fixed) -> list:
        """What can stand at the keys: pairs (free places, choices); each adds one of its choices.

        A choice is a list of keys: an input token and the answers that it decides. Answers that two
        free inputs decide are groups of their own, which allows more than can happen.
        """
        groups = [((), [[0]])]  # BOS
        inputs = [{t: [_row(k + 1, t)] for t in range(task.DIGITS)} for k in range(self.n)]
        for k, token in fixed.items():
            inputs[k] = {token: inputs[k][token]}
        for j in range(output):
            free = tuple(k for k in self.sources[j] if k not in fixed)
            if len(free) > 1:
                groups.append((free, [[_row(self.n + 1 + j, t)] for t in range(task.DIGITS)]))
            else:
                k = free[0] if free else self.sources[j][0]
                for t, keys in inputs[k].items():
                    keys.append(_row(self.n + 1 + j, self.answer(j, fixed | {k: t})))
        return groups + [((k,), list(choices.values())) for k, choices in enumerate(inputs)]


class _Case:
    """The nodes of an output in which its token and the one at its place are known."""

    def __init__(self, model, node):
        self.model, w, output, fixed = model, model.w, node.output, node.fixed
        own = model.answer(output - 1, fixed) if output else fixed[model.n - 1]
        self.adds = model.adds(output, own)
        self.floats = np.array([[float(x.mid()) for x in row] for row in self.adds.table()])
        axes = self.axes = node.axes = self._choose_axes(model.groups(output, fixed))
        # From here on in coordinates along the axes. What a norm reads has mean zero: the mean
        # needs no axis.
        to, n = _balls(axes) * model.centre, len(axes)
        full = _balls(np.concatenate([axes, np.ones((model.d - n, model.d))]))
        back = arb_mat([row[:n] for row in full.inv().table()])
        self.eye, self.form = _balls(np.eye(n)), back.transpose() * back
        self.start = to * (model.stream(model.n + output, own) + w["blocks.0.attn.o.bias"])
        self.A, self.bias = arb_mat(0, n), arb_mat(0, 1)  # no neurons
        self.out, self.shift = arb_mat(n, 0), arb_mat(n, 1)
        if "blocks.0.mlp.in.weight" in w:
            W, b = model.norm("blocks.0.ln2")
            self.A, self.bias = w["blocks.0.mlp.in.weight"] * W * back, model.linear("mlp.in", b)
            self.out, self.shift = (to * w[f"blocks.0.mlp.out.{k}"] for k in ("weight", "bias"))
        right, logits = model.answer(output, fixed), w["unembed.weight"].table()
        others = [row for token, row in enumerate(logits) if token != right]
        G = arb_mat([[a - b for a, b in zip(logits[right], row)] for row in others])
        W, b = model.norm("ln_final")
        self.G, self.constant = G * W * back, G * b

    def _choose_axes(self, groups) -> np.ndarray:
        """Axes `[axes, d_model]` along which N / D spreads most, about its middle: a guess."""
        options = [self.floats[choices].sum(1) for _, choices in groups]
        middle = sum(o.mean(0) for o in options)
        moved = np.concatenate([o - o.mean(0) for o in options])
        moved = (moved[:, :-1] - moved[:, -1:] * middle[:-1] / middle[-1]) / middle[-1]
        mean = np.full((int(self.model.norms), self.model.d), 1e3 * (1 + abs(moved).max()))
        return np.linalg.svd(np.concatenate([mean, moved]))[2][len(mean) :]

    def bound(self, node) -> int | None:
        """Give `node` its box, and its verdict; or return the free input that moves N / D most."""
        groups = self.model.groups(node.output, node.fixed)
        signed = np.concatenate([self.axes, -self.axes])  # lowest: the highest of the negative
        guess, moves = self._guess(groups, signed)
        for power in range(0, 40, 4):
            r = guess + 2**power * SLACK * (1 + abs(guess))
            left = self.adds * _balls(np.column_stack([signed, -r])).transpose()  # u·N - r D
            if all(_largest_sum(column, groups) <= 0 for column in zip(*left.table())):
                break
        else:
            raise ArithmeticError(f"a bound could not be proved at {node.fixed}")
        node.box = np.column_stack([-r[len(self.axes) :], r[: len(self.axes)]])
        margins = self._margins([arb(low).union(arb(high)) for low, high in node.box.tolist()])
        if any(m < 0 for m in margins):
            node.verdict = "wrong"
        elif all(m > 0 for m in margins):
            node.verdict = "right"
        elif not moves:
            raise ArithmeticError(f"a tie, or too few bits, at {node.fixed}, output {node.output}")
        return None if node.verdict else max(moves, key=moves.get)

    def _guess(self, groups, signed):
        """The largest u·N / D for each row u of `signed`, in floats, and `{free place: how much its
        token moves them}`."""
        along = np.column_stack([self.floats[:, :-1] @ signed.T, self.floats[:, -1]])
        options = [along[choices].sum(1) for _, choices in groups]
        best, r = [o[:1].repeat(len(signed), 0) for o in options], np.full(len(signed), -np.inf)
        for _ in range(50):
            sums = sum(best)
            new = sums.diagonal() / sums[:, -1]
            if (new <= r).all():
                break
            # A little more: a key with nearly all of the weight hides the others when u·N is r D.
            r = np.maximum(r, new + SLACK * (1 + abs(new)))
            best = [o[(o[:, :-1] - o[:, -1:] * r).argmax(0)] for o in options]
        moves = {}
        for (places, _), o in zip(groups, options):
            width = (np.ptp(o[:, :-1] - o[:, -1:] * r, axis=0) / sums[:, -1]).sum()
            for k in places if len(o) > 1 else ():
                moves[k] = moves.get(k, 0.0) + width / len(places)
        return r, moves

    def _margins(self, box) -> list:
        """The right logit minus each other one, times the last norm's divisor: balls, for a box."""
        x = self.start + arb_mat([[side] for side in box])
        inverse = 1 / self.model.size(x, self.form)
        slopes, rest = [], []  # relu(p) is slope * p + rest
        for pre, bias in zip((self.A * x * inverse + self.bias).entries(), self.bias.entries()):
            low, high = pre.lower(), pre.upper()
            slope = arb(0 if high <= 0 else 1 if low >= 0 else float(high / (high - low)))
            slopes.append(slope)
            above = (-slope * low).max((1 - slope) * high).max(arb(0))
            rest.append([slope * bias + arb(0).union(above)])
        rest = arb_mat(rest) if rest else self.bias
        steep = self.out * _scaled(slopes, self.A) * inverse
        size = self.model.size((self.eye + steep) * x + self.out * rest + self.shift, self.form)
        margins = (self.G + self.G * steep) * x + (self.G * self.out) * rest + self.G * self.shift
        return (margins + self.constant * size).entries()


def _largest_sum(values, groups) -> arb:
    """The largest sum of `values` of keys, over one choice from each of the groups."""
    total = arb(0)
    for _, choices in groups:
        total += reduce(arb.max, [reduce(add, [values[k] for k in keys]) for keys in choices])
    return total


# ---------------------------------------------------------------- proofs in files


def save(path, proof: Proof) -> None:
    """Write a proof as JSON: the branching and the bounds, floats as `float.hex` writes them."""

    def plain(value):
        if isinstance(value, np.ndarray):
            return [[x.hex() for x in row] for row in value.tolist()]
        skip = ("output", "fixed")  # they follow from the branching
        return {k: v for k, v in vars(value).items() if k not in skip and v is not None}

    record = dict(task=proof.task, length=len(proof.tree), weights=proof.digest)
    record |= dict(wrong=proof.wrong, tree=proof.tree)
    write_whole(path, json.dumps(FORMAT | record, default=plain).encode())


def load(path, model) -> Proof:
    """The proof of `model` that `save` wrote: read, not checked (tools/check_proof.py does that).

    ValueError when the file was cut short, is of another version or of another model;
    FileNotFoundError when it is missing.
    """
    zoo, weights = _one(model)
    wanted = FORMAT | dict(task=zoo.task, length=zoo.length, weights=_digest(weights))

    def floats(rows):
        return None if rows is None else np.array([[float.fromhex(x) for x in r] for r in rows])

    def node(output, fixed, record):
        asks, axes, box = record.get("asks"), floats(record.get("axes")), floats(record.get("box"))
        below = [node(output, fixed | {asks: t}, r) for t, r in enumerate(record["nodes"])]
        return Node(output, fixed, record.get("verdict"), asks, below, axes, box)

    text = Path(path).read_bytes()
    try:
        record = json.loads(text)
        given = {name: record.get(name) for name in wanted}
        if given != wanted:
            raise ValueError(f"it is of {given}, allowed is {wanted}")
        tree = [node(output, {}, root) for output, root in enumerate(record["tree"])]
        proof = Proof(zoo.task, wanted["weights"], tree)
        if len(tree) != zoo.length or proof.wrong != record["wrong"]:
            raise ValueError(f"by its branches {proof.wrong} are wrong")
    except Exception as error:  # whatever a broken file leads to is one thing to its reader
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: not a whole proof of this model ({what})") from None
    return proof


def _digest(weights) -> str:
    """SHA-256 over names, shapes and the bits of all weights, as little-endian float64."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        total.update(f"{name}{value.shape}".encode() + value.astype("<f8").tobytes())
    return total.hexdigest()
