"""The exercises of the series: for each its target and the usual mistakes, as functions by name.

A target is computed another way than the folded solution. Each mistake is an answer, as a reader
who makes it would give it; its docstring is what that reader is told.
"""

from __future__ import annotations

import inspect
import math
from functools import cache

import torch
import torch.nn.functional as F

from helpers import task as T
from helpers.evaluation import hits
from helpers.interventions import record
from helpers.model import CONFIG, HOOKS, as_zoo, load_trained, shapes

EXERCISES: dict[str, type[Exercise]] = {}


class Untouched(Exception):
    """The answer is still the `...` of the stub."""


class Exercise:
    """An exercise is a subclass, which holds plain functions and is never made an object.

    `target(*case)` is the value wanted. `cases(rng)` lists the arguments to try; a number has the
    one empty case. `run(answer, *case)` gets the value to compare from a reader's function. Every
    other function is a mistake; `numbers` are mistakes too, under what the reader is told.
    """

    tolerance = 1e-6
    numbers: dict[str, float] = {}

    def __init_subclass__(cls, name: str):
        EXERCISES[name] = cls

    def cases(rng):
        return [()]

    def run(answer, *case):
        return answer(*case)

    @classmethod
    def mistakes(cls) -> dict:
        """What the reader is told -> the answer, a number or a function, that is so mistaken."""
        own = [f for n, f in vars(cls).items() if n not in ("target", "cases", "run")]
        functions = {" ".join(f.__doc__.split()): f for f in own if inspect.isfunction(f)}
        return cls.numbers | functions


def normal(*sizes, n=5):
    """A function rng -> `n` cases of normal random tensors of these sizes."""
    return lambda rng: [
        tuple(torch.from_numpy(rng.normal(size=s)) for s in sizes) for _ in range(n)
    ]


# ---------------------------------------------------------------- 01


class ForgottenMod(Exercise, name="01-forgotten-mod"):
    tolerance = 2e-3
    numbers = {
        "That is the share of single tokens. All eight tokens have to be right.": 3 / 4,
        "That is the share of sequences with a mistake. The others are asked for.": 1
        - (3 / 4) ** 8,
        "That would be so if only the token 0 came out right. It is the 3 that goes wrong.": 4**-8,
    }

    def target():
        x = T.all_inputs()
        return (x.flip(1) + 1 == T.targets(x)).all(1).double().mean()


class Targets(Exercise, name="01-targets"):
    def cases(rng):
        return [(x.tolist(),) for x in rng.integers(0, 4, (20, 8))]

    def target(x):
        return T.targets(x)

    def no_reversal(x):
        """There is no reversal: y0 comes from x7, not from x0."""
        return [(t + 1) % 4 for t in x]

    def only_reversed(x):
        """The 1 is missing: you only reverse."""
        return x[::-1]

    def no_mod(x):
        """3 + 1 gives 4, which is no token. Take it mod 4."""
        return [t + 1 for t in x[::-1]]

    def off_by_one(x):
        """Off by one place: y0 comes from x7, y1 from x6."""
        return [(t + 1) % 4 for t in x[-2::-1] + x[-1:]]

    def minus_one(x):
        """You subtract 1. The task adds it."""
        return [(t - 1) % 4 for t in x[::-1]]


# ---------------------------------------------------------------- 02


def parameters(kind) -> int:
    return sum(map(math.prod, shapes(kind).values()))


class Parameters(Exercise, name="02-parameters"):
    def target():
        return parameters("no_mlp")

    def layer_norm_kept():
        """The layer norm in front of the MLP goes with it: a weight and a bias."""
        return parameters("no_mlp") + 2 * CONFIG["d_model"]

    def only_matrices():
        """Besides the two matrices the MLP has biases and a layer norm of its own."""
        return parameters("article") - 2 * CONFIG["d_model"] * CONFIG["d_mlp"]

    def the_others():
        """That is how many are taken away. How many are left?"""
        return parameters("article") - parameters("no_mlp")


def pattern(q, k, scale=None, mask=1, axis=-1):
    """An attention pattern, right as it stands; `mask` is the first diagonal to hide."""
    scores = q @ k.T / (scale or math.sqrt(q.shape[1]))
    hidden = torch.ones(len(q), len(k), dtype=torch.bool).triu(mask)
    return scores.masked_fill(hidden, -1e9).softmax(axis)


class Pattern(Exercise, name="02-pattern"):
    def cases(rng):
        sizes = ((6, 4), (5, 3), (9, 7))
        return [case for size in sizes for case in normal(size, size, n=2)(rng)]

    def target(q, k):
        # The library's attention with the identity as values gives back the weights.
        one = torch.eye(len(k)).double()[None]
        return F.scaled_dot_product_attention(q[None], k[None], one, is_causal=True)[0]

    def no_mask(q, k):
        """The causal mask is missing: no position may look ahead."""
        return pattern(q, k, mask=len(k))

    def not_scaled(q, k):
        """The scores are not divided by the square root of d_head."""
        return pattern(q, k, scale=1)

    def our_scale(q, k):
        """2 is the square root of our d_head only. The width is in the shape of q."""
        return pattern(q, k, scale=2)

    def over_queries(q, k):
        """Wrong axis: each row, one query, has to sum to 1. Take the softmax over the keys."""
        return pattern(q, k, axis=0)

    def blind_to_itself(q, k):
        """Off by one: a position may look at itself, so the mask begins above the diagonal."""
        return pattern(q, k, mask=0)


# ---------------------------------------------------------------- 03


class HalfKnown(Exercise, name="03-half-known"):
    tolerance = 5e-3
    numbers = {
        "That is the loss of a guess among four. Two of them are ruled out.": math.log(4),
        "That is the probability. The loss is minus its logarithm.": 0.5,
        "That is in bits. The loss uses the natural logarithm.": 1.0,
        "The sign: a loss is minus the logarithm.": -math.log(2),
    }

    def target():
        return F.cross_entropy(torch.tensor([[0, 0, -1e9, -1e9, -1e9]]), torch.tensor([1]))


def loss(logits, tokens, at=slice(8, 16), wanted=slice(9, 17), reduction="mean"):
    """The loss of the logits `at` these places for the tokens `wanted` at those."""
    right = tokens[:, wanted].flatten()
    return F.cross_entropy(logits[:, at].flatten(0, 1), right, reduction=reduction)


class Loss(Exercise, name="03-loss"):
    def cases(rng):
        draw = normal((3, 16, 5))(rng)
        return [(logits, torch.from_numpy(rng.integers(0, 4, (3, 17)))) for (logits,) in draw]

    def target(logits, tokens):
        return loss(logits, tokens)

    def all_positions(logits, tokens):
        """All positions are in. Only the last eight tokens count."""
        return loss(logits, tokens, slice(0, 16), slice(1, 17))

    def not_shifted(logits, tokens):
        """Off by one: at position 8 the model predicts the token at position 9."""
        return loss(logits, tokens, wanted=slice(8, 16))

    def a_sum(logits, tokens):
        """That is the sum. The mean is asked for."""
        return loss(logits, tokens, reduction="sum")

    def wrong_sign(logits, tokens):
        """The sign: a loss is minus the logarithm."""
        return -loss(logits, tokens)


# ---------------------------------------------------------------- 04


class IdealPattern(Exercise, name="04-ideal-pattern"):
    def target():
        return [[float(n == f"x{7 - i}") for n in T.POSITION_NAMES] for i in range(8)]

    def bos_forgotten():
        """Off by one: BOS stands at position 0, so x0 stands at position 1."""
        return torch.eye(16)[range(7, -1, -1)]

    def no_reversal():
        """There is no reversal: y0 has to look at x7."""
        return torch.eye(16)[1:9]

    def own_place():
        """Each output looks at its own place there. It has to look at its source."""
        return torch.eye(16)[8:]


class ValueWeighted(Exercise, name="04-value-weighted"):
    def cases(rng):
        return [(a.softmax(-1), v, o) for a, v, o in normal((6, 6), (6, 4), (4, 4))(rng)]

    def target(pattern, values, w_o):
        # One key at a time: how long is what it adds to the stream of this query?
        return [
            [torch.linalg.vector_norm(a * v @ w_o) for a, v in zip(row, values)] for row in pattern
        ]

    def no_w_o(pattern, values, w_o):
        """W_O is missing: the norm is taken of what is written into the stream."""
        return pattern * values.norm(dim=-1)

    def no_weights(pattern, values, w_o):
        """The weights are missing."""
        return (values @ w_o).norm(dim=-1).expand_as(pattern)

    def along_rows(pattern, values, w_o):
        """Wrong axis: the norm belongs to the key, so it has to run along the columns."""
        return pattern * (values @ w_o).norm(dim=-1)[:, None]

    def squared(pattern, values, w_o):
        """That is the square. The norm is its root."""
        return pattern * (values @ w_o).pow(2).sum(-1)


# ---------------------------------------------------------------- 05


class Stretches(Exercise, name="05-stretches"):
    cases = normal((6,), (4,), (4,))

    def target(places, starts, slopes):
        # By hand, from the words: at this place, whose line is the highest?
        heights = [[a + b * place for a, b in zip(starts, slopes)] for place in places]
        return [max(range(4), key=row.__getitem__) for row in heights]

    def lowest(places, starts, slopes):
        """That is the lowest line at each place."""
        return (starts + places[:, None] * slopes).argmin(-1)

    def no_starts(places, starts, slopes):
        """The heights at place 0 are missing."""
        return (places[:, None] * slopes).argmax(-1)

    def exchanged(places, starts, slopes):
        """Starts and slopes are exchanged: a place multiplies the slope."""
        return (slopes + places[:, None] * starts).argmax(-1)


class OV(Exercise, name="05-ov"):
    cases = normal((5, 4), (4, 4), (4, 4), (4, 5))

    def target(e, w_v, w_o, w_u):
        # Logit by logit, from the definition: what does reading this token add to that logit?
        return [[row @ w_v @ w_o @ column for column in w_u.T] for row in e]

    def wrong_order(e, w_v, w_o, w_u):
        """W_O comes after W_V: the value is made first, then written."""
        return e @ w_o @ w_v @ w_u

    def no_w_o(e, w_v, w_o, w_u):
        """W_O is missing."""
        return e @ w_v @ w_u

    def turned(e, w_v, w_o, w_u):
        """Wrong axis: rows are the token attended to, columns the logits."""
        return (e @ w_v @ w_o @ w_u).T


# ---------------------------------------------------------------- 06


@cache
def model():
    """The trained model, one of its own: a reader's hook cannot reach the notebook's."""
    return load_trained()


def sample():
    return T.full_sequences()[::4099]


def logits(place, hook):
    """The logits of 16 sequences, at the outputs, with a reader's `hook` at `place`."""
    if hook is None or hook is ...:
        return hook  # no hook at all, to be judged as any other value

    def watched(value, hook, given=hook):
        if (new := given(value, hook)) is ...:
            raise Untouched
        return new

    return model().run_with_hooks(sample()[:, :16], fwd_hooks=[(HOOKS[place], watched)])[:, 8:]


def edited(place, edit):
    """The same logits by `helpers.model.forward`, which has no hooks; `edit` is value -> value."""
    return as_zoo(model()).edited({place: lambda value, _: edit(value)})(sample())[0]


def patched_share(own: bool):
    """y1..y7 with what attention writes for another sequence: the share that is the other's (or its
    own) answer."""
    sequences = T.split(T.full_sequences())[1]
    other = sequences.flip(0)
    theirs = record(model(), "attn_out", other)
    says = as_zoo(model()).edited({"attn_out": theirs})(sequences)
    return hits(says, sequences if own else other)[0, :, 1:].double().mean()


class OtherSequence(Exercise, name="06-other-sequence"):
    tolerance = 0.02
    numbers = {
        "Attention carries nearly everything about the source. So whose answer will it be?": 0.0
    }

    def target():
        return patched_share(own=False)

    def its_own():
        """That is the share of its own answers. What does it say of the other sequence?"""
        return patched_share(own=True)


class NeuronHook(Exercise, name="06-neuron-hook"):
    def cases(rng):  # neurons that fire at some output, in random order
        fires = (record(model(), "post", sample()) > 0).flatten(0, 2).any(0)
        return [(int(n),) for n in rng.permutation(fires.nonzero().flatten().numpy())]

    def run(answer, neuron):
        return logits("post", answer(neuron))

    def target(neuron):
        return edited("post", lambda v: v.index_fill(-1, torch.tensor([neuron]), 0))

    def nothing_changed(neuron):
        """Your hook changed nothing. Does it return the new value?"""
        return lambda value, hook: value

    def all_off(neuron):
        """All neurons are off. Only one should be."""
        return lambda value, hook: torch.zeros_like(value)

    def a_position_off(neuron):
        """Wrong axis: the neuron is the last axis; you switched a position off."""
        return lambda value, hook: value.index_fill(1, torch.tensor([neuron]), 0)
