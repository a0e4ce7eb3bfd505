"""helpers.certificate: its intervals contain what really happens, and it never claims too much."""

import pytest
import torch

from helpers import certificate as C
from helpers import model as M
from helpers import task as T
from helpers.interventions import ideal_pattern, set_pattern
from helpers.training import n_right, right


def one(seed):
    weights = M.initial_weights("article_default_init", seed)
    return M.Zoo("article", {k: v[None] for k, v in weights.items()}, [seed])


def test_there_are_116_cases_and_the_stored_model_is_proved():
    proof = C.certify(M.load_trained())
    assert proof["n_cases"] == C.N_CASES == 116
    assert 0 < proof["n_certain"] <= n_right(M.load_trained(), T.full_sequences())


def test_ideal_cases_decide_every_input_under_the_ideal_pattern():
    model = M.load_trained()
    cases, x = C.ideal_cases(model), T.all_inputs()
    hit = right(set_pattern(model, ideal_pattern()), T.full_sequences())
    for i in range(8):
        own = (x[:, 8 - i] + 1) % 4 if i else x[:, 7]
        assert torch.equal(hit[:, i], cases[i, own, x[:, 7 - i]])
    assert not hit.all()  # so both outcomes were compared


def test_scores_too_far_apart_for_the_bound_are_not_certain():
    weights = {k: v.clone() for k, v in M.read_weights(M.load_trained()).items()}
    for part in "qk":
        weights[f"blocks.0.attn.{part}.weight"] *= 100
    assert C.certify(M.build("article", weights=weights))["n_boxes"] == 0


def test_an_untrained_model_gets_no_certificate():
    assert C.certify(one(0))["n_certain"] == 0


def test_a_certain_case_is_right_on_every_input_that_it_covers():
    """Half-trained models, where some cases are certain and others are wrong."""
    from helpers.training import train

    zoo, _ = train("article", [0, 1], max_steps=230)
    sequences, x = T.full_sequences(), T.all_inputs()
    seen = 0
    for j in range(len(zoo)):
        single = zoo.where(torch.arange(2) == j)
        cases, hit = C.certify(single)["cases"], right(single, sequences)[0]
        for i in range(8):
            own = (x[:, 8 - i] + 1) % 4 if i else x[:, 7]
            covered = cases[i, own, x[:, 7 - i]]
            assert hit[covered, i].all()
            seen += int(covered.sum())
        assert not hit.all()
    assert seen > 0


def test_extremes_are_those_of_all_choices():
    torch.manual_seed(0)
    e, u = torch.rand(4, 3).double() + 0.1, torch.randn(4, 3, 2).double()
    allowed = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]]).bool()
    low, high = C._extremes(e, u, allowed)
    options = [row.nonzero().flatten().tolist() for row in allowed]
    keys, values = torch.arange(4), []
    for choice in torch.cartesian_prod(*[torch.tensor(o) for o in options]):
        weight = e[keys, choice]
        values.append((weight[:, None] * u[keys, choice]).sum(0) / weight.sum())
    values = torch.stack(values)
    assert torch.allclose(low, values.min(0).values, atol=1e-9)
    assert torch.allclose(high, values.max(0).values, atol=1e-9)


def test_lowest_margin_is_a_lower_bound_inside_the_box():
    torch.manual_seed(1)
    weights = {k: v[0] for k, v in M.as_zoo(M.load_trained()).weights.items()}
    axes = torch.linalg.qr(torch.randn(4, 4).double()).Q
    start, middle, radius = torch.randn(3, 4).double() * 3
    low, high = (middle - radius.abs())[None], (middle + radius.abs())[None]
    bound = C._lowest_margin(weights, start, axes, low, high, 2)
    stacked = {k: v[None] for k, v in weights.items()}
    for _ in range(300):
        x = start + axes @ (low + (high - low) * torch.rand(1, 4).double())[0]
        normed = M.layernorm(x[None, None], stacked, "blocks.0.ln2")
        post = M._linear(normed, stacked, "blocks.0.mlp.in").relu()
        resid = x + M._linear(post, stacked, "blocks.0.mlp.out")
        logits = M.unembed(resid, stacked)[0, 0]
        others = torch.cat([logits[:2], logits[3:]])
        centred = resid - resid.mean()
        scale = (centred.pow(2).mean() + 1e-5).sqrt()
        assert (logits[2] - others.max()) * scale >= bound.item() - 1e-9


def test_other_models_are_refused():
    for kind in ("no_mlp", "sum_pairs"):
        weights = {k: v[None] for k, v in M.initial_weights(kind).items()}
        with pytest.raises(ValueError, match=kind):
            C.certify(M.Zoo(kind, weights, [0]))
