"""helpers.evaluation: what is counted, and that every way to ask agrees."""

import torch
from samples import SOME, random_zoo, sequences_of

from helpers import task
from helpers.evaluation import accuracy, by_position, hits, n_right, right
from helpers.model import Kind, load_trained


def test_the_stored_model_is_right_on_every_input():
    assert n_right(load_trained()).item() == task.N_SEQUENCES


def test_what_is_counted_by_hand():
    logits = torch.zeros(1, 8, 5)
    logits[0, range(8), SOME[1, 9:]] = 1
    assert hits(logits, SOME[1:2]).all()
    logits[0, 3] = logits[0, 3].roll(1)
    assert hits(logits, SOME[1:2])[0].tolist() == [i != 3 for i in range(8)]
    everywhere = torch.cat([torch.zeros(1, 8, 5), logits], 1)  # at all 16 positions
    assert torch.equal(hits(everywhere, SOME[1:2]), hits(logits, SOME[1:2]))
    assert accuracy(logits, SOME[1:2]).tolist() == [float(i != 3) for i in range(8)]


def test_all_ways_to_count_agree_on_chosen_sequences_and_on_every_input():
    for kind in ("article", Kind(length=4), Kind(length=3, task="sum_pairs")):
        zoo = random_zoo(kind)
        chosen, every = sequences_of(zoo), task.full_sequences(task=zoo.task, length=zoo.length)
        hit = right(zoo, chosen)
        assert hit.shape == (2, 60, zoo.length)
        assert torch.equal(hit, hits(zoo(chosen), chosen))
        assert torch.equal(n_right(zoo, chosen), hit.all(-1).sum(1))
        assert torch.equal(by_position(zoo, chosen), hit.double().mean(1))
        if zoo.length < 8:
            assert torch.equal(n_right(zoo), n_right(zoo, every))
            assert torch.allclose(by_position(zoo), by_position(zoo, every))


def test_edits_are_counted_and_nothing_is_tracked():
    zoo = random_zoo(seeds=[0])
    edited = zoo.edited({"z": torch.zeros(4)})
    assert torch.equal(right(edited, SOME), hits(edited(SOME), SOME))
    zoo.weights["embed.weight"].requires_grad_()
    assert not by_position(zoo, SOME).requires_grad
