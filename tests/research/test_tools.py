"""The truth of the routes on models made by hand, and that the tools compute what they say."""

from itertools import permutations
from math import log

import pytest
import torch

from helpers.model import Kind, Zoo, forward, shapes
from research import routes, tools
from research.routes import NEW, ROUTES
from tests.samples import random_zoo

KIND = Kind(dict(attn_only=True, normalization_type=None, d_model=23, d_head=1))
FAR = 1000.0


def by_hand(route: str) -> Zoo:
    """A model whose y0 is told by one route: token t of x7 comes as the number t / 3, in the last
    dimension of the stream; the others say the token, and the position."""
    w = {name: torch.zeros(1, *shape, dtype=torch.float64) for name, shape in shapes(KIND).items()}
    embed, place = w["embed.weight"][0], w["pos_embed.weight"][0]
    embed[:, :5], place[:, 5:22] = torch.eye(5), torch.eye(17)
    q, k, v, o = (w[f"blocks.0.attn.{part}.weight"][0] for part in "qkvo")
    x7, number = 5 + 8, torch.arange(4) / 3  # x7 stands at position 8
    score = torch.tensor([-FAR, -log(2), log(2), FAR])  # against a score of 0: weights 0, 1/3, ...
    o[22, 0] = 1
    if route == "direct":
        embed[:4, 22] = number
    elif route == "value":
        q[0, x7], k[0, x7], v[0, :4] = 1, FAR, number
    else:
        v[0, x7] = 1
        if route == "query":  # the other eight keys have the score 0 together
            q[0, :4], k[0, x7] = score + log(8), 1
        else:
            q[0, x7], k[0, :4], k[0, 6:x7] = 1, score, -9 * FAR
    for answer, slope, height in zip((1, 2, 3, 0), range(4), (0, 1 / 6, 4 / 6, 9 / 6)):
        w["unembed.weight"][0, answer, [22, x7]] = 30 * torch.tensor([slope, -height]).double()
    w["unembed.weight"][0, 4, x7] = -FAR
    return Zoo(KIND, w, [0])


@pytest.mark.parametrize("route", ROUTES)
def test_the_truth_and_patching_name_the_route_of_a_model_made_by_hand(route):
    model, one = by_hand(route), torch.tensor([route == r for r in ROUTES])
    right, differs = routes.follow(model, 0, tools.TRUTH[:20])
    assert torch.equal(routes.shapley(right)[0], one.double())
    for tool in ("denoising", "noising", "both_ways"):
        effect = tools.MEASURED[tool](model, 0)[0]
        assert (effect[~one].abs() < 1e-9).all() and effect[one] > 1
    for subset in range(16):  # and it alone is enough, and needed
        assert right[0, subset] == bool(subset >> ROUTES.index(route) & 1)


def test_a_subset_of_all_routes_is_another_input_and_shares_add_up():
    zoo = random_zoo("article")
    for output in (0, 3):
        right, differs = routes.follow(zoo, output, tools.TRUTH[:9])
        logits = []
        for token in range(4):
            exchanged = tools.TRUTH[:9].clone()
            exchanged[:, 8 - output] = token
            logits.append(forward(zoo.weights, exchanged)[:, :, output])
        whole = routes.difference(torch.stack(logits, 1)[:, NEW]).mean((1, 2))
        assert torch.allclose(whole, differs[:, -1])
        assert torch.allclose(routes.shapley(differs).sum(1), differs[:, -1] - differs[:, 0])


def test_shapley_values_are_means_over_all_orders():
    value, shares = torch.rand(16, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    for order in permutations(range(4)):
        for i, route in enumerate(order):
            before = sum(1 << r for r in order[:i])
            shares[route] += (value[before + (1 << route)] - value[before]) / 24
    assert torch.allclose(routes.shapley(value), shares)


def test_gradients_are_exact_where_what_they_miss_is_straight():
    zoo = random_zoo("no_mlp_no_layernorm")  # logits are linear in the pattern, nodes in the stream
    exact, mended = (tools.MEASURED[tool](zoo, 0) for tool in ("noising", "mended"))
    assert torch.allclose(exact, mended) and not torch.allclose(exact, tools.estimated(zoo, 0))
    places = (torch.arange(400) + 0.5) / 400
    summed = tools.estimated(zoo, 0, places.tolist()).sum(1) / len(places)
    _, differs = routes.follow(zoo, 0, tools.LOOKS, [0, 15])
    assert torch.allclose(summed, differs[:, 1] - differs[:, 0], rtol=1e-3)
