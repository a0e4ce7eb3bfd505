"""helpers.interventions: each does what it says, and raises when it does nothing."""

import pytest
import torch
from samples import SOME, random_zoo, sequences_of

from helpers import interventions as I
from helpers import model as M
from helpers import task as T
from helpers.evaluation import by_position, n_right


@pytest.fixture(scope="module")
def model():
    return M.load_trained()


def same(value, tokens):
    return value


# ---------------------------------------------------------------- what is refused


def test_edits_that_do_nothing_raise_before_anything_is_run(model):
    with pytest.raises(I.NothingChanged, match="returned the value unchanged"):
        I.intervene(model, {"z": same})
    with pytest.raises(I.NothingChanged, match="edit of 'post' returned the value"):
        I.intervene(model, {"z": torch.zeros(4), "post": same})  # one of two
    silent = M.read_weights(model)
    silent["blocks.0.mlp.out.weight"] = torch.zeros_like(silent["blocks.0.mlp.out.weight"])
    with pytest.raises(I.NothingChanged, match="did not reach the logits"):
        I.ablate(M.build("article", weights=silent), "post")
    allowed = I.intervene(model, {"z": same}, effect=False)
    assert torch.equal(allowed(SOME), M.as_zoo(model)(SOME))


def test_an_edit_that_leaves_one_model_of_a_zoo_alone_raises():
    zoo = M.load_zoo("article").where(torch.arange(32) < 3)
    zoo.weights["blocks.0.mlp.out.weight"][1] = 0
    with pytest.raises(I.NothingChanged, match="did not reach the logits in seed 1, on 512"):
        I.ablate(zoo, "post")


def test_an_edit_is_judged_on_random_inputs_and_once():
    """Not on the head of a sorted list, where x0..x3 are all 0; and not again in each part."""
    zoo, calls = random_zoo(seeds=[0]), []

    def only_where_x0_is_3(value, tokens):
        calls.append(tokens)
        return torch.where(tokens[:, 1, None, None] == 3, -value, value)

    edited = I.intervene(zoo, {"resid_post": only_where_x0_is_3})
    sample = calls[0]
    assert sample.shape == (I.N_TRIED, 17) and 0.15 < (sample[:, 1] == 3).double().mean() < 0.35
    assert torch.equal(T.full_sequences(sample[:, 1:9]), sample)
    assert all(torch.equal(tokens, sample) for tokens in calls)
    calls.clear()
    n_right(edited)
    run = torch.cat(calls)
    assert len(run) == len(run.unique(dim=0)) == T.N_SEQUENCES
    calls.clear()
    I.intervene(zoo, {"resid_post": only_where_x0_is_3})
    assert all(torch.equal(tokens, sample) for tokens in calls)  # the same ones every time


def test_the_sample_is_of_the_models_own_task():
    seen = []

    def watch(value, tokens):
        seen.append(tokens)
        return value + 1

    I.intervene(random_zoo("sum_pairs"), {"resid_post": watch, "z": torch.zeros(16)})
    assert torch.equal(T.full_sequences(seen[0][:, 1:9], "sum_pairs"), seen[0])


def test_places_that_are_not_there_are_named(model):
    for name in ("attn_scores", "resid_mid"):
        with pytest.raises(ValueError, match=f"no place '{name}'.*pattern"):
            I.intervene(model, {name: torch.zeros(1)})
        with pytest.raises(ValueError, match=f"no place '{name}'.*pattern"):
            I.record(model, name, SOME)
    for without in (M.build("no_mlp"), M.as_zoo(M.build("no_mlp"))):
        with pytest.raises(ValueError, match="has no mlp_out: 'no_mlp' was built without an MLP"):
            I.ablate(without, "mlp")
        with pytest.raises(ValueError, match="has no post"):
            I.mean_of(without, "post")


def test_bad_words_and_numbers_are_named(model):
    for bad, message in (
        (dict(part="head"), "no part 'head'; there are attention, mlp"),
        (dict(part="mlp", how="noise"), "no ablation 'noise'; there are zero, mean, resample"),
        (dict(part="mlp", positions=[8]), "no position 8; allowed are whole numbers from 0 to 7"),
        (dict(part="mlp", positions=[-1]), "no position -1"),
        (dict(part="post", neurons=[16]), "no neuron 16; allowed are whole numbers from 0 to 15"),
    ):
        with pytest.raises(ValueError, match=message):
            I.ablate(model, **bad)
    for part in ("attention", "mlp", "z", "resid_post"):
        with pytest.raises(ValueError, match=f"neurons for '{part}'; only 'post' has neurons"):
            I.ablate(model, part, neurons=[0])
    with pytest.raises(ValueError, match=r"shape \(8, 8\); allowed is \(8, 16\)"):
        I.set_pattern(model, torch.ones(8, 8))


# ---------------------------------------------------------------- what each does


def test_zeroing_by_hook_is_zeroing_the_weights(model):
    for name, matrix in (("post", "blocks.0.mlp.out.weight"), ("z", "blocks.0.attn.o.weight")):
        weights = M.read_weights(model)
        weights[matrix].zero_()
        by_weights = M.build("article", weights=weights)(SOME[:, :16])[:, 8:]
        assert torch.allclose(I.ablate(model, name)(SOME)[0], by_weights, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["article", "sum_pairs"])
def test_a_bridge_and_its_zoo_give_the_same(kind):
    """A bridge of the other task too, whose means are over that task's own sequences."""
    zoo = M.load_zoo(kind).where(torch.arange(32) == 2)
    bridge, some = zoo[0], sequences_of(zoo)
    for part in I.PARTS:
        for how in I.HOW if kind == "article" else ("mean",):
            one, many = I.ablate(bridge, part, how)(some), I.ablate(zoo, part, how)(some)
            assert torch.equal(one, many), (part, how)


@pytest.mark.slow
def test_ablations_are_those_that_the_library_makes_by_hooks(model):
    """One by one, written as the notebooks write them."""
    tokens = SOME[:, :16]
    _, cache = model.run_with_cache(T.full_sequences()[:, :16], names_filter=M.HOOKS["mlp_out"])
    written = cache["mlp_out", 0]
    others = I._partners(M.as_zoo(model), 0)(SOME)
    _, theirs = model.run_with_cache(others[:, :16], names_filter=M.HOOKS["mlp_out"])
    new = {"zero": 0 * written[0], "mean": written.mean(0), "resample": theirs["mlp_out", 0]}
    for how, value in new.items():
        hook = (M.HOOKS["mlp_out"], lambda old, hook, value=value: value.expand_as(old))
        by_hook = model.run_with_hooks(tokens, fwd_hooks=[hook])[:, 8:]
        assert torch.allclose(I.ablate(model, "mlp", how)(SOME)[0], by_hook, atol=1e-9), how


@pytest.mark.parametrize("place", M.HOOKS)
def test_means_are_over_every_input(model, place):
    values = I.record(model, place, T.full_sequences())
    assert values.shape[:3] == (1, T.N_SEQUENCES, 8)
    assert torch.allclose(I.mean_of(model, place)[:, 0], values.mean(1), atol=1e-10)


def test_means_are_the_same_every_time_whatever_the_threads(model):
    before, means = torch.get_num_threads(), []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        means.append(I.mean_of(model, "attn_out"))
    torch.set_num_threads(before)
    assert torch.equal(means[0], means[1]) and torch.equal(means[0], means[2])


def test_resampling_takes_another_sequence(model):
    everything, zoo = T.full_sequences(), M.as_zoo(model)
    others = I._partners(zoo, seed=0)(everything)
    assert len(others.unique(dim=0)) == T.N_SEQUENCES  # a shuffle: every sequence is a partner once
    assert (others != everything).any(1).double().mean() > 0.999
    assert not torch.equal(others, I._partners(zoo, seed=1)(everything))


def test_an_ablation_of_an_edited_model_sees_the_edit(model):
    usual = I.mean_of(model, "mlp_out")
    shifted = I.intervene(model, {"attn_out": lambda value, _: 2 * value})
    assert not torch.allclose(I.mean_of(shifted, "mlp_out"), usual)
    both = I.ablate(shifted, "mlp", "mean")
    assert set(both.edits) == {"attn_out", "mlp_out"}
    assert torch.allclose(I.record(both, "mlp_out", SOME)[:, :1], I.mean_of(shifted, "mlp_out"))


def test_positions_and_neurons_limit_the_edit(model):
    full, part = I.ablate(model, "mlp")(SOME)[0], I.ablate(model, "mlp", positions=[2])(SOME)[0]
    clean = M.as_zoo(model)(SOME)[0]
    assert torch.allclose(part[:, 2], full[:, 2]) and torch.equal(part[:, 3], clean[:, 3])
    post = I.record(model, "post", SOME)[0]
    fires = (post > 0).flatten(0, 1).any(0).nonzero()[0].item()
    off = I.record(I.ablate(model, "post", neurons=[fires], positions=[2, 3]), "post", SOME)[0]
    assert (off[:, 2:4, fires] == 0).all()
    off[:, 2:4, fires] = post[:, 2:4, fires]
    assert torch.equal(off, post)


def test_ideal_pattern_looks_at_the_source():
    pattern = I.ideal_pattern()
    names = [T.POSITION_NAMES[row.argmax()] for row in pattern]
    assert names == [f"x{7 - i}" for i in range(8)] and (pattern.sum(1) == 1).all()


def test_a_set_pattern_is_the_one_that_is_read(model):
    pattern = torch.rand(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = I.record(I.set_pattern(model, pattern.tolist()), "pattern", SOME)
    assert torch.equal(seen[0, 5], pattern)
    by_function = I.intervene(model, {"pattern": lambda value, _: pattern.expand_as(value)})
    assert torch.equal(by_position(by_function), by_position(I.set_pattern(model, pattern)))


def test_one_direction_leaves_one_number_and_is_the_best_one(model):
    edit, share = I.one_direction(model)
    value = I.record(model, "attn_out", T.full_sequences()[::13])
    kept, usual = edit(value, None), I.mean_of(model, "attn_out")
    assert torch.linalg.matrix_rank((kept - usual)[0].flatten(0, 1), atol=1e-9) == 1
    assert torch.allclose(edit(kept, None), kept)  # doing it twice is doing it once

    def size(v):
        return (v - v.mean(-1, keepdim=True)).pow(2).sum()

    assert abs(size(kept - usual) / size(value - usual) - share[0]) < 0.01  # on a thirteenth
    varying = value - usual
    varying = (varying - varying.mean(-1, keepdim=True))[0].flatten(0, 1)
    best = torch.linalg.svdvals(varying)[0] ** 2 / varying.pow(2).sum()
    assert abs(best - share[0]) < 0.01


def test_one_direction_of_a_zoo_is_each_models_own():
    zoo = M.load_zoo("article").where(torch.arange(32) < 2)
    edit, share = I.one_direction(zoo)
    value = I.record(zoo, "attn_out", SOME)
    for i in range(2):
        one, one_share = I.one_direction(zoo.where(torch.arange(2) == i))
        assert torch.allclose(edit(value, None)[i], one(value[i : i + 1], None)[0], atol=1e-9)
        assert abs(share[i] - one_share[0]) < 1e-9
