"""Is there a constant that can stand in for the MLP at an output? Decided, not searched.

Behind a constant c stand only the last layer norm and the unembedding. With y the stream less its
mean, token a beats token b exactly if g(y + c) = G·(y + c) + h size(y + c) > 0, where G and h are
fixed and size is what layer norm divides by. So each input asks of c a few inequalities in three
dimensions (`d_model` less one), and over a cube of half side s around c each g changes by at most
s (|G|_1 + sqrt(3) |h| / 2). Either the middle of a cube keeps every input right, or one input
refutes the whole cube, or it is cut into eight.

Far away there is nothing to find. Take one input for each answer: where all are right, each two of
the logits change places between these inputs, so they differ by no more than the inputs can move
them, K. Three such differences are linear in c but for h |c| / 2, and so |c| is bounded.
"""

import dataclasses
from contextlib import suppress
from itertools import product

import numpy as np
import torch

from helpers import task
from helpers.model import LN_EPS
from research.census import ANSWER, SPHERE, Opened, along
from research.proof import UNITS, Story, prove

SLACK = 1e-9  # floats decide nothing closer than this, relative to the largest of them
CUBES = 4_000_000  # open at once; more, or deeper, is left over
DEPTH = 40
BASIS = SPHERE.T  # [3, d_model]


@dataclasses.dataclass
class Decision:
    """`verdict`: 1 some constant keeps every input right, 0 none does, -1 left over.

    `constant` `[d_model]`: such a one, else None. `leaves` `[n, 6]`: for a 0, the cubes and what
    refutes each: (level, three whole numbers of the cube from its corner, input, other token). The
    cube of level 0 has the half side `reach` around `middle` `[3]`, in coordinates along `BASIS`.
    """

    verdict: int
    constant: np.ndarray | None
    leaves: np.ndarray
    middle: np.ndarray
    reach: float


class Inequalities:
    """What the inputs of one output ask of a constant: `stream` `[n, 4]` before it, their answers
    `[n]`, and the `weights` of one model with a layer norm at its end."""

    def __init__(self, stream, answers, weights):
        U, scale, bias = (np.asarray(weights[k]) for k in _LAST)
        self.y, self.answers = np.asarray(stream) @ BASIS.T, np.asarray(answers)
        self.rows, self.added = (U * scale) @ BASIS.T, U @ bias  # of each token
        self.middle = -self.y.mean(0)
        digits = range(task.DIGITS)
        self.inputs = [np.flatnonzero(self.answers == token) for token in digits]
        self.of_answer = [self.y[inputs] for inputs in self.inputs]
        self.others = np.array([[o for o in range(task.VOCAB) if o != token] for token in digits])

    def of(self, right, other):
        """(G, h) by which one token beats another: `[..., 3]`, `[...]`."""
        return self.rows[right] - self.rows[other], self.added[right] - self.added[other]

    def reach(self) -> float:
        """How far from `middle` a constant can be, at most; see the head of this file."""
        nearest = [np.linalg.norm(y + self.middle, axis=1).min() for y in self.of_answer]
        G, h = self.of(0, np.arange(1, task.DIGITS))
        far = np.maximum(nearest[0], nearest[1:])
        K = np.linalg.norm(G, axis=1) * far + abs(h) * (far / 2 + np.sqrt(LN_EPS))
        inverse = np.linalg.inv(G)
        turn = abs(1 - np.linalg.norm(inverse @ h) / 2)
        return 1.01 * float(np.linalg.norm(inverse) * np.linalg.norm(K) / turn)

    def worst(self, c) -> tuple:
        """For each (answer, other token) the least g at the constant c, and its input: `[4, 4]`."""
        least, at = np.zeros((2, task.DIGITS, task.VOCAB - 1))
        for token, (y, inputs, others) in enumerate(zip(self.of_answer, self.inputs, self.others)):
            G, h = self.of(token, others)
            x = y + c
            g = G @ x.T + h[:, None] * np.sqrt((x * x).sum(1) / 4 + LN_EPS)
            least[token], at[token] = g.min(1), inputs[g.argmin(1)]
        return least, at.astype(int)

    def outermost(self, directions) -> set:
        """(input, other token) of inputs furthest out in some direction: most is asked there."""
        around, asked = np.random.default_rng(0).normal(size=(3, directions)), set()
        for y, inputs, others in zip(self.of_answer, self.inputs, self.others.tolist()):
            asked |= set(product(inputs[(y @ around).argmin(0)].tolist(), others))
        return asked

    def deepest(self, constant, rounds=8) -> np.ndarray:
        """A constant `[d_model]` with more room than a given one: the least g / |G| is larger."""
        inputs, others = np.array(sorted(self.outermost(200))).T
        y, (G, h) = self.y[inputs], self.of(self.answers[inputs], others)
        length = np.linalg.norm(G, axis=1)
        G, h = G / length[:, None], h / length

        def room(c):
            x = y + c
            return ((G * x).sum(1) + h * np.sqrt((x**2).sum(1) / 4 + LN_EPS)).min()

        c = BASIS @ constant
        step, most = np.linalg.norm(c) + 1, room(c)
        for _ in range(rounds):
            step, stuck = step / 2, False
            while not stuck:
                best, i = max((room(c + step * side), i) for i, side in enumerate(_SIDES))
                stuck = best <= most
                most, c = (most, c) if stuck else (best, c + step * _SIDES[i])
        return c @ BASIS if self.worst(c)[0].min() > 0 else constant


_CORNERS = np.indices([2] * 3).reshape(3, 8).T  # of a cube
_SIDES = np.concatenate([np.eye(3), -np.eye(3), _CORNERS * 2 - 1])
_LAST = ("unembed.weight", "ln_final.weight", "ln_final.bias")


def decide(stream, answers, weights) -> Decision:
    """Whether one constant, added to every row of `stream`, gives each its answer."""
    given = Inequalities(stream, answers, weights)
    reach = 2.0 ** np.ceil(np.log2(given.reach()))
    asked = given.outermost(40)
    near = SLACK * (1 + abs(given.y).max() + reach)
    open_, leaves = np.zeros((1, 3), dtype=np.int64), []
    for level in range(DEPTH):
        half = reach / 2**level
        centres = given.middle - reach + (2 * open_ + 1) * half
        for _ in range(30):
            inputs, tokens = np.array(sorted(asked)).T
            G, h = given.of(given.answers[inputs], tokens)
            slope = half * (abs(G).sum(1) + np.sqrt(3) / 2 * abs(h))
            least, by = _least(centres, given.y[inputs], G, h, slope)
            refuted = least[1] < -near
            by, levels = by[refuted], np.full(refuted.sum(), level)
            leaves.append(np.column_stack([levels, open_[refuted], inputs[by], tokens[by]]))
            open_, centres, least = open_[~refuted], centres[~refuted], least[:, ~refuted]
            if not len(open_):
                return Decision(0, None, np.concatenate(leaves), given.middle, reach)
            before = len(asked)
            for k in least[0].argsort()[-2:]:  # the most promising cubes, against all inputs
                value, at = given.worst(centres[k])
                if value.min() > near:
                    return Decision(1, centres[k] @ BASIS, np.zeros((0, 6)), given.middle, reach)
                bad = value <= near
                asked |= set(zip(at[bad].tolist(), given.others[bad].tolist()))
            if len(asked) == before:
                break
        if 8 * len(open_) > CUBES:
            break
        open_ = (2 * open_[:, None] + _CORNERS).reshape(-1, 3)
    return Decision(-1, None, np.zeros((0, 6)), given.middle, reach)


def _least(centres, y, G, h, slope):
    """(the least g of each cube at its middle, the least of what g can be on it) `[2, cubes]`, and
    which inequality the second belongs to `[cubes]`."""
    out, which = [], []
    for part in np.array_split(centres, 1 + len(centres) * len(y) // 2_000_000):
        square = (part**2).sum(1)[:, None] + 2 * part @ y.T + (y**2).sum(1)
        g = part @ G.T + (G * y).sum(1) + h * np.sqrt(np.maximum(square, 0) / 4 + LN_EPS)
        most = g + slope
        which.append(most.argmin(1))
        out.append(np.stack([g.min(1), most.min(1)]))
    return np.concatenate(out, 1), np.concatenate(which)


def constants_for(streams, model, room: bool = False) -> tuple:
    """At each output, whether some constant in place of the MLP keeps every input right, and one
    (with `room`: with more of it): verdicts `[8]`, constants `[8, d_model]` or nan. `streams`
    `[8, n, d_model]` are what it is added to, n once or more all inputs; `model` an `Opened`."""
    weights = {name: value[0].numpy() for name, value in model.zoo.weights.items()}
    verdicts, found = [], np.full(streams[:, 0].shape, np.nan)
    for at, (stream, answers) in enumerate(zip(streams.numpy(), ANSWER.numpy())):
        answers = np.tile(answers, len(stream) // len(answers))
        decision = decide(stream, answers, weights)
        verdicts.append(decision.verdict)
        if decision.verdict == 1:
            deepest = Inequalities(stream, answers, weights).deepest if room else np.asarray
            found[at] = deepest(decision.constant)
    return torch.tensor(verdicts), found


def find_story(model) -> tuple:
    """(verdicts `[8]`, the Story or None): one line for all outputs, and for each output a constant
    that keeps every input right, whether attention writes all that it does or the line alone."""
    line, _, axis = along(model.attn, 1, True, True)
    streams = torch.cat([line + model.stream, model.attn + model.stream], 1)
    verdicts, found = constants_for(streams, model, room=True)
    story = Story(axis[:, 0].numpy(), model.attn.mean(1).numpy(), found)
    return verdicts, story if (verdicts == 1).all() else None


@torch.no_grad()
def measure(model) -> dict[str, torch.Tensor]:
    """What the survey records of the constants and proofs of one exact model with an MLP and layer
    norms: name -> a number, or `[8]`; `research.survey` says what each is."""
    opened = Opened(model)
    line, *_ = along(opened.attn, 1, True, True)
    verdicts, _ = constants_for(opened.attn + opened.stream, opened)
    out = dict(mlp_constant=verdicts, cases=_cases(model))
    out |= {f"cases_float{bits}": _cases(model, unit) for bits, unit in UNITS.items()}
    if (opened.says(line, opened.no_own)[1:] == ANSWER[1:]).all():
        out["line_constant"], _ = constants_for(line + opened.no_own, opened)
    if (opened.says(line) == ANSWER).all():
        out["story_constant"], story = find_story(opened)
        out["cases_story"] = _cases(model, story=story) if story else torch.tensor(-1)
    return out


def _cases(*given, **more) -> torch.Tensor:
    """How many cases a proof takes, or -1 where the model cannot be proved so."""
    with suppress(ArithmeticError):
        if (proof := prove(*given, **more)).proved:
            return torch.tensor(proof.cases)
    return torch.tensor(-1)
