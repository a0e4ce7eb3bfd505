"""research.constants decides: what it finds works in the model, and what it denies is proved."""

import math

import numpy as np
import pytest
import torch
from flint import arb, arb_mat, ctx

from helpers import evaluation, interventions
from helpers.model import LN_EPS, load_zoo
from research import census, constants, proof, routes, survey


def opened(zoo, i):
    with torch.no_grad():
        return census.Opened(zoo[i])


def decided(model, output):
    streams = (model.attn + model.stream)[output].numpy()
    weights = {name: value[0].numpy() for name, value in model.zoo.weights.items()}
    return constants.decide(streams, census.ANSWER[output].numpy(), weights)


@pytest.mark.parametrize("seed, outputs", [(0, (0, 1, 7)), (11, (3,))])
def test_a_constant_that_is_found_does_the_mlps_work(seed, outputs):
    """It is put into the model and counted on every input."""
    model = opened(load_zoo("article"), seed)
    for output in outputs:
        found = decided(model, output)
        assert found.verdict == 1
        new = torch.from_numpy(found.constant)
        zoo = interventions.intervene(model.zoo, {"mlp_out": new})
        assert evaluation.by_position(zoo)[0, output] == 1


def balls_of(rows):
    return arb_mat([[arb(float(x)) for x in row] for row in np.atleast_2d(rows)])


class Checker:
    """The inequalities of one output in balls, from the weights on."""

    def __init__(self, model, output):
        weights = {name: value[0].numpy() for name, value in model.zoo.weights.items()}
        self.m, self.output, self.streams = proof._Model(weights, model.zoo.task, 8), output, {}
        w = self.m.w
        scaled = proof._scaled(w["ln_final.weight"].entries(), w["unembed.weight"].transpose())
        self.rows = balls_of(census.SPHERE.T) * scaled  # [3, token]
        self.added = (w["unembed.weight"] * w["ln_final.bias"]).entries()

    def stream(self, i):
        """The stream before the MLP of the i-th input, in three coordinates."""
        if i not in self.streams:
            fixed = dict(enumerate(census.SEQUENCES[i, 1:9].tolist()))
            own = census.SEQUENCES[i, 8 + self.output].item()
            adds = self.m.adds(self.output, own).table()
            keys = [k for _, choices in self.m.groups(self.output, fixed) for k in choices[0]]
            *N, D = (sum((adds[k][j] for k in keys), arb(0)) for j in range(5))
            x = self.m.stream(8 + self.output, own) + self.m.w["blocks.0.attn.o.bias"]
            x += arb_mat([[n / D] for n in N])
            self.streams[i] = balls_of(census.SPHERE.T) * x
        return self.streams[i]

    def g(self, i, other, constant):
        """(g, |G|_1, |h|) of one input and one other token at a constant `[3]`."""
        right = census.ANSWER[self.output, i].item()
        G = [self.rows[k, right] - self.rows[k, other] for k in range(3)]
        h = self.added[right] - self.added[other]
        x = [a + b for a, b in zip(self.stream(i).entries(), constant)]
        size = (sum(a * a for a in x) / 4 + arb(LN_EPS)).sqrt()
        return sum(a * b for a, b in zip(G, x)) + h * size, sum(map(abs, G)), abs(h)

    def reach(self, middle, inputs):
        """How far from `middle` a constant can be that is right for one input of each answer."""
        A, K, h = [], [], []
        streams = [self.stream(i).entries() for i in inputs]
        far = [sum((a + b) ** 2 for a, b in zip(x, middle)).sqrt() for x in streams]
        for other in range(1, 4):
            G = [self.rows[k, 0] - self.rows[k, other] for k in range(3)]
            h.append([self.added[0] - self.added[other]])
            A.append(G)
            size = far[0].max(far[other])
            length = sum(a * a for a in G).sqrt()
            K.append(length * size + abs(h[-1][0]) * (size / 2 + arb(LN_EPS).sqrt()))
        inverse = arb_mat(A).inv()
        turn = abs(1 - sum(x * x for x in (inverse * arb_mat(h)).entries()).sqrt() / 2)
        return sum(x * x for x in inverse.entries()).sqrt() * sum(k * k for k in K).sqrt() / turn


def covered(leaves, check, level=0, at=(0, 0, 0)):
    """Whether a cube is refuted, or cut into eight that are."""
    if (level, *at) in leaves:
        return check(level, at, *leaves[level, *at])
    assert level < constants.DEPTH
    halves = [(2 * i, 2 * i + 1) for i in at]
    parts = ((x, y, z) for x in halves[0] for y in halves[1] for z in halves[2])
    return all(covered(leaves, check, level + 1, part) for part in parts)


def is_certified(model, output, found):
    with ctx.workprec(proof.PRECISION):
        balls, root = Checker(model, output), arb(3).sqrt() / 2
        middle = [arb(float(x)) for x in found.middle]
        corner = [x - arb(found.reach) for x in middle]

        def check(level, at, i, other):
            half = arb(found.reach) / 2**level
            centre = [x + (2 * k + 1) * half for x, k in zip(corner, at)]
            g, flat, round_ = balls.g(i, other, centre)
            return g + half * (flat + root * round_) < 0

        y = model.attn[output] + model.stream[output]
        far = (y @ torch.from_numpy(census.SPHERE) + torch.from_numpy(found.middle)).norm(dim=1)
        answers = [
            far.where(census.ANSWER[output] == t, math.inf).argmin().item() for t in range(4)
        ]
        leaves = {tuple(row[:4]): tuple(row[4:]) for row in found.leaves.tolist()}
        return balls.reach(middle, answers) <= found.reach and covered(leaves, check)


@pytest.mark.parametrize("n", [2, pytest.param(12, marks=pytest.mark.nightly)])
def test_where_there_is_no_constant_the_cubes_prove_it(n):
    """Models drawn by a fixed seed from those that have an output without a constant."""
    table = survey.exact_models()
    none = survey.values(table, "mlp_constant") == 0
    some = none.any(1).nonzero().flatten()
    drawn = np.random.default_rng(0).choice(some.numpy(), n, replace=False)
    models = survey.load_models()
    for k in drawn:
        model = opened(models, models.seeds.index(table.index[k]))
        output = none[k].nonzero().flatten()[0].item()
        found = decided(model, output)
        assert found.verdict == 0
        assert is_certified(model, output, found)
        found.leaves = found.leaves[1:]  # a hole: nobody knows what is in it
        with pytest.raises(AssertionError):
            is_certified(model, output, found)


def test_a_line_that_is_found_is_enough_and_the_routes_add_up():
    models = survey.load_models()
    model = opened(models, models.seeds.index(42))
    assert not (model.says(census.along(model.attn, 1, True, True)[0]) == census.ANSWER).all()
    axes = census.find_line(model)
    assert (model.says(census.cut_down(model, axes)) == census.ANSWER).all()
    (shares,), _ = routes.follow(model.zoo, 0, census.SEQUENCES[::1024])
    assert shares[0] == 0 and shares[15] == 1  # the token nowhere, and everywhere


def test_routes_are_what_patching_by_hand_gives():
    """x7 given to the query of seed 0 alone: the query is taken from a run with that token."""
    model = opened(load_zoo("article"), 0)
    drawn = torch.randperm(4**7, generator=torch.Generator().manual_seed(0))[:64]
    bridge, few, place = model.zoo.bridge(0), census.SEQUENCES[4 * drawn, :16], 8
    name, hits = "blocks.0.attn.hook_q", []

    def with_x7(token):
        return few[:, : place + 1].clone().index_fill_(1, torch.tensor([place]), token)

    for new in range(4):
        _, cache = bridge.run_with_cache(with_x7(new))
        query = cache[name][:, place].clone()

        def give(value, hook, query=query):
            value[:, place] = query
            return value

        for old in {*range(4)} - {new}:
            logits = bridge.run_with_hooks(with_x7(old), fwd_hooks=[(name, give)])
            hits.append(logits[:, place].argmax(-1) == (new + 1) % 4)
    by_hand = torch.cat(hits).double().mean().item()
    (shares,), _ = routes.follow(model.zoo, 0, census.SEQUENCES[4 * drawn])
    assert shares[1].item() == pytest.approx(by_hand) and 0 < by_hand < 1
