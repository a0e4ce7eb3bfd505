"""The truth of the routes on models made by hand, and that the tools compute what they say."""

from math import log

import pytest
import torch

from helpers.model import Kind, Zoo, forward, shapes
from research import routes, tools
from research.routes import NEW, ROUTES
from tests.samples import random_zoo


def by_hand(route: str) -> Zoo:
    """A model whose y0 is told by one route: the token t of x7 comes as the number t / 3, in the
    last dimension of the stream. The others hold one-hot token and position."""
    kind = Kind(dict(attn_only=True, normalization_type=None, d_model=23, d_head=1))
    w = {name: torch.zeros(1, *shape, dtype=torch.float64) for name, shape in shapes(kind).items()}
    w["embed.weight"][0, :, :5], w["pos_embed.weight"][0, :, 5:22] = torch.eye(5), torch.eye(17)
    q, k, v, o = (w[f"blocks.0.attn.{part}.weight"][0] for part in "qkvo")
    x7, number = 5 + 8, torch.arange(4) / 3  # x7 stands at position 8
    score = torch.tensor([-1e3, -log(2), log(2), 1e3])  # its weight against a score of 0: number
    o[22, 0], v[0, x7] = 1, 1
    if route == "direct":
        o[22, 0], w["embed.weight"][0, :4, 22] = 0, number
    elif route == "value":
        q[0, x7], k[0, x7], v[0, x7], v[0, :4] = 1, 1e3, 0, number
    elif route == "query":
        q[0, :4], k[0, x7] = score + log(8), 1  # eight other keys
    else:
        q[0, x7], k[0, :4], k[0, 6:x7] = 1, score, -1e4
    for answer, slope, height in zip((1, 2, 3, 0, 4), range(5), (0, 1 / 6, 4 / 6, 9 / 6, 99)):
        w["unembed.weight"][0, answer, [22, x7]] = 30 * torch.tensor([slope, -height]).double()
    return Zoo(kind, w, [0])


@pytest.mark.parametrize("route", ROUTES)
def test_the_truth_and_patching_name_the_route_of_a_model_made_by_hand(route):
    model, one = by_hand(route), torch.tensor([route == r for r in ROUTES])
    right, _ = routes.follow(model, 0, tools.TRUTH[:20])
    assert torch.equal(routes.shapley(right)[0], one.double())  # the sum is one, too
    for tool in ("denoising", "noising", "both_ways"):
        effect = tools.MEASURED[tool](model, 0)[0]
        assert (effect[~one].abs() < 1e-9).all() and effect[one] > 1


@pytest.mark.parametrize("output", [0, 3])
def test_all_routes_together_are_another_input_and_shares_add_up(output):
    zoo, inputs = random_zoo(), tools.TRUTH[:9].repeat(12, 1, 1)
    inputs[:, :, 8 - output] = NEW[:, None]
    logits = forward(zoo.weights, inputs.flatten(0, 1))[:, :, output].unflatten(1, (12, 9))
    _, differs = routes.follow(zoo, output, tools.TRUTH[:9])
    assert torch.allclose(routes.difference(logits).mean((1, 2)), differs[:, -1])
    assert torch.allclose(routes.shapley(differs).sum(1), differs[:, -1] - differs[:, 0])


def test_gradients_are_exact_where_what_they_miss_is_straight():
    zoo = random_zoo("no_mlp_no_layernorm")  # logits are linear in the pattern, nodes in the stream
    exact, mended = (tools.MEASURED[tool](zoo, 0) for tool in ("noising", "mended"))
    assert torch.allclose(exact, mended) and not torch.allclose(exact, tools.estimated(zoo, 0))
    summed = tools.estimated(zoo, 0, [(i + 0.5) / 400 for i in range(400)]).sum(1) / 400
    _, differs = routes.follow(zoo, 0, tools.LOOKS, [0, 15])
    assert torch.allclose(summed, differs[:, 1] - differs[:, 0], rtol=1e-3)
