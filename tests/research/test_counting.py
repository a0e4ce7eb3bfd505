"""research.counting: the same numbers as running every input, edited or not."""

import pytest
import torch

from helpers import evaluation, interventions, model, task
from research import counting
from tests.samples import random_zoo

PLAIN = [kind for kind in model.KINDS if model.get_kind(kind).task == "reverse_plus_one"]


def of_length(kind: str, length: int) -> model.Kind:
    """The same kind for another number of digits."""
    config = {k: v for k, v in model.get_kind(kind).config.items() if k != "n_ctx"}
    return model.Kind(config, length=length)


def check_same(zoo):
    assert torch.equal(counting.n_right(zoo), evaluation.n_right(zoo))
    assert torch.equal(counting.by_position(zoo), evaluation.by_position(zoo))


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_counts_are_those_of_running_every_input(kind, length):
    check_same(random_zoo(of_length(kind, length)))


def test_counts_of_trained_models_are_those_of_running_every_input():
    zoo = model.load_zoo("article")
    check_same(zoo[7])  # one that is not exact
    assert counting.n_right(zoo[0]).tolist() == [task.N_SEQUENCES]


def test_models_are_counted_in_groups_in_their_order(monkeypatch):
    monkeypatch.setattr(counting, "AT_ONCE", 2)
    check_same(random_zoo(of_length("article", 4), range(5)))


def some(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def flipped(value, tokens):
    return value.flip(-1) + tokens[:, 5:10, None] / 7 - 0.3


EDITS = {  # two models of five digits
    "pattern for all, its rows do not sum to 1, it sees the future": {"pattern": some(5, 10)},
    "pattern for each": {"pattern": some(2, 1, 5, 10)},
    "ideal pattern and neurons": {"pattern": interventions.ideal_pattern(5), "post": some(16)},
    "tensors for each": {"z": some(2, 1, 5, 4), "mlp_out": some(2, 1, 5, 4)},
    "function": {"mlp_out": flipped, "resid_post": flipped},
    "function for the pattern": {"pattern": lambda value, tokens: value.flip(-1)},
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_counts_with_edits_are_those_of_running_every_input(edits):
    check_same(random_zoo(of_length("article", 5)).edited(edits))


def test_the_long_way_is_taken_where_the_sums_do_not_hold():
    check_same(random_zoo(model.Kind(length=4, task="sum_pairs")))
    far = random_zoo(of_length("article", 5))
    far.weights["blocks.0.attn.q.weight"] *= 1e4
    check_same(far)
