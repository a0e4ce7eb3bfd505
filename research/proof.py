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

import dataclasses
import hashlib
import json
from functools import reduce
from itertools import product
from pathlib import Path

import numpy as np
import torch
from flint import arb, arb_mat, ctx

from helpers import task
from helpers.model import LN_EPS, as_zoo
from helpers.storage import write_whole
from research.rounding import MORE, TINY, Rounding

PRECISION = 96  # bits of a ball's middle
PARTS = 200_000  # at most, into which a story cuts the strengths, over all its cases
DEPTH = 6  # how often the strengths of a story are halved in one case
SLACK = 2.0**-40  # what is added to a bound that floats have guessed, relative to 1 + its size
FORMAT = {"format": "proof by balls", "version": 2}
UNITS = {64: 2.0**-53, 32: 2.0**-24}  # of floats with so many bits: see `research.rounding`
# The places of the inputs that decide y_i, for n digits, in tasks that may be too long to list.
SOURCES = {
    "reverse_plus_one": lambda i, n: (n - 1 - i,),
    "sum_pairs": lambda i, n: (n - 1 - i, (n - 2 - i) % n),
}


@dataclasses.dataclass
class Node:
    """All inputs with the tokens `fixed` `{place: token}`, at one output.

    `verdict`: its token is "right" or "wrong" on all of them; or None, and `nodes` are these inputs
    by their token at place `asks`. `box` `[axes, 2]`: proved bounds of what attention adds, along
    `axes` `[axes, d_model]`, which stand at the first node that has a box and hold for those below.
    `spread` `[1, d_model]`, in a proof for floats: `research.rounding` says of what.
    """

    output: int
    fixed: dict
    verdict: str | None = None
    asks: int | None = None
    nodes: list = dataclasses.field(default_factory=list)
    axes: np.ndarray | None = None
    box: np.ndarray | None = None
    spread: np.ndarray | None = None

    def walk(self):
        yield self
        for node in self.nodes:
            yield from node.walk()


@dataclasses.dataclass
class Proof:
    """What was found of the model with these weights (`digest`); `tree` holds a Node an output.

    `proved`: right on every input. `cases`: how many nodes were bounded. `wrong`: at each output,
    on how many of the 4**length inputs its token is wrong; exact. `unit`: 0 for the function of
    real numbers, else that of the floats for whose programs it holds.
    """

    task: str
    digest: str
    tree: list
    unit: float = 0.0

    def __post_init__(self):
        nodes = [node for root in self.tree for node in root.walk()]
        self.cases, self.wrong = sum(node.box is not None for node in nodes), [0] * len(self.tree)
        for node in nodes:
            if node.verdict == "wrong":
                self.wrong[node.output] += task.DIGITS ** (len(self.tree) - len(node.fixed))
        self.proved = not any(self.wrong)


@dataclasses.dataclass
class Story:
    """A reduced model: attention writes `written` `[outputs, d_model]` and a place along one
    `direction` `[d_model]`, the MLP writes `constant` `[outputs, d_model]`.

    A proof with a story holds for all models between that one and the whole one: what attention
    writes beside the direction is multiplied by any strength from 0 to 1, and what the MLP then
    writes beside the constant by any other.
    """

    direction: np.ndarray
    written: np.ndarray
    constant: np.ndarray


def prove(model, unit: float = 0.0, story: Story | None = None) -> Proof:
    """Prove a TransformerBridge or Zoo of one right on every input, or count where it is wrong.

    That is: the function of real numbers; or, with a `unit` of `UNITS`, every program that computes
    it in such floats (the weights are rounded to them first), in whatever order. With a `story` it
    is proved right because of it. It always ends: when all tokens are asked, an input is computed
    by itself. ValueError for several models, an edited one, and weights that are not finite.
    ArithmeticError, which says at which input, for a tie of two logits, and where rounding or the
    rest of a story could decide, or would cost too much.
    """
    zoo, weights = _one(model)
    digest = _digest(weights)
    if unit == UNITS[32]:
        weights = {name: value.astype(np.float32).astype(float) for name, value in weights.items()}
    with ctx.workprec(PRECISION):
        balls = _Model(weights, zoo.task, zoo.length, unit, story)
        tree = [_grow(Node(output, {}), balls) for output in range(zoo.length)]
    return Proof(zoo.task, digest, tree, unit)


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


def sources(rule, length: int) -> list:
    """For each output the places of the inputs that decide it, in a task as `task.targets` takes
    it; those of a function are found on every input."""
    if rule in SOURCES:
        return [SOURCES[rule](i, length) for i in range(length)]
    y = task.targets(task.all_inputs(length), rule).view(*[task.DIGITS] * length, length)
    decides = [(y != y.roll(1, k)).flatten(0, -2).any(0).tolist() for k in range(length)]
    return [tuple(k for k in range(length) if decides[k][i]) for i in range(length)]


class _Model:
    """One model on balls: its matrices, what each key adds to (N, D), and what the task asks."""

    def __init__(self, weights, task_name, length, unit=0.0, story=None):
        self.rounding, self.story = Rounding(weights, unit) if unit else None, story
        self.parts = 0
        self.w, self.n = {name: _balls(value) for name, value in weights.items()}, length
        self.d, self.norms = self.w["embed.weight"].ncols(), "ln_final.weight" in self.w
        self.embed, self.place = (self.w[f"{e}.weight"].table() for e in ("embed", "pos_embed"))
        mean = np.full((self.d, self.d), float(self.norms))
        self.centre = _balls(np.eye(self.d)) - _balls(mean) * (1 / arb(self.d))
        self.sources = sources(task_name, length)
        self.answers = []  # for each output, the token for each choice of those at its sources
        for i, places in enumerate(self.sources):
            choices = list(product(range(task.DIGITS), repeat=len(places)))
            x = torch.zeros(len(choices), length, dtype=torch.long)
            x[:, list(places)] = torch.tensor(choices)
            self.answers.append(dict(zip(choices, task.targets(x, task_name)[:, i].tolist())))
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
        """What layer norm divides by. `form`: how far the squared length of a vector with the
        coordinates x is, as a quadratic form, from the sum of their squares."""
        ends = [(abs(side).lower().max(arb(0)), abs(side).upper()) for side in x.entries()]
        square = sum((low * low).union(high * high) for low, high in ends)
        square = (square + (x.transpose() * form * x)[0, 0]).max(arb(0))
        return (square / self.d + arb(LN_EPS)).sqrt() if self.norms else arb(1)

    def linear(self, name, x) -> arb_mat:
        return self.w[f"blocks.0.{name}.weight"] * x + self.w[f"blocks.0.{name}.bias"]

    def stream(self, position, token) -> arb_mat:
        return arb_mat([[a + b] for a, b in zip(self.embed[token], self.place[position])])

    def normed(self, position, token) -> arb_mat:
        """What attention reads where `token` stands at `position`."""
        x, (W, b) = self.stream(position, token), self.norm("blocks.0.ln1")
        x = self.centre * x
        return W * x * (1 / self.size(x, arb_mat(self.d, self.d))) + b

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
        story = model.story
        axes = self._choose_axes(model.groups(output, fixed)) if story is None else _along(story)
        self.axes = node.axes = axes
        # From here on in coordinates along the axes. The mean, 0 in what a norm reads, has none.
        to, n = _balls(axes) * model.centre, len(axes)
        full = _balls(np.concatenate([axes, np.ones((model.d - n, model.d))]))
        back = arb_mat([row[:n] for row in full.inv().table()])
        self.eye = _balls(np.eye(n))
        self.form = back.transpose() * back - self.eye
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
        self.G, self.constant, self.back = G * W * back, G * b, back
        self.push = self.written = None
        if story is not None:
            written = _balls(story.written[output]) - w["blocks.0.attn.o.bias"]
            self.written = (to * written).entries()[1:]
            self.push = to * _balls(story.constant[output])
        self.rounded, self.right, self.at = model.rounding, right, (model.n + output, own)

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
        floats, weight = self.floats[:, :-1] @ signed.T, self.floats[:, -1]
        guess, moves = _largest_ratios(floats, weight, groups)
        for power in range(0, 40, 4):
            r = guess + 2**power * SLACK * (1 + abs(guess))
            left = self.adds * _balls(np.column_stack([signed, -r])).transpose()  # u·N - r D
            if all(_largest_sum(column, groups) <= 0 for column in zip(*left.table())):
                break
        else:
            raise ArithmeticError(f"a bound could not be proved at {node.fixed}")
        node.box = np.column_stack([-r[len(self.axes) :], r[: len(self.axes)]])
        box = [arb(low).union(arb(high)) for low, high in node.box.tolist()]
        if self.written:
            node.verdict = "right" if self._strengths(box, DEPTH) else None
        else:
            if self.rounded:
                self.spread = self._spread(groups, box)
                node.spread = self.spread[None]
            margins = self._margins(box)
            if any(m < 0 for m in margins):
                node.verdict = "wrong"
            elif all(m > 0 for m in margins):
                node.verdict = "right"
        if not node.verdict and not moves:
            what = "rounding could decide it" if self.rounded else "a tie, or too few bits"
            what = f"the story fails at the strengths {self.failed}" if self.written else what
            raise ArithmeticError(f"{what}, at {node.fixed}, output {node.output}")
        return None if node.verdict else max(moves, key=moves.get)

    def _strengths(self, box, depth, rest=(0, 1), mlp=(0, 1)) -> bool:
        """Whether all is right, however much the rest of attention and of the MLP is turned down,
        between these strengths; if need be, in quarters, and these in quarters."""
        self.model.parts += 1
        if self.model.parts > PARTS:
            output = self.at[0] - self.model.n
            raise ArithmeticError(f"strengths in more than {PARTS} parts, at output {output}")
        strength = arb(rest[0]).union(arb(rest[1]))
        beside = [usual + strength * (side - usual) for side, usual in zip(box[1:], self.written)]
        if all(m > 0 for m in self._margins([box[0], *beside], mlp)):
            return True
        self.failed = rest, mlp
        halves = [[(a, (a + b) / 2), ((a + b) / 2, b)] for a, b in (rest, mlp)]
        return depth > 0 and all(self._strengths(box, depth - 1, *q) for q in product(*halves))

    def _spread(self, groups, box) -> np.ndarray:
        """How far what the keys offer lies from the middle of the box, in the mean and at most."""
        middle = self.back * arb_mat([[side.mid()] for side in box])
        middle = np.array([float(side) for side in middle.entries()])
        weight = self.floats[:, -1]
        far = abs(self.floats[:, :-1] - weight[:, None] * middle)
        return MORE * _largest_ratios(far, weight, groups)[0] + SLACK * (1 + abs(middle).max())

    def _margins(self, box, mlp=(0, 1)) -> list:
        """The right logit minus each other one, times the last norm's divisor: balls, for a box."""
        x = self.start + arb_mat([[side] for side in box])
        divisor = self.model.size(x, self.form)
        before = (self.A * x * (1 / divisor) + self.bias).entries()
        slopes, rest = [], []  # relu(p) is slope * p + rest
        for pre, bias in zip(before, self.bias.entries()):
            low, high = pre.lower(), pre.upper()
            slope = arb(0 if high <= 0 else 1 if low >= 0 else float(high / (high - low)))
            slopes.append(slope)
            above = (-slope * low).max((1 - slope) * high).max(arb(0))
            rest.append([slope * bias + arb(0).union(above)])
        rest = arb_mat(rest) if rest else self.bias
        steep = self.out * _scaled(slopes, self.A) * (1 / divisor)
        margins = (self.G + self.G * steep) * x + (self.G * self.out) * rest + self.G * self.shift
        y = (self.eye + steep) * x + self.out * rest + self.shift
        if self.push is not None:  # what lies between two has no less than the lesser margin
            other = x + self.push
            ends = [(arb(1 - t), arb(t)) for t in mlp]
            margins = _union(*(self.G * other * a + margins * b for a, b in ends))
            y = _union(*(other * a + y * b for a, b in ends))
        size = self.model.size(y, self.form)
        margins += self.constant * size
        if self.rounded:
            off = self._rounding(x, divisor, before, y, size)
            margins += arb_mat([[arb(0, float(e))] for e in off])
        return margins.entries()

    def _rounding(self, x, divisor, before, y, size) -> np.ndarray:
        """How far each margin, divided, can be off in a program; see `research.rounding`."""
        rounded = self.rounded
        stream, error = rounded.attention(*self.at, self.spread)
        if before:
            highest = np.array([float(pre.upper()) for pre in before])
            at = _sizes(self.back * x), float(divisor.lower()) / MORE
            stream, error = rounded.neurons(stream, error, *at, highest + TINY)
        others = [token for token in range(task.VOCAB) if token != self.right]
        at = _sizes(self.back * y), MORE * float(size.upper())
        return rounded.margins(stream, error, *at, self.right, others)


def _sizes(x) -> np.ndarray:
    """At least the size of each component, in floats."""
    return MORE * np.array([float(abs(side).upper()) for side in x.entries()])


def _union(a, b) -> arb_mat:
    return arb_mat([[x.union(y)] for x, y in zip(a.entries(), b.entries())])


def _along(story) -> np.ndarray:
    """Axes `[axes, d_model]`: the direction of a story, and those that it and the mean leave."""
    direction = story.direction - story.direction.mean()
    rest = np.linalg.svd(np.stack([np.ones_like(direction), direction]))[2][2:]
    return np.concatenate([direction[None] / np.linalg.norm(direction), rest])


def _largest_ratios(along, weight, groups):
    """The largest N / D for each column N of `along` `[keys, columns]`, where D is the sum of the
    `weight` `[keys]`, in floats; and `{free place: how much its token moves them}`."""
    along = np.column_stack([along, weight])
    options = [along[choices].sum(1) for _, choices in groups]
    best, r = [o[:1].repeat(along.shape[1] - 1, 0) for o in options], -np.inf
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


def _largest_sum(values, groups) -> arb:
    """The largest sum of `values` of keys, over one choice from each of the groups."""
    sums = ([sum(values[k] for k in keys) for keys in choices] for _, choices in groups)
    return sum(reduce(arb.max, each) for each in sums)


def save(path, proof: Proof) -> None:
    """Write a proof as JSON: the branching and the bounds, floats as `float.hex` writes them.
    ValueError where the task is a function, which no checker could read."""
    if callable(proof.task):
        raise ValueError(f"got a proof of the rule {proof.task!r}; allowed are tasks with a name")

    def plain(value):
        if isinstance(value, np.ndarray):
            return [[x.hex() for x in row] for row in value.tolist()]
        skip = ("output", "fixed")  # they follow from the branching
        return {k: v for k, v in vars(value).items() if k not in skip and v is not None}

    record = dict(task=proof.task, length=len(proof.tree), weights=proof.digest)
    record |= dict(unit=proof.unit, wrong=proof.wrong, tree=proof.tree)
    write_whole(path, json.dumps(FORMAT | record, default=plain).encode())


def load(path, model) -> Proof:
    """The proof of `model` that `save` wrote: read, not checked (tools/check_proof.py does that).
    ValueError when the file was cut short, is of another version or of another model;
    FileNotFoundError when it is missing."""
    zoo, weights = _one(model)
    wanted = FORMAT | dict(task=zoo.task, length=zoo.length, weights=_digest(weights))

    def node(output, fixed, record):
        asks = record.get("asks")
        arrays = [record.get(name) for name in ("axes", "box", "spread")]
        arrays = [a and np.array([[float.fromhex(x) for x in row] for row in a]) for a in arrays]
        below = [node(output, fixed | {asks: t}, r) for t, r in enumerate(record["nodes"])]
        return Node(output, fixed, record.get("verdict"), asks, below, *arrays)

    text = Path(path).read_bytes()
    try:
        record = json.loads(text)
        given = {name: record.get(name) for name in wanted}
        if given != wanted:
            raise ValueError(f"it is of {given}, allowed is {wanted}")
        tree = [node(output, {}, root) for output, root in enumerate(record["tree"])]
        proof = Proof(zoo.task, wanted["weights"], tree, record["unit"])
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
