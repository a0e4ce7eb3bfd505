"""helpers.evaluation: what is counted, and the sums of halves against the long way."""

import pytest
import torch
import torch.nn.functional as F
from samples import random_zoo, sequences_of

from helpers import evaluation as E
from helpers import interventions as I
from helpers import model as M
from helpers import task as T

EVERYTHING = T.full_sequences()
PLAIN = [kind for kind in M.KINDS if M.get_kind(kind).task == "reverse_plus_one"]


def largest_gap(zoo, step=37):
    """Between logits by the sums and by `forward`, on every `step`-th part of all inputs."""
    everything = T.full_sequences(task=zoo.task, length=zoo.length)
    by_sums = E.every_input(zoo, everything)
    parts = everything.split(T.DIGITS ** (zoo.length - zoo.length // 2))[::step]
    return max((by_sums(part) - zoo(part)).abs().max().item() for part in parts)


@pytest.mark.parametrize("kind", PLAIN)
def test_sums_equal_forward_on_every_kind(kind):
    assert largest_gap(random_zoo(kind)) < 1e-10
    assert largest_gap(M.load_zoo(kind).where(torch.arange(32) < 3)) < 1e-10


def flipped(value, tokens):
    return value.flip(-1) + tokens[:, 8:16, None] / 7 - 0.3


ONE_FOR_ALL = torch.rand(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ONE_EACH = torch.rand(2, 1, 8, 16, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("place", [p for p in M.HOOKS if p != "pattern"])
@pytest.mark.parametrize("pattern", [None, ONE_FOR_ALL, ONE_EACH], ids=["own", "one", "each"])
def test_sums_equal_forward_with_edits(place, pattern):
    edits = {place: flipped} | ({} if pattern is None else {"pattern": pattern})
    assert largest_gap(random_zoo().edited(edits)) < 1e-10


@pytest.mark.parametrize("kind", PLAIN)
def test_sums_equal_forward_with_a_fixed_pattern(kind):
    # its rows do not sum to 1, and it looks at later tokens too
    assert largest_gap(random_zoo(kind).edited({"pattern": ONE_FOR_ALL})) < 1e-10
    assert largest_gap(random_zoo(kind).edited({"pattern": I.ideal_pattern()})) < 1e-10


@pytest.mark.parametrize("length", [1, 2, 5, 6])
def test_other_lengths_are_counted_the_same_both_ways(length):
    zoo = random_zoo(M.Kind(length=length))
    everything = T.full_sequences(length=length)
    assert len(everything) == T.DIGITS**length
    assert torch.equal(E.right(zoo), E.right(zoo, everything))
    assert largest_gap(zoo, step=1) < 1e-10


def test_the_long_way_is_taken_where_the_sums_do_not_hold():
    zoo = random_zoo()
    far = M.Zoo(zoo.kind, dict(zoo.weights), zoo.seeds)
    far.weights["blocks.0.attn.q.weight"] = far.weights["blocks.0.attn.q.weight"] * 1e4
    by_sequence = zoo.edited({"pattern": lambda value, _: value.flip(-1)})
    other_task = random_zoo(M.Kind(length=4, task="sum_pairs"))
    for model in (far, by_sequence, other_task):
        everything = T.full_sequences(task=model.task, length=model.length)
        assert E.every_input(model, everything) is None
    assert torch.equal(E.n_right(other_task), E.n_right(other_task, everything))
    some = EVERYTHING[::97]
    assert torch.equal(E.right(far)[:, ::97], E.right(far, some))


@pytest.mark.slow
def test_every_input_and_chosen_ones_agree_in_all_counts():
    zoo = M.load_zoo("article")
    zoo = zoo.where(~zoo.exact | (torch.arange(32) < 14))
    assert E.MODELS_AT_ONCE[True] < len(zoo) < 20  # two groups, with failed models
    right, some = E.right(zoo), EVERYTHING[::97]  # several parts, of other sizes in each group
    assert right.shape == (len(zoo), 65_536, 8) and right.dtype == torch.bool
    assert torch.equal(E.n_right(zoo), right.all(-1).sum(-1))
    assert torch.allclose(E.by_position(zoo), right.double().mean(1), atol=1e-15)
    assert torch.equal(E.right(zoo, some), right[:, ::97])
    assert torch.equal(E.n_right(zoo, some), right[:, ::97].all(-1).sum(-1))
    assert torch.allclose(E.by_position(zoo, some), right[:, ::97].double().mean(1))
    assert E.only_exact(zoo).seeds == [s for s, e in zip(zoo.seeds, zoo.exact) if e]


@pytest.mark.slow
def test_what_is_counted():
    logits = F.one_hot(EVERYTHING[:, 9:], T.VOCAB).double()[None]
    logits[0, :, 7] = F.one_hot((EVERYTHING[:, 16] + 1) % 4, T.VOCAB).double()  # y7 always wrong
    hit = E.hits(logits, EVERYTHING)
    assert hit.double().mean((0, 1)).tolist() == [1.0] * 7 + [0.0]
    always = M.load_trained()
    wrong = I.intervene(always, {"resid_post": lambda value, _: value.roll(1, 2)})
    assert E.n_right(always).tolist() == [65_536]
    assert E.n_right(wrong)[0] < 100 and E.by_position(wrong).max() < 0.5


def test_equal_logits_are_answered_by_the_first_as_argmax_does():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 2, (3, 500, 8, T.VOCAB), generator=generator).double()
    some = EVERYTHING[::131][:500]
    assert torch.equal(E.hits(logits, some), logits.argmax(-1) == some[:, 9:])
    assert (logits == logits.amax(-1, keepdim=True)).sum(-1).max() == T.VOCAB  # there are ties


# ---------------------------------------------------------------- the process it runs in


def test_threads_and_grad_mode_are_given_back(monkeypatch):
    zoo = random_zoo(seeds=[0])
    expected = E.n_right(zoo)
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        seen = []
        monkeypatch.setattr(torch, "set_num_threads", seen.append)
        assert torch.equal(E.n_right(zoo), expected)
        assert seen == [1, threads]
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_tracked_in_any_thread(threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    zoo, tracked = random_zoo(seeds=[0]), []
    for value in zoo.weights.values():
        value.requires_grad_()

    def watch(value, tokens):
        tracked.append(value.requires_grad)
        return value

    E.n_right(zoo.edited({"resid_post": watch}))
    E.n_right(zoo.edited({"resid_post": watch}), sequences_of(zoo, 9000))
    assert len(tracked) > 256 and not any(tracked)


def test_an_error_inside_gives_the_threads_back():
    before = torch.get_num_threads()

    def broken(value, tokens):
        raise RuntimeError("broken edit")

    with pytest.raises(RuntimeError, match="broken edit"):
        E.n_right(random_zoo(seeds=[0]).edited({"z": broken}))
    assert torch.get_num_threads() == before and torch.is_grad_enabled()
