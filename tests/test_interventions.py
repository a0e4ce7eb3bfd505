"""helpers.interventions: each does what it says, and raises when it does nothing."""

import pytest
import torch
from samples import SOME, random_zoo, sequences_of

from helpers import interventions, task
from helpers import model as M
from helpers.interventions import NothingChanged, ablate, intervene, mean_of, record


def same(value, tokens):
    return value


def test_edits_that_do_nothing_raise_before_anything_is_run(trained):
    with pytest.raises(NothingChanged, match="returned the value unchanged"):
        intervene(trained, {"z": same})
    with pytest.raises(NothingChanged, match="edit of 'post' returned the value"):
        intervene(trained, {"z": torch.zeros(4), "post": same})  # one of two
    allowed = intervene(trained, {"z": same}, effect=False)
    assert torch.equal(allowed(SOME), M.as_zoo(trained)(SOME))


def test_an_edit_that_leaves_one_model_of_a_zoo_alone_raises():
    zoo = M.load_zoo("article").where(torch.arange(32) < 3)
    zoo.weights["blocks.0.mlp.out.weight"][1] = 0
    with pytest.raises(NothingChanged, match="did not reach the logits in seed 1, on 512"):
        ablate(zoo, "post")


def test_an_edit_is_judged_on_fixed_random_inputs_of_the_models_own_task():
    """Not on the head of a sorted list, where x0..x3 are all 0."""
    seen = []

    def watch(value, tokens):
        seen.append(tokens)
        return value + 1

    for _ in range(2):
        intervene(random_zoo("sum_pairs"), {"z": watch})
    assert all(torch.equal(tokens, seen[0]) for tokens in seen)
    assert seen[0].shape == (interventions.N_TRIED, 17)
    assert 0.15 < (seen[0][:, 1] == 3).double().mean() < 0.35
    assert torch.equal(task.full_sequences(seen[0][:, 1:9], "sum_pairs"), seen[0])


def test_zeroing_by_hook_is_zeroing_the_weights(trained):
    for name, matrix in (("post", "blocks.0.mlp.out.weight"), ("z", "blocks.0.attn.o.weight")):
        weights = M.read_weights(trained)
        weights[matrix].zero_()
        by_weights = M.build("article", weights=weights)(SOME[:, :16])[:, 8:]
        assert torch.allclose(ablate(trained, name)(SOME)[0], by_weights, atol=1e-12)


@pytest.mark.parametrize("kind", ["article", "sum_pairs"])
def test_a_bridge_and_its_zoo_give_the_same(kind):
    """A bridge of the other task too, whose means are over that task's own sequences."""
    zoo = random_zoo(M.Kind(task=M.KINDS[kind].task, length=4))
    some = sequences_of(zoo)
    for how in interventions.HOW:
        one, many = ablate(zoo.bridge(1), "mlp", how)(some), ablate(zoo[1], "mlp", how)(some)
        assert torch.equal(one, many), how


@pytest.mark.parametrize("place", ["pattern", "mlp_out"])
def test_means_are_over_every_input(trained, place):
    values = record(trained, place, task.full_sequences())
    assert values.shape[:3] == (1, task.N_SEQUENCES, 8)
    assert torch.allclose(mean_of(trained, place)[:, 0], values.mean(1), atol=1e-10)


def test_the_mean_and_another_sequences_value_are_what_is_read(trained):
    mean = record(ablate(trained, "mlp", "mean"), "mlp_out", SOME)
    assert torch.allclose(mean, mean_of(trained, "mlp_out").expand_as(mean))
    others = task.full_sequences()[interventions.partners(task.N_SEQUENCES)]
    theirs = record(trained, "mlp_out", others[task.number(SOME[:, 1:9])])
    assert torch.equal(record(ablate(trained, "mlp", "resample"), "mlp_out", SOME), theirs)


def test_positions_and_neurons_limit_the_edit(trained):
    full, part = ablate(trained, "mlp")(SOME)[0], ablate(trained, "mlp", positions=[2])(SOME)[0]
    clean = M.as_zoo(trained)(SOME)[0]
    assert torch.allclose(part[:, 2], full[:, 2]) and torch.equal(part[:, 3], clean[:, 3])
    post = record(trained, "post", SOME)[0]
    fires = (post > 0).flatten(0, 1).any(0).nonzero()[0].item()
    off = record(ablate(trained, "post", neurons=[fires], positions=[2, 3]), "post", SOME)[0]
    assert (off[:, 2:4, fires] == 0).all()
    off[:, 2:4, fires] = post[:, 2:4, fires]
    assert torch.equal(off, post)


def test_the_ideal_pattern_looks_at_the_source_and_is_what_is_read(trained):
    pattern = interventions.ideal_pattern()
    names = [task.POSITION_NAMES[row.argmax()] for row in pattern]
    assert names == [f"x{7 - i}" for i in range(8)] and (pattern.sum(1) == 1).all()
    seen = record(intervene(trained, {"pattern": pattern}), "pattern", SOME)
    assert torch.equal(seen[0, 5], pattern)


def test_one_direction_leaves_one_number_and_is_each_models_own_best():
    zoo = random_zoo(M.Kind(length=4))
    edit, share = interventions.one_direction(zoo)
    value = record(zoo, "attn_out", task.full_sequences(length=4))
    kept, usual = edit(value, None), mean_of(zoo, "attn_out")
    assert torch.allclose(edit(kept, None), kept)  # doing it twice is doing it once
    for i in range(2):
        assert torch.linalg.matrix_rank((kept - usual)[i].flatten(0, 1), atol=1e-9) == 1
        varying = value[i] - usual[i]
        varying = (varying - varying.mean(-1, keepdim=True)).flatten(0, 1)
        best = torch.linalg.svdvals(varying)[0] ** 2 / varying.pow(2).sum()
        assert abs(best - share[i]) < 1e-9
        one, one_share = interventions.one_direction(zoo[i])
        assert torch.allclose(kept[i], one(value[i : i + 1], None)[0], atol=1e-9)
