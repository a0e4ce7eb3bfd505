"""helpers.interventions: each does what it says, and raises when it did nothing."""

import pytest
import torch

from helpers import interventions as I
from helpers import model as M
from helpers import task as T

SAMPLE = T.full_sequences()[::1031]


@pytest.fixture(scope="module")
def model():
    return M.load_trained()


def test_identity_and_unreached_edits_raise(model):
    with pytest.raises(I.NothingChanged, match="returned the value unchanged"):
        I.intervene(model, {"z": lambda v, _: v})(SAMPLE)
    for without in (M.build("no_mlp"), M.as_zoo(M.build("no_mlp"), "no_mlp")):
        with pytest.raises(ValueError, match="has no mlp_out"):
            I.ablate(without, "mlp")
    with pytest.raises(I.NothingChanged, match="did not reach the logits"):
        silent = dict(M.read_weights(model))
        silent["blocks.0.mlp.out.weight"] = torch.zeros_like(silent["blocks.0.mlp.out.weight"])
        I.ablate(M.build("article", weights=silent), "post")(SAMPLE)
    same = I.intervene(model, {"z": lambda v, _: v}, effect=False)(SAMPLE)
    assert torch.equal(same, M.logits(model, SAMPLE))


def test_the_discarded_place_is_not_offered(model):
    for name in ("attn_scores", "resid_mid"):
        with pytest.raises(ValueError, match=f"no place '{name}'.*pattern"):
            I.intervene(model, {name: lambda v, _: v * 0})


def test_bad_words_are_named(model):
    with pytest.raises(ValueError, match="attention, mlp"):
        I.ablate(model, "head")
    with pytest.raises(ValueError, match="zero, mean, resample"):
        I.ablate(model, "mlp", "noise")


def test_zeroing_by_hook_is_zeroing_the_weights(model):
    for name, matrix in (("post", "blocks.0.mlp.out.weight"), ("z", "blocks.0.attn.o.weight")):
        weights = M.read_weights(model)
        weights[matrix].zero_()
        by_weights = M.logits(M.build("article", weights=weights), SAMPLE)
        assert torch.allclose(I.ablate(model, name)(SAMPLE), by_weights, atol=1e-12)


def test_bridge_and_zoo_give_the_same(model):
    zoo = M.as_zoo(model)
    for part in I.PARTS:
        for how in I.HOW:
            one, many = I.ablate(model, part, how)(SAMPLE), I.ablate(zoo, part, how)(SAMPLE)
            assert torch.allclose(one, many[0], atol=1e-9), (part, how)


def test_mean_is_over_everything_and_resampling_takes_another_sequence(model):
    everything = T.full_sequences()
    values = torch.cat([I.record(model, "mlp_out", s) for s in everything.split(8192)])
    assert torch.allclose(I.mean_of(model, "mlp_out"), values.mean(0), atol=1e-10)
    partner = I._partners(model, seed=0)
    others = partner(everything)
    assert len(others.unique(dim=0)) == 65_536  # a shuffle: every sequence is a partner once
    assert (others != everything).any(1).double().mean() > 0.999
    assert not torch.equal(others, I._partners(model, seed=1)(everything))


def test_positions_and_neurons_limit_the_edit(model):
    full, part = I.ablate(model, "mlp")(SAMPLE), I.ablate(model, "mlp", positions=[2])(SAMPLE)
    clean = M.logits(model, SAMPLE)
    assert torch.allclose(part[:, 2], full[:, 2]) and torch.equal(part[:, 3], clean[:, 3])
    fires = (I.record(model, "post", SAMPLE) > 0).flatten(0, 1).any(0).nonzero()[0].item()
    assert not torch.equal(I.ablate(model, "post", neurons=[fires])(SAMPLE), clean)


def test_ideal_pattern_looks_at_the_source():
    pattern = I.ideal_pattern()
    names = [T.POSITION_NAMES[row.argmax()] for row in pattern]
    assert names == [f"x{7 - i}" for i in range(8)] and (pattern.sum(1) == 1).all()


def test_an_edit_that_leaves_one_model_of_a_zoo_alone_raises():
    zoo = M.load_zoo("article").where(torch.arange(32) < 3)
    zoo.weights["blocks.0.mlp.out.weight"][1] = 0
    with pytest.raises(I.NothingChanged, match="did not reach the logits in seed 1"):
        I.ablate(zoo, "post")(SAMPLE)


def test_one_direction_leaves_one_number_and_is_the_best_one(model):
    edit, share = I.one_direction(model)
    everything = T.full_sequences()[::13]
    value = I.record(model, "attn_out", everything)
    kept = edit(value, None)
    usual = I.mean_of(model, "attn_out")
    assert torch.linalg.matrix_rank((kept - usual).flatten(0, 1), atol=1e-9) == 1
    assert torch.allclose(edit(kept, None), kept)  # doing it twice is doing it once
    centre = lambda v: (v - v.mean(-1, keepdim=True)).pow(2).sum()
    assert abs(centre(kept - usual) / centre(value - usual) - share) < 0.01  # on a thirteenth
    zoo_edit, zoo_share = I.one_direction(M.as_zoo(model))
    assert torch.allclose(zoo_edit(value[None], None)[0], kept) and abs(zoo_share[0] - share) < 1e-9
